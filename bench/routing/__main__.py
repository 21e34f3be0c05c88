"""`python -m bench.routing --data DIR [--eval DIR2] [--unseen MODEL,…] [--out FILE]`: the quality of routing.

Without `--eval` a fifth of dev (by hash of the question) is held out of every fit and evaluated; with it the
fit is on all of dev, and DIR2's tables are evaluated. `--unseen` names models to route by scores alone.
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.decision_time import timed
from bench.routing.curves import Figure
from bench.routing.predictor import Predictor
from bench.routing.tables import EVALUATE_ONLY, Table, published_scores, read
from bench.routing.workloads import (
    TOGETHER,
    Judged,
    Predicts,
    category_scores,
    category_table,
    in_distribution,
    judged,
    pool,
    scores_as_constants,
    unseen_models,
    without,
)
from routing.decide.decision import load

Rows = list[tuple[str, Figure]]
Fitted = list[tuple[Table, np.ndarray]]

KEPT_OUT = 0  # the fold judged on
UNSEEN_POOL = 8
DECISIONS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the dev tables")
    parser.add_argument("--eval", type=Path, help="folder with tables that were not fitted on")
    parser.add_argument("--unseen", default="", help="models to route by their published scores, by comma")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    arguments = parser.parse_args()
    load()
    unseen = [name for name in arguments.unseen.split(",") if name]
    began = time.perf_counter()
    dev = [judged(table) for table in read(arguments.data) if table.name not in EVALUATE_ONLY]
    if arguments.eval:
        rows = on_other_data(dev, arguments.data, arguments.eval, unseen)
    else:
        rows = on_dev(dev, unseen)
    _print(rows)
    decisions = [timed(tokens, DECISIONS)[0].sum(axis=1) for tokens in (20, 200, 2000)]
    p50, p99 = np.percentile(decisions, (50, 99))
    print(f"decision on 20, 200 and 2,000 tokens: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    print(f"{time.perf_counter() - began:.0f} s in all")
    if arguments.out:
        report = {
            "rows": [
                {"workload": workload, **{key: _plain(value) for key, value in asdict(figure).items()}}
                for workload, figure in rows
            ],
            "decision_ms": {"p50": round(float(p50), 3), "p99": round(float(p99), 3)},
        }
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


def on_dev(dev: list[Judged], unseen: list[str]) -> Rows:
    """Fit on four fifths and evaluate on the fifth: as is, without some models, without a whole table."""
    train = {test_set.table.name: _side(test_set, kept_out=False) for test_set in dev}
    tests = {test_set.table.name: _side(test_set, kept_out=True) for test_set in dev}
    fitted: Fitted = [(test_set.table, test_set.x) for test_set in train.values()]
    scores = {name: category_scores(test_set.table) for name, test_set in train.items()}
    predictor = _fit(fitted)
    rows: Rows = []
    for name, test in tests.items():
        rows += [(name, figure) for figure in in_distribution(predictor, test, scores[name])]
        rows += [(name, figure) for figure in category_table(train[name].table, test)]
    rows += _by_scores_alone(fitted, tests, scores, unseen)
    for name, test in tests.items():
        if len(pool(test.table)) > 2 and not np.isnan(test.table.prices).all():
            strange = _fit([(table, x) for table, x in fitted if table.name != name])
            measured = in_distribution(strange, test, scores[name])
            if measured:
                measured += scores_as_constants(test, scores[name])
            rows += [(f"{name}, family unseen", figure) for figure in measured]
    return rows


def _by_scores_alone(
    fitted: Fitted,
    tests: dict[str, Judged],
    scores: dict[str, dict[str, dict[str, float]]],
    unseen: list[str],
) -> Rows:
    rows: Rows = []
    several = [name for name in TOGETHER if name in tests]
    shared = [
        set(tests[name].table.models) & set(pool(tests[name].table, len(tests[name].table.models)))
        for name in several
    ]
    common = sorted(set.intersection(*shared)) if shared else []
    groups = [([name], unseen or pool(tests[name].table)) for name in tests]
    if len(common) > UNSEEN_POOL:
        groups.append((several, unseen or pool(tests[several[-1]].table.columns(common), UNSEEN_POOL)))
    for names, models in groups:
        models = [model for model in models if all(model in tests[name].table.models for name in names)]
        if len(models) < 3:
            continue
        remaining = without(fitted, models)
        workload = f"{' + '.join(names)}, {len(models)} models by scores alone"
        predictor = _fit(remaining)
        judges: dict[str, Predicts] = {workload: predictor, f"{workload}, as shipped": predictor.shipped}
        for title, judge in judges.items():
            measured = unseen_models(
                judge, [tests[name] for name in names], [scores[name] for name in names], models
            )
            rows += [(title, figure) for figure in measured]
    return rows


def on_other_data(dev: list[Judged], data: Path, other: Path, unseen: list[str]) -> Rows:
    """Fit on all of dev and evaluate on another folder's tables; new models are known by their scores."""
    published = published_scores(data)
    for dataset, by_model in published_scores(other).items():
        published.setdefault(dataset, {}).update(by_model)
    fitted: Fitted = [(test_set.table, test_set.x) for test_set in dev]
    tests = {table.name: judged(table) for table in read(other)}
    new = {
        name
        for test_set in tests.values()
        for name, is_new in zip(test_set.table.models, test_set.table.new, strict=True)
        if is_new
    }
    predictor = _fit(without(fitted, sorted(new | set(unseen))))
    rows: Rows = []
    for name, test in tests.items():
        rows += [(name, figure) for figure in in_distribution(predictor, test, published.get(name, {}))]
    scores = {
        name: published.get(name) or category_scores(test_set.table) for name, test_set in tests.items()
    }
    return rows + _by_scores_alone(fitted, tests, scores, unseen)


def _side(test_set: Judged, *, kept_out: bool) -> Judged:
    rows = (test_set.table.fold == KEPT_OUT) == kept_out
    return Judged(test_set.table.rows(rows), test_set.x[rows])


def _fit(tables: Fitted) -> Predictor:
    return Predictor([table for table, _ in tables], [x for _, x in tables])


def _print(rows: Rows) -> None:
    last = ""
    for workload, figure in rows:
        if workload != last:
            print(f"\n{workload}")
            last = workload
        beside = [
            f"{name} {value:.3f}"
            for name, value in (("hull", figure.hull), ("best single", figure.best_single))
            if not math.isnan(value)
        ]
        interval = "" if math.isnan(figure.low) else f" [{figure.low:.3f}, {figure.high:.3f}]"
        print(f"  {figure.metric:26} {figure.value:7.3f}{interval}  {', '.join(beside)}")


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    main()
