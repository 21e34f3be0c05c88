"""Fixtures for tests through the public APIs."""

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.door_client import caller as caller
from tests.door_client import streaming as streaming


@pytest.fixture
def refused_model(live_db: None) -> Iterator[str]:
    """A name of a model that the database itself refuses in the ledger."""
    name = "refused-by-the-database"
    make, drop = (
        (
            "CREATE TRIGGER refuses BEFORE UPDATE ON billing_request"
            f" WHEN NEW.upstream_model = '{name}' BEGIN SELECT RAISE(ABORT, 'refused'); END",
            "DROP TRIGGER refuses",
        )
        if connection.vendor == "sqlite"
        else (
            f"ALTER TABLE billing_request ADD CONSTRAINT refuses CHECK (upstream_model <> '{name}')",
            "ALTER TABLE billing_request DROP CONSTRAINT refuses",
        )
    )
    with connection.cursor() as cursor:
        cursor.execute(make)
    yield name
    with connection.cursor() as cursor:
        cursor.execute(drop)
