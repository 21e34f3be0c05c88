"""The product's predictor refitted on training prompts: the decision's own functions, scores alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.routing.fit import Scaling
from bench.routing.heads import difficulty_of, fit_directions, fit_ridge, fit_softmax, rasch, skill_of
from bench.routing.tables import Table
from routing.decide.prediction import difficulty, item_response, skills
from routing.decide.prediction.artefact import Array, Fitted
from routing.decide.prediction.tokens import count_o200k

Matrix = npt.NDArray[np.float64]

SURE = 0.01  # a score of 0 or 1 counts as this far from it
SHRUNK = 1.0  # in scores: one to three categories say little about a skill (docs/routing-lab.md)
READ = 1.0  # all prompts of the tables are in Latin script


@dataclass(frozen=True)
class Shipped:
    """Fitted like `bench.fit_decide`, without its everyday prompts. Predicts like `Predictor`."""

    fit: Fitted
    hardness: Mapping[str, float]  # by category and by skill: mean estimate on the prompts fitted on
    answer: Matrix  # (n_text_skills,) mean output tokens

    @classmethod
    def of(cls, tables: Sequence[Table], xs: Sequence[Matrix]) -> "Shipped":
        """`xs`: the tables' unscaled features."""
        scaling = Scaling.of(np.concatenate(xs))
        scaled = [scaling(x) for x in xs]
        x = np.concatenate(scaled)
        categories = [category for table in tables for category in table.categories]
        labels = np.array([skills.TEXT_SKILLS.index(skill_of(category)) for category in categories])
        weight = 1 / np.sqrt(np.bincount(labels, minlength=len(skills.TEXT_SKILLS)))[labels]
        weight *= len(x) / weight.sum()
        target, answered = _difficulty(tables)
        softmax, bias = fit_softmax(x, labels, weight)
        ridge, offset, leverage = fit_ridge(x[answered], target, weight[answered])
        arrays = {
            "skill_weights": softmax, "skill_bias": bias, "difficulty_weights": ridge, "leverage": leverage,
            "feature_mean": scaling.mean, "feature_scale": scaling.spread, **fit_directions(tables, scaled),
        }  # fmt: skip
        fit = Fitted(
            version="bench", difficulty_bias=offset, links={},
            **{name: array.astype(np.float32) for name, array in arrays.items()},
        )  # fmt: skip
        known = _estimates(x.astype(np.float32), fit)
        groups = {name: np.array(categories) == name for name in set(categories)}
        groups |= {str(skill): labels == i for i, skill in enumerate(skills.TEXT_SKILLS)}
        hardness = {name: float(known[rows].mean()) for name, rows in groups.items() if rows.any()}
        return cls(fit, hardness, _answer(tables, labels))

    def predict_from(
        self, x: Matrix, prompts: Sequence[str], models: Sequence[Mapping[str, Any]]
    ) -> tuple[Matrix, Matrix]:
        """(n, m) success probabilities and (n, m) cost in USD. `models`: see `Predictor.predict`."""
        table = np.stack([self._skill_logits(model.get("scores", {})) for model in models])
        deviations = table - table.mean(axis=0)
        place = item_response.places(deviations, self.fit)
        success = 1 / (1 + np.exp(-table))
        p, usd = [], []
        for row, prompt in zip(x.astype(np.float32), prompts, strict=True):
            scaled = self.fit.scale(row)
            known = difficulty.familiarity(scaled, self.fit)
            mix = skills.mix(scaled, READ, 0, 0, self.fit)
            hard = difficulty.of_question(scaled, READ, known, self.fit)
            share = success @ mix.astype(np.float64)
            logit = np.log(share / (1 - share)) - hard
            p.append(1 / (1 + np.exp(-logit - item_response.term(scaled, mix, known, place, self.fit))))
            size, answer = count_o200k(prompt), float(mix[: len(self.answer)] @ self.answer)
            paid = [model["usd_per_mtok"] for model in models]
            usd.append([(size * price["input"] + answer * price["output"]) / 1e6 for price in paid])
        return np.stack(p), np.array(usd)

    def mixes(self, x: Matrix) -> Matrix:
        """(n, n_skills) predicted shares of each skill. `x`: the questions' unscaled features."""
        rows = [skills.mix(self.fit.scale(row), READ, 0, 0, self.fit) for row in x.astype(np.float32)]
        return np.stack(rows).astype(np.float64)

    def _skill_logits(self, scores: Mapping[str, float]) -> Matrix:
        """(n_skills,) at difficulty 0: a score is brought there from its category's own difficulty.

        Even odds for a model without scores.
        """
        logits: dict[int, list[float]] = {}
        for category, score in scores.items():
            skill = _skill(category)
            at = self.hardness.get(_last(category), self.hardness.get(str(skill), difficulty.ORDINARY))
            logits.setdefault(skills.INDEX[skill], []).append(_logit(score) + at)
        by_skill = np.full(len(skills.SKILLS), np.mean(list(chain(*logits.values())) or [0.0]))
        for place, values in logits.items():
            by_skill[place] = np.mean(values)
        return by_skill


def by_skill(scores: Mapping[str, float]) -> Matrix:
    """(n_skills,) mean score of a skill's categories and of `SHRUNK` more at the mean of all."""
    of_skill = [skills.INDEX[_skill(category)] for category in scores]
    values = np.array(list(scores.values()))
    count = np.bincount(of_skill, minlength=len(skills.SKILLS))
    total = np.bincount(of_skill, values, len(skills.SKILLS))
    return np.asarray((total + SHRUNK * values.mean()) / (count + SHRUNK))


def _last(key: str) -> str:
    """The category of "table/category"."""
    return key.rsplit("/", 1)[-1]


def _skill(key: str) -> skills.Skill:
    """The skill of a category, of a table with one category (zeroeval_gsm8k), or of "table/category"."""
    parts = (_last(key), *re.split(r"[^a-zA-Z0-9]+", _last(key)))
    candidates = (skill_of(part) for part in parts)
    return next((skill for skill in candidates if skill is not skills.Skill.SCIENCE), skills.Skill.SCIENCE)


def _logit(score: float) -> float:
    p = min(max(score, SURE), 1 - SURE)
    return float(np.log(p / (1 - p)))


def _difficulty(tables: Sequence[Table]) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Difficulties of the prompts with outcomes, and a mask of those prompts."""
    outcomes = [
        (table.name, {"prompt_id": i, "model": table.models[j], "score": table.score[i, j]})
        for table in tables
        for i, j in np.argwhere(~np.isnan(table.score))
    ]
    hard = difficulty_of(rasch(outcomes))
    keys = [(table.name, i) for table in tables for i in range(len(table.questions))]
    return np.array([hard[key] for key in keys if key in hard]), np.array([key in hard for key in keys])


def _estimates(scaled: Array, fit: Fitted) -> Matrix:
    return np.array(
        [difficulty.of_question(row, READ, difficulty.familiarity(row, fit), fit) for row in scaled]
    )


def _answer(tables: Sequence[Table], labels: npt.NDArray[np.int64]) -> Matrix:
    written = np.concatenate([_row_means(table.output_tokens) for table in tables])
    overall = float(np.nanmean(written))
    by_skill = [written[labels == i] for i in range(len(skills.TEXT_SKILLS))]
    return np.array([np.nanmean(tokens) if np.isfinite(tokens).any() else overall for tokens in by_skill])


def _row_means(tokens: Matrix) -> Matrix:
    known = np.isfinite(tokens)
    count = known.sum(axis=1)
    total = np.where(known, tokens, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
