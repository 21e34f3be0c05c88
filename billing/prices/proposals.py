"""Price proposals: what is too doubtful to apply by itself, and what a person makes of it.

Raised by the refresh and by the first request without a price; decided on the operator's page
(spec/ledger.md, Prices). One is pending per model and kind; it follows the list, and goes by itself when the
list comes back to ours. What was decided is not asked again while nothing of it has changed.
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
    Kind.MOVED: "The price list has another price of {} than our book, too different to be applied by itself."
    " Ours stays in force until the new one is accepted on the operator's page.",
    Kind.VANISHED: "The price list has {} no more. Our price stays in force; on the operator's page the "
    "model can be switched off, its price kept or another one entered.",
    Kind.UNPRICED: "Requests to {} have no price: their tokens are kept, their money is held at a ceiling, "
    "and automatic routing leaves the model out. Enter its price on the operator's page, then re-price them.",
}
_UNPRICED_LOOKBACK = timedelta(days=30)  # older requests without a price are history, not news


class AlreadyDecided(Exception):
    """Somebody else, or the list itself, was quicker."""


def propose(
    model: str,
    kind: Kind,
    current: Tiers | None,
    proposed: Tiers | None,
    source: str,
    now: datetime,
    effective_from: datetime | None = None,
) -> PriceProposal | None:
    """Ask an operator; a pending question is brought up to date. None: the same was decided before.

    `effective_from`: when the list says it begins; None: it has begun.
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
        made = PriceProposal.objects.create(
            model=model,
            kind=kind,
            current=ours,
            proposed=theirs,
            effective_from=effective_from,
            source=source,
            seen_at=now,
        )
    _raise(made)
    return made


def withdraw(model: str, kinds: Iterable[Kind], now: datetime) -> None:
    """What was asked is no question any more: decided by nobody, with no decision."""
    for kind in kinds:
        gone = PriceProposal.objects.filter(model=model, kind=kind, decided_at=None)
        if gone.update(decided_at=now):
            resolve_alert(_once(model, kind))


def accept(proposal: PriceProposal, by: User, now: datetime, effective_from: datetime | None = None) -> int:
    """Take over what the list says, in force from when it says or from a given time. Returns the rows added.

    A vanished model has nothing to take over: accepting it only says so. Raises AlreadyDecided.
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
    """Add a price by hand; a 0 is a price. It answers what is asked about the model. Returns rows added."""
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
            is_answered = pending.kind == Kind.UNPRICED
            pending.current = as_json(tiers)  # the list is not heard again while it says what it says now
            decision = PriceProposal.Decision.ACCEPTED if is_answered else PriceProposal.Decision.REJECTED
            _decide(pending, decision, by, now, {"by": "price.entered"})
    return added


def note_unpriced(now: datetime) -> list[str]:
    """Ask for the price of every model that answered lately without one; returns those that have none."""
    book = load_price_book()
    seen = (
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
    missing = [model for model in seen if book.at(model, now) is None]
    asked = PriceProposal.objects.filter(kind=Kind.UNPRICED, decided_at=None)
    for model in set(missing) - set(asked.values_list("model", flat=True)):
        propose(model, Kind.UNPRICED, None, None, "requests", now)
    for model in asked.values_list("model", flat=True):
        if book.at(model, now) is not None:
            withdraw(model, [Kind.UNPRICED], now)
    return missing


def as_json(tiers: Tiers | None) -> list[Any] | None:
    """As a proposal stores prices: exact decimals as text."""
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
        raise AlreadyDecided(f"The question about {proposal.model} is settled already.")
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
    told = {"kind": proposal.kind, "current": proposal.current, "proposed": proposal.proposed}
    record(None, by, f"price.{decision}", proposal.model, told | detail)
    resolve_alert(_once(proposal.model, proposal.kind))


def _raise(proposal: PriceProposal) -> None:
    kind = Kind(proposal.kind)
    raise_alert(
        f"price.{kind}",
        _SUBJECTS[kind].format(proposal.model),
        _MESSAGES[kind].format(proposal.model),
        detail={"model": proposal.model, "current": proposal.current, "proposed": proposal.proposed},
        once_key=_once(proposal.model, kind),
    )


def _once(model: str, kind: str) -> str:
    return f"price.{kind}.{model}"
