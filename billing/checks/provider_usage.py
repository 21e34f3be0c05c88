"""Compares what we counted with what a provider says it served, model by model and in all."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from django.db.models import Sum

from billing.ledger.windows import TOKENS
from billing.models import Attempt

# Providers bill also what never reached us (an answer generated after we hung up), and we count text of cut
# streams ourselves. Chosen, to be tightened by what a month of reports shows.
TOLERANCE = 0.01


class Compared(msgspec.Struct, frozen=True):
    """Tokens of one provider over all models of its report, ours and theirs."""

    provider: str
    ours: int
    theirs: int
    by_model: dict[str, tuple[int, int]]  # only where they differ: ours, theirs

    @property
    def off_by(self) -> float:
        """Relative to the report; 0 when both are nothing."""
        return abs(self.ours - self.theirs) / max(self.theirs, 1) if self.ours != self.theirs else 0.0


def compare(
    report: Mapping[str, Mapping[str, int]], since: datetime | None = None, until: datetime | None = None
) -> list[Compared]:
    """`report`: {provider: {model: input and output tokens}}, for attempts begun in [since, until)."""
    return [_compared(provider, models, since, until) for provider, models in sorted(report.items())]


def _compared(
    provider: str, theirs: Mapping[str, int], since: datetime | None, until: datetime | None
) -> Compared:
    attempts = Attempt.objects.filter(provider=provider)
    if since is not None:
        attempts = attempts.filter(started_at__gte=since)
    if until is not None:
        attempts = attempts.filter(started_at__lt=until)
    ours = dict(attempts.order_by().values_list("model").annotate(tokens=Sum(TOKENS)))
    models = sorted({*ours, *theirs})
    pairs = {model: (ours.get(model, 0), theirs.get(model, 0)) for model in models}
    return Compared(
        provider=provider,
        ours=sum(ours.values()),
        theirs=sum(theirs.values()),
        by_model={model: pair for model, pair in pairs.items() if pair[0] != pair[1]},
    )
