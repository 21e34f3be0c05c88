"""`python -m tests.chaos.operator`: what an operator does to a cluster, as one process that takes orders.

Reads one JSON object a line and answers with one: keys are made, the ledger is swept, audited and read.
Django starts once instead of once an order.
"""
# ruff: noqa: E402 - Django must be set up before our modules are imported

import io
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")

import django

django.setup()

from django.core.management import CommandError, call_command
from django.db import close_old_connections, connection
from django.test import Client

from accounts.caller import Limits
from accounts.keys import create_key
from accounts.models import Account, Member, Plan, User
from billing.ledger.sweeper import sweep
from tests.evergreen import postpone_retirements


def prepare() -> None:
    """Tables, plans and the catalog."""
    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    postpone_retirements()


def key(rescue: bool = True, **limits: Any) -> dict[str, Any]:
    """A new account without limits and its only key, with those given."""
    number = User.objects.count() + 1
    user = User.objects.create_user(f"chaos{number}@example.com", "correct-horse-9", is_staff=True)
    account = Account.objects.create(name="Chaos", plan=Plan.objects.get(pk="unlimited"), rescue=rescue)
    Member.objects.create(account=account, user=user)
    if "daily_usd" in limits:
        limits["daily_usd"] = Decimal(limits["daily_usd"])
    key, secret = create_key(account, "chaos", limits=Limits(**limits))
    return {"id": key.pk, "account": account.pk, "secret": secret}


def settle_what_was_left() -> int:
    """One look of the sweeper: how many requests it settled."""
    return sweep(datetime.now(UTC))


def audit() -> dict[str, Any]:
    """`manage.py audit`: whether every promise holds, and its words."""
    words = io.StringIO()
    try:
        call_command("audit", stdout=words)
    except CommandError:
        return {"holds": False, "words": words.getvalue()}
    return {"holds": True, "words": words.getvalue()}


def read(sql: str, values: list[Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def page(path: str) -> dict[str, Any]:
    """A page as a member of staff sees it."""
    client = Client()
    client.force_login(User.objects.filter(is_staff=True).latest("pk"))
    answer = client.get(path, headers={"host": "localhost"})
    return {"status": answer.status_code, "text": answer.content.decode()}


ORDERS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "key": key,
    "sweep": settle_what_was_left,
    "audit": audit,
    "read": read,
    "page": page,
}


def main() -> None:
    output = sys.stdout
    sys.stdout = sys.stderr  # nothing but answers goes where answers are read
    for line in sys.stdin:
        order = json.loads(line)
        try:
            close_old_connections()
            answer = {"done": ORDERS[order.pop("order")](**order)}
        except Exception as error:
            connection.close()
            answer = {"error": f"{type(error).__name__}: {error}"}
        output.write(json.dumps(answer, default=str) + "\n")
        output.flush()


if __name__ == "__main__":
    main()
