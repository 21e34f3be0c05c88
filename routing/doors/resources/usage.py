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
    """The finest grouping kept: all others are sums of it. Model and provider are "" where none answered."""

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
                "totals": _told(sum((one.total for one in groups), Sums())),
                "by_day": _by(groups, lambda one: {"day": one.day}),
                "by_model": _by(groups, lambda one: {"model": one.model or None}),
                "by_provider": _by(groups, lambda one: {"provider": one.provider or None}),
                "by_key": _by(
                    groups, lambda one: {"key": dict(zip(("id", "name", "last_four"), one.key, strict=True))}
                ),
            },
        )


def _period(asked: dict[str, datetime], now: datetime) -> tuple[datetime, datetime]:
    """From inclusive, to exclusive; by default whole days up to now."""
    until = asked.get("to", now)
    midnight = until.replace(hour=0, minute=0, second=0, microsecond=0)
    since = asked.get("from", midnight - timedelta(days=DEFAULT_DAYS - 1))
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
    """Totals by label: days in order, all else dearest first."""
    totals: dict[str, tuple[dict[str, Any], Sums]] = {}
    for one in groups:
        named = label(one)
        known = totals.get(repr(named), (named, Sums()))
        totals[repr(named)] = (named, known[1] + one.total)
    found = sorted(totals.values(), key=lambda pair: _place(*pair))
    return [named | _told(total) for named, total in found]


def _place(named: dict[str, Any], total: Sums) -> tuple[Any, ...]:
    return (named["day"],) if "day" in named else (-total.cost_usd, -total.requests, repr(named))


def _told(total: Sums) -> dict[str, Any]:
    return {
        "requests": total.requests,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "total_tokens": total.tokens,
        "cost_usd": usd(total.cost_usd),
        "unpriced_requests": total.unpriced,
    }
