"""A stub of Stripe on a real socket: it records events, and fails as a test sets it to."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from billing.prices.book import SINCE_EVER, ListedPrice, add_prices
from billing.stripe_meter import client
from billing.stripe_meter.models import StripeCustomer, Subscription
from billing.usage import Usage
from tests.billing.bookkeeping import Books

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PRICE, SECRET, HOOK_SECRET = "price_metered", "sk_test_secret_4c1f", "whsec_test"


class Stripe:
    """`events`: micro-USD by identifier. `then`: how the next calls fail: a status, "silent", "lost"."""

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.subscriptions: list[dict[str, Any]] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.then: list[int | str] = []
        self.url = ""

    @property
    def total(self) -> int:
        return sum(int(event["value"]) for event in self.events.values())

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]] | None:
        self.calls.append((path, form))
        fault = self.then.pop(0) if self.then else 200
        if fault == "silent":
            return None
        if isinstance(fault, int) and fault != 200:
            return fault, {"error": {"type": "api_error", "message": f"made to fail with {fault}"}}
        if path == "/v1/billing/meter_events":
            reply = self._event(form)
            return None if fault == "lost" else reply
        if path == "/v1/customers":
            return 200, {"id": "cus_" + form["metadata[routeplex_account]"], "object": "customer"}
        if path == "/v1/checkout/sessions":
            return 200, {"id": "cs_1", "object": "checkout.session", "url": "https://checkout.stripe.com/c/1"}
        if path == "/v1/billing_portal/sessions":
            return 200, {
                "id": "bps_1",
                "object": "billing_portal.session",
                "url": "https://billing.stripe.com/p",
            }
        if path == "/v1/subscriptions":
            data = [
                subscription
                for subscription in self.subscriptions
                if subscription["customer"] == form["customer"]
            ]
            return 200, {"object": "list", "data": data, "has_more": False, "url": path}
        return 404, {"error": {"type": "invalid_request_error", "message": f"no such path: {path}"}}

    def _event(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        identifier = form["identifier"]
        if identifier in self.events:
            words = f"An event already exists with identifier {identifier}."
            return 400, {"error": {"type": "invalid_request_error", "message": words}}
        event = {"value": form["payload[value]"], "customer": form["payload[stripe_customer_id]"]}
        self.events[identifier] = event | {"name": form["event_name"], "at": int(form["timestamp"])}
        return 200, {"object": "billing.meter_event", "identifier": identifier}

    def subscribe(self, customer: str, number: int = 1, **fields: Any) -> dict[str, Any]:
        subscription = {
            "id": f"sub_{customer}_{number}",
            "object": "subscription",
            "customer": customer,
            "status": "active",
            "start_date": int(START.timestamp()),
            "ended_at": None,
            "items": {"object": "list", "data": [{"price": {"id": PRICE}}]},
        } | fields
        self.subscriptions = [known for known in self.subscriptions if known["id"] != subscription["id"]] + [
            subscription
        ]
        return subscription


@pytest.fixture
def stripe(settings: Any) -> Iterator[Stripe]:
    stub = Stripe()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._reply(urlsplit(self.path).path, self.rfile.read(length).decode())

        def do_GET(self) -> None:
            split = urlsplit(self.path)
            self._reply(split.path, split.query)

        def _reply(self, path: str, form: str) -> None:
            assert self.headers["Authorization"] == f"Bearer {SECRET}"
            reply = stub.answer(path, {name: values[0] for name, values in parse_qs(form).items()})
            if reply is None:
                self.close_connection = True
                return
            body = json.dumps(reply[1]).encode()
            self.send_response(reply[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = SECRET, HOOK_SECRET
    settings.STRIPE_PRICE, settings.STRIPE_METER_EVENT, settings.STRIPE_API_BASE = PRICE, "usage", stub.url
    client._client.cache_clear()
    yield stub
    server.shutdown()
    server.server_close()


@pytest.fixture
def books(db: None) -> Books:
    """An account whose model "m" costs 1.0007 USD per million tokens."""
    prices = {"uncached_input": Decimal("1.0007"), "output": Decimal("1.0007")}
    add_prices([ListedPrice("m", SINCE_EVER, None, ((0, prices),), "tests")])
    return Books()


def subscribed(books: Books, **columns: Any) -> Subscription:
    customer = StripeCustomer.objects.create(account=books.account, customer_id=f"cus_{books.account.pk}")
    fields = {"subscription_id": f"sub_{books.account.pk}", "status": "active", "since": START} | columns
    return Subscription.objects.create(customer=customer, **fields)


def tokens(number: int) -> Usage:
    return Usage(uncached_input_tokens=number)
