"""A provider is one value: a fourth one is a module and one entry, and nothing else names a provider."""

import ast
import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from django.test import override_settings

from billing.models import Request
from routing.catalog.upstreams import UpstreamModel
from routing.language.chat import Started, TextDelta, UsageReport
from routing.providers.adapters import ADAPTERS, adapter_of
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.config import Provider
from routing.providers.upstreams import Upstreams
from tests.providers.conftest import Caller
from tests.providers.facts import LOCAL, asking
from tests.providers.fourth import PLAYHOUSE

ROOT = Path(__file__).resolve().parents[2]
SPENT = {"heard": 9, "spoken": 4}
KEY = "front-row"
HAMLET = msgspec.structs.replace(LOCAL, provider="globe", dialect="playhouse", upstream_id="hamlet")


class Playhouse:
    """The provider's server: what it received, and the error it answers with, if any."""

    def __init__(self) -> None:
        self.url = ""
        self.heads: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.error: tuple[str, dict[str, Any]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length"))
        body = json.loads(await reader.readexactly(int(length.split(":")[1])))
        self.heads.append(head)
        self.bodies.append(body)
        if self.error is not None:
            status, document = self.error
            self._send(writer, status, "application/json", json.dumps(document))
        elif body["live"]:
            scenes = ({"line": "To be, "}, {"line": "or not."}, {"curtain": True, "spent": SPENT})
            frames = "".join(f"data: {json.dumps(scene)}\n\n" for scene in scenes)
            self._send(writer, "200 OK", "text/event-stream", frames)
        else:
            scene = {"line": "To be, or not.", "curtain": True, "spent": SPENT}
            self._send(writer, "200 OK", "application/json", json.dumps(scene))
        writer.close()

    @staticmethod
    def _send(writer: asyncio.StreamWriter, status: str, media_type: str, text: str) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(text)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n{text}".encode())


@asynccontextmanager
async def playing() -> AsyncIterator[Playhouse]:
    playhouse = Playhouse()
    server = await asyncio.start_server(playhouse.serve, "127.0.0.1", 0)
    playhouse.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield playhouse
    finally:
        server.close()


@pytest.fixture
def _fourth_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line a fourth provider adds to the product."""
    monkeypatch.setitem(ADAPTERS, PLAYHOUSE.dialect, PLAYHOUSE)


# A fourth provider


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.usefixtures("_fourth_entry")
async def test_a_fourth_provider_answers_through_upstreams(stream: bool) -> None:
    async with playing() as playhouse:
        upstreams = Upstreams([Provider("globe", "playhouse", playhouse.url, KEY)])
        events = await Caller(upstreams).events(asking(max_output_tokens=50), HAMLET, stream=stream)
        await upstreams.aclose()
    assert f"x-playhouse-ticket: {KEY}" in playhouse.heads[0]
    assert "authorization" not in playhouse.heads[0]
    (body,) = playhouse.bodies
    assert body["script"] == [{"part": "user", "line": "What is the capital of France?"}]
    assert (body["actor"], body["longest"]) == ("hamlet", 50)
    started = events[0]
    assert isinstance(started, Started)
    assert [entry.parameter for entry in started.receipt] == ["max_tokens"]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "To be, or not."
    (report,) = (event for event in events if isinstance(event, UsageReport))
    assert (report.usage.input_tokens, report.usage.output_tokens) == (9, 4)


@pytest.mark.usefixtures("_fourth_entry")
async def test_a_fourth_providers_errors_are_classified_by_its_rules() -> None:
    async with playing() as playhouse:
        playhouse.error = ("418 Full", {"mishap": {"cause": "sold_out", "sentence": "No seats left."}})
        upstreams = Upstreams([Provider("globe", "playhouse", playhouse.url, KEY)])
        with pytest.raises(UpstreamFailure) as caught:
            await Caller(upstreams).events(asking(), HAMLET)
        await upstreams.aclose()
    assert (caught.value.kind, caught.value.message) == (FailureKind.OVERLOADED, "No seats left.")
    assert (caught.value.status, caught.value.provider_code) == (418, "sold_out")


@pytest.fixture
def hamlet(live_db: None) -> Iterator[str]:
    """The fourth provider's model, as an operator would list it."""
    from routing.catalog.live import catalog

    row = UpstreamModel("hamlet-1", 8000, 1000, upstream_id="hamlet").row("globe")
    row.save()
    yield row.id
    row.delete()
    catalog.refresh_now()


@pytest.mark.usefixtures("_fourth_entry")
async def test_a_fourth_provider_answers_through_the_whole_product(hamlet: str, api_key: str) -> None:
    from routeplex_site.asgi import application
    from routing.state import runtime

    async with playing() as playhouse:
        provider = {"name": "globe", "dialect": "playhouse", "base_url": playhouse.url, "api_key": KEY}
        with override_settings(PROVIDERS=[provider]):
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                response = await http.post(
                    "/v1/chat/completions",
                    json={"model": hamlet, "messages": [{"role": "user", "content": "Speak."}]},
                    headers={"Authorization": f"Bearer {api_key}"},
                )
            await runtime.stop()
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == "To be, or not."
    row = await Request.objects.aget(pk=response.headers["x-request-id"])
    assert (row.status, row.uncached_input_tokens, row.output_tokens) == (Request.Status.SUCCEEDED, 9, 4)


def test_an_unknown_dialect_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="unknown dialect 'mime': use one of anthropic, gemini, openai"):
        adapter_of("mime")


# Places that know a provider

FOLDERS = ("openai", "anthropic", "gemini")
NAMES = {*ADAPTERS, *FOLDERS, "google"}
# A process of its own that imitates the providers, and the operator's addresses and keys
NOT_CODE_OF_A_PROVIDER = ("routing/simulator/", "routeplex_site/settings.py")


def product_trees() -> Iterator[tuple[str, ast.Module]]:
    for room in ("accounts", "billing", "core", "routing", "routeplex_site"):
        for path in (ROOT / room).rglob("*.py"):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def decides_by_a_provider(node: ast.AST) -> bool:
    """Return whether the node is a case, a comparison or a table entry on a provider's or dialect's name."""
    match node:
        case ast.MatchValue(value=ast.Constant(value=name)):
            return name in NAMES
        case ast.Compare(left=left, comparators=comparators):
            return any(_names_a_provider(operand) for operand in (left, *comparators))
        case ast.Dict(keys=keys):
            return any(isinstance(key, ast.Constant) and key.value in NAMES for key in keys)
    return False


def _names_a_provider(operand: ast.expr) -> bool:
    if isinstance(operand, ast.Tuple | ast.List | ast.Set):
        return any(_names_a_provider(element) for element in operand.elts)
    return isinstance(operand, ast.Constant) and isinstance(operand.value, str) and operand.value in NAMES


def test_nothing_outside_a_providers_folder_decides_by_its_name() -> None:
    inside = tuple(f"routing/providers/{folder}/" for folder in FOLDERS)
    offenders = [
        f"{name}:{node.lineno}"  # type: ignore[attr-defined]
        for name, tree in product_trees()
        if not name.startswith((*inside, *NOT_CODE_OF_A_PROVIDER))
        for node in ast.walk(tree)
        if decides_by_a_provider(node)
    ]
    assert not offenders


@pytest.mark.parametrize(
    "source",
    ["match d:\n    case 'gemini': pass", "d == 'openai'", "d in ('anthropic', 'x')", "{'google': 1}[d]"],
)
def test_a_decision_by_a_providers_name_is_found(source: str) -> None:
    assert any(decides_by_a_provider(node) for node in ast.walk(ast.parse(source)))


def test_a_provider_is_one_folder_and_one_entry() -> None:
    """Gemini stands for every provider: it is the one whose API is not also a door of ours."""
    places = {
        name.split("gemini/")[0] + "gemini/" if "gemini/" in name else name
        for name, tree in product_trees()
        if not name.startswith(NOT_CODE_OF_A_PROVIDER)
        for node in ast.walk(tree)
        if _knows_gemini(node)
    }
    assert places == {"routing/providers/gemini/", "routing/providers/adapters.py"}


def _knows_gemini(node: ast.AST) -> bool:
    match node:
        case ast.ImportFrom(module=str(module)):
            return module.startswith("routing.providers.gemini")
        case ast.Constant(value="gemini" | "google"):
            return True
    return False
