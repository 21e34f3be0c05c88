"""DRF's APIView as a coroutine: the same checks, without blocking or changing threads."""

import inspect
from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any, ClassVar, cast

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import ResponseHeaders
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import OptionalKeyAuthentication
from accounts.caller import Caller
from routing.doors.shared.errors import api_error
from routing.language.errors import MethodNotAllowed
from routing.language.ids import new_request_id
from routing.state.refused_calls import note_refusal


class _PlainHeaders(ResponseHeaders):
    """Headers of printable ASCII, which need none of Django's checks."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._store: dict[str, tuple[str, str]] = {
            name.lower(): (name, value) for name, value in headers.items()
        }

    def __setitem__(self, name: str, value: str) -> None:  # type: ignore[override]
        self._store[name.lower()] = (name, value)

    def lines(self) -> str:
        """As HTTP sends them, with names in lower case."""
        return "".join([f"{name}: {field[1]}\r\n" for name, field in self._store.items()])


class JsonAnswer(HttpResponse):
    """A JSON body with headers of printable ASCII, made without Django's checks of each of them."""

    headers: _PlainHeaders

    def __init__(self, body: bytes, headers: Mapping[str, str]) -> None:
        self.headers = _PlainHeaders(headers)
        self.headers["Content-Type"] = "application/json"
        self.cookies, self.closed = SimpleCookie(), False
        self._charset = self._handler_class = self._reason_phrase = None
        self._resource_closers: list[Any] = []
        self._container = [body]


class AsyncAPIView(APIView):
    """Write `async def get(self, request, …)`; `request.auth` is the Caller. Exceptions become JSON.

    Authentication classes need `aauthenticate`; permissions must not wait; a throttle's `allow_request`
    may be a coroutine.
    """

    http_method_names: ClassVar[list[str]] = ["get", "post", "put", "patch", "delete"]  # type: ignore[misc]

    @property
    def caller(self) -> Caller:
        """The caller, in a view that requires a key."""
        return cast(Caller, self.request.auth)

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        if not hasattr(request, "request_id"):
            request.request_id = new_request_id()  # type: ignore[attr-defined]
        self.args, self.kwargs = args, kwargs
        wrapped = self.request = self.initialize_request(request, *args, **kwargs)
        # Unset, reading them later would authenticate, and raise, again.
        wrapped.user = wrapped.auth = None  # type: ignore[assignment]
        self.headers: dict[str, str] = {}
        try:
            handler = self._handler(request)
            await self._admit(wrapped)
            response = await handler(wrapped, *args, **kwargs)
        except Exception as exc:
            response = self.handle_exception(exc)
        response.headers["X-Request-Id"] = request.request_id  # type: ignore[attr-defined]
        if type(response) in (HttpResponse, JsonAnswer):
            # On the fast path no middleware sets it.
            response.headers["Content-Length"] = str(len(response.content))
        finished = self.finalize_response(wrapped, response, *args, **kwargs)
        wrapped.parser_context = {}  # breaks a reference cycle with the request
        return finished

    def handle_exception(self, exc: Exception) -> Any:
        error = api_error(exc)
        caller = cast(Caller | None, self.request.auth)
        note_refusal(error, self.request._request, caller, self._door_name)
        return self.get_exception_handler()(error, self.get_exception_handler_context())

    @property
    def _door_name(self) -> str:
        door = getattr(self, "door", None)
        return "api" if door is None else str(door.name)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # Without parsers, which would be made for each request: bodies are read by `body`.
        return Request(
            request,
            authenticators=self.get_authenticators(),
            negotiator=self.get_content_negotiator(),
            parser_context=self.get_parser_context(request),
        )

    def get_parser_context(self, http_request: HttpRequest) -> dict[str, Any]:
        return {}  # without this view, which would make a reference cycle

    async def athrottle(self, request: Request) -> None:
        """Raises Throttled when one of the throttle classes refuses."""
        for throttle in self.get_throttles():
            allowed: Any = throttle.allow_request(request, self)
            if inspect.isawaitable(allowed):
                allowed = await allowed
            if not allowed:
                self.throttled(request, throttle.wait() or 1.0)

    def _handler(self, request: HttpRequest) -> Any:
        name = (request.method or "").lower()
        if name == "head":
            name = "get"  # the server leaves the body out
        if name in self.http_method_names and hasattr(self, name):
            return getattr(self, name)
        allowed = ", ".join(self.allowed_methods)
        raise MethodNotAllowed(
            f"{request.method} is not allowed here. Use {allowed}.", headers={"Allow": allowed}
        )

    async def _admit(self, request: Request) -> None:
        await self._authenticate(request)
        self.check_permissions(request)
        await self.athrottle(request)

    async def _authenticate(self, request: Request) -> None:
        for authenticator in request.authenticators or ():
            known = await authenticator.aauthenticate(request._request)  # type: ignore[union-attr]
            if known is not None:
                request._authenticator = authenticator  # type: ignore[attr-defined]
                request.user, request.auth = known
                return
        request._authenticator = None  # type: ignore[attr-defined]


class PublicAPIView(AsyncAPIView):
    """No key is needed; an invalid one is ignored."""

    authentication_classes = [OptionalKeyAuthentication]
    permission_classes = []
