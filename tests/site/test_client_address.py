"""The client's address: the peer of the connection, unless the settings say how many proxies stand in front.

The live server is uvicorn as everybody starts it, which believes `X-Forwarded-For` of local peers.
"""

from typing import Any

import httpx
import pytest

FORWARDED = "10.1.2.3"
MODELS = "/api/v1/key"


@pytest.fixture
def limited(server: str, live_db: None) -> Any:
    """A client with a key that works from one address only, which is not ours."""
    from accounts.keys import create_key
    from accounts.models import Account, Plan

    account = Account.objects.create(name="Addresses", plan=Plan.objects.get(pk="unlimited"))
    _, secret = create_key(account=account, name="k", ip_networks=[f"{FORWARDED}/32"])
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client


def status(client: httpx.Client, *forwarded: str, path: str = MODELS) -> int:
    headers = [("X-Forwarded-For", line) for line in forwarded]
    if path == MODELS:
        return client.get(path, headers=headers).status_code
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    return client.post(path, json=body, headers=headers).status_code


@pytest.mark.parametrize("path", [MODELS, "/v1/chat/completions"])
def test_a_client_cannot_claim_another_address(limited: httpx.Client, path: str) -> None:
    assert status(limited, FORWARDED, path=path) == 403


@pytest.mark.parametrize("path", [MODELS, "/v1/chat/completions"])
def test_a_trusted_proxy_says_the_address(limited: httpx.Client, settings: Any, path: str) -> None:
    settings.PROXY_HOPS = 1
    assert status(limited, FORWARDED, path=path) == 200


def test_the_address_is_as_many_places_from_the_end_as_there_are_proxies(
    limited: httpx.Client, settings: Any
) -> None:
    settings.PROXY_HOPS = 1
    assert status(limited, f"{FORWARDED}, 9.9.9.9") == 403  # the first was written by the client
    assert status(limited, "9.9.9.9", f"{FORWARDED}:4711") == 200
    settings.PROXY_HOPS = 2
    assert status(limited, f"8.8.8.8, {FORWARDED}, 9.9.9.9") == 200
    assert status(limited, FORWARDED) == 403  # past one of the proxies
    assert status(limited, "unknown, 9.9.9.9") == 403


def test_throttles_count_by_the_same_address(settings: Any) -> None:
    from rest_framework.settings import api_settings

    assert api_settings.NUM_PROXIES == 0


def test_a_scheme_is_believed_of_proxies_only(settings: Any) -> None:
    from routeplex_site.client_address import with_client

    async def receive() -> None: ...

    scope = {"client": ("127.0.0.1", 1), "scheme": "http", "headers": []}
    assert with_client(scope, receive)["client"] == ("127.0.0.1", 0)
    assert with_client({"client": None, "headers": []}, receive)["client"] is None
