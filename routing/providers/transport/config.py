"""How one upstream is reached: its dialect, address, credential and deadlines."""

import msgspec


class Provider(msgspec.Struct, frozen=True):
    """One configured upstream.

    `dialect` names its adapter in `routing.providers.adapters`. `base_url` comes before the adapter's paths;
    for OpenAI's APIs it includes the version (`https://api.openai.com/v1`).
    """

    name: str
    dialect: str
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
    """Deadlines of one call in seconds; the deadline of the whole request belongs to the executor."""

    connect_s: float = 3.0  # name look-up, TCP and TLS together
    first_byte_s: float = 15.0  # from sending to the first token; unstreamed: to the first byte of the body
    idle_s: float = 20.0  # between two events of a stream that has begun
