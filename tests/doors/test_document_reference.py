"""The OpenAPI document says what it said when requests and responses were DRF serializers.

`data/openapi_reference.json` is the document of that time. Both are compared operation by operation, after
resolving references and bringing equal spellings of a schema into one form.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REFERENCE = Path(__file__).parent / "data" / "openapi_reference.json"
ABSENT = "absent"
_BODY = r"\.requestBody\.content\.application/json\.schema"
_CLOSED = "chat|chat/enhance|chat/estimate|feedback|insights/feedback|route"
# Place, keyword and reason of each difference that is meant.
NEW_OPERATIONS = {"get /api/v1/requests/refused"}  # which the reference lacks
INTENDED = [
    (
        r"\.get /api/v1/requests\.parameters",
        "sort",
        "The list can be sorted by time, cost, latency or tokens.",
    ),
    (
        r"\.post /api/v1/(chat|route)\.responses\.200\..*\.properties\.complexity",
        "description",
        "Complexity is how often an average model fails on such a request, for every request.",
    ),
    *(
        (
            r"\.post /api/v1/route\.responses\.200\.content\.application/json\.schema\.properties\.data"
            + place,
            keyword,
            "The decision has the request's level, and whether the encoder took a second look at it.",
        )
        for place, keyword in ((r"\.properties", "level"), (r"\.properties", "refined"), ("", "required"))
    ),
    (
        rf"\.post /(api/v1/({_CLOSED})|v1/messages|v1/messages/count_tokens){_BODY}",
        "additionalProperties",
        "These bodies always refused unknown fields; the document did not say so.",
    ),
    (
        rf"\.post /(api/v1/(chat|route)|v1/chat/completions|v1/responses|v1/responses/input_tokens){_BODY}"
        r"\.properties\.metadata",
        "maxProperties",
        "There were never more than 16 pairs possible; the document did not say so.",
    ),
    (
        rf"\.post [\w/]+{_BODY}(\.properties\.stream_options)?",
        "description",
        "It was the docstring of a base class, and is now the one of the body.",
    ),
    (
        rf"\.post /(api/v1/(chat|route)|v1/chat/completions){_BODY}"
        r"\.properties\.(max_output_tokens|max_tokens|max_completion_tokens)",
        "description",
        "The native limit, and max_tokens of Chat Completions, are of the visible answer.",
    ),
    (
        r"\.get /v1/models",
        "summary",
        "It is in plainer words.",
    ),
    (
        r".*\.properties\.data\.properties\.(saved_usd|fidelity)",
        "description",
        "Descriptions of answers in plainer words.",
    ),
    (
        rf"\.post /api/v1/(chat|route){_BODY}\.properties\.models",
        "description",
        "The rules for candidates.",
    ),
    (
        r"\.post /v1/[\w/]+\.parameters\.X-RoutePlex-Models",
        "description",
        "The rules for candidates.",
    ),
    (
        r"\.post /api/v1/route\.responses\.200\..*\.properties\.candidates\.items\.properties",
        "retires",
        "A candidate has the date of a coming retirement.",
    ),
    (
        r"\.post /api/v1/route\.responses\.200\..*\.properties\.candidates\.items",
        "required",
        "A candidate has the date of a coming retirement.",
    ),
    *(
        (
            rf"\.get /api/v1/requests/\{{request_id\}}\.responses\.200\..*\.properties\.data{place}",
            keyword,
            "The log says what is wrong with a provider's usage report.",
        )
        for place, keyword in ((r"\.properties", "usage_issue"), ("", "required"))
    ),
    *(
        (
            r"\.(get /api/v1/requests/\{request_id\}|post /api/v1/route)\.responses\.200\..*"
            r"\.properties\.baseline(\.properties(\.\w+)?)?",
            keyword,
            "The baseline has the tokens of its forecast, an interval and a version.",
        )
        for keyword in (
            "answer_tokens",
            "calls",
            "description",
            "effort",
            "high_usd",
            "input_tokens",
            "low_usd",
            "max_output_tokens",
            "reasoning_tokens",
            "required",
            "spread",
            "version",
            "visible_tokens",
        )
    ),
    *(
        (
            r"\.(get /api/v1/requests/\{request_id\}|post /api/v1/route)\.responses\.200\..*"
            r"\.properties\.data(\.properties)?",
            keyword,
            "A decision says why the obvious alternatives were not chosen.",
        )
        for keyword in ("alternatives", "required")
    ),
    (
        rf"\.post /v1/(messages|messages/count_tokens|responses|responses/input_tokens){_BODY}"
        r"\.properties\.(context_management|diagnostics|fallbacks|speed|user_profile_id|store|truncation"
        r"|max_tool_calls)",
        "description",
        "Ignored fields in plainer words.",
    ),
    (
        rf"\.post /v1/(chat/completions|responses|responses/input_tokens){_BODY}\.properties",
        "cache_control",
        "The end of the whole request can be marked to be cached.",
    ),
    *(
        (
            r"\.post /v1/chat/completions\.responses\.200\.content\.application/json\.schema" + place,
            keyword,
            "Clients in typed languages expect the field, which is null.",
        )
        for place, keyword in (("", "required"), (r"\.properties", "system_fingerprint"))
    ),
    (
        rf"\.post /v1/messages(/count_tokens)?{_BODY}\.properties\.tools",
        "maxItems",
        "Anthropic's API has no limit of 128 tools.",
    ),
    *(
        (
            rf"\.post /v1/responses(/input_tokens)?{_BODY}\.properties"
            r"(\.(background|conversation|prompt|previous_response_id))?",
            keyword,
            "Responses are kept for a while, and take the penalties of Open Responses.",
        )
        for keyword in (
            "description",
            "frequency_penalty",
            "presence_penalty",
            "type",
        )
    ),
]


_CHOICES = re.compile(r"(\n\n)?(\* `.*` - .*\n?)+$")  # drf-spectacular repeats the values of an enum so


def _resolved(schema: Any, components: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, `allOf` of a single schema, titles, and with null only as `nullable`."""
    schema = {name: value for name, value in schema.items() if name != "title"}
    if description := _CHOICES.sub("", schema.pop("description", "")):
        schema["description"] = description
    if (name := schema.pop("$ref", None)) is not None:
        return _resolved(components[name.rpartition("/")[2]] | schema, components)
    for keyword in ("allOf", "oneOf", "anyOf"):
        branches = [_resolved(branch, components) for branch in schema.pop(keyword, ())]
        whole = [branch for branch in branches if branch.get("enum") != []]  # [] is an enum of null alone
        if len(whole) < len(branches):
            schema["nullable"] = True
        if len(whole) == 1:
            schema = whole[0] | schema
        elif whole:
            schema[keyword] = whole
    if "enum" in schema:
        if None in schema["enum"]:
            schema["nullable"] = True
        schema["enum"] = sorted(value for value in schema["enum"] if value is not None)
    if schema.get("additionalProperties") in ({}, True):
        del schema["additionalProperties"]
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            schema[keyword] = _resolved(schema[keyword], components)
    if "properties" in schema:
        schema["properties"] = {
            name: _resolved(inner, components) for name, inner in schema["properties"].items()
        }
    return schema | ({"required": sorted(schema["required"])} if "required" in schema else {})


def _operations(document: dict[str, Any]) -> dict[str, Any]:
    """By method and path: the operation with its schemas resolved and its parameters by name."""
    components = document["components"]["schemas"]

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        return {
            name: _resolved(inner, components) if name == "schema" else resolve(inner)
            for name, inner in value.items()
        }

    operations = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parameters = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
            operation = operation | {"parameters": parameters}
            operation.pop("description", None)  # mostly the docstring of a view's base class
            operations[f"{method} {path}"] = resolve(operation)
    return operations


def _differences(before: Any, after: Any, at: str = "") -> Iterator[tuple[str, str, Any, Any]]:
    """Where two documents differ: the place, the keyword, and its value in each."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, ABSENT), after.get(name, ABSENT)
            if isinstance(old, dict) and isinstance(new, dict):
                yield from _differences(old, new, f"{at}.{name}")
            elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
                for position, pair in enumerate(zip(old, new, strict=True)):
                    yield from _differences(*pair, f"{at}.{name}[{position}]")
            elif old != new:
                yield at, name, old, new
    elif before != after:
        yield at, "", before, after


@pytest.fixture(scope="module")
def documents() -> tuple[dict[str, Any], dict[str, Any]]:
    from drf_spectacular.generators import SchemaGenerator

    document = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(REFERENCE.read_text()), json.loads(json.dumps(document))


def test_every_operation_is_documented_as_before(documents: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = map(_operations, documents)
    assert before.keys() == after.keys() - NEW_OPERATIONS
    after = {name: operation for name, operation in after.items() if name in before}
    used = set()
    for at, keyword, old, new in _differences(before, after):
        matching = [
            position
            for position, (place, word, _) in enumerate(INTENDED)
            if word == keyword and re.fullmatch(place, at)
        ]
        assert matching, f"{at} {keyword}: was {old!r}, is {new!r}"
        used.update(matching)
    assert used == set(range(len(INTENDED))), "an intended difference that there is not"


def test_the_rest_of_the_document_is_as_before(documents: tuple[dict[str, Any], dict[str, Any]]) -> None:
    before, after = documents
    assert before["components"].keys() == after["components"].keys()
    assert before["components"]["securitySchemes"] == after["components"]["securitySchemes"]
    assert {name: before[name] for name in ("openapi", "info")} == {
        name: after[name] for name in ("openapi", "info")
    }


@pytest.mark.parametrize(
    ("keyword", "value"), [("maxLength", 5), ("nullable", False), ("enum", ["a"]), ("type", "integer")]
)
def test_a_changed_field_would_be_noticed(
    documents: tuple[dict[str, Any], dict[str, Any]], keyword: str, value: Any
) -> None:
    before = documents[0]
    changed = json.loads(json.dumps(before))
    changed["components"]["schemas"]["Messages"]["properties"]["model"][keyword] = value
    differences = list(_differences(_operations(before), _operations(changed)))
    assert [(name, new) for _, name, _, new in differences] == [(keyword, value)]
