"""The fits behind the shipped artefact: a prompt's skill, its difficulty, and the directions of ability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.routing.fit import fit_items
from bench.routing.tables import Table
from routing.decide.prediction.difficulty import EASIEST, HARDEST
from routing.decide.prediction.skills import SKILLS, TEXT_SKILLS, Skill

Matrix = npt.NDArray[np.float64]

ZERO_AT = ("mmlu_pro",)  # the benchmark whose mean difficulty is 0
SKILL_RIDGE, DIFFICULTY_RIDGE = 1.0, 30.0  # chosen by 5-fold cross-validation on prompts, printed in the card
HEARD_FROM = 50  # prompts of a skill from which the directions count for it
SKILL_NOISE = 0.25  # logits, sd of a skill score around the value its model's place predicts

_MATH_TOPICS = {
    "math", "abstract_algebra", "college_mathematics", "high_school_mathematics", "high_school_statistics",
    "aime", "algebra", "prealgebra", "intermediate_algebra", "precalculus", "geometry", "number_theory",
    "counting_and_probability",
}  # fmt: skip
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
    "humaneval": Skill.CODING, "human_eval": Skill.CODING,
    "commonsense_qa": Skill.REASONING,
    "winogrande": Skill.REASONING, "agentverse-logicgrid": Skill.REASONING, "formal_logic": Skill.REASONING,
    "logical_fallacies": Skill.REASONING, "commongen": Skill.WRITING,
}  # fmt: skip


def skill_of(category: str) -> Skill:
    """Return the skill of a benchmark category; science for one that is neither named nor matched."""
    category = category.lower()
    if category in _FAMILY:
        return _FAMILY[category]
    if category in _MATH_TOPICS:
        return Skill.COMPETITION_MATH
    if any(word in category for word in _HUMAN):
        return Skill.HUMANITIES
    return Skill.PROFESSIONAL if any(word in category for word in _PROFESSIONAL) else Skill.SCIENCE


def difficulty_of(hard: dict[tuple[str, Any], float]) -> dict[tuple[str, Any], float]:
    """Rasch difficulties on the scale that is 0 at ZERO_AT's mean (at the mean of all without it)."""
    zero = np.mean([d for (name, _), d in hard.items() if name in ZERO_AT] or list(hard.values()))
    return {key: float(np.clip(d - zero, EASIEST, HARDEST)) for key, d in hard.items()}


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


def fit_directions(tables: Sequence[Table], vectors: Sequence[Matrix]) -> dict[str, Matrix]:
    """Fit the arrays of `routing.decide.prediction.item_response`. `vectors`: each table's scaled features.

    An arm's place is the maximum a posteriori given its skill logits, modelled as a constant of the arm plus
    centres · place with noise SKILL_NOISE. The prior of places is that of the fitted models.
    """
    items = fit_items(tables, vectors)
    x = np.concatenate(vectors)
    of_skill = np.array([SKILLS.index(skill_of(c)) for table in tables for c in table.categories])
    heard = np.bincount(of_skill, minlength=len(SKILLS)) >= HEARD_FROM
    centres = np.zeros((len(SKILLS), len(items.v)))
    for skill in np.flatnonzero(heard):
        centres[skill] = items.v @ x[of_skill == skill].mean(axis=0)
    evidence = np.concatenate([np.ones((heard.sum(), 1)), centres[heard]], axis=1) / SKILL_NOISE
    precision = np.zeros((evidence.shape[1], evidence.shape[1]))
    precision[0, 0] = 0.1
    precision[1:, 1:] = np.linalg.inv(np.cov(items.u.T) + 0.05 * np.eye(len(items.v)))
    place = np.zeros_like(centres)
    place[heard] = np.linalg.solve(evidence.T @ evidence + precision, evidence.T / SKILL_NOISE)[1:].T
    return {"directions": items.v, "centres": centres, "place": place, "heard": heard.astype(float)}
