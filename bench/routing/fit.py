"""Fits a multidimensional item-response model on outcomes: prompts by their features, models by few numbers.

    logit P = base_m + shift[table] + own_shift[table, m] + x · (common + V u_m + own_m)

`common` makes a prompt hard for all models, `V` are K directions in which models differ, `u_m` is a model's
place along them, and `own_m` is what the outcomes show of that model alone. All have normal priors; Adam
finds the maximum a posteriori on all outcomes at once, which is deterministic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.routing.tables import Table
from routing.decide.prediction import features

Matrix = npt.NDArray[np.float64]

DIMENSIONS = 6  # 3 to 10 give the same figures within their intervals (docs/routing-lab.md)
STEPS = 250
RATE, RATE_OF_WEIGHTS = 0.03, 0.01
# Prior precisions, chosen on folds of dev (docs/routing-lab.md has the figures beside these).
PRECISION = {
    "base": 0.25,
    "shift": 0.25,
    "own_shift": 0.1,
    "common": 2000.0,
    "own": 20_000.0,
    "u": 1.0,
    "v": 15_000.0,
}
CROWD = 0.8  # a prompt's n outcomes weigh n^(1 - CROWD): what is hard about it is one observation, not n
LABEL_STEPS, LABEL_RIDGE = 150, 3.0


@dataclass(frozen=True)
class Scaling:
    """Features to zero mean and unit spread; the embedding keeps its shape."""

    mean: Matrix
    spread: Matrix

    @classmethod
    def of(cls, x: Matrix) -> "Scaling":
        spread = x.std(axis=0)
        spread[: features.N_EMBEDDING] = spread[: features.N_EMBEDDING].mean()
        return cls(x.mean(axis=0), np.maximum(spread, 1e-3))

    def __call__(self, x: Matrix) -> Matrix:
        scaled: Matrix = (x - self.mean) / self.spread
        return scaled


@dataclass(frozen=True)
class Items:
    """The fitted parameters: arrays over models (M), tables (T) and features (D)."""

    models: dict[str, int]
    tables: dict[str, int]
    base: Matrix  # (M,)
    shift: Matrix  # (T,)
    own_shift: Matrix  # (T, M)
    common: Matrix  # (D,)
    own: Matrix  # (M, D)
    u: Matrix  # (M, K)
    v: Matrix  # (K, D)

    def weights(self, model: int) -> Matrix:
        weights: Matrix = self.common + self.u[model] @ self.v + self.own[model]
        return weights


def embed(questions: Sequence[str]) -> Matrix:
    """(n, D) feature vectors of bare questions, as the product makes them."""
    return np.stack([features.vector(question) for question in questions]).astype(np.float64)


def model_key(name: str) -> str:
    """Return one name for the same model in several tables."""
    return name.rsplit("/", 1)[-1].lower()


def fit_items(tables: Sequence[Table], xs: Sequence[Matrix]) -> Items:
    """`xs`: scaled features of each table's prompts."""
    models = {
        key: i for i, key in enumerate(sorted({model_key(name) for table in tables for name in table.models}))
    }
    columns = [np.array([models[model_key(name)] for name in table.models]) for table in tables]
    known = [~np.isnan(table.score) for table in tables]
    score = [np.nan_to_num(table.score) for table in tables]
    heed = [mask / max(1.0, mask.sum(axis=1).mean()) ** CROWD for mask in known]
    depth, m, t = xs[0].shape[1], len(models), len(tables)
    random = np.random.default_rng(0)
    at = {
        "base": np.zeros(m),
        "shift": np.zeros(t),
        "own_shift": np.zeros((t, m)),
        "common": np.zeros(depth),
        "own": np.zeros((m, depth)),
        "u": random.normal(0, 0.1, (m, DIMENSIONS)),
        "v": random.normal(0, 0.05, (DIMENSIONS, depth)),
    }
    moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in at.items()}
    for step in range(1, STEPS + 1):
        slope = {name: PRECISION[name] * value for name, value in at.items()}
        for i, (x, y, weight, column) in enumerate(zip(xs, score, heed, columns, strict=True)):
            lean = at["common"] + at["u"][column] @ at["v"] + at["own"][column]
            logit = x @ lean.T + at["base"][column] + at["shift"][i] + at["own_shift"][i, column]
            error = (1 / (1 + np.exp(-logit)) - y) * weight
            # Two names of one table can be one model: add, not assign.
            np.add.at(slope["base"], column, error.sum(axis=0))
            np.add.at(slope["own_shift"][i], column, error.sum(axis=0))
            slope["shift"][i] += error.sum()
            along = error.T @ x
            slope["common"] += along.sum(axis=0)
            np.add.at(slope["own"], column, along)
            np.add.at(slope["u"], column, along @ at["v"].T)
            slope["v"] += at["u"][column].T @ along
        pace = min(1.0, (STEPS - step + 1) / (0.4 * STEPS))
        for name, value in at.items():
            first, second = moments[name]
            first += 0.1 * (slope[name] - first)
            second += 0.02 * (slope[name] ** 2 - second)
            rate = pace * (RATE_OF_WEIGHTS if name in ("common", "own", "v") else RATE)
            value -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.98**step)) + 1e-6)
    return Items(models, {table.name: i for i, table in enumerate(tables)}, **at)


def fit_labels(x: Matrix, labels: npt.NDArray[np.int64], n_labels: int) -> tuple[Matrix, Matrix]:
    """Multinomial logistic regression, prompts of rare labels weighing more: weights (D, L) and bias (L,)."""
    count = np.bincount(labels, minlength=n_labels)
    weight = 1 / np.sqrt(np.maximum(count, 1))[labels]
    weight /= weight.sum()
    onehot = np.eye(n_labels)[labels]
    theta, bias = np.zeros((x.shape[1], n_labels)), np.zeros(n_labels)
    ahead, ahead_bias = theta.copy(), bias.copy()
    lipschitz = 0.5 * float(np.linalg.eigvalsh((x * weight[:, None]).T @ x)[-1]) + 0.5
    for step in range(LABEL_STEPS):
        logits = x @ ahead + ahead_bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (odds / odds.sum(axis=1, keepdims=True) - onehot) * weight[:, None]
        new = ahead - (x.T @ error + LABEL_RIDGE / len(x) * ahead) / lipschitz
        new_bias = ahead_bias - error.sum(axis=0) / lipschitz
        momentum = step / (step + 3)
        ahead, ahead_bias = new + momentum * (new - theta), new_bias + momentum * (new_bias - bias)
        theta, bias = new, new_bias
    return theta, bias
