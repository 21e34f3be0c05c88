"""From a secret to a Caller: checks, limits, memory."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts import caller_lookup as callers
from accounts.caller import Limits
from accounts.caller_lookup import find_caller, find_caller_sync
from accounts.key_format import new_secret
from accounts.keys import create_key, revoke
from accounts.models import Account, ApiKey, User
from core.errors import ExpiredApiKey, InvalidApiKey, PermissionDenied


@pytest.fixture
def their_account(person: User) -> Account:
    return person.accounts.get()


def test_a_key_is_known_with_its_account(their_account: Account) -> None:
    key, secret = create_key(their_account, "laptop", scopes=["read"], allowed_models=["gpt-4.1"])
    caller = find_caller_sync(secret, "203.0.113.9")
    assert (caller.key_id, caller.key_name) == (key.pk, "laptop")
    assert (caller.account_id, caller.account_name) == (their_account.pk, "ada")
    assert caller.plan == "unlimited"
    assert caller.scopes == {"read"}
    assert caller.models == {"gpt-4.1"}


def test_the_secret_is_stored_nowhere(their_account: Account) -> None:
    key, secret = create_key(their_account, "laptop")
    row = ApiKey.objects.filter(pk=key.pk).values().get()
    assert key.last_four == secret[-4:]
    assert not any(secret in str(value) or secret[8:51] in str(value) for value in row.values())


@pytest.mark.parametrize("secret", ["", "rp_live_nonsense", "sk-abc", "rp_live_" + "0" * 49, "\r\nX: y"])
def test_a_malformed_key_is_refused_without_a_query(
    secret: str, django_assert_num_queries: Any, db: None
) -> None:
    with django_assert_num_queries(0), pytest.raises(InvalidApiKey, match="mistyped"):
        find_caller_sync(secret, None)


def test_an_unknown_key_is_refused_with_one_query(django_assert_num_queries: Any, db: None) -> None:
    secret = new_secret()
    with django_assert_num_queries(1):
        for _ in range(3):
            with pytest.raises(InvalidApiKey):
                find_caller_sync(secret, None)


def test_a_known_key_needs_one_query_and_then_none(
    their_account: Account, django_assert_num_queries: Any
) -> None:
    _, secret = create_key(their_account, "laptop")
    with django_assert_num_queries(2):  # the key; its last use, once a minute
        find_caller_sync(secret, None)
    with django_assert_num_queries(0):
        find_caller_sync(secret, None)
    callers.forget_all_callers()
    with django_assert_num_queries(1):
        find_caller_sync(secret, None)


def test_a_revoked_key_is_refused_at_once_here(account: Account) -> None:
    key, secret = create_key(account, "laptop")
    find_caller_sync(secret, None)
    revoke(key)
    with pytest.raises(InvalidApiKey):
        find_caller_sync(secret, None)


def test_a_key_revoked_elsewhere_is_refused_within_two_seconds(
    their_account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(callers.time, "monotonic", lambda: now[0])
    key, secret = create_key(their_account, "laptop")
    find_caller_sync(secret, None)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=datetime.now(UTC))
    now[0] += 2.0
    with pytest.raises(InvalidApiKey):
        find_caller_sync(secret, None)


def test_guessing_pushes_no_caller_out_of_memory(
    their_account: Account, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "_memory", callers._Memory(3, 3))
    _, secret = create_key(their_account, "laptop")
    find_caller_sync(secret, None)
    guesses = [new_secret() for _ in range(4)]
    for guess in guesses:
        with pytest.raises(InvalidApiKey):
            find_caller_sync(guess, None)
    with django_assert_num_queries(0):
        find_caller_sync(secret, None)
    with django_assert_num_queries(1), pytest.raises(InvalidApiKey):
        find_caller_sync(guesses[0], None)


def test_expiry_is_checked_at_every_use(their_account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1)
    _, secret = create_key(their_account, "laptop", expires_at=expires_at)
    find_caller_sync(secret, None)

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return expires_at

    monkeypatch.setattr(callers, "datetime", Later)
    with pytest.raises(ExpiredApiKey, match="expired on"):
        find_caller_sync(secret, None)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("192.0.2.77", True),
        ("::ffff:192.0.2.77", True),
        ("2001:db8::1", True),
        ("192.0.3.1", False),
        ("2001:db9::1", False),
        ("not an address", False),
        (None, False),
    ],
)
def test_a_key_works_from_its_networks_only(
    their_account: Account, address: str | None, allowed: bool
) -> None:
    _, secret = create_key(their_account, "laptop", ip_networks=["192.0.2.0/24", "2001:db8::/32"])
    if allowed:
        assert find_caller_sync(secret, address)
    else:
        with pytest.raises(PermissionDenied):
            find_caller_sync(secret, address)


def test_limits_of_the_key_are_its_own(their_account: Account) -> None:
    limits = Limits(requests_per_minute=7, daily_usd=Decimal("1.5"))
    _, secret = create_key(their_account, "laptop", limits=limits)
    assert find_caller_sync(secret, None).key_limits == limits


def test_an_accounts_own_limits_override_its_plans(their_account: Account) -> None:
    their_account.plan_id = "evaluation"
    their_account.requests_per_minute = 600
    their_account.daily_usd = Decimal(0)
    their_account.save()
    _, secret = create_key(their_account, "laptop")
    assert find_caller_sync(secret, None).account_limits == Limits(
        requests_per_minute=600, concurrent_requests=1, daily_tokens=20_000, daily_usd=Decimal(0)
    )


def test_a_keys_defaults_override_its_accounts(their_account: Account) -> None:
    their_account.strategy, their_account.fallback = "cost", False
    their_account.baseline_model = "gpt-4.1"
    their_account.save()
    own = find_caller_sync(create_key(their_account, "own", strategy="speed", fallback=True)[1], None)
    inherited = find_caller_sync(create_key(their_account, "inherited")[1], None)
    assert (own.strategy, own.fallback) == ("speed", True)
    assert (inherited.strategy, inherited.fallback) == ("cost", False)
    assert inherited.baseline_model == "gpt-4.1"


def test_the_last_use_is_written_once_a_minute(their_account: Account) -> None:
    key, secret = create_key(their_account, "laptop")
    find_caller_sync(secret, None)
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    callers.forget_all_callers()
    find_caller_sync(secret, None)
    key.refresh_from_db()
    assert key.last_used_at == first


async def test_many_who_come_at_once_ask_the_database_once(
    account: Account, api_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = 0
    load = callers._load

    def counted(digest: str) -> Any:
        nonlocal loads
        loads += 1
        return load(digest)

    monkeypatch.setattr(callers, "_load", counted)
    same = await asyncio.gather(*(find_caller(api_key, None) for _ in range(50)))
    assert {caller.account_id for caller in same} == {account.pk}
    assert loads == 1


async def test_one_who_hangs_up_leaves_the_others_their_answer(account: Account, api_key: str) -> None:
    first = asyncio.create_task(find_caller(api_key, None))
    second = asyncio.create_task(find_caller(api_key, None))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).account_id == account.pk


def test_the_async_way_writes_the_last_use_after_it_has_answered(account: Account, api_key: str) -> None:
    asyncio.run(find_caller(api_key, None))
    callers.close_connections()  # waits for what its threads still write
    assert account.keys.get().last_used_at is not None
