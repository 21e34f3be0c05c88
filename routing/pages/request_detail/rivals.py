"""Why the other candidates lost: three rivals as cards, and a reason for every dot of the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routing.pages.request_detail.explanation import Candidate, Explanation
from routing.replay.alternatives import Alternative, Role

SHOWN = 3
_TITLES = {
    Role.RUNNER_UP: "Runner-up",
    Role.BEST: "Best chance of a good answer",
    Role.CHEAPEST: "Cheapest",
    Role.BETTER: "Cheaper and better",
}


@dataclass(frozen=True)
class Rival:
    """A candidate that lost, what makes it an obvious alternative, and why it lost."""

    candidate: Candidate
    title: str
    reason: str


def rivals(
    explanation: Explanation, alternatives: Sequence[Alternative], reasons: Mapping[str, str]
) -> list[Rival]:
    """The obvious alternatives first, then the next of the ranking with another model."""
    by_arm = {candidate.arm: candidate for candidate in explanation.ranked}
    shown = [
        Rival(by_arm[each.arm], ", ".join(_TITLES[role] for role in each.roles), _as_cause(each.reason))
        for each in sorted(
            alternatives, key=lambda each: min(list(_TITLES).index(role) for role in each.roles)
        )
        if each.arm in by_arm
    ][:SHOWN]
    models = {rival.candidate.model for rival in shown}
    models |= {by_arm[explanation.chosen].model} if explanation.chosen in by_arm else set()
    for place, candidate in enumerate(explanation.ranked, start=1):
        if len(shown) == SHOWN:
            break
        if candidate.model not in models and candidate.arm in reasons:
            models.add(candidate.model)
            shown.append(Rival(candidate, f"Place {place}", _as_cause(reasons[candidate.arm])))
    return shown


def _order(alternative: Alternative) -> int:
    return min(list(_TITLES).index(role) for role in alternative.roles)


def scores(explanation: Explanation) -> dict[str, int]:
    """By arm: where its utility lies between those of the worst (0) and the best (100) candidate."""
    known = {each.arm: each.utility for each in explanation.ranked if each.utility is not None}
    if not known:
        return {}
    low, high = min(known.values()), max(known.values())
    span = (high - low) or 1.0
    return {arm: round(100 * (utility - low) / span) if high > low else 100 for arm, utility in known.items()}


def _as_cause(reason: str) -> str:
    """The reason as it goes on after "Lost because": without repeating that the candidate was not chosen."""
    return reason.rpartition(" was not chosen: ")[2]
