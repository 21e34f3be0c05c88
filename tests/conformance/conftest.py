"""Keys that some clients are to be refused with."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


@pytest.fixture
def key_with(account: Any) -> Callable[..., str]:
    """Makes a key of the account with given limits, e.g. `key_with(limits=Limits(requests_per_minute=1))`."""
    from accounts.keys import create_key

    def make(**fields: Any) -> str:
        return create_key(account, "special", **fields)[1]

    return make


@pytest.fixture
def expired_key(account: Any) -> str:
    from accounts.keys import create_key
    from accounts.models import ApiKey

    key, secret = create_key(account, "expired")
    ApiKey.objects.filter(pk=key.pk).update(expires_at=datetime.now(UTC) - timedelta(days=1))
    return secret
