"""How well estimates agree with the readers: the encoder's, the request model's, and both together."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from bench.encoder.fit import Rated
from bench.traffic.fit import features_of, fit_request_model, questions_as_requests
from bench.traffic.prompts import RatedRequest
from routing.decide.prediction.second_look import SecondLook, blended
from routing.encoder.inference import Inference
from routing.encoder.messages import Estimate, texts
from routing.encoder.tokenise import LONGEST, REQUEST_HEAD, REQUEST_TAIL, SYSTEM_HEAD

EASY, HARD = 2.0, 4.0  # levels
NAMES = ("AUC", "Spearman", "skill", "length within 2x")
LENGTHS = (16, 64, 128, LONGEST)  # tokens
TIMED = 200  # runs for each length

Values = npt.NDArray[np.float64]


class Estimates(msgspec.Struct, frozen=True):
    """Estimates of some requests, a row each; `skills`: probabilities."""

    levels: Values
    log_tokens: Values
    skills: Values

    def rows(self) -> list[SecondLook]:
        columns = (self.levels.tolist(), np.exp(self.log_tokens).tolist(), self.skills.tolist())
        return [
            SecondLook(level, tokens, tuple(skills)) for level, tokens, skills in zip(*columns, strict=True)
        ]

    def blended_as_served(self, other: "Estimates") -> "Estimates":
        rows = [
            blended(own.level, own.answer_tokens, np.array(own.skills, np.float32), second)
            for own, second in zip(self.rows(), other.rows(), strict=True)
        ]
        return estimates(rows)

    def blended(self, other: "Estimates", weight: float) -> "Estimates":
        """`weight`: the other's, 0 to 1; skills by their logarithms."""
        logs = (1 - weight) * np.log(self.skills + 1e-9) + weight * np.log(other.skills + 1e-9)
        odds = np.exp(logs)
        return Estimates(
            levels=(1 - weight) * self.levels + weight * other.levels,
            log_tokens=(1 - weight) * self.log_tokens + weight * other.log_tokens,
            skills=odds / odds.sum(axis=1, keepdims=True),
        )


def estimates(rows: Sequence[SecondLook | Estimate]) -> Estimates:
    return Estimates(
        levels=np.array([row.level for row in rows]),
        log_tokens=np.log([row.answer_tokens for row in rows]),
        skills=np.array([row.skills for row in rows]),
    )


def figures(rated: Rated, rows: Sequence[int], judged: Estimates) -> list[float]:
    """In the order of NAMES."""
    level = rated.levels[rows]
    clear = (level <= EASY) | (level >= HARD)
    error = np.abs(judged.log_tokens - rated.log_tokens[rows])
    return [
        float(roc_auc_score(level[clear] >= HARD, judged.levels[clear])),
        float(spearmanr(level, judged.levels)[0]),
        float(np.mean(judged.skills.argmax(axis=1) == rated.skills[rows])),
        float(np.mean(error < math.log(2))),
    ]


def encoder_estimates(rated: Rated, rows: Sequence[int], folder: Path) -> Estimates:
    """Those of an exported model, as the product runs it."""
    inference = Inference(folder)
    return estimates([inference.judge(rated.texts[i]) for i in rows])


def request_model_estimates(
    rated: Sequence[RatedRequest], train: Sequence[int], rows: Sequence[int]
) -> Estimates:
    """Those of the request model, fitted on `train`; its `everyday` is not used, so any question will do."""
    vectors = features_of([request.request for request in rated])
    question = features_of(questions_as_requests(["Which of these is a prime number? A) 4 B) 7 C) 9"]))
    model = fit_request_model([rated[i] for i in train], [vectors[i] for i in train], question)
    judged = [model.judge_features(vectors[i]) for i in rows]
    return Estimates(
        levels=np.array([judgement.level for judgement in judged]),
        log_tokens=np.log([judgement.answer_tokens for judgement in judged]),
        skills=np.array([judgement.skills for judgement in judged]),
    )


def table(columns: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """`columns`: by fold, then by kind of estimate, the figures."""
    kinds = dict.fromkeys(kind for column in columns.values() for kind in column)
    lines = [f"{'':44} " + " ".join(f"{fold:>6}" for fold in columns)]
    for number, name in enumerate(NAMES):
        for kind in kinds:
            values = " ".join(f"{column[kind][number]:6.3f}" for column in columns.values())
            lines.append(f"{name + ', ' + kind:44} {values}")
    return "\n".join(lines)


def cpu_times_ms(folder: Path) -> dict[int, tuple[float, float]]:
    """p50 and p95 of one estimate by length in tokens: CPU time, which is what a core of its own takes."""
    inference, times = Inference(folder), {}
    for length in LENGTHS:
        # Four tokens are marks; what does not fit the request's share goes to the other two texts.
        words = min(length - 4, REQUEST_HEAD + REQUEST_TAIL)
        others = length - 4 - words
        text = texts("word " * words, "word " * min(others, SYSTEM_HEAD), "word " * (others - SYSTEM_HEAD))
        elapsed = []
        for _ in range(TIMED):
            began = time.thread_time()
            inference.judge(text)
            elapsed.append((time.thread_time() - began) * 1000)
        p50, p95 = np.percentile(elapsed, (50, 95))
        times[length] = (float(p50), float(p95))
    return times
