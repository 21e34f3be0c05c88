"""API keys at DRF's door: where they are read from, what is refused, what permissions ask."""

from typing import Any

import pytest
from django.test import RequestFactory
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from accounts.authentication import KeyAuthentication, OptionalKeyAuthentication, secret_in
from accounts.caller_lookup import find_caller
from accounts.key_format import new_secret
from accounts.keys import create_key
from accounts.models import User
from accounts.permissions import HasKey, HasScope
from core.errors import ApiError, InvalidApiKey, Unauthenticated


def headers(**values: str) -> Any:
    return RequestFactory().get("/", headers=named(values)).headers


def named(values: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in values.items()}


class Door(APIView):
    authentication_classes = [KeyAuthentication]
    permission_classes = [HasScope("chat")]

    def get(self, request: Any) -> Response:
        return Response({"key": str(request.user), "account": request.auth.account_name})

    def handle_exception(self, error: Exception) -> Response:
        if isinstance(error, ApiError):
            return Response({"code": error.code}, status=error.status, headers=error.headers)
        return super().handle_exception(error)


class FreeDoor(Door):
    authentication_classes = [OptionalKeyAuthentication]
    permission_classes = []

    def get(self, request: Any) -> Response:
        return Response({"known": request.auth is not None})


def call(door: type[APIView], **values: str) -> Any:
    return door.as_view()(APIRequestFactory().get("/", headers=named(values)))


@pytest.mark.parametrize(
    ("values", "secret"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "bearer   abc  "}, "abc"),
        ({"api_key": "abc"}, "abc"),
        ({"x_api_key": "abc"}, "abc"),
        ({"Authorization": "Bearer abc", "api_key": "def"}, "abc"),
        ({"Authorization": "Bearer", "api_key": "def"}, "def"),
        ({"Authorization": "Basic eDp5", "x_api_key": "def"}, "def"),
        ({"Authorization": "Bearer a b"}, "a b"),
        ({"Authorization": "Bearer"}, None),
        ({"Authorization": "  "}, None),
        ({}, None),
    ],
)
def test_where_a_key_is_read_from(values: dict[str, str], secret: str | None) -> None:
    assert secret_in(headers(**values)) == secret


@pytest.mark.parametrize("value", ["Basic eDp5", "abc", "Token abc"])
def test_another_scheme_is_explained(value: str) -> None:
    with pytest.raises(Unauthenticated, match="Bearer, a space, and your API key"):
        secret_in(headers(Authorization=value))


@pytest.mark.parametrize(
    "value", ["Bearer \r\nX-Evil: 1", "Bearer \0", "Bearer ключ", "Bearer " + "x" * 100_000]
)
def test_a_hostile_header_is_an_invalid_key_and_not_echoed(value: str, db: None) -> None:
    response = call(Door, Authorization=value)
    assert response.status_code == 401
    assert response.data == {"code": "invalid_api_key"}
    assert set(response.headers) <= {"WWW-Authenticate", "Vary", "Allow", "Content-Type"}


def test_a_key_opens_the_door(person: User) -> None:
    _, secret = create_key(person.accounts.get(), "laptop")
    response = call(Door, Authorization=f"Bearer {secret}")
    assert response.data == {"key": "laptop", "account": "ada"}


@pytest.mark.parametrize(
    ("values", "code"),
    [({}, "unauthenticated"), ({"Authorization": "Bearer rp_live_x"}, "invalid_api_key")],
)
def test_without_a_good_key_the_door_stays_shut(values: dict[str, str], code: str, db: None) -> None:
    response = call(Door, **values)
    assert (response.status_code, response.data["code"]) == (401, code)
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_key_without_the_scope_is_refused(person: User) -> None:
    _, secret = create_key(person.accounts.get(), "laptop", scopes=["read"])
    response = call(Door, Authorization=f"Bearer {secret}")
    assert (response.status_code, response.data["code"]) == (403, "permission_denied")


def test_an_invalid_key_is_ignored_at_a_public_endpoint(person: User) -> None:
    _, secret = create_key(person.accounts.get(), "laptop")
    assert call(FreeDoor, Authorization=f"Bearer {secret}").data == {"known": True}
    for value in (f"Bearer {new_secret()}", "Bearer x", "Basic eDp5"):
        assert call(FreeDoor, Authorization=value).data == {"known": False}


async def test_the_async_way_says_the_same(account: Any, api_key: str) -> None:
    valid = RequestFactory().get("/", headers={"Authorization": f"Bearer {api_key}"})
    invalid = RequestFactory().get("/", headers={"x-api-key": new_secret()})
    authenticated = await KeyAuthentication().aauthenticate(valid)
    assert authenticated is not None
    principal, caller = authenticated
    assert principal.is_authenticated
    assert caller.account_id == account.pk
    assert caller == await find_caller(api_key, None)
    with pytest.raises(InvalidApiKey):
        await KeyAuthentication().aauthenticate(invalid)
    assert await OptionalKeyAuthentication().aauthenticate(invalid) is None
    assert await KeyAuthentication().aauthenticate(RequestFactory().get("/")) is None


def test_the_openapi_document_says_how_to_send_a_key() -> None:
    from django.urls import path
    from drf_spectacular.generators import SchemaGenerator

    class Described(Door):
        @extend_schema(responses=dict)
        def get(self, request: Any) -> Response:
            return super().get(request)

    document = SchemaGenerator(patterns=[path("door", Described.as_view())]).get_schema(public=True)
    scheme = document["components"]["securitySchemes"]["apiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["paths"]["/door"]["get"]["security"] == [{"apiKey": []}]


def test_permissions_raise_our_errors() -> None:
    class WithoutKey:
        auth = None

    with pytest.raises(Unauthenticated, match="Authorization: Bearer"):
        HasKey().has_permission(WithoutKey(), None)
    with pytest.raises(Unauthenticated):
        HasScope("read")().has_permission(WithoutKey(), None)
