"""Tool schemas whose root is no plain object: what each provider gets, and that it can be called."""

import json
from typing import Any

import pytest

from routing.language.arms import ModelFacts
from routing.language.chat import Tool, ToolChoice
from routing.language.fidelity import Verdict
from routing.providers.shared.tools.object_root import object_root
from tests.conftest import Simulator
from tests.providers.conftest import Caller
from tests.providers.facts import CHAT, CLAUDE, GEMINI, RESPONSES, asking, user

NOTE = {"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]}
LINK = {"type": "object", "properties": {"link": {"type": "string"}}, "required": ["link"]}
BOTH = ("note", "link")
ROOTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "anyOf": ({"anyOf": [NOTE, LINK]}, BOTH),
    "oneOf beside a type": ({"type": "object", "oneOf": [NOTE, LINK]}, BOTH),
    "allOf": ({"allOf": [NOTE, LINK]}, BOTH),
    "anyOf of requirements": (
        {
            "type": "object",
            "properties": {"note": {"type": "string"}, "link": {"type": "string"}},
            "anyOf": [{"required": ["note"]}, {"required": ["link"]}],
        },
        BOTH,
    ),
    "$ref": ({"$ref": "#/$defs/Note", "$defs": {"Note": NOTE}}, ("note",)),
    "$ref in a union": ({"anyOf": [{"$ref": "#/definitions/N"}, LINK], "definitions": {"N": NOTE}}, BOTH),
    "unions in unions": ({"anyOf": [{"oneOf": [NOTE, LINK]}, {"allOf": [NOTE]}]}, BOTH),
    "not": ({**NOTE, "not": {"required": ["x"]}}, ("note",)),
    "no type": ({"properties": {"note": {"type": "string"}}}, ("note",)),
    "no properties": ({"type": "object"}, ()),
    "any properties": ({"type": "object", "additionalProperties": {"type": "string"}}, ("string",)),
    "another type": ({"type": "array", "items": {"type": "string", "description": "a bed"}}, ("a bed",)),
    "a reference to itself": ({"$ref": "#"}, ()),
    "a reference to nothing": ({"$ref": "#/$defs/Missing"}, ()),
    "a recursive reference": (
        {
            "$ref": "#/$defs/Tree",
            "$defs": {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}},
        },
        ("left",),
    ),
}


@pytest.mark.parametrize("model", [CHAT, RESPONSES, CLAUDE, GEMINI], ids=lambda model: model.id)
@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("root", ROOTS)
async def test_every_provider_takes_every_root(
    caller: Caller, simulator: Simulator, model: ModelFacts, root: str, strict: bool | None
) -> None:
    schema, names = ROOTS[root]
    tool = Tool("attach", "Attaches.", schema, strict=strict)
    request = asking(user("Attach it."), tools=(tool,))
    events = await caller.events(request, model, stream=False)
    assert events
    wire = json.dumps(simulator.calls()[-1]["body"].get("tools"))
    assert all(name in wire for name in names), wire


def test_a_union_keeps_what_all_branches_require_and_says_the_rest() -> None:
    more = {"properties": {"bed": {"type": "integer"}, "note": {"type": "integer"}}, "required": ["bed"]}
    schema, changes = object_root({"description": "Attach.", "anyOf": [NOTE | {"title": "N"}, more]})
    assert schema == {
        "type": "object",
        "properties": {
            "note": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "bed": {"type": "integer"},
        },
        "description": "Attach. Give the arguments of one of these groups: note; bed.",
    }
    assert changes == ("a union at the root became one object",)
    closed = {"anyOf": [NOTE | {"additionalProperties": False}] * 2}
    assert object_root(closed).schema["additionalProperties"] is False
    assert object_root(closed).schema["required"] == ["note"]


def test_an_object_is_not_touched() -> None:
    assert object_root(NOTE).schema is NOTE
    assert object_root({}).schema == {}


@pytest.mark.parametrize("model", [CHAT, RESPONSES, CLAUDE, GEMINI], ids=lambda model: model.id)
async def test_a_folded_root_is_in_the_receipt(caller: Caller, model: ModelFacts) -> None:
    request = asking(tools=(Tool("attach", None, {"anyOf": [NOTE, LINK]}),), tool_choice=ToolChoice("auto"))
    started = (await caller.events(request, model, stream=True))[0]
    (entry,) = [entry for entry in started.receipt if entry.parameter == "tools"]  # type: ignore[union-attr]
    assert entry.verdict is Verdict.ADAPTED
    assert "a union at the root became one object" in str(entry.change)
