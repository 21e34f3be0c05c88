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

from routing.decide import artefact, features
from routing.decide.difficulty import ORDINARY
from routing.decide.skill_table import REFERENCE_ELO, scale
from routing.decide.skills import TEXT_SKILLS, Skill

Matrix = npt.NDArray[np.float64]

SHIPPABLE = (
    "routellm_mmlu", "routellm_gsm8k", "mmlu_pro", "zeroeval_gsm8k", "zeroeval_crux", "llmrouter_mix",
    "routerbench", "evalperf_code",
)  # fmt: skip
EVERYDAY = Path(__file__).parent / "everyday_prompts.tsv"
PRIORS = Path(__file__).parent.parent / "routing/catalog/data/quality_priors.json"
LEVELS = {1: -4.0, 2: -2.5, 3: ORDINARY, 4: 0.0, 5: 1.5}  # rated level → logits on the difficulty scale
ZERO_AT = ("mmlu_pro",)  # benchmark whose mean difficulty is called 0
EVERYDAY_SHARE = 0.5  # of the total weight, so that 237 prompts are heard beside 26,000
SKILL_RIDGE, DIFFICULTY_RIDGE = 1.0, 30.0  # chosen by 5-fold cross-validation on prompts, printed in the card
LOCKSTEP_MODELS = 6  # a link needs that many models with both figures …
WEAKEST_LINK = 0.3  # … and this correlation: hallucination rates have none with ability and stay out

_MATH_TOPICS = {
    "math",
    "abstract_algebra",
    "college_mathematics",
    "high_school_mathematics",
    "high_school_statistics",
}
_PROFESSIONAL = (
    "law", "business", "health", "psychology", "economics", "other", "accounting", "medicine", "clinical",
    "nutrition", "marketing", "management", "econometrics", "macro", "micro", "security", "virology",
    "human_aging", "sexuality", "anatomy", "jurisprudence", "public_relations", "medical",
)  # fmt: skip
_HUMAN = (
    "history", "philosophy", "moral", "religion", "geography", "government", "sociology", "miscellaneous",
    "facts", "foreign", "trivia", "natural_qa", "prehistory",
)  # fmt: skip
_FAMILY = {
    "gsm": Skill.ARITHMETIC, "gsm8k": Skill.ARITHMETIC, "agentverse-mgsm": Skill.ARITHMETIC,
    "elementary_mathematics": Skill.ARITHMETIC, "crux": Skill.CODING, "mbpp": Skill.CODING,
    "Mbpp": Skill.CODING, "HumanEval": Skill.CODING, "human_eval": Skill.CODING,
    "commonsense_qa": Skill.REASONING,
    "winogrande": Skill.REASONING, "agentverse-logicgrid": Skill.REASONING, "formal_logic": Skill.REASONING,
    "logical_fallacies": Skill.REASONING, "commongen": Skill.WRITING,
}  # fmt: skip


def skill_of(category: str) -> Skill:
    """The skill a benchmark category asks for; what is neither named nor matched is science."""
    if category in _FAMILY:
        return _FAMILY[category]
    if category in _MATH_TOPICS:
        return Skill.COMPETITION_MATH
    if any(word in category for word in _HUMAN):
        return Skill.HUMANITIES
    return Skill.PROFESSIONAL if any(word in category for word in _PROFESSIONAL) else Skill.SCIENCE


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
    save(
        arrays={
            "skill_weights": softmax, "skill_bias": bias, "difficulty_weights": ridge,
            "difficulty_bias": np.array([offset]), "feature_mean": mean, "leverage": leverage,
            "feature_scale": np.maximum(spread, 1e-3),
        },
        report=report,
        counts={"benchmark_prompts": len(prompts), "everyday_prompts": len(everyday)},
    )  # fmt: skip


def everyday_prompts() -> list[dict[str, Any]]:
    with EVERYDAY.open() as file:
        rows = (line for line in file if not line.startswith("#"))
        lines = csv.reader(rows, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [
            {"text": text, "skill": Skill(skill), "difficulty": LEVELS[int(level)], "everyday": True}
            for skill, level, text in lines
        ]


def benchmark_prompts(folder: Path) -> list[dict[str, Any]]:
    """One row a prompt with its difficulty on one scale, estimated jointly over all tables (Rasch model)."""
    tables = []
    for name in SHIPPABLE:
        asked = pq.read_table(folder / f"{name}.prompts.parquet").to_pylist()
        outcomes = pq.read_table(folder / f"{name}.outcomes.parquet").to_pylist()
        tables.append((name, asked, outcomes))
    difficulty = rasch([(name, row) for name, _, outcomes in tables for row in outcomes])
    zero = np.mean([d for (name, _), d in difficulty.items() if name in ZERO_AT])
    return [
        {
            "text": row["query"] or row["prompt"],
            "skill": skill_of(row["category"]),
            "difficulty": float(np.clip(difficulty[name, row["prompt_id"]] - zero, -4.5, 3.0)),
            "everyday": False,
        }
        for name, asked, _ in tables
        for row in asked
        if (name, row["prompt_id"]) in difficulty
    ]


def rasch(outcomes: list[tuple[str, dict[str, Any]]]) -> dict[tuple[str, Any], float]:
    """Difficulty per (table, prompt) in logits, with abilities shared by models that several tables have.

    Alternating damped Newton steps on P(correct) = σ(ability − difficulty), both with normal priors; a
    prompt's prior is its table's mean, because a prompt two models answered says little alone.
    """
    prompt_keys = {
        key: i for i, key in enumerate(dict.fromkeys((n, row["prompt_id"]) for n, row in outcomes))
    }
    models = {key: i for i, key in enumerate(dict.fromkeys(_model(row) for _, row in outcomes))}
    names = list(dict.fromkeys(n for n, _ in outcomes))
    p = np.array([prompt_keys[n, row["prompt_id"]] for n, row in outcomes])
    m = np.array([models[_model(row)] for _, row in outcomes])
    y = np.array([row["score"] for _, row in outcomes], float)
    table = np.array([names.index(n) for n, _ in prompt_keys])
    ability, hard = np.zeros(len(models)), np.zeros(len(prompt_keys))
    for _ in range(60):
        centre = np.bincount(table, hard) / np.bincount(table)
        guess = 1 / (1 + np.exp(hard[p] - ability[m]))
        curve = guess * (1 - guess)
        step = np.bincount(p, guess - y, len(hard)) - (hard - centre[table]) / 1.5**2
        hard += 0.7 * step / (np.bincount(p, curve, len(hard)) + 1 / 1.5**2)
        guess = 1 / (1 + np.exp(hard[p] - ability[m]))
        step = np.bincount(m, y - guess, len(ability)) - ability / 2**2
        ability += 0.7 * step / (np.bincount(m, guess * (1 - guess), len(ability)) + 1 / 2**2)
    return {key: float(hard[i]) for key, i in prompt_keys.items()}


def _model(row: dict[str, Any]) -> str:
    return str(row["model"]).rsplit("/", 1)[-1].lower()


def weights(rows: list[dict[str, Any]], skills: npt.NDArray[np.int64]) -> Matrix:
    """Everyday and benchmark prompts share the weight by EVERYDAY_SHARE, skills within by the root of n."""
    everyday = np.array([row["everyday"] for row in rows])
    weight = np.ones(len(rows))
    for group, share in ((everyday, EVERYDAY_SHARE), (~everyday, 1 - EVERYDAY_SHARE)):
        counts = np.bincount(skills[group], minlength=len(TEXT_SKILLS))
        part = 1 / np.sqrt(counts[skills[group]])
        weight[group] = part / part.sum() * share
    return weight * len(rows)


def fit_softmax(x: Matrix, labels: npt.NDArray[np.int64], weight: Matrix) -> tuple[Matrix, Matrix]:
    """Multinomial logistic regression by Nesterov-accelerated gradient descent with an L2 penalty."""
    n, k = len(x), len(TEXT_SKILLS)
    onehot = np.eye(k)[labels]
    theta, bias = np.zeros((x.shape[1], k)), np.zeros(k)
    ahead, ahead_bias = theta.copy(), bias.copy()
    total = weight.sum()
    lipschitz = 0.5 * np.linalg.eigvalsh((x * weight[:, None]).T @ x / total)[-1] + 0.5
    for step in range(400):
        logits = x @ ahead + ahead_bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (odds / odds.sum(axis=1, keepdims=True) - onehot) * weight[:, None] / total
        new = ahead - (x.T @ error + SKILL_RIDGE / n * ahead) / lipschitz
        new_bias = ahead_bias - error.sum(axis=0) / lipschitz
        momentum = step / (step + 3)
        ahead, ahead_bias = new + momentum * (new - theta), new_bias + momentum * (new_bias - bias)
        theta, bias = new, new_bias
    return theta, bias


def fit_ridge(x: Matrix, target: Matrix, weight: Matrix) -> tuple[Matrix, float, Matrix]:
    """Weights, offset, and the matrix whose quadratic form is a prompt's leverage (distance from the fit)."""
    offset = float(np.average(target, weights=weight))
    gram = (x * weight[:, None]).T @ x + DIFFICULTY_RIDGE * np.eye(x.shape[1])
    inverse: Matrix = np.linalg.inv(gram).astype(np.float64)
    return inverse @ ((x * weight[:, None]).T @ (target - offset)), offset, inverse


def cross_validate(
    x: Matrix, skills: npt.NDArray[np.int64], target: Matrix, weight: Matrix, n_everyday: int
) -> dict[str, float]:
    """Five folds over prompts: skill accuracy, difficulty's correlation and error, apart for both kinds."""
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
    """Each published metric as a line over overall Elo, on the models that have both (spec/routing.md §4)."""
    published = json.loads(PRIORS.read_text())["models"]
    overall = {
        name: (score["value"] - REFERENCE_ELO) / 100
        for name, model in published.items()
        for score in model["scores"]
        if score["domain"] == "general" and score["metric"].startswith("Arena")
    }
    seen: dict[str, list[tuple[float, float]]] = {}
    for name, model in published.items():
        for score in model["scores"]:
            if name in overall:
                key = f"{score['domain']}|{score['metric']}"
                seen.setdefault(key, []).append((overall[name], scale(score["metric"], score["value"])))
    fitted = {key: _line(pairs) for key, pairs in sorted(seen.items()) if len(pairs) >= LOCKSTEP_MODELS}
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
        "version": "2026-11-23.1",
        "what": "skill classifier, prompt difficulty and score links of RoutePlex's decision",
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
