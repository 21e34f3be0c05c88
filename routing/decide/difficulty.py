"""How hard this prompt is, in logits: 0 is as hard as the benchmarks behind the skill table, less is easier.

A ridge over the features, fitted on benchmark outcomes and rated everyday prompts. Far from what it was
fitted on it falls back to ordinary, and a script it doesn't know is never called easier than that.
"""

from routing.decide.artefact import Array, Fitted

ORDINARY = -1.2  # logits: level 3 of the ratings in bench/everyday_prompts.tsv
FAR = 0.1  # leverage at which half the estimate is given up; what was fitted on has about 0.015
HARDEST, EASIEST = 3.0, -4.5  # logits; the ratings and outcomes fitted on end there


def familiarity(scaled: Array, fit: Fitted) -> float:
    """From 1, like what was fitted on, to 0. `scaled`: see `Fitted.scale`."""
    known: float = 1 / (1 + float(scaled @ fit.leverage @ scaled) / FAR)
    return known


def estimate(scaled: Array, script: str, known: float, fit: Fitted) -> float:
    """`script`: see `features.Summary`; `known`: see `familiarity`."""
    raw = float(scaled @ fit.difficulty_weights) + fit.difficulty_bias
    blended = known * raw + (1 - known) * ORDINARY
    if script != "latin":
        blended = max(blended, ORDINARY)
    return min(max(blended, EASIEST), HARDEST)
