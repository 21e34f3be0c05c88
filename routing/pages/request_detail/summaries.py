"""One line for each folded section of a request's page, which sums up what it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.content.store import Content
from billing.models import Request
from core.numbers.formats import money_text
from routing.language.fidelity import Fidelity, Verdict
from routing.pages.request_detail.counterfactual import Counterfactual
from routing.pages.request_detail.explanation import Explanation
from routing.pages.request_detail.other_strategies import Choice
from routing.templatetags.pages import display_name, skill


@dataclass(frozen=True)
class Summaries:
    content: str
    candidates: str
    strategies: str
    others: str
    parameters: str
    details: str


def summaries(
    row: Request,
    content: Content | None,
    explanation: Explanation,
    strategies: Sequence[Choice],
    others: Sequence[Counterfactual],
    fidelity: Fidelity,
) -> Summaries:
    return Summaries(
        content=_content(content),
        candidates=f"{len(explanation.ranked)} ranked, {len(explanation.removed)} ruled out",
        strategies=_strategies(strategies),
        others=_others(others),
        parameters=_parameters(fidelity),
        details=_details(row),
    )


def _content(content: Content | None) -> str:
    if content is None:
        return ""
    stored = "too long to be stored whole" if content.is_cut else "stored encrypted"
    return f"{_counted(len(content.prompt), 'message')} and the answer, {stored}"


def _strategies(choices: Sequence[Choice]) -> str:
    others = [choice.strategy for choice in choices if not choice.is_same]
    if not others:
        return "All strategies choose the same model"
    return f"{_listed(others)} would choose another model".capitalize()


def _others(others: Sequence[Counterfactual]) -> str:
    """The range of the prices that are known; the list is sorted by price."""
    priced = [other for other in others if other.usd is not None]
    if not priced:
        return "No price is known"
    first, last = priced[0], priced[-1]
    least = f"{money_text(first.usd)} with {display_name(first.model)}"
    return least if first is last else f"{least} to {money_text(last.usd)} with {display_name(last.model)}"


def _parameters(fidelity: Fidelity) -> str:
    verdicts = [receipt.verdict for receipt in fidelity.parameters]
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts]
    if fidelity.output is not None:
        parts.append(f"output {'valid' if fidelity.output.valid else 'invalid'}")
    return ", ".join(parts).capitalize()


def _details(row: Request) -> str:
    mode = "Manual" if row.mode == "manual" else f"Strategy {row.strategy}"
    return ", ".join(filter(None, [mode, skill(row.query_type) if row.query_type else "", f"{row.door} API"]))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
