"""Where automatic decisions go, and whether they all go to one arm."""

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
# Chosen, not measured: an account whose prompts are all alike may rightly go to one arm, so it takes many
# requests and nearly all of them before the page calls it a collapse.
COLLAPSE_SHARE, COLLAPSE_REQUESTS = 0.9, 200


@dataclass(frozen=True)
class Share:
    arm: str
    requests: int
    share: float


@dataclass(frozen=True)
class Distribution:
    """Automatic decisions of the last day; `evenness` is normalised entropy: 1 even, 0 all to one."""

    requests: int
    shares: Sequence[Share]
    evenness: float

    @property
    def collapsed(self) -> bool:
        return self.requests >= COLLAPSE_REQUESTS and self.shares[0].share > COLLAPSE_SHARE


def distribution(now: datetime) -> Distribution:
    """Automatic decisions of the last day, by the arm that was chosen."""
    decided = Request.objects.filter(created_at__gte=now - _DAY, mode=Mode.SMART)
    counted = (
        decided.values_list("routed_model", "routed_effort")
        .annotate(n=Count("pk"))
        .order_by("-n", "routed_model")
    )
    rows = [(f"{model} · {effort}" if effort else model, n) for model, effort, n in counted]
    total = sum(n for _, n in rows)
    shares = [Share(arm, n, n / total) for arm, n in rows]
    entropy = -sum(one.share * math.log(one.share) for one in shares)
    return Distribution(total, shares, entropy / math.log(len(shares)) if len(shares) > 1 else 0.0)


def watch(now: datetime) -> None:
    """Alert the operator when decisions have collapsed, and take it back when they have not."""
    found = distribution(now)
    if not found.collapsed:
        resolve_alert(_ALERT)
        return
    first = found.shares[0]
    raise_alert(
        _ALERT,
        f"Nearly all requests go to {first.arm}",
        f"{first.share:.1%} of {found.requests} automatic decisions of the last day chose {first.arm}. Look "
        "at prices, health and priors of the others on the operator's page.",
        detail={"arm": first.arm, "share": first.share, "requests": found.requests},
        once_key=_ALERT,
    )
