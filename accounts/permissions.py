"""DRF permissions of API keys. They only read the Caller and never block, so async views may call them."""

from typing import Any

from rest_framework.permissions import BasePermission

from accounts.caller import Caller
from accounts.caller_lookup import CHALLENGE
from core.errors import PermissionDenied, Unauthenticated


def key_is_missing() -> Unauthenticated:
    """The error of a request without a key."""
    return Unauthenticated(
        "Send your API key in the header: Authorization: Bearer rp_live_…", headers=CHALLENGE
    )


class HasKey(BasePermission):
    """Raises Unauthenticated unless the request has a valid key."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if not isinstance(request.auth, Caller):
            raise key_is_missing()
        return True


def HasScope(scope: str) -> type[HasKey]:  # noqa: N802 - reads as a class in permission_classes
    """A permission for keys of that scope: `permission_classes = [HasScope("chat")]`."""

    class _HasScope(HasKey):
        def has_permission(self, request: Any, view: Any) -> bool:
            super().has_permission(request, view)
            require_scope(request.auth, scope)
            return True

    _HasScope.__name__ = _HasScope.__qualname__ = f"Has{scope.capitalize()}Scope"
    return _HasScope


def require_scope(caller: Caller, scope: str) -> None:
    """Raises PermissionDenied, naming the scope the key lacks."""
    if scope not in caller.scopes:
        raise PermissionDenied(
            f'This API key lacks the scope "{scope}". Create one that has it on the Keys page.'
        )
