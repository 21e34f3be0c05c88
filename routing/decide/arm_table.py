"""The snapshot as arrays over arms: built once per snapshot, so that a decision is a few vector operations.

A row is an arm: a model at one effort. The table has a row for every arm the router may choose, and for each
model one more at its default effort, which only a caller who names the model can get ("pin-only"). When the
caller pins the effort, each model has one row at that effort instead. Pin-only rows of models that have other
rows come last, because records leave them out. Otherwise rows are sorted by name, so that candidates that tie
on every number rank in the same order when a stored decision is made again.
"""

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from billing.prices.prices import PriceTier, unit_prices
from core.packed_json import shared_columns
from routing.catalog.length_ratios import BANDS, MOST_REASONING, MOST_VISIBLE, Level
from routing.catalog.snapshot import Latency, Snapshot
from routing.catalog.tokenizers import Tokenizer, tokenizer_of
from routing.decide.prediction import item_response, skill_table
from routing.decide.prediction.artefact import fitted
from routing.decide.prediction.skills import SKILLS
from routing.decide.trace import Candidate
from routing.language.arms import Arm, Capability, Effort, ModelFacts

Row = npt.NDArray[np.float64]

# For an arm without measurements or prior.
UNKNOWN_LATENCY = Latency(ttft_p50_ms=2000, ttft_p95_ms=8000, tokens_per_second=60)
# Reasoning tokens on a benchmark-hard prompt of weight 1 (forecast.THINKING), from published tokens per task.
REASONING = {
    Effort.NONE: 0, Effort.MINIMAL: 80, Effort.LOW: 500, Effort.MEDIUM: 1500, Effort.HIGH: 4000,
    Effort.XHIGH: 8000, Effort.MAX: 14000,
}  # fmt: skip
_MOST_DAYS = 8  # whose retirements a table remembers: stored decisions are made again for theirs
_MAX_TABLES = 8  # the current and the previous snapshot, at the few efforts callers pin


class Prices(msgspec.Struct, frozen=True):
    """USD per token by arm, NaN when unpriced; `(n,)` each."""

    uncached_input: Row
    output: Row
    cache_read: Row


class Retirement(msgspec.Struct, frozen=True):
    """The rows whose model is retired soon. `places`: `(n,)`, into `days`, which are ISO dates or None."""

    rows: npt.NDArray[np.bool_]
    places: npt.NDArray[np.uint16]
    days: tuple[str | None, ...]


class ArmTable(msgspec.Struct, frozen=True):
    """One snapshot at one pinned effort (or none). All arrays are by row."""

    snapshot: Snapshot  # the one the table was built from; its `blocked` may be older than the request's
    pinned_effort: Effort | None
    arms: tuple[Arm, ...]
    facts: tuple[ModelFacts, ...]
    names: tuple[str, ...]
    labels: tuple[tuple[str, str, str | None, str, str], ...]  # arm, model, effort, name, provider
    listed: int  # rows from here on are pin-only, of models that also have choosable rows
    # What a record says about candidates and no request changes, by the number of rows: `listed` or all.
    candidate_columns: dict[int, bytes]
    rows: dict[Arm, int]
    rows_by_name: dict[str, int]
    models: tuple[str, ...]
    model_numbers: npt.NDArray[np.intp]  # the same number for all rows of a model
    upstreams: tuple[tuple[str, str], ...]  # model, provider
    defaults: dict[str, int]  # by model, the row at its default effort, or its first
    removals: dict[Any, Any]  # kept by `filters`, for the table's lifetime
    pin_only: npt.NDArray[np.bool_]
    success: Row  # (n, n_skills) P(success) at difficulty 0
    success_logit: Row
    sd: Row  # (n, n_skills) of the success logit
    scored: npt.NDArray[np.bool_]
    place: Row  # (n, K) along the directions of item_response; 0 for a model without scores
    general: Row  # θ, the model's general ability
    effort: tuple[Effort | None, ...]  # the effort the arm runs at; a model's default is filled in
    reasoning: Row  # tokens at that effort on a benchmark-hard prompt
    visible_ratio: Row  # (n_skills, BANDS, n) actual over forecast tokens in traffic
    reasoning_ratio: Row  # likewise
    thinks: npt.NDArray[np.bool_]  # may think before it answers, by its effort or, without one, by its facts
    ttft_ms: Row
    ttft_ms_rounded: Row
    tokens_per_second: Row
    p_up: Row
    tokenizers: tuple[Tokenizer, ...]
    tokenizer_rows: npt.NDArray[np.intp]  # into `tokenizers`
    max_input: Row
    window: Row
    least_room: float  # tokens of input and output together that every arm can take
    max_output: Row
    tier_over: float  # input tokens up to which `base_prices` hold for every model
    base_prices: Prices
    shutdown: Row  # the day the model is retired, as a proleptic ordinal; infinite: not announced
    zeros: Row
    retirements: dict[int, "Retirement | None"]  # by day, kept by `retiring`
    best_fixed: int | None  # row of the most able model with a price, at its default effort

    def retiring(self, by_day: int) -> "Retirement | None":
        """Return which models are retired by this day, a proleptic ordinal; None: no model is."""
        if by_day not in self.retirements:
            if len(self.retirements) >= _MOST_DAYS:
                self.retirements.clear()
            self.retirements[by_day] = self._retiring(by_day)
        return self.retirements[by_day]

    def _retiring(self, by_day: int) -> "Retirement | None":
        rows = self.shutdown <= by_day
        retiring = np.flatnonzero(rows)
        if not len(retiring):
            return None
        places = np.zeros(len(rows), np.uint16)
        places[retiring] = np.arange(1, len(retiring) + 1)
        return Retirement(rows, places, (None, *(str(self.facts[row].shutdown) for row in retiring.tolist())))

    def prices(self, input_tokens: Row) -> Prices:
        """Return USD per token for `(n,)` input tokens; a long prompt can fall into a higher price tier."""
        if np.maximum.reduce(input_tokens, initial=0) <= self.tier_over:
            return self.base_prices
        tiers = [self.snapshot.prices.get(arm.model, ()) for arm in self.arms]
        return _prices(tiers, input_tokens)


_arm_tables: LRUCache[tuple[int, ...], ArmTable] = LRUCache(_MAX_TABLES)
_latest: tuple[Snapshot, Effort | None, ArmTable] | None = None  # most requests have the one before's
_lock = Lock()  # requests decide in the event loop, dashboard pages in threads


def arm_table_of(snapshot: Snapshot, pinned_effort: Effort | None) -> ArmTable:
    """Return the snapshot's table, built on first use. Snapshots that differ only in `blocked` share it."""
    global _latest
    # The key is the identity of the snapshot's parts: hashing their content would take longer than a
    # decision. An id cannot be reused while its table is cached, because the table holds the snapshot.
    latest = _latest
    if latest is not None and latest[0] is snapshot and latest[1] is pinned_effort:
        return latest[2]
    parts = (
        snapshot.models,
        snapshot.arms,
        snapshot.prices,
        snapshot.latency,
        snapshot.p_up,
        snapshot.scores,
    )
    key = (*map(id, parts), id(snapshot.output_tokens), hash(pinned_effort))
    with _lock:
        arm_table = _arm_tables.get(key)
    if arm_table is None:
        arm_table = _build(snapshot, pinned_effort)
        with _lock:
            _arm_tables[key] = arm_table
    _latest = snapshot, pinned_effort, arm_table
    return arm_table


def nearest_effort(facts: ModelFacts, wanted: Effort) -> Effort | None:
    """Return the accepted effort closest to `wanted`, the lower one of a tie.

    None: send no effort, because the model takes none or its behaviour without one is already `wanted`.
    """
    if not facts.efforts and wanted is Effort.NONE:
        return None
    ladder = list(Effort)
    return min(
        facts.efforts or facts.opt_in_efforts,
        key=lambda e: (abs(ladder.index(e) - ladder.index(wanted)), ladder.index(e)),
        default=None,
    )


def _build(snapshot: Snapshot, pinned_effort: Effort | None) -> ArmTable:
    """Everything about an arm that does not depend on the prompt.

    The expensive part is ability: published scores become an ability per model and skill, then logits of
    success per arm and skill. `success`, `sd` and `place` are three forms of those logits, so that scoring
    a prompt is one product with its skill mix. Models without scores keep `place` 0, which makes their
    item-response term 0.
    """
    chosen = _choosable(snapshot, pinned_effort)
    defaults = [_default_arm(facts, pinned_effort) for facts in snapshot.models.values()]
    routable = {arm.model for arm in chosen}
    shadowed = {arm for arm in defaults if arm not in chosen and arm.model in routable}
    arms = tuple(sorted({*chosen, *defaults}, key=lambda arm: (arm in shadowed, arm.name)))
    listed = len(arms) - len(shadowed)
    facts = tuple(snapshot.models[arm.model] for arm in arms)
    fit = fitted()
    curves = skill_table.curves(fit.links)
    abilities = skill_table.abilities(snapshot.models, snapshot.scores, fit.links)
    logits = np.array(
        [
            skill_table.success_logits(f, abilities[f.id], a.effort, curves)
            for a, f in zip(arms, facts, strict=True)
        ]
    ).reshape(len(arms), len(curves))
    latency = [_latency(snapshot, arm) for arm in arms]
    tokenizers = tuple(Tokenizer)
    tiers = [snapshot.prices.get(arm.model, ()) for arm in arms]
    limits = np.array(
        [(f.max_input_tokens, f.context_window, f.max_output_tokens) for f in facts], float
    ).reshape(-1, 3)
    base_prices = _prices(tiers, np.zeros(len(arms)))
    ratios = _length_ratios(snapshot, arms)
    scored = np.array([abilities[f.id].scored for f in facts], bool)
    general = np.array([abilities[f.id].general for f in facts], float)
    rows = {arm: row for row, arm in enumerate(arms)}
    labels = tuple((a.name, a.model, a.effort, f.name, f.provider) for a, f in zip(arms, facts, strict=True))
    ttft_ms = np.array([entry.ttft_p50_ms for entry in latency], float)
    p_up = np.array([snapshot.p_up.get(f.id, 1.0) for f in facts], float)
    efforts = tuple(arm.effort or f.default_effort for arm, f in zip(arms, facts, strict=True))
    return ArmTable(
        snapshot=snapshot,
        pinned_effort=pinned_effort,
        arms=arms,
        facts=facts,
        names=tuple(arm.name for arm in arms),
        labels=labels,
        listed=listed,
        candidate_columns={
            n: _candidate_columns(labels[:n], scored[:n], ttft_ms[:n], p_up[:n]) for n in {listed, len(arms)}
        },
        rows=rows,
        rows_by_name={arm.name: row for arm, row in rows.items()},
        models=tuple(arm.model for arm in arms),
        model_numbers=np.unique([arm.model for arm in arms], return_inverse=True)[1],
        upstreams=tuple((f.id, f.provider) for f in facts),
        defaults={
            **{arm.model: row for arm, row in reversed(rows.items())},
            **{arm.model: row for arm, row in rows.items() if arm.effort is None},
        },
        removals={},
        pin_only=np.array([arm not in chosen for arm in arms], bool),
        success=1 / (1 + np.exp(-logits)),
        success_logit=logits,
        sd=np.array([abilities[f.id].sd for f in facts]).reshape(len(arms), len(curves)) * curves[:, 1],
        scored=scored,
        place=np.where(scored[:, None], item_response.places(logits - curves[:, 0], fit), 0.0),
        general=general,
        effort=efforts,
        reasoning=np.array([REASONING[effort] if effort else 0 for effort in efforts], float),
        visible_ratio=_by_cell(ratios[..., 0], MOST_VISIBLE),
        reasoning_ratio=_by_cell(ratios[..., 1], MOST_REASONING),
        thinks=np.array([_thinks(f, effort) for f, effort in zip(facts, efforts, strict=True)], bool),
        ttft_ms=ttft_ms,
        ttft_ms_rounded=np.round(ttft_ms, 1),
        tokens_per_second=np.maximum([entry.tokens_per_second for entry in latency], 0.1),
        p_up=p_up,
        tokenizers=tokenizers,
        tokenizer_rows=np.array([tokenizers.index(tokenizer_of(f)) for f in facts], int),
        max_input=limits[:, 0],
        window=limits[:, 1],
        least_room=limits[:, :2].min(initial=np.inf),
        max_output=limits[:, 2],
        tier_over=min((tier.over_input_tokens for model in tiers for tier in model[1:]), default=np.inf),
        base_prices=base_prices,
        shutdown=np.array([np.inf if f.shutdown is None else f.shutdown.toordinal() for f in facts], float),
        zeros=np.zeros(len(arms)),
        retirements={},
        best_fixed=_best_fixed([rows[arm] for arm in defaults], facts, scored, general, base_prices),
    )


def _candidate_columns(
    labels: Sequence[tuple[Any, ...]], scored: npt.NDArray[np.bool_], ttft_ms: Row, p_up: Row
) -> bytes:
    arm, model, effort, name, provider = zip(*labels, strict=True) if labels else [()] * 5
    columns: dict[str, Sequence[Any]] = {
        "arm": arm, "model": model, "effort": effort, "name": name, "provider": provider,
        "scored": scored.tolist(), "ttft_ms": np.round(ttft_ms, 1).tolist(), "p_up": p_up.tolist(),
    }  # fmt: skip
    return shared_columns(Candidate.__struct_fields__, columns)


def _thinks(facts: ModelFacts, effort: Effort | None) -> bool:
    if effort is None:
        return Capability.REASONING in facts.capabilities and not facts.opt_in_efforts
    return effort is not Effort.NONE


def _choosable(snapshot: Snapshot, pinned_effort: Effort | None) -> dict[Arm, None]:
    """The arms the router may choose, in order; at a pinned effort only models that accept exactly it."""
    if pinned_effort is None:
        return dict.fromkeys(arm for arm in snapshot.arms if arm.model in snapshot.models)
    routable = dict.fromkeys(arm.model for arm in snapshot.arms if arm.model in snapshot.models)
    chosen: dict[Arm, None] = {}
    for model in routable:
        facts = snapshot.models[model]
        if pinned_effort in facts.efforts:
            chosen[Arm(model, pinned_effort)] = None
        elif not facts.efforts and pinned_effort is Effort.NONE:
            chosen[Arm(model)] = None
    return chosen


def _default_arm(facts: ModelFacts, pinned_effort: Effort | None) -> Arm:
    return Arm(facts.id, None if pinned_effort is None else nearest_effort(facts, pinned_effort))


def _latency(snapshot: Snapshot, arm: Arm) -> Latency:
    """The arm's own latency, else that of the same model's arm at the nearest effort."""
    exact = snapshot.latency.get(arm)
    if exact is not None:
        return exact
    effort = arm.effort or snapshot.models[arm.model].default_effort or Effort.NONE
    ladder = list(Effort)
    siblings = [other for other in snapshot.latency if other.model == arm.model]
    nearest = min(
        siblings,
        key=lambda other: abs(ladder.index(other.effort or Effort.NONE) - ladder.index(effort)),
        default=None,
    )
    return UNKNOWN_LATENCY if nearest is None else snapshot.latency[nearest]


def _length_ratios(snapshot: Snapshot, arms: tuple[Arm, ...]) -> Row:
    """`(n, n_skills, BANDS, 2)`: the ratios of visible and reasoning tokens, all levels multiplied.

    A skill and band without traffic has the ratio of all traffic; an arm or cell without traffic adds 1. The
    known levels are gone through once: looking up each of the table's cells would take ten times as long.
    """
    rows = {arm.name: row for row, arm in enumerate(arms)}
    columns = {str(skill): column for column, skill in enumerate(SKILLS)}
    overall = snapshot.output_tokens.get(Level("", "", None).key)
    start = (1.0, 1.0) if overall is None else (overall.visible, overall.reasoning)
    common = np.tile(np.array(start), (len(SKILLS), BANDS, 1))
    own = np.ones((len(arms), len(SKILLS), BANDS, 2))
    of_arm = np.ones((len(arms), 2))
    for key, ratio in snapshot.output_tokens.items():
        level = Level.parse(key)
        row, column, pair = rows.get(level.arm), columns.get(level.skill), (ratio.visible, ratio.reasoning)
        if row is not None and level.band is None:
            of_arm[row] = pair
        elif column is None or level.band is None or level.band >= BANDS:
            continue
        elif row is not None:
            own[row, column, level.band] = pair
        elif not level.arm:
            common[column, level.band] = pair
    return np.asarray(common[None] * own * of_arm[:, None, None, :])


def _by_cell(ratios: Row, most: float) -> Row:
    """`(n, n_skills, BANDS)` ratios within their bounds, with a cell's arms beside each other."""
    return np.ascontiguousarray(np.clip(ratios, 1 / most, most).transpose(1, 2, 0))


def _prices(tiers: Iterable[tuple[PriceTier, ...]], input_tokens: Row) -> Prices:
    unknown = (np.nan, np.nan, np.nan)
    rows = []
    for model, tokens in zip(tiers, input_tokens, strict=True):
        if model:
            units = unit_prices(model, int(tokens))
            rows.append((float(units.uncached_input), float(units.output), float(units.cache_read)))
        else:
            rows.append(unknown)
    per_token = np.array(rows, float).reshape(-1, 3) / 1e6
    return Prices(uncached_input=per_token[:, 0], output=per_token[:, 1], cache_read=per_token[:, 2])


def _best_fixed(
    defaults: list[int],
    facts: tuple[ModelFacts, ...],
    scored: npt.NDArray[np.bool_],
    general: Row,
    prices: Prices,
) -> int | None:
    able = [
        row
        for row in defaults
        if facts[row].status != "limited_access" and np.isfinite(prices.uncached_input[row])
    ]
    return max(able, key=lambda row: (scored[row], general[row]), default=None)
