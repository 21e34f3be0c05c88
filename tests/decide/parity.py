"""`python -m tests.decide.parity`: does the same question go to one tier in all languages and wordings?

Each pair is compared on the English question's forecasts. The arm chosen for the other wording is a downgrade
when its success there is lower by more than LOSS, else an upgrade when it costs more than DEARER times as
much. Otherwise both are in one tier.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bench.published import NOW, snapshot
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import DecisionInput, decide, load
from routing.decide.prediction import request_model, second_look
from routing.decide.prediction.request_features import features, request_text
from routing.decide.prediction.request_model import Judgement
from routing.decide.prediction.second_look import SecondLook
from routing.decide.trace import Candidate, Trace
from routing.encoder.artefact import ARTEFACT
from routing.encoder.inference import Inference
from routing.encoder.messages import texts
from routing.language.chat import ChatRequest, Strategy
from tests.decide.languages import AFTERWARDS, LANGUAGES, PARAPHRASES, QUESTIONS, UNKNOWN_SCRIPTS

LOSS = 0.06  # of P(success)
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

    request = chat_request(text)
    decision_input = DecisionInput(
        request=request, at=NOW, strategy=strategy, judgement=_judged(request, strategy)
    )
    return decide(decision_input, catalog, draw=0.0).trace


def _judged(request: ChatRequest, strategy: Strategy) -> Judgement:
    """The estimates as served, with a second look where it pays."""
    text = request_text(request)
    judgement = request_model.shipped().judge_features(features(text))
    if strategy is not Strategy.AUTO or not second_look.pays(judgement):
        return judgement
    estimate = _encoder().judge(texts(text.english, text.system, text.history))
    second = SecondLook(estimate.level, estimate.answer_tokens, estimate.skills)
    return second_look.refined(judgement, second)


@cache
def _encoder() -> Inference:
    return Inference(ARTEFACT)


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
