"""Every feature on every provider, streamed and not, as docs/conformance.md says; no silent losses.

`make conformance` prints the tables and writes them into the document instead of comparing with it.
"""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import openai
import pytest

from tests.conformance import chat, messages, responses
from tests.conformance.matrix import COLUMNS, MEANING, PDF, PIXEL, Door, Urls, cell, table
from tests.conftest import Simulator

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "conformance.md"
WRITES = "CONFORMANCE_WRITES" in os.environ
DOORS = {door.NAME: cast(Door, door) for door in (chat, responses, messages)}
FEATURES = [(name, feature.name) for name, door in DOORS.items() for feature in door.features(Urls())]
FILES = {"/a.png": ("image/png", PIXEL), "/a.pdf": ("application/pdf", PDF)}
_cells: dict[str, dict[tuple[str, str], str]] = {}


def ends(name: str) -> tuple[str, str]:
    """Return the comments that enclose a table in the document."""
    return f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"


@pytest.fixture(scope="session", autouse=True)
def _written() -> Iterator[None]:
    yield
    if WRITES:
        for name, cells in _cells.items():
            begin, end = ends(name)
            before, _, rest = DOCUMENT.read_text().partition(begin)
            DOCUMENT.write_text(f"{before}{begin}{table(cells)}{end}{rest.partition(end)[2]}")
            print(f"\n{name}\n{table(cells)}")


@functools.cache
def documented(name: str) -> dict[tuple[str, str], str]:
    """Return the cells of a table in the document, by row and column."""
    begin, end = ends(name)
    lines = DOCUMENT.read_text().partition(begin)[2].partition(end)[0].splitlines()[2:]
    rows = [line.strip("| ").split(" | ") for line in lines]
    return {(row[0], column): cell for row in rows for column, cell in zip(COLUMNS, row[1:], strict=True)}


def compare(name: str, row: str, column: str, verdict: str) -> None:
    """Compare a cell with the document, or record it for `make conformance` to write."""
    _cells.setdefault(name, {})[row, column] = verdict
    assert WRITES or verdict == documented(name).get((row, column))


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, content = FILES[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def urls() -> Iterator[Urls]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    yield Urls(*(base + path for path in FILES))
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _urls_are_fetched(settings: Any) -> None:
    settings.OUTBOUND_ALLOWED_HOSTS, settings.OUTBOUND_ALLOW_HTTP = ["127.0.0.1"], True


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("name", "row"), FEATURES)
def test_each_feature_works_is_in_the_receipt_or_is_refused(
    server: str, api_key: str, simulator: Simulator, urls: Urls, name: str, row: str, column: str
) -> None:
    door, (model, wire) = DOORS[name], COLUMNS[column]
    feature = next(feature for feature in door.features(urls) if feature.name == row)
    ask = functools.partial(cell, door, door.client(server, api_key), model, feature)
    whole, streamed = ask(streamed=False), ask(streamed=True)
    assert whole.verdict == streamed.verdict, "streaming must not change the verdict"
    for result in (whole, streamed):
        if result.answer is None:
            continue
        listed = {entry["parameter"] for entry in result.receipt}
        assert listed == set(feature.parameters), "every parameter is in the receipt"
        if result.verdict != "dropped":
            assert feature.check(result.answer), result.answer
    if whole.answer is not None:
        assert {call["dialect"] for call in simulator.calls()} == {feature.wires.get(column, wire)}
    compare(name, row, column, whole.verdict)


@pytest.mark.parametrize(("name", "row"), FEATURES)
def test_auto_drops_nothing_that_changes_the_meaning(
    server: str, api_key: str, urls: Urls, name: str, row: str
) -> None:
    """Under Smart Routing an arm that cannot do it is not a candidate."""
    door = DOORS[name]
    feature = next(feature for feature in door.features(urls) if feature.name == row)
    refused = {verdict for (feature_name, _), verdict in documented(name).items() if feature_name == row}
    for streamed in (False, True):
        result = cell(door, door.client(server, api_key), "auto", feature, streamed=streamed)
        if result.answer is None and not WRITES:
            assert {result.verdict} == refused, "auto refuses what no model can do"
            continue
        if WRITES:
            continue
        assert result.answer is not None, result.verdict
        dropped = {entry["parameter"] for entry in result.receipt if entry["verdict"] == "dropped"}
        assert not dropped & MEANING
        if not dropped:
            assert feature.check(result.answer)


def test_an_unknown_model_is_a_typed_error(server: str, api_key: str) -> None:
    with pytest.raises(openai.BadRequestError):
        chat.client(server, api_key).chat.completions.create(
            model="no-such-model",
            messages=chat.user_turn("hi"),  # type: ignore[arg-type]
        )
