"""`make bench-traffic PROMPTS=DIR DATA=DIR`: how well everyday requests are judged and routed.

Prints two tables over requests that people rated (docs/routing-lab.md). The first is the product's own
decision under `auto` today. The second is the request model of this folder, which is not in the product yet.
It is fitted anew with each writer left out; for skills a random third of all requests is left out instead,
since the writers' skills overlap little.
"""

import argparse
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bench.fit_decide import SHIPPABLE
from bench.published import NOW, snapshot
from bench.traffic.fit import features_of, fit_request_model, questions_as_requests
from bench.traffic.prompts import RatedRequest, rated_requests
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, DecisionInput, decide, load
from routing.decide.prediction.skills import TEXT_SKILLS
from routing.decide.trace import Candidate
from routing.language.chat import ChatRequest, Strategy

LIMIT = 4096  # max_output_tokens of each request
BENCHMARK_QUESTIONS = 1500  # evenly from all tables: the request model learns what is not everyday traffic
EASY, HARD, HARDEST = 2.0, 4.0, 5.0  # levels
SHORT_ANSWER = 150  # tokens
SLOW_MS = 5000
TIMES_CHEAPEST = 10
TOP_SHARE = 5  # the top fifth of the candidates
SKILL_ROW = 2  # of JUDGEMENT

ROUTING = (  # name, must, good, whether more is better
    ("level 1-2 sent to an arm over 10 x the cheapest", 0.15, 0.07, False),
    ("level 5 answered by the top fifth by success", 0.80, 0.90, True),
    ("level 1-2, short answer, predicted over 5 s", 0.15, 0.05, False),
)
JUDGEMENT = (
    ("AUC of complexity, levels 1-2 against 4-5", 0.88, 0.94, True),
    ("Spearman of complexity with the level", 0.66, 0.76, True),
    ("query_type as rated", 0.55, 0.70, True),
    ("answer length within 2 x", 0.57, 0.67, True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder with traffic.jsonl")
    parser.add_argument("--data", type=Path, required=True, help="folder with the outcome tables")
    arguments = parser.parse_args()
    load()
    rated = rated_requests(arguments.prompts)
    by_writer = {
        writer: [r for r in rated if r.writer == writer] for writer in sorted({r.writer for r in rated})
    }
    catalog = snapshot()
    decided = {writer: decisions(own, catalog) for writer, own in by_writer.items()}
    print("The product's decision under auto")
    show(JUDGEMENT, {writer: judged_by_product(own, decided[writer]) for writer, own in by_writer.items()})
    show(ROUTING, {writer: routed(own, decided[writer]) for writer, own in by_writer.items()})
    p50, p99 = timed(rated, catalog)
    print(f"time of these decisions: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    print("The request model, each writer left out (skills: a random third)")
    show(JUDGEMENT, judged_by_model(rated, arguments.data))


def show(checks: Sequence[tuple[str, float, float, bool]], columns: Mapping[str, Sequence[float]]) -> None:
    print(f"{'':48} " + " ".join(f"{writer:>6}" for writer in columns) + "   must   good")
    for row, (name, must, good, more) in enumerate(checks):
        values = [column[row] for column in columns.values()]
        worst = min(values) if more else max(values)
        reached = [word for word, target in (("good", good), ("must", must)) if _reaches(worst, target, more)]
        shown = " ".join(f"{value:6.3f}" for value in values)
        print(f"{name:48} {shown}  {must:5.2f}  {good:5.2f}  {(*reached, 'missed')[0]}")


def decisions(rated: Iterable[RatedRequest], catalog: Snapshot) -> list[Decision]:
    return [
        decide(DecisionInput(request=limited(request), at=NOW, strategy=Strategy.AUTO), catalog)
        for request in rated
    ]


def limited(request: RatedRequest) -> ChatRequest:
    return msgspec.structs.replace(request.request, max_output_tokens=LIMIT)


def judged_by_product(rated: Sequence[RatedRequest], decided: Sequence[Decision]) -> list[float]:
    traces = [decision.trace for decision in decided]
    return _judgement(
        rated,
        complexity=np.array([trace.complexity for trace in traces]),
        skills=[trace.query_type for trace in traces],
        tokens=np.array([trace.output_tokens for trace in traces], float),
    )


def judged_by_model(rated: Sequence[RatedRequest], data: Path) -> dict[str, list[float]]:
    vectors = features_of([request.request for request in rated])
    benchmark = features_of(questions_as_requests(benchmark_questions(data)))

    def judged(train: Sequence[int], test: Sequence[int]) -> list[float]:
        model = fit_request_model([rated[i] for i in train], [vectors[i] for i in train], benchmark)
        judgements = [model.judge_features(vectors[i]) for i in test]
        return _judgement(
            [rated[i] for i in test],
            complexity=np.array([judgement.level for judgement in judgements]),
            skills=[TEXT_SKILLS[int(judgement.skills.argmax())] for judgement in judgements],
            tokens=np.array([judgement.answer_tokens for judgement in judgements]),
        )

    order = np.random.default_rng(0).permutation(len(rated)).tolist()
    third = len(order) // 3
    skill = judged(order[third:], order[:third])[SKILL_ROW]
    columns = {}
    for writer in sorted({request.writer for request in rated}):
        own = [i for i, request in enumerate(rated) if request.writer == writer]
        column = judged([i for i in range(len(rated)) if rated[i].writer != writer], own)
        columns[writer] = [skill if row == SKILL_ROW else value for row, value in enumerate(column)]
    return columns


def _judgement(
    rated: Sequence[RatedRequest],
    complexity: npt.NDArray[np.float64],
    skills: Sequence[str],
    tokens: npt.NDArray[np.float64],
) -> list[float]:
    """In the order of JUDGEMENT."""
    level = np.array([request.level for request in rated])
    label = np.array([request.answer_tokens for request in rated], float)
    clear = (level <= EASY) | (level >= HARD)
    return [
        float(roc_auc_score(level[clear] >= HARD, complexity[clear])),
        float(spearmanr(complexity, level)[0]),
        float(np.mean([skill == request.skill for skill, request in zip(skills, rated, strict=True)])),
        float(np.mean(np.abs(np.log(tokens / label)) < math.log(2))),
    ]


def routed(rated: Sequence[RatedRequest], decided: Sequence[Decision]) -> list[float]:
    """In the order of ROUTING."""
    level = np.array([request.level for request in rated])
    short = np.array([request.answer_tokens <= SHORT_ANSWER for request in rated])
    easy = level <= EASY
    slow = np.array([decision.trace.candidates[0].latency_ms > SLOW_MS for decision in decided])
    return [
        float(np.array([_is_expensive(decision) for decision in decided])[easy].mean()),
        float(np.array([_is_top(decision) for decision in decided])[level == HARDEST].mean()),
        float(slow[easy & short].mean()),
    ]


def benchmark_questions(folder: Path) -> list[str]:
    """As many from each table, evenly spread over it."""
    texts: list[str] = []
    for name in SHIPPABLE:
        rows = pq.read_table(folder / f"{name}.prompts.parquet").to_pylist()
        step = max(1, len(rows) * len(SHIPPABLE) // BENCHMARK_QUESTIONS)
        texts += [row["query"] or row["prompt"] for row in rows[::step]]
    return texts


def _candidates(decision: Decision) -> list[Candidate]:
    return [entry for entry in decision.trace.candidates if entry.removed is None]


def _is_expensive(decision: Decision) -> bool:
    costs = [entry.cost_usd for entry in _candidates(decision) if entry.cost_usd is not None]
    chosen = decision.trace.candidates[0].cost_usd
    return chosen is None or chosen > TIMES_CHEAPEST * min(costs)


def _is_top(decision: Decision) -> bool:
    success = sorted((entry.p_success for entry in _candidates(decision)), reverse=True)
    return decision.trace.candidates[0].p_success >= success[max(0, len(success) // TOP_SHARE - 1)]


def timed(rated: Sequence[RatedRequest], catalog: Snapshot) -> tuple[float, float]:
    """Return p50 and p99 in ms."""
    elapsed = []
    for request in rated:
        began = time.perf_counter()
        decide(DecisionInput(request=limited(request), at=NOW, strategy=Strategy.AUTO), catalog)
        elapsed.append((time.perf_counter() - began) * 1000)
    p50, p99 = np.percentile(elapsed, (50, 99))
    return float(p50), float(p99)


def _reaches(value: float, target: float, more: bool) -> bool:
    return value >= target if more else value <= target


if __name__ == "__main__":
    main()
