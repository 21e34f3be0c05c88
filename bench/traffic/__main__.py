"""`make bench-traffic PROMPTS=DIR DATA=DIR`: how well everyday requests are judged and routed.

Prints tables of the product's own decision under `auto` over requests that people rated: by the request model
alone, and with the encoder's second look (docs/routing-lab.md). Both models are fitted with each writer left
out; for skills a random third of all requests is left out instead, since the writers' skills overlap little.
The request model is fitted anew, the encoder's estimates are read from bench/encoder. A last line has the
time of the shipped decision without the second look.
"""

import argparse
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bench.encoder import held_out
from bench.published import NOW, snapshot
from bench.traffic.fit import benchmark_questions, features_of, fit_request_model, questions_as_requests
from bench.traffic.prompts import RatedRequest, added_requests, rated_requests
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, DecisionInput, decide, load
from routing.decide.prediction import second_look
from routing.decide.prediction.request_model import Judgement
from routing.decide.prediction.second_look import SecondLook
from routing.decide.trace import Candidate
from routing.language.chat import ChatRequest, Strategy

LIMIT = 4096  # max_output_tokens of each request
EASY, HARD, HARDEST = 2.0, 4.0, 5.0  # levels
SHORT_ANSWER = 150  # tokens
SLOW_MS = 5000
TIMES_CHEAPEST = 10
TOP_SHARE = 5  # the top fifth of the candidates
SKILL_ROW = 2  # of CHECKS

CHECKS = (  # name, must, good, whether more is better
    ("AUC of complexity, levels 1-2 against 4-5", 0.88, 0.94, True),
    ("Spearman of complexity with the level", 0.66, 0.76, True),
    ("query_type as rated", 0.55, 0.70, True),
    ("answer length within 2 x", 0.57, 0.67, True),
    ("level 1-2 sent to an arm over 10 x the cheapest", 0.15, 0.07, False),
    ("level 5 answered by the top fifth by success", 0.80, 0.90, True),
    ("level 1-2, short answer, predicted over 5 s", 0.15, 0.05, False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder with traffic.jsonl")
    parser.add_argument("--data", type=Path, required=True, help="folder with the outcome tables")
    arguments = parser.parse_args()
    load()
    catalog, rated = snapshot(), rated_requests(arguments.prompts)
    writers = sorted({request.writer for request in rated})
    left_out = judgements_left_out(rated, arguments.data)
    looks = held_out.read()
    print("The decision under auto, each writer left out (skills: a random third)")
    print("By the request model alone")
    show(CHECKS, figures(rated, left_out, catalog))
    both = {
        name: {i: looked(judgement, looks[name][rated[i].id]) for i, judgement in judgements.items()}
        for name, judgements in left_out.items()
    }
    print("With the second look")
    show(CHECKS, figures(rated, both, catalog))
    taken = [judgement.refined for name in writers for judgement in both[name].values()]
    print(f"requests with a second look: {np.mean(taken):.0%}")
    print("The shipped decision under each strategy, mean over all requests: success, USD per 1,000, seconds")
    for name, (success, usd, seconds) in promises(rated, catalog).items():
        print(f"{name:48} {success:6.3f} {usd * 1000:7.2f} {seconds:6.1f}")
    p50, p99 = timed(rated, catalog)
    print(f"time of a decision: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def promises(rated: Sequence[RatedRequest], catalog: Snapshot) -> dict[str, tuple[float, float, float]]:
    """Return mean predicted success, USD and seconds of each strategy and of the best fixed arm."""
    chosen: dict[str, list[Candidate]] = {}
    by_arm: dict[str, list[Candidate]] = {}
    for strategy in Strategy:
        for request in rated:
            decision_input = DecisionInput(request=limited(request), at=NOW, strategy=strategy)
            decision = decide(decision_input, catalog)
            chosen.setdefault(strategy.value, []).append(decision.trace.candidates[0])
            if strategy is Strategy.QUALITY:
                for entry in _candidates(decision):
                    by_arm.setdefault(entry.arm, []).append(entry)
    whole = {arm: entries for arm, entries in by_arm.items() if len(entries) == len(rated)}
    best = max(whole, key=lambda arm: sum(entry.believed for entry in whole[arm]))
    return {name: _means(entries) for name, entries in {**chosen, f"best fixed: {best}": whole[best]}.items()}


def _means(entries: Sequence[Candidate]) -> tuple[float, float, float]:
    columns = [(entry.believed, entry.cost_usd or 0.0, entry.latency_ms / 1000) for entry in entries]
    success, usd, seconds = np.array(columns).mean(axis=0).tolist()
    return success, usd, seconds


def looked(judgement: Judgement, second: SecondLook) -> Judgement:
    return second_look.refined(judgement, second) if second_look.pays(judgement) else judgement


def figures(
    rated: Sequence[RatedRequest], judged: Mapping[str, Mapping[int, Judgement]], catalog: Snapshot
) -> dict[str, list[float]]:
    """Return a column of CHECKS for each writer; `judged` is by group left out and place in `rated`."""
    columns = {}
    for name, judgements in judged.items():
        requests = [rated[i] for i in judgements]
        columns[name] = checked(requests, decisions(requests, list(judgements.values()), catalog))
    skill = columns.pop(held_out.RANDOM)[SKILL_ROW]
    for column in columns.values():
        column[SKILL_ROW] = skill
    return dict(sorted(columns.items()))


def judgements_left_out(rated: Sequence[RatedRequest], data: Path) -> dict[str, dict[int, Judgement]]:
    """Return judgements by group left out (a writer, or held_out.RANDOM) and place in `rated`."""
    vectors = features_of([request.request for request in rated])
    added = added_requests()
    added_vectors = features_of([request.request for request in added])
    benchmark = features_of(questions_as_requests(benchmark_questions(data)))
    order = np.random.default_rng(0).permutation(len(rated)).tolist()
    groups = {held_out.RANDOM: order[: len(order) // 3]}
    for writer in {request.writer for request in rated}:
        groups[writer] = [i for i, request in enumerate(rated) if request.writer == writer]
    judged = {}
    for name, out in groups.items():
        fitted_on = [i for i in range(len(rated)) if i not in set(out)]
        model = fit_request_model(
            [*(rated[i] for i in fitted_on), *added],
            [*(vectors[i] for i in fitted_on), *added_vectors],
            benchmark,
        )
        judged[name] = {i: model.judge_features(vectors[i]) for i in out}
    return judged


def show(checks: Sequence[tuple[str, float, float, bool]], columns: Mapping[str, Sequence[float]]) -> None:
    print(f"{'':48} " + " ".join(f"{writer:>6}" for writer in columns) + "   must   good")
    for row, (name, must, good, more) in enumerate(checks):
        values = [column[row] for column in columns.values()]
        worst = min(values) if more else max(values)
        reached = [word for word, target in (("good", good), ("must", must)) if _reaches(worst, target, more)]
        shown = " ".join(f"{value:6.3f}" for value in values)
        print(f"{name:48} {shown}  {must:5.2f}  {good:5.2f}  {(*reached, 'missed')[0]}")


def decisions(
    rated: Sequence[RatedRequest], judgements: Sequence[Judgement], catalog: Snapshot
) -> list[Decision]:
    return [
        decide(
            DecisionInput(request=limited(request), at=NOW, strategy=Strategy.AUTO, judgement=judgement),
            catalog,
        )
        for request, judgement in zip(rated, judgements, strict=True)
    ]


def limited(request: RatedRequest) -> ChatRequest:
    return msgspec.structs.replace(request.request, max_answer_tokens=LIMIT)


def checked(rated: Sequence[RatedRequest], decided: Sequence[Decision]) -> list[float]:
    """Return a figure for each of CHECKS."""
    traces = [decision.trace for decision in decided]
    level = np.array([request.level for request in rated])
    label = np.array([request.answer_tokens for request in rated], float)
    complexity = np.array([trace.difficulty for trace in traces])
    tokens = np.array([trace.answer_tokens for trace in traces], float)
    clear, easy, short = (level <= EASY) | (level >= HARD), level <= EASY, label <= SHORT_ANSWER
    slow = np.array([trace.candidates[0].latency_ms > SLOW_MS for trace in traces])
    return [
        float(roc_auc_score(level[clear] >= HARD, complexity[clear])),
        float(spearmanr(complexity, level)[0]),
        float(np.mean([trace.query_type == r.skill for trace, r in zip(traces, rated, strict=True)])),
        float(np.mean(np.abs(np.log(tokens / label)) < math.log(2))),
        float(np.array([_is_expensive(decision) for decision in decided])[easy].mean()),
        float(np.array([_is_top(decision) for decision in decided])[level == HARDEST].mean()),
        float(slow[easy & short].mean()),
    ]


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
