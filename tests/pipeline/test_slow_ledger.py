"""A ledger that takes longer than a request may: no model is called, and nothing is charged."""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg
from django.db import connection
from django.test import override_settings

from billing.models import Attempt, Request
from tests.conftest import Simulator
from tests.door_client import DoorClient

REQUEST_TIMEOUT_S = 1.0


@contextlib.contextmanager
def _locked_ledger() -> Iterator[Callable[[], None]]:
    """Hold a lock that every write to the ledger waits for. Yields the function that releases it."""
    if connection.vendor == "sqlite":
        other: Any = sqlite3.connect(
            connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False
        )
        other.execute("BEGIN IMMEDIATE")
    else:
        options = connection.get_connection_params()
        names = ("dbname", "user", "password", "host", "port")
        other = psycopg.connect(**{name: options[name] for name in names if name in options})
        other.execute("LOCK TABLE billing_request IN SHARE MODE")
    yield other.rollback
    other.rollback()
    other.close()


def test_a_request_whose_time_is_over_before_it_is_recorded_calls_no_model(
    caller: DoorClient, simulator: Simulator
) -> None:
    with override_settings(REQUEST_TIMEOUT_S=REQUEST_TIMEOUT_S), _locked_ledger() as release:
        threading.Timer(3 * REQUEST_TIMEOUT_S, release).start()
        reply = caller.ask()
    assert reply.status == 503
    assert "time was over before a model could be called" in str(reply.error)
    assert simulator.calls() == []
    row = Request.objects.latest("created_at")
    assert row.status == Request.Status.FAILED
    assert (row.cost_usd, row.held_usd) == (Decimal(0), Decimal(0))
    assert not Attempt.objects.filter(request=row).exists()
