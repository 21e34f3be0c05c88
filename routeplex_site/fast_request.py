"""The request object of the fast path: Django's, with everything that a chat request seldom needs made later.

Django copies each header twice, into `META` and from there into `headers`. Here `headers` comes from the ASGI
scope, and `META` is made when somebody reads it.
"""

import io
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http.request import HttpHeaders
from django.utils.functional import cached_property


class FastRequest(ASGIRequest):
    """Raises UnicodeDecodeError when the query is not UTF-8, as Django's does."""

    content_type = None
    content_params = None

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self._post_parse_error = self._read_started = False
        self.resolver_match = None
        self.path = scope["path"]
        self.script_name = get_script_prefix(scope)
        self.path_info = self.path.removeprefix(self.script_name) if self.script_name else self.path
        self.method = scope["method"].upper()
        if query := scope.get("query_string"):
            query.decode()
        client = scope.get("client")
        self.client_address: str | None = client[0] if client else None

    def receive_body(self, body: bytes) -> None:
        """Set the body as Django does, without a copy."""
        self._body, self._stream = body, io.BytesIO(body)

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # noqa: N802 - Django's name
        return ASGIRequest(self.scope, io.BytesIO()).META

    @cached_property
    def headers(self) -> HttpHeaders:
        return _Headers(self.scope["headers"])


class _Headers(HttpHeaders):
    """As Django makes them: several of one name are joined, names with an underscore are left out."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._store: dict[str, tuple[str, str]] = {}
        for raw_name, raw_value in raw:
            if b"_" in raw_name:
                continue
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if (other := self._store.get(name)) is not None:
                value = f"{other[1]},{value}"
            self._store[name] = (name.title(), value)

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._store.values()])

    def get(self, key: str, default: Any = None) -> Any:
        field = self._store.get(key.replace("_", "-").lower())
        return default if field is None else field[1]
