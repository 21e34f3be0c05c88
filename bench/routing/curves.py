"""Figures of a router on one workload: hulls, AIQ, cost at a quality, APGR and CPT, with intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

TRADES = np.concatenate([[0.0], np.geomspace(1e-4, 1e7, 240)])  # quality given up for a USD less
RESAMPLES = 300
_GRID = 500


@dataclass(frozen=True)
class Figure:
    """`value` and its 95 % bootstrap interval; `hull` and `best_single` are the yardsticks beside it."""

    metric: str
    value: float
    low: float
    high: float
    hull: float = float("nan")
    best_single: float = float("nan")


@dataclass(frozen=True)
class Workload:
    """Outcomes `score` and `cost` in USD, and what was predicted of them: all (prompts, models)."""

    score: Matrix
    cost: Matrix
    predicted: Matrix
    predicted_usd: Matrix


def hull(cost: Matrix, quality: Matrix) -> tuple[Matrix, Matrix]:
    """The non-decreasing concave hull of points, as corners from the cheapest to the best."""
    corners: list[tuple[float, float]] = []
    best = -np.inf
    for i in np.lexsort((-quality, cost)):
        x, y = float(cost[i]), float(quality[i])
        if y <= best:
            continue
        best = y
        while len(corners) >= 2 and _is_under(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    xs, ys = np.array(corners).T
    return xs, ys


def _is_under(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])


def mean_height(corners: tuple[Matrix, Matrix], low: float, high: float) -> float:
    """AIQ: the hull's mean quality between two costs; left of its first corner nothing is bought."""
    at = np.linspace(low, high, _GRID)
    return float(np.interp(at, *corners).mean())


def cost_at(corners: tuple[Matrix, Matrix], quality: float) -> float:
    """The least cost on the hull that buys a quality; nan when none does."""
    xs, ys = corners
    if quality > ys[-1] + 1e-12:
        return float("nan")
    return float(np.interp(quality, ys, xs))


def figures(work: Workload, seed: int = 0) -> list[Figure]:
    """AIQ, cost at 95 and 100 % of the best quality, quality at 25 and 50 % of its cost, and Brier score.

    Costs are shares of the best single model's. A bootstrap resamples prompts.
    """
    n = len(work.score)
    chosen = np.stack([(work.predicted - trade * work.predicted_usd).argmax(axis=1) for trade in TRADES], 1)
    bought = np.take_along_axis(work.score, chosen, axis=1)
    paid = np.take_along_axis(work.cost, chosen, axis=1)
    brier = ((work.predicted - work.score) ** 2).mean(axis=1)
    constant = ((work.score.mean(axis=0) - work.score) ** 2).mean(axis=1)
    random = np.random.default_rng(seed)
    samples = [_measured(np.full(n, 1 / n), work, bought, paid, brier, constant)]
    for _ in range(RESAMPLES):
        weight = np.bincount(random.integers(0, n, n), minlength=n) / n
        samples.append(_measured(weight, work, bought, paid, brier, constant))
    return [
        Figure(name, value, *_interval([sample[name][0] for sample in samples[1:]]), *yardsticks)
        for name, (value, *yardsticks) in samples[0].items()
    ]


def _measured(
    weight: Matrix, work: Workload, bought: Matrix, paid: Matrix, brier: Matrix, constant: Matrix
) -> dict[str, tuple[float, float, float]]:
    quality, cost = weight @ work.score, weight @ work.cost
    best = int(np.lexsort((cost, -quality))[0])
    low, high = float(cost.min()), float(cost[best])
    single, routed = hull(cost, quality), hull(weight @ paid, weight @ bought)
    aiq, aiq_hull = mean_height(routed, low, high), mean_height(single, low, high)
    top = float(quality[best])
    samples = {
        "aiq": (aiq, aiq_hull, top),
        "aiq_over_hull": (aiq - aiq_hull, 0.0, float("nan")),
    }
    for share in (95, 100):
        name = f"cost_at_{share}"
        samples[name] = (
            cost_at(routed, top * share / 100) / high,
            cost_at(single, top * share / 100) / high,
            1.0,
        )
    for share in (25, 50):
        at = low if share / 100 * high < low else share / 100 * high
        samples[f"quality_at_{share}"] = (float(np.interp(at, *routed)), float(np.interp(at, *single)), top)
    samples["brier"] = (float(weight @ brier), float(weight @ constant), float("nan"))
    return samples


def pair(weak: Matrix, strong: Matrix, preference: Matrix, seed: int = 0) -> list[Figure]:
    """APGR, CPT50 and CPT80 of sending prompts to the strong model by `preference`; all (prompts,)."""
    random = np.random.default_rng(seed)
    samples = [_recovered(weak, strong, preference)]
    for _ in range(RESAMPLES):
        rows = random.integers(0, len(weak), len(weak))
        samples.append(_recovered(weak[rows], strong[rows], preference[rows]))
    return [
        Figure(name, value, *_interval([sample[name] for sample in samples[1:]]), hull=chance)
        for (name, value), chance in zip(samples[0].items(), (0.5, 0.5, 0.8), strict=True)
    ]


def _recovered(weak: Matrix, strong: Matrix, preference: Matrix) -> dict[str, float]:
    order = np.argsort(-preference, kind="stable")
    gain = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    share = np.linspace(0, 1, len(gain))
    recovered = gain / gain[-1]
    return {
        "apgr": float(np.trapezoid(recovered, share)),
        "cpt50": float(share[np.argmax(recovered >= 0.5)]),
        "cpt80": float(share[np.argmax(recovered >= 0.8)]),
    }


def _interval(samples: list[float]) -> tuple[float, float]:
    known = [sample for sample in samples if not np.isnan(sample)]
    if not known:
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
