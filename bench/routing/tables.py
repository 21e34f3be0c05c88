"""Reads outcome tables: which model answered which prompt how well, at what cost."""

import csv
import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FOLDS = 5
EVALUATE_ONLY = ("bfcl_2024_08",)  # no licence to ship what is fitted on it


@dataclass(frozen=True)
class Table:
    """One source. Matrices are (prompts, models); what was not tried or not measured is nan.

    `questions` is what is embedded (the query where there is one), `prompts` what was sent. `cost` in USD.
    `prices` are (models, 2) USD per token, input and output, from the rows whose cost is tokens × list price.
    """

    name: str
    prompts: list[str]
    questions: list[str]
    categories: list[str]
    fold: npt.NDArray[np.int64]  # by hash of the question: the same question is on one side everywhere
    models: list[str]
    new: list[bool]
    score: Matrix
    cost: Matrix
    output_tokens: Matrix
    prices: Matrix

    def rows(self, chosen: Mask) -> "Table":
        keep = np.flatnonzero(chosen)
        return Table(
            self.name,
            [self.prompts[i] for i in keep],
            [self.questions[i] for i in keep],
            [self.categories[i] for i in keep],
            self.fold[keep],
            self.models,
            self.new,
            self.score[keep],
            self.cost[keep],
            self.output_tokens[keep],
            self.prices,
        )

    def columns(self, names: Iterable[str]) -> "Table":
        keep = [self.models.index(name) for name in names]
        return Table(
            self.name,
            self.prompts,
            self.questions,
            self.categories,
            self.fold,
            [self.models[j] for j in keep],
            [self.new[j] for j in keep],
            self.score[:, keep],
            self.cost[:, keep],
            self.output_tokens[:, keep],
            self.prices[keep],
        )

    def complete(self) -> Mask:
        """The prompts that every model answered at a known cost."""
        return np.asarray(~(np.isnan(self.score) | np.isnan(self.cost)).any(axis=1))


def read(folder: Path, names: Iterable[str] | None = None) -> list[Table]:
    """All tables of a folder, or those named, in the order of their names."""
    stored = sorted(path.name.removesuffix(".prompts.parquet") for path in folder.glob("*.prompts.parquet"))
    return [_table(folder, name) for name in stored if names is None or name in set(names)]


def _table(folder: Path, name: str) -> Table:
    prompts = pq.read_table(folder / f"{name}.prompts.parquet").to_pylist()
    outcomes = pq.read_table(folder / f"{name}.outcomes.parquet").to_pylist()
    row = {prompt["prompt_id"]: i for i, prompt in enumerate(prompts)}
    new = {outcome["model"]: bool(outcome["new_model"]) for outcome in outcomes}
    models = sorted(new)
    column = {model: j for j, model in enumerate(models)}
    score, cost, tokens_in, tokens_out = np.full((4, len(prompts), len(models)), np.nan)
    listed = False
    for outcome in outcomes:
        at = row[outcome["prompt_id"]], column[outcome["model"]]
        score[at] = outcome["score"]
        for matrix, field in ((tokens_in, "input_tokens"), (tokens_out, "output_tokens")):
            if outcome[field] is not None:
                matrix[at] = outcome[field]
        if outcome["cost_usd"] is not None and outcome["cost_kind"] != "none":
            cost[at] = outcome["cost_usd"]
            listed = True
    return Table(
        name,
        [prompt["prompt"] for prompt in prompts],
        [prompt["query"] or prompt["prompt"] for prompt in prompts],
        [prompt["category"] for prompt in prompts],
        np.array([zlib.crc32(str(prompt["key"]).encode()) % FOLDS for prompt in prompts]),
        models,
        [new[model] for model in models],
        score,
        cost,
        tokens_out,
        np.array([_prices(cost[:, j], tokens_in[:, j], tokens_out[:, j]) for j in range(len(models))])
        if listed
        else np.full((len(models), 2), np.nan),
    )


def _prices(cost: Matrix, tokens_in: Matrix, tokens_out: Matrix) -> tuple[float, float]:
    """USD per input and output token that explain the costs; never negative."""
    known = ~np.isnan(cost) & ~np.isnan(tokens_in) & ~np.isnan(tokens_out)
    if known.sum() < 20:
        return float("nan"), float("nan")
    x = np.stack([tokens_in[known], tokens_out[known]], axis=1)
    (a, b), *_ = np.linalg.lstsq(x, cost[known], rcond=None)
    if a < 0 or b < 0:
        a = b = float(cost[known].sum() / x.sum())
    return float(a), float(b)


def published_scores(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """dataset → model → category → mean score, from the folder's aggregates file."""
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for path in sorted(folder.glob("aggregates*.csv.gz")):
        with gzip.open(path, "rt", newline="") as file:
            for row in csv.DictReader(file):
                by_model = scores.setdefault(row["dataset"], {})
                by_model.setdefault(row["model"], {})[row["category"]] = float(row["score"])
    return scores
