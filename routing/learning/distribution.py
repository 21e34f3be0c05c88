"""The distribution of automatic decisions over arms, and an alert when nearly all choose the same arm."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from billing.alerts.publish import raise_alert, resolve_alert
from billing.models import Request
from routing.language.chat import Mode

_DAY = timedelta(days=1)
_ALERT = "routing.collapsed"
# Chosen, not measured. When all prompts are alike, one arm may be right for all of them, so a collapse takes
# many requests and nearly all of them on one arm.
COLLAPSE_SHARE, COLLAPSE_REQUESTS = 0.9, 200


@dataclass(frozen=True)
class Share:
    arm: str
    requests: int
    share: float


@dataclass(frozen=True)
class Distribution:
    """Automatic decisions of the last day; `evenness` is normalised entropy: 1 even, 0 one arm."""

    requests: int
    shares: Sequence[Share]
    evenness: float

    @property
    def collapsed(self) -> bool:
        return self.requests >= COLLAPSE_REQUESTS and self.shares[0].share > COLLAPSE_SHARE


def distribution(now: datetime) -> Distribution:
    """Return the automatic decisions of the last day by chosen arm."""
    decided = Request.objects.filter(created_at__gte=now - _DAY, mode=Mode.SMART)
    counted = (
        decided.values_list("routed_model", "routed_effort")
        .annotate(n=Count("pk"))
        .order_by("-n", "routed_model")
    )
    rows = [(f"{model}@{effort}" if effort else model, n) for model, effort, n in counted]
    total = sum(n for _, n in rows)
    shares = [Share(arm, n, n / total) for arm, n in rows]
    entropy = -sum(share.share * math.log(share.share) for share in shares)
    return Distribution(total, shares, entropy / math.log(len(shares)) if len(shares) > 1 else 0.0)


def watch(now: datetime) -> None:
    """Alert the operator when decisions have collapsed onto one arm; resolve the alert when they have not."""
    spread = distribution(now)
    if not spread.collapsed:
        resolve_alert(_ALERT)
        return
    first = spread.shares[0]
    raise_alert(
        _ALERT,
        f"Nearly all requests go to {first.arm}",
        f"{first.share:.1%} of {spread.requests} automatic decisions of the last day chose {first.arm}. "
        "Check prices, health and priors of the other models on the operator's page.",
        detail={"arm": first.arm, "share": first.share, "requests": spread.requests},
        once_key=_ALERT,
    )
