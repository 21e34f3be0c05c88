"""Two separate accounts, and every path of the project."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.keys import create_key
from accounts.models import Account, Invitation, Member, Plan, User
from billing.alerts.models import AlertChannel
from billing.models import Request
from billing.statements.models import Statement
from core.encryption import encrypt
from routing.language.ids import new_request_id
from routing.pages.requests.saved import save

_numbers = itertools.count(1)
FILLED = {"path": "x", "str": "x", "slug": "x", "int": "1"}


def paths() -> Iterator[str]:
    """Every path pattern of the project, as it is written in its urls."""
    yield from _walk(get_resolver().url_patterns, "")


def _walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
    for pattern in patterns:
        path = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, path)
        else:
            yield path


def has_object(path: str) -> bool:
    return "<" in path or "(?P" in path


def filled(path: str, **values: Any) -> str:
    """The path with its parameters replaced."""

    def value(match: re.Match[str]) -> str:
        kind, _, name = match.group(1).rpartition(":")
        return str(values.get(name, FILLED.get(kind, "x")))

    return "/" + re.sub(r"<([^>]+)>", value, path)


@dataclass
class Tenant:
    """An account with one of everything that a path can name."""

    account: Account
    user: User
    key_id: int
    secret: str
    request_id: str
    channel_id: int
    statement: str  # its number
    member_id: int  # of another member than `user`
    invitation_id: int
    session_id: int
    view_id: int  # a saved view of the request list

    def browser(self, **options: Any) -> Client:
        client = Client(**options)
        client.force_login(self.user)
        return client


def make_tenant(role: str = Member.Role.OWNER) -> Tenant:
    user = User.objects.create_user(f"tenant{next(_numbers)}@security.example", "correct-horse-9")
    plan, _ = Plan.objects.get_or_create(name="unlimited", defaults={"title": "Unlimited"})
    account = Account.objects.create(name="Tenant", plan=plan)
    Member.objects.create(account=account, user=user, role=role)
    key, secret = create_key(account, "laptop")
    now = datetime.now(UTC)
    row = Request.objects.create(
        id=new_request_id(),
        account=account,
        key=key,
        created_at=now,
        settled_at=now,
        lease_until=now + timedelta(minutes=3),
        status="succeeded",
        cost_usd=0,
        door="native",
        mode="routeplex-ai",
        strategy="auto",
        routed_model="m",
        metadata={"secret-project": "zebra"},
        trace={},
    )
    channel = AlertChannel.objects.create(
        account=account, kind="webhook", address="https://hooks.example/zebra", secret=encrypt("whsec_zebra")
    )
    statement = Statement.objects.create(
        account=account,
        number=f"2026-10-zebra-{account.pk}",
        time_zone="UTC",
        starts_at=now - timedelta(days=60),
        ends_at=now - timedelta(days=30),
        made_at=now,
        requests=0,
        usage_usd=0,
        total_usd=0,
    )
    other = User.objects.create_user(f"zebra{next(_numbers)}@security.example")
    member = Member.objects.create(account=account, user=other, role=Member.Role.VIEWER)
    invitation = Invitation.objects.create(
        account=account,
        email="zebra@invited.example",
        role=Member.Role.VIEWER,
        digest=f"zebra {account.pk}",
        invited_by=user,
        created_at=now,
        expires_at=now + timedelta(days=7),
    )
    session = UserSession.objects.create(user=user, ip="127.0.0.1", session_key=f"zebra{user.pk}")
    return Tenant(
        account=account,
        user=user,
        key_id=key.pk,
        secret=secret,
        request_id=row.pk,
        channel_id=channel.pk,
        statement=statement.number,
        member_id=member.pk,
        invitation_id=invitation.pk,
        session_id=session.pk,
        view_id=save(account, user, f"view of {account.pk}", "status=failed", ["cost"]).pk,
    )


@pytest.fixture
def mine(live_db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def theirs(live_db: None) -> Tenant:
    return make_tenant()
