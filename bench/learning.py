"""`python -m bench.learning --data DIR`: the gain from self-learning, with each dev table as one account.

2,000 requests drawn from a table arrive one after the other. The predictor was fitted on the other tables
and knows the models' published scores; outcomes are revealed only for the chosen arm, as feedback. The
product's own posteriors, gates and bound move P(success). Each run is repeated at several prices of quality.
The figure is the mean height of the hull of runs, with and without learning, between costs that both reach.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.routing.curves import hull, mean_height
from bench.routing.predictor import Predictor
from bench.routing.tables import EVALUATE_ONLY, Table, read
from bench.routing.workloads import Judged, category_scores, described, judged, pool
from routing.decide.decision import load
from routing.decide.prediction import artefact, features, skills
from routing.decide.strategy_weights import EXPLORE_MARGIN, EXPLORE_SHARE
from routing.learning.posteriors import BOUND, Sign, posteriors, shifts

Matrix = npt.NDArray[np.float64]

REQUESTS = 2000
NEWS_EVERY = 50  # requests between two updates of the shifts: a web process refreshes them every 30 s
# Quality given up per USD saved, in shares of what the table's prompts cost.
TRADES = np.geomspace(0.3, 3000, 12)
SEEDS = 5
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Played:
    """A table as an account's traffic: the predictions and the true outcomes."""

    def __init__(self, test: Judged, predictor: Predictor) -> None:
        table = test.table.columns(pool(test.table))
        whole = table.complete()
        self.table = table.rows(whole)
        models = described(self.table, category_scores(table))
        self.p, self.usd = predictor.predict_from(test.x[whole], self.table.prompts, models)
        self.skill = [_skill(question) for question in self.table.questions]

    def run(
        self, trade: float, seed: int, *, learn: bool, score: Matrix | None = None
    ) -> tuple[float, float, float]:
        """Mean cost in USD, mean quality, largest shift; see `traffic`."""
        return self.traffic(trade, seed, learn=learn, score=score)[:3]

    def traffic(
        self, trade: float, seed: int, *, learn: bool, score: Matrix | None = None
    ) -> tuple[float, float, float, npt.NDArray[np.int64]]:
        """As `run`, with the arms by request. `score`: the feedback, when it is not the truth."""
        random = np.random.default_rng(seed)
        truth, feedback = self.table.score, self.table.score if score is None else score
        names = self.table.models
        signs: list[Sign] = []
        learnt: dict[str, float] = {}
        paid, got, arms = [], [], []
        for number, row in enumerate(random.integers(0, len(truth), REQUESTS)):
            if learn and number % NEWS_EVERY == 0:
                learnt = shifts(posteriors(signs, NOW))
            moved = [learnt.get(f"{name}|{self.skill[row]}", 0.0) for name in names]
            worth = self.p[row] + moved - trade * self.usd[row]
            arm = int(np.argmax(worth))
            if random.random() < EXPLORE_SHARE:
                near = np.flatnonzero(worth >= worth[arm] - EXPLORE_MARGIN)
                arm = int(random.choice(near))
            arms.append(arm)
            paid.append(self.table.cost[row, arm])
            got.append(truth[row, arm])
            signs.append(
                Sign(names[arm], names[arm], self.skill[row], "feedback",
                     float(self.p[row, arm]), float(feedback[row, arm]), NOW)
            )  # fmt: skip
        most = max(map(abs, learnt.values()), default=0.0)
        return float(np.mean(paid)), float(np.mean(got)), most, np.array(arms)

    def trades(self) -> Matrix:
        trades: Matrix = TRADES / float(self.usd.mean() * 1000)
        return trades


def _skill(question: str) -> str:
    """The skill a trace would show."""
    fit = artefact.fitted()
    return skills.SKILLS[
        int(skills.mix(fit.scale(features.vector(question)), 1.0, 0, len(question) // 4, fit).argmax())
    ]


def heights(played: Played, seed: int) -> tuple[float, float]:
    """Mean quality at equal cost, without and with learning."""
    points = {
        learn: np.array([played.run(trade, seed, learn=learn)[:2] for trade in played.trades()])
        for learn in (False, True)
    }
    # Between costs that both reach.
    low = max(run[:, 0].min() for run in points.values())
    high = min(run[:, 0].max() for run in points.values())
    off, on = (mean_height(hull(run[:, 0], run[:, 1]), low, high) for run in (points[False], points[True]))
    return off, on


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the dev tables")
    arguments = parser.parse_args()
    load()
    dev = [judged(table) for table in read(arguments.data) if table.name not in EVALUATE_ONLY]
    print(f"{REQUESTS} requests per account, {SEEDS} orders; mean quality at equal cost, off → on")
    for test in dev:
        if len(pool(test.table)) < 3 or test.table.complete().sum() < 1:
            continue
        played = Played(test, _fitted_without(dev, test.table))
        levels = np.array([heights(played, seed) for seed in range(SEEDS)])
        gain = levels[:, 1] - levels[:, 0]
        off, on = levels.mean(axis=0)
        print(
            f"{test.table.name:20} {off:.3f} → {on:.3f}  gain {np.median(gain):+.3f} "
            f"[{gain.min():+.3f}, {gain.max():+.3f}]"
        )
        middle = float(played.trades()[len(TRADES) // 2])
        _, honest, _ = played.run(middle, 0, learn=True)
        _, lied_to, most = played.run(middle, 0, learn=True, score=1 - played.table.score)
        print(
            f"{'':20} false feedback only: quality {lied_to:.3f} for {honest:.3f}, largest shift {most:.2f}"
        )
        assert most <= BOUND
        print(f"{'':20} two accounts of opposite tastes: {_tastes(played, middle)}")


def _tastes(played: Played, trade: float) -> str:
    """The traffic of two accounts, each of which likes all answers of one half of the models."""
    half = np.arange(len(played.table.models)) % 2 == 0
    shares = []
    for likes in (half, ~half):
        opinion = np.tile(likes.astype(float), (len(played.p), 1))
        *_, arms = played.traffic(trade, 0, learn=True, score=opinion)
        quarters = arms[: REQUESTS // 4], arms[-REQUESTS // 4 :]
        shares.append(" → ".join(f"{half[part].mean():.0%}" for part in quarters))
    return f"the first half gets {shares[0]} of traffic where it is liked, {shares[1]} where it is not"


def _fitted_without(dev: list[Judged], table: Table) -> Predictor:
    others = [test for test in dev if test.table.name != table.name]
    return Predictor([test.table for test in others], [test.x for test in others])


if __name__ == "__main__":
    main()
