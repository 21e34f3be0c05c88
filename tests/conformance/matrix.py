"""The conformance matrix: every feature of every door, on every provider's API, streamed and not.

A cell is a real request by the door's official client. It says `yes` (honoured), `adapted` (sent in another
form) or `dropped`, as the receipt does, or the code of the error that refuses it. The answer must match.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

# The model that answers, and the upstream API it is called through.
COLUMNS = {
    "OpenAI Chat": ("gpt-4.1", "openai_chat"),
    "OpenAI Responses": ("gpt-5.4-pro", "openai_responses"),
    "Anthropic": ("claude-sonnet-4-5", "anthropic"),
    "Gemini": ("gemini-2.5-flash", "gemini"),
}
# Under Smart Routing a model that cannot do these is not a candidate.
MEANING = frozenset(
    {
        "tools",
        "tool_choice",
        "response_format",
        "n",
        "logprobs",
        "logit_bias",
        "stop",
        "images",
        "files",
        "audio",
    }
)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
)
PDF += b"3 0 obj<</Type/Page/MediaBox[0 0 9 9]/Parent 2 0 R>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00"
WAV += b"\x02\x00\x10\x00data\x00\x00\x00\x00"
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["name", "people"],
    "additionalProperties": False,
}
CAPITAL = "What is the capital of France?"
USE_WEATHER = "What is the weather in Paris? Use the get weather tool."
USE_BOTH = "Use the get weather tool for Paris and the get clock tool."
USE_QUERY = "Use the query tool for all users."
ESSAY = "Explain in detail how a compiler works."
ONE_TWO = "Reply with exactly: one two three"
DESCRIBE = "Describe Paris as a city."

Receipt = list[dict[str, Any]]  # its parameters
Check = Callable[[Any], bool]
FILE_URL_WIRES = {"OpenAI Chat": "openai_responses"}  # Chat Completions takes no files by URL


@dataclass(frozen=True)
class Urls:
    """URLs of the files that the test's own server serves."""

    picture: str = ""
    pdf: str = ""


@dataclass(frozen=True)
class Feature:
    """`parameters`: its names in the receipt; `check`: what the answer must show unless dropped.

    `before`: sends a first request and adds its answer to the fields.
    """

    name: str
    fields: dict[str, Any]
    parameters: tuple[str, ...] = ()
    check: Check = bool
    before: Callable[[Any, dict[str, Any]], dict[str, Any]] | None = None
    wires: dict[str, str] = field(default_factory=dict)  # columns that use another upstream API for it


@dataclass
class Cell:
    """One cell: its verdict and, unless refused, the answer and its receipt."""

    verdict: str
    answer: Any = None
    receipt: Receipt = field(default_factory=list)


class Door(Protocol):
    """A door with its official client. `whole` and `streamed` return the answer and its receipt."""

    NAME: str
    ERROR: type[Exception]

    def client(self, url: str, key: str) -> Any: ...
    def features(self, urls: Urls) -> list[Feature]: ...
    def whole(self, client: Any, fields: dict[str, Any]) -> tuple[Any, Receipt]: ...
    def streamed(self, client: Any, fields: dict[str, Any]) -> tuple[Any, Receipt]: ...
    def code(self, error: Any) -> str: ...


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def cell(door: Door, client: Any, model: str, feature: Feature, *, streamed: bool) -> Cell:
    """Send the request and return its cell."""
    fields = {"model": model, **feature.fields}
    try:
        if feature.before is not None:
            fields = feature.before(client, fields)
        answer, receipt = (door.streamed if streamed else door.whole)(client, fields)
    except door.ERROR as error:
        return Cell(door.code(error))
    entries = [entry for entry in receipt if entry["parameter"] in feature.parameters]
    verdicts = {entry["verdict"] for entry in entries}
    verdict = "dropped" if "dropped" in verdicts else "adapted" if "adapted" in verdicts else "yes"
    return Cell(verdict, answer, entries)


def table(cells: dict[tuple[str, str], str]) -> str:
    """Return a Markdown table: features down, providers across."""
    names = list(dict.fromkeys(name for name, _ in cells))
    lines = ["| | " + " | ".join(COLUMNS) + " |", "| --- " * (len(COLUMNS) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells[name, column] for column in COLUMNS) + " |" for name in names]
    return "\n".join(lines)
