"""How one upstream is reached: its dialect, address, credential and deadlines."""

from typing import Literal

import msgspec

Dialect = Literal["openai", "openai_chat", "anthropic", "gemini"]


class Provider(msgspec.Struct, frozen=True):
    """One configured upstream.

    `dialect` "openai" speaks Chat Completions or Responses as each model demands; "openai_chat" is any
    OpenAI-compatible server (Ollama, vLLM, …) and speaks Chat Completions alone. `base_url` includes the
    version for the OpenAI dialects (`https://api.openai.com/v1`) and excludes it for the others.
    """

    name: str
    dialect: Dialect
    base_url: str
    api_key: str = ""
    headers: dict[str, str] = {}  # sent with every call, e.g. OpenAI-Organization
    proxy: str | None = None  # URL; with it, or with http2, httpx's own transport is used
    http2: bool = False  # needs the h2 package

    def __repr__(self) -> str:  # credentials may sit in any other field
        return f"Provider(name={self.name!r}, dialect={self.dialect!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        return [("name", self.name), ("dialect", self.dialect)]


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds (spec/reliability.md). The whole request's deadline is its executor's."""

    connect_s: float = 3.0  # name look-up, TCP and TLS together
    first_byte_s: float = 15.0  # from sending to the first token; unstreamed: to the first byte of the body
    idle_s: float = 20.0  # between two events of a stream that has begun
