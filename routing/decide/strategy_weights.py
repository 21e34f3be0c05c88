"""The constants of the strategies, each with its source."""

# All strategies.
# A candidate below this share of the best candidate's P(success) is chosen only when no other is left.
# Without it `cost` and `speed` would choose models that nearly always fail. From `python -m bench.tune`.
COMPETENCE_FLOOR = 0.70
HEALTHY = 0.5  # P(up) below which a candidate is chosen only when no other is left: most attempts fail
RETIRING_DAYS = 14  # a model that is retired within so many days ranks behind all competent ones that are not

# auto maximises V·P(success) − E[cost] − μ·(E[latency] + E[time lost to failed attempts]), where V =
# AUTO_VALUE × the median candidate's cost. 30 is the lowest value that keeps 95 % of the best fixed model's
# success on all prompts (97.8 %) and on hard prompts (95.1 %); it costs 22 % of that model. 5 would be enough
# on all prompts but loses 11 % on hard ones (`python -m bench.tune`, 2026-11-24).
AUTO_VALUE = 30.0
AUTO_PER_SECOND = 0.002  # μ as a share of V for each second: ten seconds weigh as much as 2 points of success
# Time that a failed attempt costs before the next arm answers: between an error, which comes at once, and the
# first-byte deadline of 14 s. A failure costs no more than that, because another arm then answers.
FAILED_ATTEMPT_S = 5.0
# Failures for each answer that are ordinary and cost nothing: the one in a hundred that is assumed of every
# model (routing/catalog/measure.py). A single failure therefore decides no near tie.
ORDINARY_FAILURES = 0.0101

# On an easy request small differences of predicted success mean nothing: they come from scores on hard
# benchmarks, and every current model answers such a request. Candidates within the tolerance of the best
# count as equal, so that cost and time decide. From `make bench-traffic` (docs/routing-lab.md).
AUTO_TOLERANCE = 0.15  # of P(success), up to a complexity of AUTO_TOLERANCE_FULL
AUTO_TOLERANCE_FULL, AUTO_TOLERANCE_UNTIL = 0.265, 0.285  # complexity up to which it is whole; then none


def tolerance(complexity: float) -> float:
    """Return the difference of P(success) within which `auto` counts candidates as equal."""
    left = (AUTO_TOLERANCE_UNTIL - complexity) / (AUTO_TOLERANCE_UNTIL - AUTO_TOLERANCE_FULL)
    return AUTO_TOLERANCE * min(1.0, max(0.0, left))


# quality: candidates whose P(success) is within half a point of the best count as equal, and the cheapest of
# them is chosen.
QUALITY_TIE = 0.005

# balanced: P(success) that twice the cost must gain, and twice the time. Chosen between `cost` and `quality`:
# on the rated requests (docs/routing-lab.md) `balanced` has 88 % predicted success for $0.0090 in 6.1 s,
# `cost` 78 % for $0.0012 in 3.6 s and `quality` 92 % for $0.0196 in 12.5 s.
BALANCED_PER_DOUBLED_COST = 0.02
BALANCED_PER_DOUBLED_TIME = 0.02

# Exploration, by `auto` only.
EXPLORE_SHARE = 0.02  # share of requests, at most
EXPLORE_MARGIN = 0.002  # share of V within which a candidate's utility is a near tie with the winner's
