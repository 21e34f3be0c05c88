"""An account's rows, as the pages' tests have them."""

from tests.pages.conftest import account, key, make_request, mine, stranger

__all__ = ["account", "key", "make_request", "mine", "stranger"]
