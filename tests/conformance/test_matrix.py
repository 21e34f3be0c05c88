"""Every feature on every provider, streamed and not: no silent cell, and docs/conformance.md says the same.

`make conformance` prints the table and writes it into the document instead of comparing with it.
"""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.conformance import matrix
from tests.conformance.matrix import COLUMNS, PIXEL, Seen, cell, features, table
from tests.conftest import Simulator

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "conformance.md"
BEGIN, END = "<!-- cells -->", "<!-- end of cells -->"
NAMES = [feature.name for feature in features("")]
WRITES = "CONFORMANCE_WRITES" in os.environ
_seen: dict[tuple[str, str], tuple[Seen, Seen]] = {}


@pytest.fixture(scope="module", autouse=True)
def _written() -> Iterator[None]:
    yield
    if WRITES:
        before, _, rest = DOCUMENT.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        DOCUMENT.write_text(f"{before}{BEGIN}\n{table(_seen)}\n{END}{after}")
        print(f"\n{table(_seen)}")


@pytest.fixture(scope="module")
def documented() -> dict[tuple[str, str], str]:
    """The verdict of each cell."""
    rows = [
        line.strip("| ").split(" | ") for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")
    ]
    return {
        (row[0], column): verdict
        for row in rows[2:]
        for column, verdict in zip(COLUMNS, row[1:], strict=True)
    }


class _Picture(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(len(PIXEL)))
        self.end_headers()
        self.wfile.write(PIXEL)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def picture_url() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Picture)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/a.png"
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(server: str, api_key: str, settings: Any) -> OpenAI:
    settings.OUTBOUND_ALLOWED_HOSTS, settings.OUTBOUND_ALLOW_HTTP = ["127.0.0.1"], True
    return OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", NAMES)
def test_a_feature_is_there_or_told_or_refused(
    client: OpenAI,
    simulator: Simulator,
    picture_url: str,
    documented: dict[tuple[str, str], str],
    name: str,
    column: str,
) -> None:
    feature = next(one for one in features(picture_url) if one.name == name)
    model, wire = COLUMNS[column]
    ask = functools.partial(cell, client, model, feature)
    whole, streamed = ask(streamed=False), ask(streamed=True)
    assert whole.verdict == streamed.verdict, "streamed and not, the same"
    for seen in (whole, streamed):
        if seen.answer is None:
            continue
        assert {one["parameter"] for one in seen.told} == set(feature.parameters), (
            "no parameter without a word"
        )
        if seen.verdict != "told":
            assert feature.check(seen.answer), seen.answer
    if whole.answer is not None:
        assert {call["dialect"] for call in simulator.calls()} == {wire}
    _seen[name, column] = whole, streamed
    assert WRITES or whole.verdict == documented[name, column]


@pytest.mark.parametrize("name", NAMES)
def test_auto_drops_nothing_that_changes_the_meaning(client: OpenAI, picture_url: str, name: str) -> None:
    """Under Smart Routing an arm that cannot do it is no candidate."""
    feature = next(one for one in features(picture_url) if one.name == name)
    meaning = {"tools", "tool_choice", "response_format", "n", "logprobs", "logit_bias", "stop"}
    for streamed in (False, True):
        seen = cell(client, "auto", feature, streamed=streamed)
        assert seen.answer is not None, seen.verdict
        dropped = {one["parameter"] for one in seen.told if one["verdict"] == "dropped"}
        assert not dropped & meaning
        if not dropped:
            assert feature.check(seen.answer)


def test_an_unknown_model_is_a_typed_error(client: OpenAI) -> None:
    """What does not exist is a typed error of the client's."""
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="no-such-model", messages=matrix.said("hi"))
