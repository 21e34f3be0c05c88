"""Filters of the request list: parsed from the URL, applied to the table, written back to links.

There are two kinds of conditions. The index is ordered by account and time; every other condition is tested
row by row, so the list bounds how many rows it tests (queries.py).
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.http import QueryDict

from billing.models import Request
from billing.refusals.models import RefusedCall
from billing.refusals.queries import of_account
from billing.usage_columns import TOKENS
from routing.catalog.live import catalog
from routing.decide.prediction.skills import WORDS, Skill
from routing.language.chat import Strategy

PERIODS = {
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
REFUSED = "refused"  # a status of calls that never became requests: billing.refusals
STATUSES = {**dict(Request.Status.choices), REFUSED: "Refused"}
# Filters that a refused call can match: it has no model, strategy, cost or latency.
_OF_REFUSED = frozenset({"q", "status", "key", "period", "since", "until"})
_ID_PREFIX = "req_"
_ID_LENGTH = 40  # of the column; longer than any id

# Times at the calendar's ends cannot be turned into UTC.
_IN_RANGE = [
    MinValueValidator(datetime(1970, 1, 1, tzinfo=UTC)),
    MaxValueValidator(datetime(2999, 1, 1, tzinfo=UTC)),
]


def _moment() -> forms.DateTimeInput:
    """The browser's own picker, in the viewer's zone."""
    return forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class FilterForm(forms.Form):
    """The filter bar. Names are those of the URL; nothing is required."""

    q = forms.CharField(required=False, max_length=200, strip=True)
    status = forms.ChoiceField(required=False, choices=[("", "Any status"), *STATUSES.items()])
    model = forms.CharField(required=False, max_length=140, strip=True)
    strategy = forms.ChoiceField(
        required=False, choices=[("", "Any strategy"), *((s.value, s.value) for s in Strategy)]
    )
    skill = forms.ChoiceField(
        required=False, choices=[("", "Any skill"), *((s.value, WORDS[s].capitalize()) for s in Skill)]
    )
    key = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    fallback = forms.ChoiceField(
        required=False, choices=[("", "Either"), ("yes", "Fell back"), ("no", "First choice")]
    )
    period = forms.ChoiceField(
        required=False, choices=[("", "Any time"), *((name, title) for name, (title, _) in PERIODS.items())]
    )
    since = forms.DateTimeField(required=False, widget=_moment(), validators=_IN_RANGE)
    until = forms.DateTimeField(required=False, widget=_moment(), validators=_IN_RANGE)
    min_tokens = forms.IntegerField(required=False, min_value=0, max_value=2**62)
    min_cost = forms.DecimalField(required=False, min_value=0, max_digits=18, decimal_places=9)
    min_latency = forms.IntegerField(required=False, min_value=0, max_value=2**31 - 1)

    MORE = ("strategy", "skill", "key", "fallback", "since", "until", "min_tokens", "min_cost", "min_latency")

    @property
    def more_open(self) -> bool:
        """A filter of the folded part is set, so the part is shown open."""
        return any(self.data.get(name) for name in self.MORE)


@dataclass(frozen=True)
class Filters:
    """Conditions on a request; empty means any. `min_cost` in USD, `min_latency` in ms."""

    q: str = ""
    status: str = ""
    model: str = ""  # a catalog id, or id@effort
    strategy: str = ""
    skill: str = ""
    key: int | None = None
    fallback: str = ""
    period: str = ""
    since: datetime | None = None
    until: datetime | None = None
    min_tokens: int | None = None
    min_cost: Decimal | None = None
    min_latency: int | None = None

    @property
    def active(self) -> dict[str, Any]:
        """Those that are set, by name."""
        return {name: value for name, value in vars(self).items() if value not in ("", None)}

    @property
    def may_be_refused(self) -> bool:
        """Refused calls can match: no filter asks for something that only requests have."""
        return self.status in ("", REFUSED) and self.active.keys() <= _OF_REFUSED

    def refused_calls(self, account_id: int, now: datetime) -> QuerySet[RefusedCall]:
        """The refused calls that match, newest first."""
        if not self.may_be_refused:
            return RefusedCall.objects.none()
        since = max(
            filter(None, [self.since, now - PERIODS[self.period][1] if self.period else None]), default=None
        )
        return of_account(account_id, since=since, until=self.until, key=self.key, text=self.q)

    def by_index(self, rows: QuerySet[Request], now: datetime) -> QuerySet[Request]:
        """The conditions that the (account, time) index or the primary key answers."""
        if self.period:
            rows = rows.filter(created_at__gte=now - PERIODS[self.period][1])
        if self.since:
            rows = rows.filter(created_at__gte=self.since)
        if self.until:
            rows = rows.filter(created_at__lt=self.until)
        if self.q.startswith(_ID_PREFIX):  # ids are lower case: a prefix is a range of the primary key
            prefix = self.q.lower()[:_ID_LENGTH]
            rows = rows.filter(id__gte=prefix, id__lte=prefix.ljust(_ID_LENGTH, "z"))
        return rows

    @property
    def by_row(self) -> Q:
        """Conditions that must be tested on each row; an empty Q if there are none."""
        conditions = Q(
            **{
                lookup: value
                for lookup, value in {
                    "status": self.status,
                    "strategy": self.strategy,
                    "query_type": self.skill,
                    "key_id": self.key,
                    "tokens__gte": self.min_tokens,
                    "cost_usd__gte": self.min_cost,
                    "latency_ms__gte": self.min_latency,
                }.items()
                if value not in ("", None)
            }
        )
        if self.fallback:
            conditions &= Q(fallback_used=self.fallback == "yes")
        if self.model:
            conditions &= _answered_by(self.model)
        if self.q and not self.q.startswith(_ID_PREFIX):
            conditions &= _contains(self.q)
        return conditions


def annotated(rows: QuerySet[Request]) -> QuerySet[Request]:
    """Rows with the computed values that `Filters.by_row` refers to."""
    return rows.alias(tokens=TOKENS, metadata_text=Cast("metadata", TextField()))


def parse(query: QueryDict) -> tuple[Filters, FilterForm]:
    """The valid filters, and the form with an error for each invalid filter."""
    form = FilterForm(query)
    form.is_valid()
    valid = {name: value for name, value in form.cleaned_data.items() if value not in ("", None)}
    return Filters(**valid), form


def _contains(text: str) -> Q:
    """In the id, the metadata, or the id or name of the model that answered or was to answer."""
    wanted = text.lower()
    named = [
        facts.id for facts in catalog.snapshot.models.values() if wanted in facts.name.lower()
    ]  # the ledger has ids only
    condition = Q(id__icontains=text) | Q(served_model__in=named) | Q(served_model="", routed_model__in=named)
    for column in ("served_model", "routed_model", "requested_model"):
        condition |= Q(**{f"{column}__icontains": text})
    # SQLite stores JSON in ASCII, and ignores the case of ASCII letters only.
    for variant in {text, wanted, text.upper(), text.capitalize()}:
        escaped = json.dumps(variant)[1:-1]
        condition |= Q(metadata_text__icontains=variant) | Q(metadata_text__icontains=escaped)
    return condition


def _answered_by(model: str) -> Q:
    """Answered by that model (at that effort), or routed to it if nothing has answered yet."""
    model_id, _, effort = model.partition("@")
    served = Q(served_model=model_id)
    routed = Q(served_model="", routed_model=model_id)
    if effort:
        served &= Q(served_effort=effort)
        routed &= Q(routed_effort=effort)
    return served | routed
