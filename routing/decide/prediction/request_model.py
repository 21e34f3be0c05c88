"""The request model: how demanding a request is, how long a good answer is, and which skill it needs.

Linear over the features of `request_features.py`, with eight-bit weights. It also estimates how much a
request is like everyday traffic and not like a benchmark question. `python -m bench.traffic.fit` fits it on
rated requests (docs/routing-lab.md).
"""

from functools import cache
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import load_file

from routing.decide.prediction.artefact import FOLDER, Array
from routing.decide.prediction.request_features import Ids, RequestFeatures, RequestText, features

WEIGHTS, CARD = FOLDER / "requests.safetensors", FOLDER / "requests.json"

LEVEL, LOG_TOKENS, EVERYDAY, SKILLS_FROM = 0, 1, 2, 3  # columns of the weights
MOST_LEVEL, LEAST_LEVEL = 5.0, 1.0
MEASURE_LIMIT = 4.0  # standard deviations: an odd request does not run away with the estimate


class Judgement(msgspec.Struct, frozen=True):
    """The estimates for one request.

    `level`: 1 (trivial) to 5 (very hard), as raters give it. `answer_tokens`: of a good visible answer.
    `everyday`: from 1, like everyday traffic, to 0, like a benchmark question. `skills`: probabilities,
    `(n_text_skills,)`. `bare`: the question has no system text and no earlier turns. `refined`: the second
    look of `routing.encoder` is part of it.
    """

    level: float
    answer_tokens: float
    everyday: float
    skills: Array
    bare: bool = True
    refined: bool = False


class RequestModel(msgspec.Struct, frozen=True):
    """Weights by hash bucket and by measure, one column an output; integers count in units of `scales`."""

    word_idf: Array  # (2 ** WORD_BITS,); 0 for a bucket too rare to tell anything
    char_idf: Array  # (2 ** CHAR_BITS,)
    word_weights: Array  # (2 ** WORD_BITS, n_outputs), int8
    char_weights: Array  # (2 ** CHAR_BITS, n_outputs), int8
    scales: Array  # (2, n_outputs): of word and of char weights
    measure_weights: Array  # (n_measures, n_outputs)
    measure_mean: Array
    measure_scale: Array
    bias: Array  # (n_outputs,)

    def judge_features(self, vector: RequestFeatures) -> Judgement:
        words = _projected(vector.words, vector.word_weights, self.word_idf, self.word_weights)
        chars = _projected(vector.chars, vector.char_weights, self.char_idf, self.char_weights)
        measures = standardised(vector.measures, self.measure_mean, self.measure_scale) @ self.measure_weights
        outputs = words * self.scales[0] + chars * self.scales[1] + measures + self.bias
        odds = np.exp(outputs[SKILLS_FROM:] - np.maximum.reduce(outputs[SKILLS_FROM:]))
        return Judgement(
            level=float(min(max(outputs[LEVEL], LEAST_LEVEL), MOST_LEVEL)),
            answer_tokens=float(np.exp(min(max(outputs[LOG_TOKENS], 0.0), 11.0))),
            everyday=float(1 / (1 + np.exp(-outputs[EVERYDAY]))),
            skills=odds / np.add.reduce(odds),
            bare=vector.bare,
        )


@cache
def shipped() -> RequestModel:
    """Return the fitted model. Raises FileNotFoundError before the first `python -m bench.traffic.fit`."""
    return RequestModel(**load_file(WEIGHTS))


def judge(text: RequestText) -> Judgement:
    """Return the shipped model's estimates for a request."""
    return shipped().judge_features(features(text))


def standardised(measures: Any, mean: Any, scale: Any) -> Any:
    """Return measures, of one request or a row each, in standard deviations, limited."""
    return np.minimum(np.maximum((measures - mean) / scale, -MEASURE_LIMIT), MEASURE_LIMIT)


def _projected(ids: Ids, weights: Array, idf: Array, table: Array) -> Array:
    """`(n_outputs,)`: the unit-length vector of the buckets times their weights."""
    values = weights * idf.take(ids)
    length = np.sqrt(values @ values)
    if not length:
        return np.zeros(table.shape[1], np.float32)
    return np.asarray((values / length) @ table.take(ids, axis=0).astype(np.float32), np.float32)
