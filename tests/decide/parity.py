"""`python -m tests.decide.parity`: does the same question go to one tier in all languages and wordings?

Each pair is compared on the English question's forecasts. The arm chosen for the other wording is a downgrade
when its success there is lower by more than LOSS, else an upgrade when it costs more than DEARER times as
much. Otherwise both are in one tier.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.published import NOW, snapshot
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import DecisionInput, decide, load
from routing.decide.trace import Candidate, Trace
from routing.language.chat import Strategy
from tests.decide.languages import AFTERWARDS, LANGUAGES, PARAPHRASES, QUESTIONS, UNKNOWN_SCRIPTS

LOSS = 0.03  # of P(success)
DEARER = 4.0
WORDINGS = ("plain", "formal", "chatty", "with slips", "courteous")


@dataclass(frozen=True)
class Pair:
    """The decisions on the English question and on another wording of it."""

    english: Trace
    other: Trace

    @property
    def loss(self) -> float:
        """Loss of success, on the English question's forecasts; negative: the other's arm is better."""
        return _first(self.english).p_success - self._there.p_success

    @property
    def dearer(self) -> float:
        return (self._there.cost_usd or np.nan) / (_first(self.english).cost_usd or np.nan)

    @property
    def tier(self) -> str:
        """same, down or up."""
        if self.loss > LOSS:
            return "down"
        return "up" if self.dearer > DEARER else "same"

    @property
    def same_skill(self) -> bool:
        return self.english.query_type == self.other.query_type

    @property
    def harder(self) -> float:
        return self.other.difficulty - self.english.difficulty

    @property
    def _there(self) -> Candidate:
        """The other's arm, with the numbers of the English question's trace."""
        return next(entry for entry in self.english.candidates if entry.arm == _first(self.other).arm)


def _first(trace: Trace) -> Candidate:
    return trace.candidates[0]


def pairs(
    rows: Iterable[Sequence[str]], column: int, catalog: Snapshot, strategy: Strategy = Strategy.AUTO
) -> list[Pair]:
    """The first text of each row, paired with the text in that column."""
    return [Pair(*(traced(row[i], catalog, strategy) for i in (0, column))) for row in rows]


def traced(text: str, catalog: Snapshot, strategy: Strategy = Strategy.AUTO) -> Trace:
    from tests.decide.conftest import chat_request

    return decide(
        DecisionInput(request=chat_request(text), at=NOW, strategy=strategy), catalog, draw=0.0
    ).trace


def share(compared: Sequence[Pair], tier: str) -> float:
    return float(np.mean([pair.tier == tier for pair in compared]))


def main() -> None:
    load()
    catalog = snapshot()
    print(f"{'auto':24} {'same':>6} {'down':>6} {'up':>6} {'skill':>6} {'harder':>7}")
    for title, rows in (("", QUESTIONS), (", words not in the dictionary", AFTERWARDS)):
        for column in range(1, len(LANGUAGES)):
            _print(f"{LANGUAGES[column]}{title}"[:24], pairs(rows, column, catalog))
    for column in range(1, len(WORDINGS)):
        _print(WORDINGS[column], pairs(PARAPHRASES, column, catalog))
    _print("unknown scripts", pairs(UNKNOWN_SCRIPTS, 1, catalog))
    print(f"\n{'same tier by strategy':24} " + " ".join(f"{name[:7]:>8}" for name in LANGUAGES[1:]))
    for strategy in Strategy:
        shares = [
            share(pairs(QUESTIONS, column, catalog, strategy), "same") for column in range(1, len(LANGUAGES))
        ]
        print(f"{strategy:24} " + " ".join(f"{value:8.0%}" for value in shares))


def _print(title: str, compared: Sequence[Pair]) -> None:
    tiers = " ".join(f"{share(compared, tier):6.0%}" for tier in ("same", "down", "up"))
    skill = np.mean([pair.same_skill for pair in compared])
    print(f"{title:24} {tiers} {skill:6.0%} {np.median([pair.harder for pair in compared]):+7.2f}")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")
    main()
