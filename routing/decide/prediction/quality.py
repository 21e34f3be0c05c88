"""P(success | prompt, arm): the skill table's success for the prompt's skills, shifted by its difficulty."""

import numpy as np
import numpy.typing as npt

from routing.decide.arm_table import ArmTable
from routing.decide.prediction.artefact import Array

Row = npt.NDArray[np.float64]

INTERVAL = 1.64  # standard deviations: 90 %


def success(arm_table: ArmTable, mix: Array, prompt_term: Row) -> tuple[Row, Row, Row]:
    """Return P and the ends of its 90 % interval, `(n,)` each. `prompt_term`: `(n,)` logits to add.

    Probabilities, not logits, are averaged over skills: where a third of the mix is mathematics, a model that
    cannot do mathematics fails in about a third of cases.
    """
    weights = mix.astype(np.float64)
    at_zero = np.clip(arm_table.success @ weights, 1e-6, 1 - 1e-6)
    logit = np.log(at_zero / (1 - at_zero)) + prompt_term
    sd = arm_table.sd @ weights
    return _sigmoid(logit), _sigmoid(logit - INTERVAL * sd), _sigmoid(logit + INTERVAL * sd)


def _sigmoid(logit: Row) -> Row:
    return 1 / (1 + np.exp(-logit))
