"""A person with a browser and an empty cache, as the tests of accounts have them."""

import os

from tests.accounts.conftest import _nothing_remembered, browser, person, stranger

__all__ = ["_nothing_remembered", "browser", "person", "stranger"]

# Runs where the tests have PostgreSQL.
collect_ignore = (
    [] if os.environ.get("DATABASE_URL", "").startswith("postgres") else ["test_postgres_pipeline.py"]
)
