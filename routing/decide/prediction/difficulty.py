"""A prompt's difficulty in logits: 0 is as hard as the benchmarks behind the skill table, less is easier.

Two estimates are blended. `of_question` is a ridge regression over the question's features, fitted on
benchmark outcomes and short rated prompts; the further a prompt is from those, the more it falls back to
ordinary. The request model's level, fitted on rated requests, counts as far as the request is like everyday
traffic. When models are compared, a text in a script RoutePlex cannot read counts as hard, and a text that
was translated in part as a little harder than it appears: no question goes to a weaker model because of its
language.
"""

import numpy as np

from routing.decide.prediction import translation
from routing.decide.prediction.artefact import Array, Fitted
from routing.decide.prediction.request_model import Judgement

ORDINARY = -1.2  # logits: level 3 of the ratings in bench/everyday_prompts.tsv
FAR = 0.1  # leverage at which the estimate counts by half; the prompts fitted on have about 0.015
UNREAD = 0.5  # logits: harder than most benchmark questions
HALF_READ = 0.8  # logits added in proportion to the share of words that are not known
HARDEST, EASIEST = 3.0, -4.5  # logits: the range of the ratings and outcomes fitted on
# A rated level from 1 to 5 in logits. 0 and 1.5 are the mean difficulties of hard and hardest benchmarks, and
# an average model fails trivial requests in 2 % of cases.
LEVEL_LOGITS = (-4.0, -2.5, ORDINARY, 0.0, 1.5)
# Share of `of_question` for a question without system text and history. The request model was fitted on 400
# of those, and does not know the short prompts `of_question` was fitted on. With a writer left out it changes
# Spearman by +.007, +.005 and -.007 (docs/routing-lab.md); .3 would cost the third .013.
BARE_SHARE = 0.2
# Where such a question appears harder by more than so many logits, most of the rest is added too: a request
# that is underrated costs a failed answer, one that is overrated some cents. Spearman changes by .002.
HARDER_BY, HARDER_SHARE = 1.2, 0.8


def familiarity(scaled: Array, fit: Fitted) -> float:
    """Return 1 for a prompt like those fitted on, towards 0 with distance. `scaled`: see `Fitted.scale`."""
    known: float = 1 / (1 + float(scaled @ fit.leverage @ scaled) / FAR)
    return known


def of_level(level: float) -> float:
    """Return the logits of a rated level."""
    below = min(max(int(level), 1), 4)
    first, second = LEVEL_LOGITS[below - 1 : below + 1]
    return (second - first) * (level - below) + first


def failure_rate(difficulty: float) -> float:
    """Return how often an average model without much reasoning fails at this difficulty.

    Average is a model that answers half of the benchmark-hard prompts.
    """
    return float(1 / (1 + np.exp(-difficulty)))


def estimate(scaled: Array, read: float, known: float, fit: Fitted, judgement: Judgement) -> float:
    """Return logits. `read`: `features.Summary.known`; `known`: see `familiarity`."""
    level = of_level(judgement.level) + HALF_READ * (1 - read)
    if read < translation.READABLE_FROM:
        return level
    question = of_question(scaled, read, known, fit)
    if judgement.bare:
        level = (1 - BARE_SHARE) * level + BARE_SHARE * question
        level += HARDER_SHARE * max(0.0, question - level - HARDER_BY)
    return judgement.everyday * level + (1 - judgement.everyday) * question


def cautious(difficulty: float, read: float) -> float:
    """Return the logits by which models are compared: a text RoutePlex cannot read counts as hard."""
    return max(difficulty, UNREAD) if read < translation.READABLE_FROM else difficulty


def of_question(scaled: Array, read: float, known: float, fit: Fitted) -> float:
    """Return logits of the question alone. The arguments are those of `estimate`."""
    if read < translation.READABLE_FROM:
        return UNREAD
    raw = float(scaled @ fit.difficulty_weights) + fit.difficulty_bias
    blended = known * raw + (1 - known) * ORDINARY
    return min(max(blended + HALF_READ * (1 - read), EASIEST), HARDEST)
