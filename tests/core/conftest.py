"""A person with a browser and an empty cache, as the tests of accounts have them."""

from tests.accounts.conftest import _nothing_remembered, browser, person, stranger

__all__ = ["_nothing_remembered", "browser", "person", "stranger"]
