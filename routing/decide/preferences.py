"""The constants of the strategies, in one place, each with where it comes from (spec/routing.md §6)."""

# All strategies.
COMPETENCE_FLOOR = 0.70  # share of the best candidate's P(success) below which none is chosen; `bench.tune`
HEALTHY = (
    0.5  # P(up) below which a candidate is chosen only when no better is left: it fails more than it answers
)

# auto: maximise V·P(success)·P(up) − E[cost] − μ·E[latency], V = VALUE × the median candidate's cost.
AUTO_VALUE = 12.0  # cheapest setting of `python -m bench.tune` with 95 % of the best fixed model's success
AUTO_PER_SECOND = 0.002  # μ as a share of V for each second: ten seconds weigh as much as 2 points of success

# quality
QUALITY_TIE = (
    0.005  # P(success) this near the best counts as equal, and the cheaper wins: the promise is 0.5 pt
)

# balanced: weights over quality, cost and speed, each scaled to 0..1 over the candidates.
BALANCED_QUALITY, BALANCED_COST, BALANCED_SPEED = (
    0.5,
    0.3,
    0.2,
)  # fixed by the product: quality as much as the rest

# Exploration (§8): auto only.
EXPLORE_SHARE = 0.02  # of auto traffic at most
EXPLORE_MARGIN = 0.002  # utility within this share of V of the winner's
