"""The playground sends real requests of the account: recorded, charged, limited, refused like any other."""

import time
from decimal import Decimal

import pytest

from accounts.models import Account, ApiKey
from billing.models import Request
from tests.conftest import Simulator
from tests.execute.odd_answers import answer, chat, frames
from tests.playground.conftest import Person, linked_request

MODEL = "gpt-4o-mini"


def test_an_answer_is_streamed_and_recorded(owner: Person, account: Account) -> None:
    begun, *pieces, done = owner.events(system="Be brief.")
    assert begun["type"] == "begun"
    assert "Why this model?" in begun["html"]
    assert len(pieces) > 1
    assert all(piece["type"] == "piece" for piece in pieces)
    row = Request.objects.get(account=account)
    assert (row.door, row.status, row.streamed) == ("playground", "succeeded", True)
    assert row.key.is_playground
    assert row.cost_usd > 0
    assert linked_request(done["html"]) == row.id
    assert row.served_model in owner.open(f"/requests/{row.id}")


def test_the_parameters_reach_the_provider(owner: Person, simulator: Simulator) -> None:
    owner.events(target=f"model:{MODEL}", system="Be brief.", temperature="0.3", max_output_tokens="77")
    (call,) = simulator.calls(model=MODEL)
    body = call["body"]
    assert body["temperature"] == 0.3
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert body["messages"][0]["content"] == "Be brief."


def test_a_models_markup_is_shown_as_text(owner: Person, simulator: Simulator) -> None:
    text = "**Bold** <img src=x onerror=alert(1)> [a link](javascript:alert(1))"
    answer(simulator, frames(chat({"content": text}), chat({}, "stop"), b"[DONE]"))
    done = owner.events(target=f"model:{MODEL}")[-1]
    assert "<strong>Bold</strong>" in done["answer"]
    assert "<img" not in done["answer"]
    assert "<a" not in done["answer"]


def test_a_strategy_and_a_model_are_recorded_as_chosen(owner: Person, account: Account) -> None:
    owner.events(target="strategy:cost")
    owner.events(target=f"model:{MODEL}")
    first, second = Request.objects.filter(account=account).order_by("created_at")
    assert (first.mode, first.strategy) == ("routeplex-ai", "cost")
    assert (second.mode, second.requested_model) == ("manual", MODEL)


def test_without_a_script_the_page_shows_the_whole_answer(owner: Person, account: Account) -> None:
    page = owner.post("/playground/").raise_for_status().text
    row = Request.objects.get(account=account)
    assert linked_request(page) == row.id
    assert "Why this model?" in page


def test_a_decision_opens_no_request(owner: Person, account: Account) -> None:
    decided = owner.post("/playground/decision", {"target": "strategy:quality"}).raise_for_status().text
    assert "chance of a good answer" in decided
    assert "nothing is charged" in decided
    assert not Request.objects.filter(account=account).exists()


def test_the_accounts_limits_apply(owner: Person, account: Account) -> None:
    account.daily_usd = Decimal("0.000000001")
    account.save()
    (refused,) = owner.events()
    assert refused["type"] == "refused"
    assert "daily" in refused["html"]
    account.daily_usd, account.allowed_models = None, [MODEL]
    account.save()
    (refused,) = owner.events(target="model:claude-haiku-4-5")
    assert "claude-haiku-4-5" in refused["html"]
    assert not Request.objects.filter(account=account).exists()


def test_a_failed_request_is_linked(owner: Person, account: Account, simulator: Simulator) -> None:
    account.fallback = False
    account.save()
    simulator.fault(model=MODEL, kind="status", status=500, count=9)
    refused = owner.events(target=f"model:{MODEL}")[-1]
    assert refused["type"] == "refused"
    assert "provider_error" in refused["html"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": " "}, "Write a prompt."),
        ({"max_output_tokens": "0"}, "Max output tokens"),
        ({"temperature": "3"}, "Temperature"),
        ({"target": "model:no-such-model"}, "Choose a strategy or a model"),
    ],
)
def test_a_wrong_form_sends_nothing(owner: Person, fields: dict[str, str], words: str) -> None:
    answer = owner.post("/playground/", fields, Accept="text/event-stream")
    assert answer.status_code == 422
    assert words in answer.json()["error"]
    page = owner.post("/playground/", fields)
    assert page.status_code == 422
    assert words in page.text
    assert words in owner.post("/playground/decision", fields).text


def test_viewers_may_not_send(viewer: Person, account: Account) -> None:
    assert "You can view this account but not send requests." in viewer.open("/playground/")
    for path in ("/playground/", "/playground/decision"):
        assert viewer.post(path).status_code == 403
    assert not ApiKey.objects.filter(account=account).exists()


def test_the_playgrounds_key_is_no_key_of_a_person(owner: Person, account: Account) -> None:
    owner.post("/playground/decision")
    key = ApiKey.objects.get(account=account)
    assert key.name not in owner.open("/keys/").split("<main")[1]
    assert owner.http.get(f"/keys/{key.pk}/rotate/").status_code == 404
    assert "Playground" in owner.open("/limits/").split("<main")[1]


def test_a_stopped_answer_is_settled(owner: Person, account: Account, simulator: Simulator) -> None:
    simulator.fault(model=MODEL, kind="stall", count=1)
    form = {"prompt": "A long story", "max_output_tokens": "200", "target": f"model:{MODEL}"}
    form["csrfmiddlewaretoken"] = owner.http.cookies["csrftoken"]
    headers = {"Accept": "text/event-stream", "Referer": str(owner.http.base_url)}
    with owner.http.stream("POST", "/playground/", data=form, headers=headers) as answer:
        next(answer.iter_raw())
    row = Request.objects.get(account=account)
    deadline = time.monotonic() + 10
    while row.status == Request.Status.OPEN and time.monotonic() < deadline:
        time.sleep(0.05)
        row.refresh_from_db()
    assert row.status != Request.Status.OPEN
