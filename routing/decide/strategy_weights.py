"""The constants of the strategies, each with its source."""

# All strategies.
# A candidate below this share of the best candidate's P(success) is chosen only when no other is left.
# Without it `cost` and `speed` would choose models that nearly always fail. From `python -m bench.tune`.
COMPETENCE_FLOOR = 0.70
HEALTHY = 0.5  # P(up) below which a candidate is chosen only when no other is left: most attempts fail
RETIRING_DAYS = 14  # a model that is retired within so many days ranks behind all competent ones that are not

# auto maximises V·P(success)·P(up) − E[cost] − μ·E[latency], where V = AUTO_VALUE × the median candidate's
# cost. 30 is the lowest value that keeps 95 % of the best fixed model's success on all prompts (97.8 %) and
# on hard prompts (95.1 %); it costs 22 % of that model. 5 would be enough on all prompts but loses 11 % on
# hard ones (`python -m bench.tune`, 2026-11-24).
AUTO_VALUE = 30.0
AUTO_PER_SECOND = 0.002  # μ as a share of V for each second: ten seconds weigh as much as 2 points of success

# quality: candidates whose P(success) is within half a point of the best count as equal, and the cheapest of
# them is chosen.
QUALITY_TIE = 0.005

# balanced: weights of quality, cost and speed, each scaled to 0..1 over the candidates. Chosen, not fitted:
# quality counts as much as the other two together.
BALANCED_QUALITY = 0.5
BALANCED_COST = 0.3
BALANCED_SPEED = 0.2

# Exploration, by `auto` only.
EXPLORE_SHARE = 0.02  # share of requests, at most
EXPLORE_MARGIN = 0.002  # share of V within which a candidate's utility is a near tie with the winner's
