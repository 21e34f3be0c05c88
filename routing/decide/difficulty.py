"""How hard this prompt is, in logits: 0 is as hard as the benchmarks the skill table speaks of, below is easier.

A ridge over the features, fitted on benchmark outcomes and rated everyday prompts. Far from what it was fitted on
it falls back to what is typical of the skill, and a script it doesn't know is never called easier than typical.
"""

import numpy as np

from routing.decide.artefact import Array, Fitted
from routing.decide.features import Features

FAR = (
    0.5  # leverage at which half the estimate is given up for the typical one; p99 of the fitted data is near
)
HARDEST, EASIEST = 3.0, -4.5  # logits; the ratings and outcomes fitted on end there


def estimate(features: Features, mix: Array, fit: Fitted) -> float:
    scaled = (features.vector - fit.feature_mean) / fit.feature_scale
    typical = float(mix @ fit.typical_difficulty)
    raw = float(scaled @ fit.difficulty_weights) + fit.difficulty_bias
    leverage = float(scaled @ fit.leverage @ scaled)
    known = 1 / (1 + leverage / FAR)
    blended = known * raw + (1 - known) * typical
    if features.summary.script != "latin":
        blended = max(blended, typical)
    return float(np.clip(blended, EASIEST, HARDEST))
