"""Fit what `routing/decide` ships: `python -m bench.fit_decide --data DIR` writes `routing/decide/artefact`.

Data: DIR's outcome tables whose licence allows shipping what is fitted on them, the everyday prompts beside
this file, and the published scores in the catalog. Deterministic: the same inputs give the same bytes.
"""

import argparse
import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from safetensors.numpy import save_file

from bench.routing.fit import embed
from bench.routing.heads import difficulty_of, fit_directions, fit_ridge, fit_softmax, rasch, skill_of
from bench.routing.tables import read
from routing.decide.prediction import artefact, features
from routing.decide.prediction.difficulty import of_level
from routing.decide.prediction.skill_table import REFERENCE_ELO, scale
from routing.decide.prediction.skills import TEXT_SKILLS, Skill

Matrix = npt.NDArray[np.float64]

SHIPPABLE = (
    "routellm_mmlu", "routellm_gsm8k", "mmlu_pro", "zeroeval_gsm8k", "zeroeval_crux", "llmrouter_mix",
    "routerbench", "evalperf_code",
)  # fmt: skip
EVERYDAY = Path(__file__).parent / "everyday_prompts.tsv"
PRIORS = Path(__file__).parent.parent / "routing/catalog/data/quality_priors.json"
EVERYDAY_SHARE = 0.5  # of the total weight, so that 237 prompts count beside 26,000
LOCKSTEP_MODELS = 6  # a link needs that many models with both figures …
WEAKEST_LINK = 0.3  # … and this correlation: hallucination rates have none with ability and stay out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the outcome tables")
    arguments = parser.parse_args()
    prompts = benchmark_prompts(arguments.data)
    everyday = everyday_prompts()
    rows = prompts + everyday
    x = np.stack([features.vector(row["text"]) for row in rows]).astype(np.float64)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread[:256] = spread[:256].mean()  # the embedding keeps its shape
    x = (x - mean) / np.maximum(spread, 1e-3)
    skills = np.array([TEXT_SKILLS.index(row["skill"]) for row in rows])
    target = np.array([row["difficulty"] for row in rows])
    weight = weights(rows, skills)
    report = cross_validate(x, skills, target, weight, n_everyday=len(everyday))
    softmax, bias = fit_softmax(x, skills, weight)
    ridge, offset, leverage = fit_ridge(x, target, weight)
    tables = read(arguments.data, SHIPPABLE)
    vectors = [(embed(table.questions) - mean) / np.maximum(spread, 1e-3) for table in tables]
    save(
        arrays={
            "skill_weights": softmax, "skill_bias": bias, "difficulty_weights": ridge,
            "difficulty_bias": np.array([offset]), "feature_mean": mean, "leverage": leverage,
            "feature_scale": np.maximum(spread, 1e-3), **fit_directions(tables, vectors),
        },
        report=report,
        counts={"benchmark_prompts": len(prompts), "everyday_prompts": len(everyday)},
    )  # fmt: skip


def everyday_prompts() -> list[dict[str, Any]]:
    with EVERYDAY.open() as file:
        rows = (line for line in file if not line.startswith("#"))
        lines = csv.reader(rows, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            {"text": text, "skill": Skill(skill), "difficulty": of_level(int(level)), "everyday": True}
            for skill, level, text in lines
        ]


def benchmark_prompts(folder: Path) -> list[dict[str, Any]]:
    """One row per prompt, with its difficulty on one scale, estimated over all tables (Rasch model)."""
    tables = []
    for name in SHIPPABLE:
        prompt_rows = pq.read_table(folder / f"{name}.prompts.parquet").to_pylist()
        outcomes = pq.read_table(folder / f"{name}.outcomes.parquet").to_pylist()
        tables.append((name, prompt_rows, outcomes))
    difficulty = difficulty_of(rasch([(name, row) for name, _, outcomes in tables for row in outcomes]))
    return [
        {
            "text": row["query"] or row["prompt"],
            "skill": skill_of(row["category"]),
            "difficulty": difficulty[name, row["prompt_id"]],
            "everyday": False,
        }
        for name, prompt_rows, _ in tables
        for row in prompt_rows
        if (name, row["prompt_id"]) in difficulty
    ]


def weights(rows: list[dict[str, Any]], skills: npt.NDArray[np.int64]) -> Matrix:
    """Everyday and benchmark prompts share the weight by EVERYDAY_SHARE, skills within by the root of n."""
    everyday = np.array([row["everyday"] for row in rows])
    weight = np.ones(len(rows))
    for group, share in ((everyday, EVERYDAY_SHARE), (~everyday, 1 - EVERYDAY_SHARE)):
        counts = np.bincount(skills[group], minlength=len(TEXT_SKILLS))
        part = 1 / np.sqrt(counts[skills[group]])
        weight[group] = part / part.sum() * share
    return weight * len(rows)


def cross_validate(
    x: Matrix, skills: npt.NDArray[np.int64], target: Matrix, weight: Matrix, n_everyday: int
) -> dict[str, float]:
    """Five folds over prompts: accuracy of skill, correlation and error of difficulty, for both kinds."""
    fold = np.random.default_rng(7).integers(0, 5, len(x))
    guess, label = np.zeros(len(x)), np.zeros(len(x), int)
    for k in range(5):
        train, test = fold != k, fold == k
        theta, bias = fit_softmax(x[train], skills[train], weight[train])
        label[test] = (x[test] @ theta + bias).argmax(axis=1)
        ridge, offset, _ = fit_ridge(x[train], target[train], weight[train])
        guess[test] = x[test] @ ridge + offset
    everyday = np.arange(len(x)) >= len(x) - n_everyday
    report: dict[str, float] = {}
    for name, rows in (("benchmark", ~everyday), ("everyday", everyday)):
        report[f"{name}_skill_accuracy"] = round(float((label == skills)[rows].mean()), 4)
        report[f"{name}_difficulty_correlation"] = round(
            float(np.corrcoef(guess[rows], target[rows])[0, 1]), 4
        )
        report[f"{name}_difficulty_rmse"] = round(float(np.sqrt(((guess - target)[rows] ** 2).mean())), 4)
    return report


def links() -> dict[str, dict[str, float]]:
    """Return each published metric as a line over overall Elo, on the models that have both."""
    published = json.loads(PRIORS.read_text())["models"]
    overall = {
        name: (score["value"] - REFERENCE_ELO) / 100
        for name, model in published.items()
        for score in model["scores"]
        if score["domain"] == "general" and score["metric"].startswith("Arena")
    }
    points: dict[str, list[tuple[float, float]]] = {}
    for name, model in published.items():
        for score in model["scores"]:
            if name in overall:
                key = f"{score['domain']}|{score['metric']}"
                points.setdefault(key, []).append((overall[name], scale(score["metric"], score["value"])))
    fitted = {key: _line(pairs) for key, pairs in sorted(points.items()) if len(pairs) >= LOCKSTEP_MODELS}
    return {key: line for key, line in fitted.items() if line is not None}


def _line(pairs: Iterable[tuple[float, float]]) -> dict[str, float] | None:
    """Geometric-mean regression: both figures are noisy, and least squares would flatten the slope for it."""
    x, y = np.array(list(pairs)).T
    correlation = float(np.corrcoef(x, y)[0, 1])
    if correlation < WEAKEST_LINK:
        return None
    slope = float(y.std() / x.std())
    intercept = float(y.mean() - slope * x.mean())
    noise = float(np.sqrt(((y - intercept - slope * x) ** 2).sum() / (len(x) - 2)))
    return {
        "intercept": round(intercept, 4),
        "slope": round(slope, 4),
        "noise": round(max(noise, 0.02), 4),
        "correlation": round(correlation, 3),
        "models": len(x),
    }


def save(arrays: dict[str, Matrix], report: dict[str, float], counts: dict[str, int]) -> None:
    artefact.FOLDER.mkdir(exist_ok=True)
    save_file(
        {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, artefact.WEIGHTS
    )
    card = {
        "version": "2026-11-24.1",
        "what": "skill classifier, prompt difficulty, directions of ability and score links of RoutePlex's "
        "decision",
        "made_by": "python -m bench.fit_decide --data DIR",
        "data": {"outcomes": list(SHIPPABLE), "everyday": EVERYDAY.name, "scores": PRIORS.name, **counts},
        "licences": "RouteLLM, MMLU-Pro, ZeroEval, evalplus: Apache-2.0; LLMRouter, RouterBench copy: MIT; "
        "Arena figures: CC BY 4.0, attribution Arena, arena.ai; everyday prompts: CC0",
        "embedding": "wordllama l2_supercat 256-d, MIT",
        "limits": "benchmark prompts are English exam questions and puzzles answered by models of 2023-2024; "
        "everyday prompts are few and rated by one hand; scripts other than Latin are hardly covered",
        "cross_validation": report,
        "skills": [str(skill) for skill in TEXT_SKILLS],
        "features": ["embedding", *features.HAND_FEATURES],
        "links": links(),
    }
    artefact.CARD.write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps({"cross_validation": report, **counts}, indent=1))


if __name__ == "__main__":
    main()
