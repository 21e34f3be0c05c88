"""How fast a simulated model is: time to the first token and tokens a second by tier, scaled by speed."""

from routing.simulator.model.models import Model

_FIRST_TOKEN_S = (0.3, 0.5, 0.8, 1.2)  # by tier, at effort none
_TOKENS_PER_S = (200.0, 140.0, 90.0, 60.0)  # by tier
_REASONING_SPEEDUP = 4.0  # reasoning is compressed in time, so that a demonstration doesn't take minutes


class Pace:
    """Delays in seconds. Speed 0: no waiting; 1: realistic; 2: twice as slow."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def first_token(self, model: Model, reasoning_tokens: int) -> float:
        thinking = reasoning_tokens / _TOKENS_PER_S[model.tier] / _REASONING_SPEEDUP
        return self.speed * (_FIRST_TOKEN_S[model.tier] + thinking)

    def tokens(self, model: Model, count: int) -> float:
        return self.speed * count / _TOKENS_PER_S[model.tier]
