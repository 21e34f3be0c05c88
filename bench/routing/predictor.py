"""Predicts success and cost of any prompt on any model, from outcomes or from published scores alone."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.routing.fit import Items, Scaling, embed, fit_items, fit_labels, model_key
from bench.routing.shipped import Shipped, by_skill
from bench.routing.tables import EVALUATE_ONLY, Table, read
from routing.decide.prediction.tokens import count_o200k

Matrix = npt.NDArray[np.float64]

SCORED = 150.0  # outcomes a published category score is worth; most are means over 100 to 1,000 prompts
LEFT_OVER = 40.0  # prior precision of what a category's score says beyond the model's place
FAMILY_FLOOR = 0.01  # no family is ruled out by the classifier
OWN_LEFT_OVER = 5.0  # the same of a model whose outcomes are known, against their information
TOKEN_RIDGE = 300.0
SHIPPED = 0.5  # weight of what ships in the log odds of models known by scores alone, or on strange prompts …
SHIPPED_EVIDENT = 0.25  # … and of models whose outcomes are known, elsewhere (docs/routing-lab.md)
NEWTON_STEPS = 12
# Weight, in the log odds, of published scores that no outcomes fitted on explain, on prompts that belong to
# them. Chosen with each table and each family of tables left out (docs/routing-lab.md).
FOREIGN = 0.9
# Prior probability, at most, that a prompt belongs to them if the model has outcomes too: even odds with its
# own families. .8 predicts left-out families no better, and prompts like the model's outcomes worse.
MOST_FOREIGN = 0.5
# Power of the prior's odds: a table's scores come together, so most of them speak for all. With 1,
# routerbench by scores alone loses .004 of AIQ.
SHARPNESS = 3.0
# A score whose name only resembles a category (gsm, gsm8k) is of another test if it is further than this from
# the mean of the model's outcomes there.
AGREES = 0.02
FEWEST_OUTCOMES = 10  # of a model in a category for their mean to count as its score there


@dataclass(frozen=True)
class _Placed:
    """A model as predictions need it: logit = base + shift(family) + extra(category) + x · lean."""

    base: float
    lean: Matrix  # (D,)
    shift: Matrix  # (T,) by table; nan where nothing is known of the model there
    extra: Matrix  # (L,) by category
    tokens: float  # added to the log of output tokens


class Predictor:
    """Fitted on outcome tables; see `predict`."""

    def __init__(self, tables: Sequence[Table], xs: Sequence[Matrix] | None = None) -> None:
        """`xs`: the tables' unscaled features when they are at hand, else they are made."""
        raw = list(xs) if xs is not None else [embed(table.questions) for table in tables]
        self._scaling = Scaling.of(np.concatenate(raw))
        scaled = [self._scaling(x) for x in raw]
        self._items: Items = fit_items(tables, scaled)
        self._labels = sorted({(table.name, c) for table in tables for c in table.categories})
        number = {label: i for i, label in enumerate(self._labels)}
        labels = np.array([number[table.name, c] for table in tables for c in table.categories])
        self._theta, self._bias = fit_labels(np.concatenate(scaled), labels, len(self._labels))
        self._of_table = np.array([self._items.tables[name] for name, _ in self._labels])
        self._anchors = {
            number[table.name, category]: x[np.array([c == category for c in table.categories])]
            for table, x in zip(tables, scaled, strict=True)
            for category in set(table.categories)
        }
        self._tables_of_model = {
            key: {self._items.tables[t.name] for t in tables if key in map(model_key, t.models)}
            for key in self._items.models
        }
        self._left_over = self._beyond_the_place(tables, scaled, labels)
        self._fit_strangeness(tables, scaled)
        theta = np.concatenate([self._items.base[:, None], self._items.u], axis=1)
        self._prior_mean = theta.mean(axis=0)
        self._prior_precision = np.linalg.inv(np.cov(theta.T) + 0.05 * np.eye(theta.shape[1]))
        self._fit_tokens(tables, scaled)
        self.shipped = Shipped.of(tables, raw)
        self._means = _category_means(tables)

    def predict(self, prompts: Sequence[str], models: Sequence[Mapping[str, Any]]) -> tuple[Matrix, Matrix]:
        """(n, m) success probabilities and (n, m) expected cost in USD.

        `models`: `{"id", "scores": {category: mean success}, "usd_per_mtok": {"input", "output"}}`. An id
        seen in the fit uses its per-prompt evidence; any other is known by its scores alone, whose keys are
        categories, tables or "table/category".
        """
        return self.predict_from(embed(prompts), prompts, models)

    def predict_from(
        self, x: Matrix, prompts: Sequence[str], models: Sequence[Mapping[str, Any]]
    ) -> tuple[Matrix, Matrix]:
        """As `predict`, with the questions' unscaled features given: a prompt can be more than that."""
        raw, x = x, self._scaling(x)
        category = self._mix(x)
        family = np.zeros((len(x), len(self._items.tables)))
        np.add.at(family.T, self._of_table, category.T)
        placed = [self._place(model) for model in models]
        logits = np.stack([_logit(x, family, category, placed_model) for placed_model in placed], axis=1)
        size = np.array([count_o200k(prompt) for prompt in prompts], float)
        answer = np.clip(x @ self._token_weights + self._token_bias, 0.0, 9.0)
        usd = [
            (
                size * model["usd_per_mtok"]["input"]
                + np.exp(answer + placed_model.tokens) * model["usd_per_mtok"]["output"]
            )
            / 1e6
            for model, placed_model in zip(models, placed, strict=True)
        ]
        p = 1 / (1 + np.exp(-logits))
        strange = self._strangeness(x)[:, None]
        share, shipped = self._as_shipped(raw, prompts, models, strange)
        logit = (1 - share) * _log_odds(p) + share * _log_odds(shipped)
        mix = self.shipped.mixes(raw)
        for j, model in enumerate(models):
            foreign = self._foreign(model)
            if foreign:
                weight = FOREIGN * self._belongs(model, foreign, strange[:, 0], family)
                score = mix @ by_skill(foreign)
                logit[:, j] = (1 - weight) * logit[:, j] + weight * _log_odds(score)
        return _sigmoid(logit), np.stack(usd, axis=1)

    def _foreign(self, model: Mapping[str, Any]) -> dict[str, float]:
        """The model's scores that none of the outcomes it is known by explain."""
        key, scores = model_key(str(model["id"])), self._scores(model)
        if key not in self._items.models:
            if len(scores) == 1 and not any(self._named(name) for name in scores):
                return scores
            return {name: score for name, score in scores.items() if not self._meant(name, scores)}
        return {
            name: score
            for name, score in scores.items()
            if not any(self._explains(key, label, name, score) for label in self._meant(name, scores))
        }

    def _explains(self, key: str, label: int, name: str, score: float) -> bool:
        """The model's outcomes in the category overrule the score: it has that name, or agrees with them."""
        if int(self._of_table[label]) not in self._tables_of_model[key]:
            return False
        table, category = self._labels[label]
        mean = self._means.get(key, {}).get(f"{table}/{category}", score)
        named = label in self._named(name) or _is_same(name, category)
        return named or abs(score - mean) <= AGREES

    def _belongs(
        self, model: Mapping[str, Any], foreign: Mapping[str, float], strange: Matrix, family: Matrix
    ) -> Matrix:
        """(n,) probability that a prompt belongs to the foreign scores and not to the model's other evidence.

        The prior comes from their share of its scores. A prompt speaks for them when it is like no category
        fitted on, or like those of tables without outcomes of the model.
        """
        tables = self._tables_of_model.get(model_key(str(model["id"])))
        at_home = family[:, sorted(tables)].sum(axis=1) if tables is not None else 1.0
        unlike = np.clip(1 - (1 - strange) * at_home, 1e-6, 1 - 1e-6)
        share = len(foreign) / len(model["scores"])
        if tables is not None:
            share = min(share, MOST_FOREIGN)
        odds = (share / max(1 - share, 1e-9)) ** SHARPNESS
        result: Matrix = unlike * odds / (unlike * odds + 1 - unlike)
        return result

    def _as_shipped(
        self, raw: Matrix, prompts: Sequence[str], models: Sequence[Mapping[str, Any]], strange: Matrix
    ) -> tuple[Matrix, Matrix]:
        """The shipped form's predictions, (n, m), and their weight; a model's outcomes replace its scores."""
        keys = [model_key(str(model["id"])) for model in models]
        known = [
            {**model, "scores": _overruled(model.get("scores", {}), self._means.get(key, {}))}
            for key, model in zip(keys, models, strict=True)
        ]
        evident = np.array([key in self._means for key in keys])
        share = np.where(evident, SHIPPED_EVIDENT + (SHIPPED - SHIPPED_EVIDENT) * strange, SHIPPED)
        share = share * np.array([bool(model["scores"]) for model in known])
        return share, self.shipped.predict_from(raw, prompts, known)[0]

    def _mix(self, x: Matrix) -> Matrix:
        logits = x @ self._theta + self._bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Matrix = odds / odds.sum(axis=1, keepdims=True)
        return result

    def _place(self, model: Mapping[str, Any]) -> _Placed:
        key = model_key(str(model["id"]))
        if key in self._items.models:
            return self._evident(self._items.models[key], self._tables_of_model[key])
        return self._published(self._scores(model))

    def _scores(self, model: Mapping[str, Any]) -> dict[str, float]:
        return {str(name): float(score) for name, score in model.get("scores", {}).items()}

    def _evident(self, m: int, tables: set[int]) -> _Placed:
        shift = np.full(len(self._items.tables), np.nan)
        for t in tables:
            shift[t] = self._items.shift[t] + self._items.own_shift[t, m]
        return _Placed(
            float(self._items.base[m]),
            self._items.weights(m),
            shift,
            self._left_over[m],
            float(self._token_offset[m]),
        )

    def _beyond_the_place(
        self, tables: Sequence[Table], scaled: Sequence[Matrix], labels: npt.NDArray[np.int64]
    ) -> Matrix:
        """(M, L): what a model's outcomes in a category say beyond its place, shrunk: one Newton step."""
        slope, curve = np.zeros((2, len(self._items.models), len(self._labels)))
        begin = 0
        for table, x in zip(tables, scaled, strict=True):
            of_category = labels[begin : begin + len(x)]
            begin += len(x)
            for j, name in enumerate(table.models):
                m = self._items.models[model_key(name)]
                known = ~np.isnan(table.score[:, j])
                t = self._items.tables[table.name]
                logit = (
                    self._items.base[m]
                    + self._items.shift[t]
                    + self._items.own_shift[t, m]
                    + x[known] @ self._items.weights(m)
                )
                p = 1 / (1 + np.exp(-logit))
                np.add.at(slope[m], of_category[known], table.score[known, j] - p)
                np.add.at(curve[m], of_category[known], p * (1 - p))
        return slope / (curve + OWN_LEFT_OVER)

    def _published(self, scores: Mapping[str, float]) -> _Placed:
        """The place (base, u) that best explains the scores (MAP, Newton), and what is left over."""
        anchors = [(label, score) for key, score in scores.items() for label in self._meant(key, scores)]
        items, k = self._items, self._items.u.shape[1]
        if not anchors:
            return self._unknown()
        sets = [
            (self._anchors[label] @ items.common + items.shift[self._of_table[label]],
             np.concatenate([np.ones((len(self._anchors[label]), 1)), self._anchors[label] @ items.v.T], 1))
            for label, _ in anchors
        ]  # fmt: skip
        at = self._prior_mean.copy()
        for _ in range(NEWTON_STEPS):
            slope = self._prior_precision @ (at - self._prior_mean)
            curve = self._prior_precision.copy()
            for (fixed, moved), (_, score) in zip(sets, anchors, strict=True):
                p = 1 / (1 + np.exp(-(fixed + moved @ at)))
                gradient = (p * (1 - p)) @ moved / len(p)
                certainty = SCORED / max(0.02, score * (1 - score))
                slope += certainty * (p.mean() - score) * gradient
                curve += certainty * np.outer(gradient, gradient)
            at = at - 0.8 * np.linalg.solve(curve, slope)
        extra = np.zeros(len(self._labels))
        for (fixed, moved), (label, score) in zip(sets, anchors, strict=True):
            p = 1 / (1 + np.exp(-(fixed + moved @ at)))
            room = float((p * (1 - p)).mean())
            certainty = SCORED / max(0.02, score * (1 - score)) * room**2
            extra[label] = certainty * (score - p.mean()) / room / (certainty + LEFT_OVER)
        shift = np.full(len(items.tables), np.nan)
        for label, _ in anchors:
            shift[self._of_table[label]] = items.shift[self._of_table[label]]
        return _Placed(float(at[0]), items.common + at[1 : k + 1] @ items.v, shift, extra, 0.0)

    def _unknown(self) -> _Placed:
        lean = self._items.common + self._prior_mean[1:] @ self._items.v
        return _Placed(
            float(self._prior_mean[0]),
            lean,
            self._items.shift.copy(),
            np.zeros(len(self._labels)),
            0.0,
        )

    def _meant(self, key: str, scores: Mapping[str, float]) -> list[int]:
        """The categories a score speaks of: named exactly, by table, by category, or by a part of the key.

        Of several tables with such a category, the one that knows most of the keys.
        """
        named = self._named(key)
        if named:
            return named
        for same in (_is_same, _is_alike, _is_part):
            result = [i for i, (_, category) in enumerate(self._labels) if same(key, category)]
            if result:
                fits = {
                    table: self._keys_known(table, scores)
                    for table, _ in map(self._labels.__getitem__, result)
                }
                most = max(fits.values())
                return [i for i in result if fits[self._labels[i][0]] == most]
        return []

    def _named(self, key: str) -> list[int]:
        """The categories a score names in full: by table, or by table and category."""
        name = _plain(key)
        return [
            i
            for i, (table, category) in enumerate(self._labels)
            if name in (_plain(f"{table}/{category}"), _plain(table))
        ]

    def _keys_known(self, table: str, scores: Mapping[str, float]) -> int:
        return sum(any(_is_alike(key, c) for t, c in self._labels if t == table) for key in scores)

    def _fit_strangeness(self, tables: Sequence[Table], scaled: Sequence[Matrix]) -> None:
        """How little evidence for any category a prompt shows that belongs to none.

        Each table in turn plays the stranger: its own categories are not asked. Distances (to the nearest
        centre, to the nearest prompt, Mahalanobis's) tell known from strange less well (docs/routing-lab.md).
        """
        own, others = [], []
        for table, x in zip(tables, scaled, strict=True):
            logits, share = x @ self._theta + self._bias, np.full(len(x), 1 / len(x))
            kin = np.tile(self._of_table == self._items.tables[table.name], (len(x), 1))
            if kin.all():  # the only table: its categories are strangers to each other
                kin = np.array(
                    [[label == (table.name, c) for label in self._labels] for c in table.categories]
                )
            own.append(np.stack([_evidence(logits), share]))
            if not kin.all():
                others.append(np.stack([_evidence(np.where(kin, -np.inf, logits)), share]))
        near, far = np.concatenate(own, axis=1), np.concatenate(others or own, axis=1)
        # Two normal distributions of one spread: the log odds are linear in the evidence.
        means = [np.average(group[0], weights=group[1]) for group in (near, far)]
        spread = np.mean(
            [
                np.average((group[0] - mean) ** 2, weights=group[1])
                for group, mean in zip((near, far), means, strict=True)
            ]
        )
        self._strange_slope = max(0.0, float((means[0] - means[1]) / spread))
        self._strange_middle = float(np.mean(means))

    def _strangeness(self, x: Matrix) -> Matrix:
        """(n,) probability that a prompt belongs to no known category."""
        evidence = _evidence(x @ self._theta + self._bias)
        result: Matrix = 1 / (1 + np.exp(self._strange_slope * (evidence - self._strange_middle)))
        return result

    def _fit_tokens(self, tables: Sequence[Table], scaled: Sequence[Matrix]) -> None:
        """Log output tokens: ridge on the prompt's features, and how wordy each model is beyond them."""
        known = [~np.isnan(table.output_tokens) & (table.output_tokens > 0) for table in tables]
        logs = [
            np.log(np.where(mask, table.output_tokens, 1.0))
            for table, mask in zip(tables, known, strict=True)
        ]
        self._token_offset = np.zeros(len(self._items.models))
        columns = [
            np.array([self._items.models[model_key(name)] for name in table.models]) for table in tables
        ]
        for _ in range(3):  # by turns: the prompts' share, then the models'
            target, rows = [], []
            for x, log, mask, column in zip(scaled, logs, known, columns, strict=True):
                some = mask.any(axis=1)
                if some.any():
                    rest = np.where(mask, log - self._token_offset[column], 0.0)
                    target.append(rest.sum(axis=1)[some] / mask.sum(axis=1)[some])
                    rows.append(x[some])
            x_all, y_all = np.concatenate(rows), np.concatenate(target)
            self._token_bias = float(y_all.mean())
            gram = x_all.T @ x_all + TOKEN_RIDGE * np.eye(x_all.shape[1])
            self._token_weights = np.linalg.solve(gram, x_all.T @ (y_all - self._token_bias))
            total, count = np.zeros(len(self._token_offset)), np.zeros(len(self._token_offset))
            for x, log, mask, column in zip(scaled, logs, known, columns, strict=True):
                rest = np.where(mask, log - (x @ self._token_weights + self._token_bias)[:, None], 0.0)
                np.add.at(total, column, rest.sum(axis=0))
                np.add.at(count, column, mask.sum(axis=0))
            self._token_offset = total / (count + 10.0)


def _category_means(tables: Sequence[Table]) -> dict[str, dict[str, float]]:
    """model → "table/category" → mean outcome: what would be published of the models that were fitted."""
    result: dict[str, dict[str, float]] = {}
    for table in tables:
        of_category = np.array(table.categories)
        for j, name in enumerate(table.models):
            for category in sorted(set(table.categories)):
                score = table.score[of_category == category, j]
                if (~np.isnan(score)).sum() >= FEWEST_OUTCOMES:
                    means = result.setdefault(model_key(name), {})
                    means[f"{table.name}/{category}"] = float(np.nanmean(score))
    return result


def _overruled(published: Mapping[str, float], means: Mapping[str, float]) -> dict[str, float]:
    known = {_plain(key.rsplit("/", 1)[-1]) for key in means}
    return {
        key: score for key, score in published.items() if _plain(key.rsplit("/", 1)[-1]) not in known
    } | dict(means)


def load_predictor(dev_dir: Path | str) -> Predictor:
    """Fitted on a folder's dev tables as the shipped artefact is: those whose licence allows it."""
    return Predictor([table for table in read(Path(dev_dir)) if table.name not in EVALUATE_ONLY])


def _logit(x: Matrix, family: Matrix, category: Matrix, placed_model: _Placed) -> Matrix:
    known = ~np.isnan(placed_model.shift)
    share = family[:, known] + FAMILY_FLOOR
    shift = share @ placed_model.shift[known] / share.sum(axis=1)
    result: Matrix = placed_model.base + shift + category @ placed_model.extra + x @ placed_model.lean
    return result


def _evidence(logits: Matrix) -> Matrix:
    """(n,) log of the summed odds of all categories."""
    top = logits.max(axis=1)
    result: Matrix = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return result


def _sigmoid(logit: Matrix) -> Matrix:
    result: Matrix = 1 / (1 + np.exp(-logit))
    return result


def _log_odds(p: Matrix) -> Matrix:
    p = np.clip(p, 1e-4, 1 - 1e-4)
    result: Matrix = np.log(p / (1 - p))
    return result


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum() or sign == "/")


_SAME = ({"gsm", "gsm8k"}, {"arcchallenge", "arcc"}, {"humaneval", "humanevalplus"})


def _is_same(key: str, category: str) -> bool:
    return _plain(key) == _plain(category)


def _is_alike(key: str, category: str) -> bool:
    name, other = _plain(key), _plain(category)
    return name == other or any(name in names and other in names for names in _SAME)


def _is_part(key: str, category: str) -> bool:
    """A word of the key names the category: zeroeval_gsm8k, math-l5."""
    return any(_is_alike(word, category) for word in re.split(r"[^a-zA-Z0-9]+", key) if word)
