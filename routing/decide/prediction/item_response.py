"""The item-response term: how a prompt differs from the average of its skills, and which arms gain from that.

logits = WEIGHT · gate · (V·x − the skills' own mean) · u(arm). V are the K directions in which models differ
most on benchmark prompts (bench/routing/fit.py), and u is an arm's place along them, derived from its skill
scores. The gate closes for prompts far from those V was fitted on, and for skills without such prompts.
"""

import numpy as np
import numpy.typing as npt

from routing.decide.prediction.artefact import Array, Fitted

Row = npt.NDArray[np.float64]

WEIGHT = 0.5  # 0.25 to 1 give the same figures within their intervals (docs/routing-lab.md)


def places(deviations: Row, fit: Fitted) -> Row:
    """Return `(n, K)` places from `(n, n_skills)` success logits less those of the reference model."""
    return np.asarray(deviations @ fit.place, np.float64)


def term(scaled: Array, mix: Array, known: float, place: Row, fit: Fitted) -> Row:
    """Return `(n,)` logits. `scaled`: see `Fitted.scale`; `known`: see `difficulty.familiarity`."""
    heard = mix * fit.heard
    share = float(np.add.reduce(heard))
    if share < 0.01:
        return np.zeros(len(place))
    beyond = fit.directions @ scaled - (heard / share) @ fit.centres
    return np.asarray(WEIGHT * known * share * (place @ beyond), np.float64)
