"""The calling key: `GET /api/v1/key` gives its scopes and limits, and what is spent and left today."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.caller import Caller, Limits
from accounts.models import ApiKey
from accounts.permissions import HasScope
from billing.ledger.windows import current
from billing.models import Window
from core.database import from_database
from routing.doors.resources.openapi import KEY_RESPONSES
from routing.doors.shared.answer_facts import usd
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.native.envelope import enveloped


class KeyView(AsyncAPIView):
    permission_classes = [HasScope("read")]

    @extend_schema(
        operation_id="key",
        summary="See the calling key: scopes, limits, spent and left today",
        responses=KEY_RESPONSES,
    )
    async def get(self, request: Request) -> HttpResponse:
        caller = self.caller
        key, own, of_account = await from_database(_key_today, caller, datetime.now(UTC))
        scopes = [(caller.key_limits, own), (caller.account_limits, of_account)]
        data = {
            "id": key.pk,
            "name": key.name,
            "last_four": key.last_four,
            "account": caller.account_name,
            "plan": caller.plan,
            "scopes": sorted(caller.scopes),
            "allowed_models": sorted(caller.models) or None,
            "strategy": caller.strategy,
            "created_at": key.created_at,
            "expires_at": caller.expires_at,
            "limits": {"key": _limits(caller.key_limits), "account": _limits(caller.account_limits)},
            "today": {
                "requests": own.requests,
                "spent_usd": usd(own.spent_usd),
                "spent_tokens": own.spent_tokens,
                "held_usd": usd(own.held_usd),
                "left_usd": usd(_left(scopes, lambda limits: limits.daily_usd, _usd_used)),
                "left_tokens": _left(scopes, lambda limits: limits.daily_tokens, _tokens_used),
                "resets_at": own.ends_at,
            },
        }
        return enveloped(request._request, data)


def _key_today(caller: Caller, now: datetime) -> tuple[ApiKey, Window, Window]:
    """The key, its window of today and its account's."""
    own, of_account = (
        current(scope, pk, Window.Period.DAY, now, caller.time_zone)
        for scope, pk in (("key", caller.lineage_id), ("account", caller.account_id))
    )
    return ApiKey.objects.get(pk=caller.key_id), own, of_account


def _usd_used(window: Window) -> Decimal:
    return window.spent_usd + window.held_usd


def _tokens_used(window: Window) -> int:
    return window.spent_tokens + window.held_tokens


def _limits(limits: Limits) -> dict[str, Any]:
    ceilings = msgspec.structs.asdict(limits)
    return {name: usd(value) if isinstance(value, Decimal) else value for name, value in ceilings.items()}


def _left(
    scopes: Iterable[tuple[Limits, Window]], ceiling: Callable[[Limits], Any], used: Callable[[Window], Any]
) -> Any:
    """The smallest amount left below a ceiling of these scopes; None without a ceiling."""
    lefts = [max(ceiling(limits) - used(total), 0) for limits, total in scopes if ceiling(limits) is not None]
    return min(lefts, default=None)
