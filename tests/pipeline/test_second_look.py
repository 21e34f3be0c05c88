"""A second look refines requests of middling level under `auto`, the record says so, and replay agrees."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from billing.models import Request
from routing.decide.prediction.second_look import SecondLook
from routing.decide.prediction.skills import TEXT_SKILLS, Skill
from routing.replay.stored import replayed
from tests.door_client import DoorClient

MIDDLING = [{"role": "user", "content": "Prove that there are infinitely many prime numbers."}]
EASY = [{"role": "user", "content": "hi"}]


class StandIn:
    """An encoder that takes every request for a very hard one, or is always late."""

    def __init__(self, answers: bool) -> None:
        self.answers, self.texts = answers, list[str]()

    async def second_look(self, text: object) -> SecondLook | None:
        self.texts.append(text.english)  # type: ignore[attr-defined]
        skills = tuple(float(skill is Skill.COMPETITION_MATH) for skill in TEXT_SKILLS)
        return SecondLook(5.0, 2000.0, skills) if self.answers else None


@pytest.fixture
def encoder(http: httpx.Client) -> Iterator[StandIn]:
    from routing.state import runtime

    stand_in, [alive] = StandIn(answers=True), runtime.alive()
    usual, alive.encoder = alive.encoder, stand_in  # type: ignore[assignment]
    yield stand_in
    alive.encoder = usual


def test_a_middling_request_is_decided_with_it(caller: DoorClient, encoder: StandIn) -> None:
    encoder.answers = False
    alone = decision(caller, caller.ask(MIDDLING).request_id)
    encoder.answers = True
    both = decision(caller, caller.ask(MIDDLING).request_id)
    assert encoder.texts == [MIDDLING[0]["content"]] * 2
    assert (alone["refined"], both["refined"]) == (False, True)
    assert both["complexity"] > alone["complexity"]


@pytest.mark.parametrize(
    ("messages", "fields"),
    [(EASY, {}), (MIDDLING, {"strategy": "cost"}), (MIDDLING, {"model": "gpt-4.1", "mode": "manual"})],
    ids=["an easy request", "another strategy", "a pinned model"],
)
def test_others_are_decided_without_it(
    http: httpx.Client, encoder: StandIn, messages: list[dict[str, str]], fields: dict[str, str]
) -> None:
    response = http.post("/api/v1/route", json={"messages": messages} | fields)
    assert response.status_code == 200
    assert encoder.texts == []
    assert response.json()["data"]["refined"] is False


def test_the_preview_says_level_and_second_look(http: httpx.Client, encoder: StandIn) -> None:
    data = http.post("/api/v1/route", json={"messages": MIDDLING}).json()["data"]
    assert data["refined"] is True
    assert 3.5 < data["level"] <= 5


def test_replay_makes_the_same_decision_from_the_record(http: httpx.Client, encoder: StandIn) -> None:
    answer = http.post("/api/v1/chat", json={"messages": MIDDLING, "stream": False}).json()["data"]
    trace = Request.objects.values_list("trace", flat=True).get(pk=answer["id"])
    assert trace["refined"] is True
    assert list(replayed(Request.objects.filter(pk=answer["id"]), 1)) == [None]


def decision(caller: DoorClient, request_id: str) -> dict[str, Any]:
    data: dict[str, Any] = caller.http.get(f"/api/v1/requests/{request_id}").json()["data"]["decision"]
    return data
