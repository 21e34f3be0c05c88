"""The address a request comes from: the peer of its connection, or what trusted proxies in front say.

Proxies add to `X-Forwarded-For`, but so may anybody, and ASGI servers such as uvicorn believe it of every
local peer unless configured otherwise. Here it counts only when `PROXY_HOPS` says how many proxies stand in
front: each adds the address it sees at the end, so the client's is that many places from the end.
"""

import ipaddress
from collections.abc import Callable
from typing import Any

from core.hot_settings import hot

Scope = dict[str, Any]


def with_client(scope: Scope, receive: Callable[..., Any]) -> Scope:
    """The scope with the client's address and, without proxies, the connection's own scheme."""
    transport = _transport(receive)
    peer = _peer(transport) or _host(scope.get("client"))
    if hot.PROXY_HOPS:
        return {**scope, "client": (_forwarded(scope) or peer, 0)}
    scheme = scope.get("scheme", "http")
    if transport is not None:
        scheme = "https" if transport.get_extra_info("ssl_object") is not None else "http"
    return {**scope, "client": None if peer is None else (peer, 0), "scheme": scheme}


def _forwarded(scope: Scope) -> str | None:
    """The address that the outermost trusted proxy saw; None: the request passed fewer proxies."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    addresses = [address.strip() for line in lines for address in line.split(",")]
    if len(addresses) < hot.PROXY_HOPS:
        return None
    return _address(addresses[-hot.PROXY_HOPS])


def _address(text: str) -> str | None:
    """The address without a port; None: it is not an address."""
    bare = text[1 : text.index("]")] if text.startswith("[") and "]" in text else text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        return None


def _transport(receive: Callable[..., Any]) -> Any:
    """The connection behind uvicorn's `receive`; None: another server."""
    return getattr(getattr(receive, "__self__", None), "transport", None)


def _peer(transport: Any) -> str | None:
    return None if transport is None else _host(transport.get_extra_info("peername"))


def _host(client: Any) -> str | None:
    """The host of an address and port; None: the connection has none, as a Unix socket."""
    return str(client[0]) if isinstance(client, list | tuple) and client else None
