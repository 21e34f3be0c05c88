"""The caller: an immutable value with everything a request needs to know of its key and account."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Limits of one key, account or plan; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    daily_tokens: int | None = None
    monthly_tokens: int | None = None
    daily_usd: Decimal | None = None
    monthly_usd: Decimal | None = None


class Caller(msgspec.Struct, frozen=True):
    """A checked API key with its account's settings; safe to share between requests."""

    key_id: int
    lineage_id: int  # under which the key's budgets and rates are counted, with those it replaced
    key_name: str
    account_id: int
    account_name: str
    plan: str
    key_limits: Limits
    account_limits: Limits
    scopes: frozenset[str] = frozenset({"chat"})
    models: frozenset[str] = frozenset()  # rules: ids or provider/*, with a leading - to exclude; empty: all
    account_models: frozenset[str] = frozenset()  # rules of the account, which hold too
    ip_networks: tuple[str, ...] = ()
    expires_at: datetime | None = None
    strategy: str = "auto"  # the key's default, else the account's
    baseline_model: str | None = None  # None means the best fixed model
    fallback: bool = True  # False makes a pinned model strict
    rescue: bool = True  # continue a cut stream with the next arm
    replace_retired: bool = True  # serve a retired id by its successor
    log_content: bool = False
    time_zone: str = "UTC"  # in which days and months of limits are counted
