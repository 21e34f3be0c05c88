"""Price proposals: price changes that are too doubtful to apply automatically and wait for an operator.

Created by the refresh and by the first request without a price; decided on the operator's page. At most one
is pending per model and kind. It follows the price list, and is withdrawn when the list returns to our price.
A decided proposal is not raised again while neither price changes.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.audit import record
from accounts.models import User
from billing.alerts.publish import raise_alert, resolve_alert
from billing.models import Attempt, PriceProposal
from billing.prices.book import OPERATOR, ListedPrice, Tiers, add_prices, load_price_book, tiers_of

Kind = PriceProposal.Kind
_SUBJECTS = {
    Kind.MOVED: "The listed price of {} moved",
    Kind.VANISHED: "{} is no longer in the price list",
    Kind.UNPRICED: "{} answers without a known price",
}
_MESSAGES = {
    Kind.MOVED: "The price list has another price of {} than our book, too different to be applied "
    "automatically. Ours stays in force until the new one is accepted on the operator's page.",
    Kind.VANISHED: "The price list no longer has {}. Our price stays in force; on the operator's page you "
    "can switch the model off, keep its price or enter another.",
    Kind.UNPRICED: "Requests to {} have no price: their tokens are recorded, their cost is held at a ceiling "
    "and automatic routing leaves the model out. Enter its price on the operator's page, then re-price them.",
}
_UNPRICED_LOOKBACK = timedelta(days=30)  # older requests without a price raise no new proposal


class AlreadyDecided(Exception):
    """Another operator, or a change of the price list, has decided it already."""


def propose(
    model: str,
    kind: Kind,
    current: Tiers | None,
    proposed: Tiers | None,
    source: str,
    now: datetime,
    effective_from: datetime | None = None,
) -> PriceProposal | None:
    """Create a proposal, or update the pending one. None: the same prices were decided before.

    `effective_from`: the start date in the price list; None: in force now.
    """
    ours, theirs = as_json(current), as_json(proposed)
    with transaction.atomic():
        of_kind = PriceProposal.objects.select_for_update().filter(model=model, kind=kind)
        pending = of_kind.filter(decided_at=None).first()
        if pending is not None:
            pending.current, pending.proposed, pending.source = ours, theirs, source
            pending.effective_from = effective_from
            pending.save(update_fields=["current", "proposed", "source", "effective_from"])
            return pending
        last = of_kind.exclude(decision="").order_by("-decided_at").first()
        if kind != Kind.UNPRICED and last and (last.current, last.proposed) == (ours, theirs):
            return None
        proposal = PriceProposal.objects.create(
            model=model,
            kind=kind,
            current=ours,
            proposed=theirs,
            effective_from=effective_from,
            source=source,
            seen_at=now,
        )
    _raise(proposal)
    return proposal


def withdraw(model: str, kinds: Iterable[Kind], now: datetime) -> None:
    """Close pending proposals whose cause is gone, without a decision."""
    for kind in kinds:
        pending = PriceProposal.objects.filter(model=model, kind=kind, decided_at=None)
        if pending.update(decided_at=now):
            resolve_alert(_once_key(model, kind))


def accept(proposal: PriceProposal, by: User, now: datetime, effective_from: datetime | None = None) -> int:
    """Adopt the proposed price from its start date, or from `effective_from`; returns the rows added.

    For a vanished model there is no price to adopt; accepting only closes the proposal. Raises
    AlreadyDecided.
    """
    with transaction.atomic():
        locked = _pending(proposal)
        start = effective_from or max(locked.effective_from or now, now)
        added = 0
        if locked.proposed is not None:
            period = load_price_book().at(locked.model, start)
            until = period.effective_until if period else None
            added = add_prices(
                [ListedPrice(locked.model, start, until, from_json(locked.proposed), locked.source)]
            )
        _decide(locked, PriceProposal.Decision.ACCEPTED, by, now, {"effective_from": start.isoformat()})
    return added


def reject(proposal: PriceProposal, by: User, now: datetime) -> None:
    """Keep our price. Raises AlreadyDecided."""
    with transaction.atomic():
        _decide(_pending(proposal), PriceProposal.Decision.REJECTED, by, now, {})


def enter_price(model: str, tiers: Tiers, effective_from: datetime, by: User | str, now: datetime) -> int:
    """Add a price by hand; 0 is a price. Decides the model's pending proposals. Returns the rows added."""
    with transaction.atomic():
        period = load_price_book().at(model, effective_from)
        until = period.effective_until if period else None
        added = add_prices([ListedPrice(model, effective_from, until, tiers, OPERATOR)])
        record(
            None,
            by,
            "price.entered",
            model,
            {"effective_from": effective_from.isoformat(), "tiers": as_json(tiers), "rows": added},
        )
        for pending in PriceProposal.objects.select_for_update().filter(model=model, decided_at=None):
            pending.current = as_json(tiers)  # no new proposal while the list stays as it is
            is_unpriced = pending.kind == Kind.UNPRICED
            decision = PriceProposal.Decision.ACCEPTED if is_unpriced else PriceProposal.Decision.REJECTED
            _decide(pending, decision, by, now, {"by": "price.entered"})
    return added


def note_unpriced(now: datetime) -> list[str]:
    """Propose a price for every model that answered recently without one; returns these models."""
    book = load_price_book()
    models = (
        Attempt.objects.filter(
            request__unpriced=True,
            request__created_at__gte=now - _UNPRICED_LOOKBACK,
            charged=True,
            cost_usd=None,
        )
        .order_by("model")
        .values_list("model", flat=True)
        .distinct()
    )
    missing = [model for model in models if book.at(model, now) is None]
    pending = PriceProposal.objects.filter(kind=Kind.UNPRICED, decided_at=None)
    for model in set(missing) - set(pending.values_list("model", flat=True)):
        propose(model, Kind.UNPRICED, None, None, "requests", now)
    for model in pending.values_list("model", flat=True):
        if book.at(model, now) is not None:
            withdraw(model, [Kind.UNPRICED], now)
    return missing


def as_json(tiers: Tiers | None) -> list[Any] | None:
    """Prices as a proposal stores them: exact decimals as text."""
    if tiers is None:
        return None
    return [[over, {name: f"{usd.normalize():f}" for name, usd in prices.items()}] for over, prices in tiers]


def from_json(stored: list[Any]) -> Tiers:
    return tuple((over, {name: Decimal(usd) for name, usd in prices.items()}) for over, prices in stored)


def current_tiers(model: str, now: datetime) -> Tiers | None:
    period = load_price_book().at(model, now)
    return tiers_of(period) if period else None


def _pending(proposal: PriceProposal) -> PriceProposal:
    locked = PriceProposal.objects.select_for_update().filter(pk=proposal.pk, decided_at=None).first()
    if locked is None:
        raise AlreadyDecided(f"The proposal for {proposal.model} is decided already.")
    return locked


def _decide(
    proposal: PriceProposal,
    decision: PriceProposal.Decision,
    by: User | str,
    now: datetime,
    detail: dict[str, Any],
) -> None:
    proposal.decision, proposal.decided_at = decision, now
    proposal.decided_by = by if isinstance(by, User) else None
    proposal.save(update_fields=["decision", "decided_at", "decided_by", "current"])
    prices = {"kind": proposal.kind, "current": proposal.current, "proposed": proposal.proposed}
    record(None, by, f"price.{decision}", proposal.model, prices | detail)
    resolve_alert(_once_key(proposal.model, proposal.kind))


def _raise(proposal: PriceProposal) -> None:
    kind = Kind(proposal.kind)
    raise_alert(
        f"price.{kind}",
        _SUBJECTS[kind].format(proposal.model),
        _MESSAGES[kind].format(proposal.model),
        detail={"model": proposal.model, "current": proposal.current, "proposed": proposal.proposed},
        once_key=_once_key(proposal.model, kind),
    )


def _once_key(model: str, kind: str) -> str:
    return f"price.{kind}.{model}"
