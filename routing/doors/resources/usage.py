"""Totals of a period: `GET /api/v1/usage`, by day, model, provider and key."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.models import ApiKey
from accounts.permissions import HasScope
from billing.reports.measures import Sums
from billing.reports.queries import Sources
from core.database import from_database
from routing.doors.resources.openapi import USAGE_RESPONSES
from routing.doors.resources.schema import PeriodSerializer, parse_query
from routing.doors.shared.answer_facts import usd
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.errors import validation_error
from routing.doors.shared.native.envelope import enveloped

DEFAULT_DAYS = 30
MAX_DAYS = 366


class Group(msgspec.Struct, frozen=True):
    """The finest groups; all others are sums of them. Model and provider are "" where none answered."""

    day: date
    model: str
    provider: str
    key: tuple[int, str, str]  # id, name, last four
    total: Sums


class UsageView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="usage",
        summary="Total requests, tokens and cost of a period",
        description=f"The last {DEFAULT_DAYS} days unless given, {MAX_DAYS} at most. Days are UTC.",
        parameters=[PeriodSerializer],
        responses=USAGE_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponse:
        since, until = _period(parse_query(PeriodSerializer, request._request.GET.dict()), datetime.now(UTC))
        groups = await from_database(_groups, self.caller.account_id, since, until)
        return enveloped(
            request._request,
            {
                "from": since,
                "to": until,
                "totals": _totals(sum((group.total for group in groups), Sums())),
                "by_day": _by(groups, lambda group: {"day": group.day}),
                "by_model": _by(groups, lambda group: {"model": group.model or None}),
                "by_provider": _by(groups, lambda group: {"provider": group.provider or None}),
                "by_key": _by(groups, lambda group: {"key": _key(group)}),
            },
        )


def _period(query: dict[str, datetime], now: datetime) -> tuple[datetime, datetime]:
    """The start (inclusive) and the end (exclusive); by default whole days up to now."""
    until = query.get("to", now)
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    since = query.get("from", midnight - timedelta(days=DEFAULT_DAYS - 1))
    rule = None
    if since >= until:
        rule = "Must be earlier than `to`, which is now unless given."
    elif until - since > timedelta(days=MAX_DAYS):
        rule = f"Must be at most {MAX_DAYS} days before `to`."
    if rule:
        raise validation_error([{"field": "from", "message": rule}])
    return since, until


def _groups(account_id: int, since: datetime, until: datetime) -> list[Group]:
    sums = Sources.now(account_id, since, until).sums(
        since, until, "day", "served_model", "provider", "key_id"
    )
    named = ApiKey.objects.filter(account_id=account_id).values_list("pk", "name", "last_four")
    keys = {key[0]: key for key in named}
    return [
        Group(day, model, provider, keys[key], total) for (day, model, provider, key), total in sums.items()
    ]


def _by(groups: Iterable[Group], label: Callable[[Group], dict[str, Any]]) -> list[dict[str, Any]]:
    """Totals by label: days in order, everything else by falling cost."""
    totals: dict[str, tuple[dict[str, Any], Sums]] = {}
    for group in groups:
        named = label(group)
        known = totals.get(repr(named), (named, Sums()))
        totals[repr(named)] = (named, known[1] + group.total)
    ordered = sorted(totals.values(), key=lambda pair: _place(*pair))
    return [named | _totals(total) for named, total in ordered]


def _key(group: Group) -> dict[str, Any]:
    return dict(zip(("id", "name", "last_four"), group.key, strict=True))


def _place(named: dict[str, Any], total: Sums) -> tuple[Any, ...]:
    return (named["day"],) if "day" in named else (-total.cost_usd, -total.requests, repr(named))


def _totals(total: Sums) -> dict[str, Any]:
    return {
        "requests": total.requests,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "total_tokens": total.tokens,
        "cost_usd": usd(total.cost_usd),
        "unpriced_requests": total.unpriced,
    }
