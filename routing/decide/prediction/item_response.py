"""The item-response term: what a prompt asks beyond its skills, and which arms are better at just that.

logits = WEIGHT · gate · (V·x − what the skills already say) · u(arm), for the K directions V in which models
were found to differ (bench/routing/fit.py) and an arm's place u along them, told from its skill scores alone.
The gate closes far from the prompts V was fitted on, and for skills it never saw.
"""

import numpy as np
import numpy.typing as npt

from routing.decide.prediction.artefact import Array, Fitted

Row = npt.NDArray[np.float64]

WEIGHT = 0.5  # spec/routing.md §4; docs/routing.md: 0.25 to 1 give the same within the interval


def places(deviations: Row, fit: Fitted) -> Row:
    """`(n, K)` from `(n, n_skills)` success logits less those of the reference model."""
    return np.asarray(deviations @ fit.place, np.float64)


def term(scaled: Array, mix: Array, known: float, place: Row, fit: Fitted) -> Row:
    """`(n,)` logits. `scaled`: see `Fitted.scale`; `known`: see `difficulty.familiarity`."""
    heard = mix * fit.heard
    share = float(heard.sum())
    if share < 0.01:
        return np.zeros(len(place))
    beyond = fit.directions @ scaled - (heard / share) @ fit.centres
    return np.asarray(WEIGHT * known * share * (place @ beyond), np.float64)
