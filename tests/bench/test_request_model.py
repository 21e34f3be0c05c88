"""The request model: its estimates are bounded, and it learns what it is shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.traffic.fit import features_of, fit_request_model, questions_as_requests
from bench.traffic.prompts import RatedRequest
from routing.decide.prediction.request_features import MEASURES, features, request_text
from routing.decide.prediction.request_model import RequestModel
from routing.decide.prediction.skills import TEXT_SKILLS, Skill
from routing.language.chat import ChatRequest, Message, Role, Text

NAMES = ("ann", "bob", "eve", "joe", "kim", "lea", "max", "zoe")
EASY = [f"say hello to {name} in one word" for name in NAMES]
HARD = [f"prove that the {n}th polynomial has no integer root, rigorously" for n in range(3, 11)]


def rated(text: str, level: float, skill: Skill, tokens: float) -> RatedRequest:
    request = ChatRequest(messages=(Message(Role.USER, (Text(text),)),))
    return RatedRequest(id=text, writer="w", level=level, skill=skill, answer_tokens=tokens, request=request)


@pytest.fixture(scope="module")
def model() -> RequestModel:
    requests = [rated(text, 1, Skill.CONVERSATION, 5) for text in EASY]
    requests += [rated(text, 5, Skill.COMPETITION_MATH, 900) for text in HARD]
    requests += [rated(f"draft a letter to {name} about rent", 3, Skill.WRITING, 200) for name in NAMES]
    benchmark = questions_as_requests([f"Which option is true?\nA. {n}\nB. {n + 1}" for n in range(8)])
    return fit_request_model(requests, features_of([r.request for r in requests]), features_of(benchmark))


def test_unseen_requests_are_judged_like_their_kind(model: RequestModel) -> None:
    easy, hard = features_of(
        questions_as_requests(
            ["say hello to pat in one word", "prove that the 12th polynomial has no integer root"]
        )
    )
    assert model.judge_features(easy).level < 2.5 < 3.5 < model.judge_features(hard).level
    assert model.judge_features(easy).answer_tokens < 50 < 150 < model.judge_features(hard).answer_tokens
    assert TEXT_SKILLS[int(model.judge_features(hard).skills.argmax())] is Skill.COMPETITION_MATH


def test_benchmark_questions_look_less_like_traffic(model: RequestModel) -> None:
    question, request = features_of(
        questions_as_requests(["Which option is true?\nA. 40\nB. 41", "say hello to sam in one word"])
    )
    assert model.judge_features(question).everyday < model.judge_features(request).everyday


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Role), st.text(max_size=300)), max_size=5))
def test_any_request_is_judged_within_bounds(model: RequestModel, turns: list[tuple[Role, str]]) -> None:
    request = ChatRequest(messages=tuple(Message(role, (Text(text),)) for role, text in turns))
    vector = features(request_text(request))
    assert vector.measures.shape == (len(MEASURES),)
    judgement = model.judge_features(vector)
    assert 1 <= judgement.level <= 5
    assert 1 <= judgement.answer_tokens < 60_000
    assert 0 <= judgement.everyday <= 1
    assert np.isclose(judgement.skills.sum(), 1, atol=1e-4)
