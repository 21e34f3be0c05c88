"""How hard this prompt is, in logits: 0 is as hard as the benchmarks behind the skill table, less is easier.

A ridge over the features, fitted on benchmark outcomes and rated everyday prompts. Far from what it was
fitted on it falls back to ordinary. What nobody here can read counts as hard, whatever it says, and what is
read in part as a little harder than it looks, so that no question is sent to less for its language.
"""

from routing.decide.prediction import translation
from routing.decide.prediction.artefact import Array, Fitted

ORDINARY = -1.2  # logits: level 3 of the ratings in bench/everyday_prompts.tsv
FAR = 0.1  # leverage at which half the estimate is given up; what was fitted on has about 0.015
UNREAD = 0.5  # logits: harder than most benchmark questions
HALF_READ = 0.8  # logits added to a question none of whose words is known, in proportion
HARDEST, EASIEST = 3.0, -4.5  # logits; the ratings and outcomes fitted on end there


def familiarity(scaled: Array, fit: Fitted) -> float:
    """From 1, like what was fitted on, to 0. `scaled`: see `Fitted.scale`."""
    known: float = 1 / (1 + float(scaled @ fit.leverage @ scaled) / FAR)
    return known


def estimate(scaled: Array, read: float, known: float, fit: Fitted) -> float:
    """`read`: `features.Summary.known`; `known`: see `familiarity`."""
    if read < translation.READABLE_FROM:
        return UNREAD
    raw = float(scaled @ fit.difficulty_weights) + fit.difficulty_bias
    blended = known * raw + (1 - known) * ORDINARY
    return min(max(blended + HALF_READ * (1 - read), EASIEST), HARDEST)
