"""The trade of `auto` at each value of a right answer: `python -m bench.tune --data DIR` prints the table.

Predicted success and cost on the published catalog, over everyday prompts and a sample of the benchmark
prompts, beside the best fixed model. `routing/decide/strategy_weights.py` takes its AUTO_VALUE from here.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bench.fit_decide import SHIPPABLE, everyday_prompts
from bench.published import NOW, snapshot
from routing.catalog.snapshot import Snapshot
from routing.decide import strategies, strategy_weights
from routing.decide.decision import DecisionInput, load
from routing.decide.scores import Scores, score
from routing.language.chat import ChatRequest, Message, Role, Strategy, Text

Row = npt.NDArray[np.float64]

VALUES = (1, 2, 3, 5, 8, 12, 20, 30, 50, 100)
SAMPLE = 40  # benchmark prompts a table
HARD = 0.0  # difficulty above which a prompt counts as hard
TARGET = 0.95  # share of the best fixed model's success that `auto` must keep


@dataclass(frozen=True)
class Fixed:
    """The best fixed model's mean success on all prompts and on the hard ones, which `hard` marks."""

    success: float
    hard_success: float
    hard: npt.NDArray[np.bool_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the prompt tables")
    arguments = parser.parse_args()
    load()
    catalog = snapshot()
    all_scores = [_score(text, catalog) for text in prompts(arguments.data)]
    hard = np.array([scores.difficulty > HARD for scores in all_scores])
    fixed, success, usd = _best_fixed(all_scores)
    print(f"{len(all_scores)} prompts, {hard.sum()} of them hard; best fixed: {fixed}")
    print(f"target: {TARGET:.0%} of its success, on all and on the hard ones")
    best = Fixed(success.mean(), success[hard].mean(), hard)
    _print("best fixed", best, success, usd, np.full(len(all_scores), np.nan))
    for strategy in Strategy:
        _print(strategy.value, best, *_chosen(all_scores, strategy))
    chosen = strategy_weights.AUTO_VALUE
    for value in VALUES:
        strategy_weights.AUTO_VALUE = float(value)
        _print(f"auto, value {value}", best, *_chosen(all_scores, Strategy.AUTO))
    strategy_weights.AUTO_VALUE = chosen


def prompts(folder: Path) -> list[str]:
    """The everyday prompts and a fixed sample of each benchmark table."""
    texts = [row["text"] for row in everyday_prompts()]
    for name in SHIPPABLE:
        rows = pq.read_table(folder / f"{name}.prompts.parquet").to_pylist()
        picked = np.random.default_rng(7).choice(len(rows), min(SAMPLE, len(rows)), replace=False)
        texts += [rows[i]["query"] or rows[i]["prompt"] for i in picked]
    return texts


def _score(text: str, catalog: Snapshot) -> Scores:
    request = ChatRequest(messages=(Message(Role.USER, (Text(text),)),))
    return score(DecisionInput(request=request, at=NOW), catalog, {})


def _best_fixed(all_scores: list[Scores]) -> tuple[str, Row, Row]:
    """The arm with the highest mean success over all prompts, its success and cost by prompt."""
    able = all_scores[0].removed.places == 0
    believed = np.array([np.where(v.arm_table.scored, v.p_success, v.low) for v in all_scores])
    row = int(np.where(able, believed.mean(axis=0), -1).argmax())
    return (
        all_scores[0].arm_table.names[row],
        believed[:, row],
        np.array([v.cost_usd[row] for v in all_scores]),
    )


def _chosen(all_scores: list[Scores], strategy: Strategy) -> tuple[Row, Row, Row]:
    picks = []
    for scores in all_scores:
        candidates = scores.candidates(scores.field())
        best = int(strategies.rank(strategy, candidates, stream=False).order[0])
        picks.append((candidates.believed[best], candidates.cost_usd[best], candidates.latency_ms[best]))
    success, cost, latency = np.array(picks).T
    return success, cost, latency


def _print(name: str, best: Fixed, success: Row, cost: Row, latency: Row) -> None:
    shares = (
        f"{success.mean() / best.success:6.1%} all {success[best.hard].mean() / best.hard_success:6.1%} hard"
    )
    usd = f"{cost.mean() * 1000:9.3f} USD per 1,000"
    print(f"{name:16} success {success.mean():.4f}  {shares}  {usd}  {latency.mean() / 1000:6.1f} s")


if __name__ == "__main__":
    main()
