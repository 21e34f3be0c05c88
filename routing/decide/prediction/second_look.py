"""The second look: the encoder's estimates for a request, made outside the decision (`routing/encoder`).

The encoder and the request model err on different requests, so their mean is better than either. A look is
worth its milliseconds where the request model's level leaves open what kind of arm should answer: below
LOOK_FROM nearly all candidates count as equal in any case, above LOOK_TO the able ones win in any case.
"""

from math import exp, log

import msgspec
import numpy as np

from routing.decide.prediction.artefact import Array
from routing.decide.prediction.request_model import Judgement

# Weights of the second look beside the request model, from requests of writers a / b / c that neither was
# fitted on, and for skills from a random third left out too (docs/routing-lab.md). With weights 0, .25, .5,
# .75 and 1, Spearman of the level is .77 / .80 / .70, .79 / .83 / .74, .82 / .84 / .75, .82 / .85 / .75 and
# .81 / .84 / .74. The right skill: 70, 73, 69, 65 and 56 % of the random third, 55 / 54 / 40, 55 / 56 / 44,
# 54 / 58 / 47, 51 / 52 / 50 and 48 / 46 / 45 % with a writer left out. Answer length within a factor of two:
# 67 / 70 / 58, 67 / 77 / 58, 68 / 81 / 62, 64 / 79 / 61 and 60 / 71 / 60 %.
LEVEL_WEIGHT, SKILL_WEIGHT = 0.6, 0.35
LENGTH_WEIGHT = 0.4
# Looks at these levels take in 48 % of the rated requests, and improve the choice as much as looks at all.
LOOK_FROM, LOOK_TO = 2.1, 3.6
_LEAST_PROBABILITY = 1e-9


class SecondLook(msgspec.Struct, frozen=True):
    """The encoder's estimates for one request.

    `level`: 1 (trivial) to 5 (very hard). `answer_tokens`: of a good visible answer, above 0. `skills`:
    probabilities over `TEXT_SKILLS`, in their order.
    """

    level: float
    answer_tokens: float
    skills: tuple[float, ...]


def pays(judgement: Judgement) -> bool:
    """Return whether a second look may change the choice of `auto`."""
    return LOOK_FROM <= judgement.level <= LOOK_TO


def refined(judgement: Judgement, second: SecondLook) -> Judgement:
    """Return the request model's judgement averaged with the encoder's estimates."""
    both = blended(judgement.level, judgement.answer_tokens, judgement.skills, second)
    return msgspec.structs.replace(
        judgement,
        level=both.level,
        answer_tokens=both.answer_tokens,
        skills=np.array(both.skills, np.float32),
        refined=True,
    )


def blended(level: float, answer_tokens: float, skills: Array, second: SecondLook) -> SecondLook:
    """Return the request model's estimates averaged with the encoder's; tokens and skills by logarithm."""
    own, other = (np.log(np.maximum(shares, _LEAST_PROBABILITY)) for shares in (skills, second.skills))
    odds = np.exp((1 - SKILL_WEIGHT) * own + SKILL_WEIGHT * other)
    log_tokens = (1 - LENGTH_WEIGHT) * log(answer_tokens) + LENGTH_WEIGHT * log(second.answer_tokens)
    return SecondLook(
        level=(1 - LEVEL_WEIGHT) * level + LEVEL_WEIGHT * second.level,
        answer_tokens=exp(log_tokens),
        skills=tuple((odds / odds.sum()).tolist()),
    )
