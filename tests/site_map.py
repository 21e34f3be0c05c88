"""Every page of the site, with something to show on it, for the tests that visit them all."""

import itertools
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account, Invitation, Member, Plan, User
from billing.alerts.channels import add_webhook
from billing.refusals.models import RefusedCall
from billing.statements.models import Statement, StatementLine
from core.encryption import encrypt
from routing.pages.requests.saved import save

_numbers = itertools.count(1)

# In braces: an object of the account that `furnish` makes.
PAGES = (
    "/",
    "/?period=today",
    "/start",
    "/requests/",
    "/requests/?status=refused",
    "/requests/{request}",
    "/requests/{refused}",
    "/requests/views/{view}/remove/",
    "/usage/",
    "/usage/?by=tag",
    "/savings/",
    "/savings/strategies",
    "/playground/",
    "/models/",
    "/models/gpt-5.2",
    "/models/compare?model=gpt-5.2&model=gpt-5-mini",
    "/learning/",
    "/keys/",
    "/keys/new/",
    "/keys/{key}/limits/",
    "/keys/{key}/rotate/",
    "/keys/{key}/revoke/",
    "/limits/",
    "/limits/channels/webhook/new/",
    "/limits/channels/email/new/",
    "/limits/channels/{channel}/remove/",
    "/limits/channels/{channel}/secret/",
    "/statements/",
    "/statements/{statement}/",
    "/members/",
    "/members/{member}/remove/",
    "/members/{member}/role/",
    "/my-accounts/",
    "/audit/",
    "/settings/",
    "/settings/content/erase/",
    "/settings/delete/",
    "/learning/forget",
    "/operator/",
    "/operator/support/",
    "/operator/accounts/",
    "/operator/accounts/{account}/",
    "/operator/prices/new",
    "/search?q=usage",
    "/docs",
    "/docs/quickstart",
    "/docs/reference/configuration",
    "/docs/search?q=rotate",
    "/docs/ask",
    "/docs/support",
    "/docs/api",
    "/docs/api/chat",
    "/changelog",
    "/accounts/email/",
    "/accounts/password/change/",
    "/accounts/reauthenticate/",
    "/accounts/logout/",
    "/accounts/2fa/",
    "/accounts/sessions/",
    "/no-such-page",
)
STRANGERS_PAGES = (
    "/",
    "/models/",
    "/pricing",
    "/docs/strategies",
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/password/reset/",
    "/accounts/password/reset/done/",
    "/accounts/password/reset/key/done/",
    "/accounts/confirm-email/",
    "/accounts/inactive/",
)


@dataclass(frozen=True)
class Furnished:
    """An account with something on every page. `objects`: what fills the braces of PAGES."""

    account: Account
    user: User
    objects: dict[str, str]

    def path(self, page: str) -> str:
        return page.format(**self.objects)

    def browser(self) -> Client:
        client = Client()
        client.force_login(self.user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client


def send(http: httpx.Client) -> str:
    """A few requests of several kinds; returns the id of one."""
    for strategy in ("auto", "cost", "quality"):
        body = {
            "messages": [{"role": "user", "content": "Which river flows through Vienna?"}],
            "strategy": strategy,
            "metadata": {"team": "maps"},
        }
        answer = http.post("/api/v1/chat", json=body)
        assert answer.status_code == 200, answer.text
    return str(answer.json()["data"]["id"])


def furnish(server: str) -> Furnished:
    """Make the account, send its requests to the server, and add what people add by hand."""
    number = f"{next(_numbers)}.{os.getpid()}"
    user = User.objects.create_user(f"walker{number}@example.com", "correct-horse-9", is_staff=True)
    account = Account.objects.create(name=f"Walk {number}", plan=Plan.objects.get(pk="unlimited"))
    Account.objects.filter(pk=account.pk).update(daily_usd=10, monthly_usd=200, requests_per_minute=600)
    Member.objects.create(account=account, user=user)
    colleague = User.objects.create_user(f"colleague{number}@example.com")
    member = Member.objects.create(account=account, user=colleague, role=Member.Role.VIEWER)
    key, secret = create_key(account, "production")
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=30) as http:
        request_id = send(http)
        invalid = http.post("/v1/chat/completions", json={"model": "nope", "messages": []})
        assert invalid.status_code == 400, invalid.text
    channel = add_webhook(account, f"https://hooks.example/{number}", None)[0]
    now = datetime.now(UTC)
    Invitation.objects.create(
        account=account, email="invited@example.com", role=Member.Role.VIEWER, digest=encrypt(number)[:60],
        invited_by=user, created_at=now, expires_at=now + timedelta(days=7),
    )  # fmt: skip
    return Furnished(
        account,
        user,
        {
            "request": request_id,
            "refused": _refused(account).request_id,
            "view": str(save(account, user, "Failures", "status=failed", ["cost"]).pk),
            "key": str(key.pk),
            "channel": str(channel.pk),
            "member": str(member.pk),
            "account": str(account.pk),
            "statement": _statement(account).number,
        },
    )


def _refused(account: Account) -> RefusedCall:
    """The account's refused call, which is written in the background."""
    deadline = time.monotonic() + 10
    while (call := RefusedCall.objects.filter(account=account).first()) is None:
        assert time.monotonic() < deadline, "no refused call was recorded"
        time.sleep(0.05)
    return call


def _statement(account: Account) -> Statement:
    """Of a month with two models."""
    statement = Statement.objects.create(
        account=account, number=f"2026-10-{account.pk:06d}", time_zone="UTC",
        starts_at=datetime(2026, 10, 1, tzinfo=UTC), ends_at=datetime(2026, 11, 1, tzinfo=UTC),
        made_at=datetime(2026, 11, 1, 1, tzinfo=UTC), requests=1240,
        usage_usd=Decimal("12.345678901"), total_usd=Decimal("12.345678901"),
    )  # fmt: skip
    key = account.keys.get()
    for model, requests, usd in (("gpt-5.2", 40, "12.3"), ("gpt-5-mini", 1200, "0.045678901")):
        StatementLine.objects.create(
            statement=statement, key=key, key_name=key.name, provider="openai", model=model,
            requests=requests, uncached_input_tokens=requests * 800, cache_read_tokens=requests * 50,
            output_tokens=requests * 210, cost_usd=Decimal(usd),
        )  # fmt: skip
    return statement
