"""An account that spends, and a webhook receiver on a real socket that checks signatures."""

import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client
from standardwebhooks import Webhook

from accounts.keys import create_key
from accounts.models import Account, ApiKey, Member, Plan, User
from billing.ledger.windows import spans
from billing.models import Window

_numbers = itertools.count(1)


def make_account(name: str, plan: str = "unlimited", **limits: Any) -> Account:
    user = User.objects.create_user(f"{name}{next(_numbers)}@alerts.example")
    account = Account.objects.create(name=name, plan=Plan.objects.get(pk=plan), **limits)
    Member.objects.create(account=account, user=user)
    return account


@pytest.fixture
def account(db: None) -> Account:
    """With a ceiling of 10 USD a day."""
    return make_account("mine", daily_usd=Decimal(10))


@pytest.fixture
def key(account: Account) -> ApiKey:
    return create_key(account, "production")[0]


@pytest.fixture
def owner(account: Account) -> User:
    return account.members.get()


@pytest.fixture
def page(owner: User) -> Client:
    """The owner's browser."""
    client = Client()
    client.force_login(owner, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


@pytest.fixture
def spend() -> Callable[..., None]:
    """Write what an account or key has spent and holds into the windows of today and this month."""

    def write(of: Account | ApiKey, usd: str | int = 0, tokens: int = 0, held: str | int = 0) -> None:
        scope = "account" if isinstance(of, Account) else "key"
        zone = (of if isinstance(of, Account) else of.account).time_zone
        for span in spans(datetime.now(UTC), zone):
            Window.objects.update_or_create(
                scope=scope,
                scope_id=of.pk,
                period=span.period,
                starts_at=span.starts_at,
                defaults={
                    "ends_at": span.ends_at,
                    "time_zone": zone,
                    "spent_usd": Decimal(usd),
                    "spent_tokens": tokens,
                    "held_usd": Decimal(held),
                },
            )

    return write


class Receiver:
    """Records what arrives and answers as set; `verified` checks with the specification's library."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hooks"
        self.answers: list[int] = []  # status of the next answers; then 200
        self.arrived: list[tuple[dict[str, str], bytes]] = []

    def verified(self, secret: str) -> list[Any]:
        return [Webhook(secret).verify(body, headers) for headers, body in self.arrived]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.arrived]


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            box.arrived.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(box.answers.pop(0) if box.answers else 200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # all of a batch may connect at once

    server = Server(("127.0.0.1", 0), Handler)
    box = Receiver(server.server_port)
    settings.OUTBOUND_ALLOWED_HOSTS = [f"127.0.0.1:{server.server_port}"]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield box
    server.shutdown()
    server.server_close()
