"""DRF authentication by API key: sets `request.auth` to the Caller and `request.user` to a KeyPrincipal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.caller import Caller
from accounts.caller_lookup import CHALLENGE, find_caller, find_caller_sync
from core.errors import ApiError, Unauthenticated

_KEY_HEADERS = ("api-key", "x-api-key")  # some OpenAI clients send these


@dataclass(frozen=True)
class KeyPrincipal:
    """The user as DRF sees it. DRF's throttles count by `pk`."""

    caller: Caller
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    @property
    def pk(self) -> str:
        return f"key-{self.caller.key_id}"

    def __str__(self) -> str:
        return self.caller.key_name


class KeyAuthentication(BaseAuthentication):
    """Authenticates requests with a key; without one, the view's permission refuses the request."""

    def authenticate(self, request: Request | HttpRequest) -> tuple[KeyPrincipal, Caller] | None:
        """Raises InvalidApiKey, ExpiredApiKey, PermissionDenied or Unauthenticated (another scheme)."""
        secret = secret_in(request.headers)
        if secret is None:
            return None
        caller = find_caller_sync(secret, _remote_ip(request))
        return KeyPrincipal(caller), caller

    async def aauthenticate(self, request: Request | HttpRequest) -> tuple[KeyPrincipal, Caller] | None:
        """As `authenticate`, without blocking the event loop; a request is authenticated once."""
        known: tuple[KeyPrincipal, Caller] | None = getattr(request, "authenticated", None)
        if known is not None:
            return known
        secret = secret_in(request.headers)
        if secret is None:
            return None
        caller = await find_caller(secret, _remote_ip(request))
        known = request.authenticated = KeyPrincipal(caller), caller  # type: ignore[union-attr]
        return known

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE["WWW-Authenticate"]


class OptionalKeyAuthentication(KeyAuthentication):
    """For public endpoints: a valid key identifies the caller, an invalid one is ignored."""

    def authenticate(self, request: Request | HttpRequest) -> tuple[KeyPrincipal, Caller] | None:
        try:
            return super().authenticate(request)
        except ApiError:
            return None

    async def aauthenticate(self, request: Request | HttpRequest) -> tuple[KeyPrincipal, Caller] | None:
        try:
            return await super().aauthenticate(request)
        except ApiError:
            return None


def secret_in(headers: Mapping[str, str]) -> str | None:
    """The key in a request's headers, not checked and never to be echoed; None: there is no key.

    `headers` ignores case, as Django's do. Raises Unauthenticated when `Authorization` holds something else.
    """
    authorization = headers.get("authorization", "").strip()
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    for name in _KEY_HEADERS:
        if secret := headers.get(name, "").strip():
            return secret
    if authorization and authorization.lower() != "bearer":
        raise Unauthenticated(
            "The Authorization header must be: Bearer, a space, and your API key.", headers=CHALLENGE
        )
    return None


def _remote_ip(request: Request | HttpRequest) -> str | None:
    address: str | None = getattr(request, "client_address", None)  # of a request on the fast path
    return address or request.META.get("REMOTE_ADDR")
