"""The constants of the strategies, in one place, each with where it comes from (spec/routing.md §6)."""

# All strategies.
COMPETENCE_FLOOR = 0.70  # share of the best candidate's P(success) below which none is chosen; `bench.tune`
HEALTHY = (
    0.5  # P(up) below which a candidate is chosen only when no better is left: it fails more than it answers
)

# auto: maximise V·P(success)·P(up) − E[cost] − μ·E[latency], V = VALUE × the median candidate's cost.
# `python -m bench.tune`, 2026-11-24: the cheapest value that keeps 95 % of the best fixed model's success on
# all prompts (97.8 %) and on the hard ones (95.1 %), at 22 % of its cost. 5 would do on all, but leaves 11 %
# on hard.
AUTO_VALUE = 30.0
AUTO_PER_SECOND = 0.002  # μ as a share of V for each second: ten seconds weigh as much as 2 points of success

# quality
# P(success) this near the best counts as equal, and the cheaper wins: the promise is half a point.
QUALITY_TIE = 0.005

# balanced: weights over quality, cost and speed, each scaled to 0..1 over the candidates. Fixed by the
# product: quality counts as much as the other two.
BALANCED_QUALITY = 0.5
BALANCED_COST = 0.3
BALANCED_SPEED = 0.2

# Exploration (§8): auto only.
EXPLORE_SHARE = 0.02  # of auto traffic at most
EXPLORE_MARGIN = 0.002  # utility within this share of V of the winner's
