"""How hard this prompt is, in logits: 0 is as hard as the benchmarks behind the skill table, less is easier.

A ridge over the features, fitted on benchmark outcomes and rated everyday prompts. Far from what it was
fitted on it falls back to ordinary, and a script it doesn't know is never called easier than that.
"""

from routing.decide.artefact import Fitted
from routing.decide.features import Features

ORDINARY = -1.2  # logits: level 3 of the ratings in bench/everyday_prompts.tsv
FAR = 0.1  # leverage at which half the estimate is given up; what was fitted on has about 0.015
HARDEST, EASIEST = 3.0, -4.5  # logits; the ratings and outcomes fitted on end there


def estimate(features: Features, fit: Fitted) -> float:
    scaled = (features.vector - fit.feature_mean) / fit.feature_scale
    raw = float(scaled @ fit.difficulty_weights) + fit.difficulty_bias
    known: float = 1 / (1 + float(scaled @ fit.leverage @ scaled) / FAR)
    blended = known * raw + (1 - known) * ORDINARY
    if features.summary.script != "latin":
        blended = max(blended, ORDINARY)
    return min(max(blended, EASIEST), HARDEST)
