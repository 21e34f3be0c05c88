"""A prompt's difficulty in logits: 0 is as hard as the benchmarks behind the skill table, less is easier.

A ridge regression over the features, fitted on benchmark outcomes and rated everyday prompts. The further a
prompt is from those, the more the estimate falls back to ordinary. A text in a script RoutePlex cannot read
counts as hard, and a text that was translated in part as a little harder than it looks: no question goes to a
weaker model because of its language.
"""

from routing.decide.prediction import translation
from routing.decide.prediction.artefact import Array, Fitted

ORDINARY = -1.2  # logits: level 3 of the ratings in bench/everyday_prompts.tsv
FAR = 0.1  # leverage at which the estimate counts by half; the prompts fitted on have about 0.015
UNREAD = 0.5  # logits: harder than most benchmark questions
HALF_READ = 0.8  # logits added in proportion to the share of words that are not known
HARDEST, EASIEST = 3.0, -4.5  # logits: the range of the ratings and outcomes fitted on


def familiarity(scaled: Array, fit: Fitted) -> float:
    """Return 1 for a prompt like those fitted on, towards 0 with distance. `scaled`: see `Fitted.scale`."""
    known: float = 1 / (1 + float(scaled @ fit.leverage @ scaled) / FAR)
    return known


def estimate(scaled: Array, read: float, known: float, fit: Fitted) -> float:
    """Return logits. `read`: `features.Summary.known`; `known`: see `familiarity`."""
    if read < translation.READABLE_FROM:
        return UNREAD
    raw = float(scaled @ fit.difficulty_weights) + fit.difficulty_bias
    blended = known * raw + (1 - known) * ORDINARY
    return min(max(blended + HALF_READ * (1 - read), EASIEST), HARDEST)
