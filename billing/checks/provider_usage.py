"""Compares the tokens we counted with a provider's usage report, by model and in total."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.db.models import Sum

from billing.models import Attempt
from billing.usage_columns import TOKENS

# Providers also bill tokens that never reached us (generated after we disconnected), and for cut streams we
# count ourselves. A chosen value, to be tightened after a month of reports.
TOLERANCE = 0.01


class Compared(msgspec.Struct, frozen=True):
    """Tokens of one provider over all models of its report, counted by us and reported by it."""

    provider: str
    counted: int = msgspec.field(name="ours")  # the names in the JSON output
    reported: int = msgspec.field(name="theirs")
    by_model: dict[str, tuple[int, int]]  # only where they differ: counted, reported

    @property
    def off_by(self) -> float:
        """The difference relative to the report; 0 if both are 0."""
        return (
            abs(self.counted - self.reported) / max(self.reported, 1)
            if self.counted != self.reported
            else 0.0
        )


def compare(
    report: Mapping[str, Mapping[str, int]], since: datetime | None = None, until: datetime | None = None
) -> list[Compared]:
    """`report`: {provider: {model: input and output tokens}}, for attempts begun in [since, until)."""
    return [_compared(provider, models, since, until) for provider, models in sorted(report.items())]


def _compared(
    provider: str, reported: Mapping[str, int], since: datetime | None, until: datetime | None
) -> Compared:
    attempts = Attempt.objects.filter(provider=provider)
    if since is not None:
        attempts = attempts.filter(started_at__gte=since)
    if until is not None:
        attempts = attempts.filter(started_at__lt=until)
    counted = dict(attempts.order_by().values_list("model").annotate(tokens=Sum(TOKENS)))
    models = sorted({*counted, *reported})
    pairs = {model: (counted.get(model, 0), reported.get(model, 0)) for model in models}
    return Compared(
        provider=provider,
        counted=sum(counted.values()),
        reported=sum(reported.values()),
        by_model={model: pair for model, pair in pairs.items() if pair[0] != pair[1]},
    )
