"""The workloads routing is evaluated on, and their figures (docs/routing-lab.md)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.routing.curves import TRADES, Figure, Workload, figures, pair
from bench.routing.fit import embed, model_key
from bench.routing.tables import Table

Matrix = npt.NDArray[np.float64]
Scores = Mapping[str, Mapping[str, float]]  # model → category → mean score


class Predicts(Protocol):
    """A predictor to evaluate; see `Predictor.predict_from`."""

    def predict_from(
        self, x: Matrix, prompts: Sequence[str], models: Sequence[Mapping[str, Any]]
    ) -> tuple[Matrix, Matrix]: ...


POOL = 6  # models of a table that has more than LARGEST_POOL: the best at each step of cost
LARGEST_POOL = 11
FEWEST_PROMPTS = 50
TARGET = 0.95  # of the best single model's quality: where `auto` operates
# Tables whose prompts are one workload, for models known by one aggregate of each.
TOGETHER = ("zeroeval_gsm8k", "zeroeval_crux", "zeroeval_math")


@dataclass(frozen=True)
class Judged:
    """A table's prompts to judge on, and their unscaled features."""

    table: Table
    x: Matrix


def judged(table: Table, x: Matrix | None = None) -> Judged:
    return Judged(table, embed(table.questions) if x is None else x)


def described(table: Table, scores: Scores, as_unseen: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The table's models as a predictor takes them; those of `as_unseen` under a name no fit knows."""
    return [
        {
            "id": f"unseen:{name}" if name in as_unseen else name,
            "scores": dict(scores.get(name, {})),
            "usd_per_mtok": dict(zip(("input", "output"), np.nan_to_num(price) * 1e6, strict=True)),
        }
        for name, price in zip(table.models, table.prices, strict=True)
    ]


def category_scores(table: Table) -> dict[str, dict[str, float]]:
    """Each model's mean score by category: what would be published of it."""
    categories = np.array(table.categories)
    return {
        name: {
            str(category): float(np.nanmean(column))
            for category in sorted(set(table.categories))
            if not np.isnan(column := table.score[categories == category, j]).all()
        }
        for j, name in enumerate(table.models)
    }


def pool(table: Table, size: int = POOL) -> list[str]:
    """The best model of each of `size` steps of cost, among those with prices and nearly all outcomes."""
    whole = (~np.isnan(table.score) & ~np.isnan(table.cost)).mean(axis=0) > 0.95
    usable = [j for j in range(len(table.models)) if whole[j] and not np.isnan(table.prices[j]).any()]
    if len(usable) <= LARGEST_POOL and size == POOL:
        return [table.models[j] for j in usable]
    quality, cost = np.nanmean(table.score, axis=0), np.nanmean(table.cost, axis=0)
    steps = np.array_split(sorted(usable, key=lambda j: float(cost[j])), size)
    return [table.models[max(step, key=lambda j: float(quality[j]))] for step in steps if len(step)]


def in_distribution(predictor: Predicts, test: Judged, scores: Scores) -> list[Figure]:
    """Figures of one table; a table of two models also gets those of a pair."""
    names = pool(test.table) or list(test.table.models)
    table = test.table.columns(names)
    answered = np.asarray(~np.isnan(table.score).any(axis=1))
    if len(names) == 2:
        complete = table.rows(answered)
        predicted, _ = predictor.predict_from(test.x[answered], complete.prompts, described(complete, scores))
        weak, strong = np.argsort(complete.score.mean(axis=0))
        result = pair(
            complete.score[:, weak], complete.score[:, strong], predicted[:, strong] - predicted[:, weak]
        )
        return [*result, _brier(complete.score, predicted)]
    if table.complete().sum() < FEWEST_PROMPTS:
        return []
    work = _work(predictor, Judged(table, test.x), scores)
    return [*figures(work), *operating_point(work)]


def unseen_models(
    predictor: Predicts, tests: Sequence[Judged], scores: Sequence[Scores], names: Sequence[str]
) -> list[Figure]:
    """The tables' prompts as one workload, every model known by its published scores alone."""
    together: dict[str, dict[str, float]] = {name: {} for name in names}
    for published in scores:
        for name in names:
            together[name] |= published.get(name, {})
    works = [_work(predictor, Judged(t.table.columns(names), t.x), together, names) for t in tests]
    work = Workload(*(np.concatenate(parts) for parts in zip(*map(_parts, works), strict=True)))
    return [*figures(work), *operating_point(work)]


def category_table(train: Table, test: Judged) -> list[Figure]:
    """The baseline a category table gives: each prompt predicted by its category's mean on the train side."""
    names = pool(test.table)
    table = test.table.columns(names)
    whole = table.complete()
    if len(names) < 3 or whole.sum() < FEWEST_PROMPTS:
        return []
    complete, known = table.rows(whole), train.columns(names)
    means = category_scores(known)
    predicted = np.array([[means[name].get(c, 0.5) for name in names] for c in complete.categories])
    usd = np.tile(np.nanmean(known.cost, axis=0), (len(predicted), 1))
    baseline = figures(Workload(complete.score, complete.cost, predicted, usd))
    return [
        Figure(
            f"category_table_{figure.metric}",
            figure.value,
            figure.low,
            figure.high,
            figure.hull,
            figure.best_single,
        )
        for figure in baseline
        if figure.metric in ("aiq", "aiq_over_hull", "brier")
    ]


def scores_as_constants(test: Judged, scores: Scores) -> list[Figure]:
    """The Brier score of predicting each model's mean published score for every prompt.

    The constant beside a Brier score is each model's mean on the very prompts judged, not known in
    advance.
    """
    names = pool(test.table)
    table = test.table.columns(names)
    complete = table.rows(table.complete())
    if len(complete.score) < FEWEST_PROMPTS or not all(scores.get(name) for name in names):
        return []
    means = np.array([np.mean(list(scores[name].values())) for name in names])
    brier = _brier(complete.score, np.tile(means, (len(complete.score), 1)))
    return [replace(brier, metric="scores_as_constants_brier")]


def operating_point(work: Workload) -> list[Figure]:
    """Quality and cost, as shares of the best single model's, where `auto` operates.

    The trade is chosen on every other prompt and reported on the rest, so that it is not read off its curve.
    """
    chosen, rest = (np.arange(len(work.score)) % 2 == side for side in (0, 1))
    quality, cost, _ = _bought(work, chosen)
    good = np.flatnonzero(quality >= TARGET * quality_of_best(work, chosen)[0])
    trade = good[np.argmin(cost[good])] if len(good) else int(np.argmax(quality))
    quality, cost, _ = _bought(work, rest)
    top, price = quality_of_best(work, rest)
    nothing = float("nan")
    return [
        Figure("auto_quality_share", float(quality[trade] / top), nothing, nothing, best_single=1.0),
        Figure("auto_cost_share", float(cost[trade] / price), nothing, nothing, best_single=1.0),
    ]


def quality_of_best(work: Workload, rows: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Quality and cost in USD of the best single model on these prompts."""
    quality, cost = work.score[rows].mean(axis=0), work.cost[rows].mean(axis=0)
    best = int(np.lexsort((cost, -quality))[0])
    return float(quality[best]), float(cost[best])


def _bought(work: Workload, rows: npt.NDArray[np.bool_]) -> tuple[Matrix, Matrix, Matrix]:
    picks = np.stack(
        [(work.predicted[rows] - trade * work.predicted_usd[rows]).argmax(axis=1) for trade in TRADES], axis=1
    )
    quality = np.take_along_axis(work.score[rows], picks, axis=1).mean(axis=0)
    cost = np.take_along_axis(work.cost[rows], picks, axis=1).mean(axis=0)
    return quality, cost, picks


def _work(predictor: Predicts, test: Judged, scores: Scores, as_unseen: Sequence[str] = ()) -> Workload:
    whole = test.table.complete()
    complete = test.table.rows(whole)
    predicted, usd = predictor.predict_from(
        test.x[whole], complete.prompts, described(complete, scores, as_unseen)
    )
    return Workload(complete.score, complete.cost, predicted, usd)


def _parts(work: Workload) -> Iterator[Matrix]:
    yield from (work.score, work.cost, work.predicted, work.predicted_usd)


def _brier(score: Matrix, predicted: Matrix) -> Figure:
    nothing = float("nan")
    constant = float(((score.mean(axis=0) - score) ** 2).mean())
    return Figure("brier", float(((predicted - score) ** 2).mean()), nothing, nothing, hull=constant)


def without(tables: Sequence[tuple[Table, Matrix]], names: Sequence[str]) -> list[tuple[Table, Matrix]]:
    """The tables less these models, under whatever name they appear."""
    gone = {model_key(name) for name in names}
    remaining = [
        (table.columns([name for name in table.models if model_key(name) not in gone]), x)
        for table, x in tables
    ]
    return [(table, x) for table, x in remaining if table.models]
