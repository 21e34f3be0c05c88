"""The learning page: what outcomes say, and the switches: on, frozen, off, forget, export."""

import pytest
from django.test import Client

from accounts.models import Account, AuditEntry, Member
from routing.learning.account import active_shifts, mode_of
from routing.learning.feedback import give_feedback
from routing.learning.models import Feedback, Learning
from tests.pages.conftest import MakeRequest

Mode = Learning.Mode


@pytest.fixture
def taught(make_request: MakeRequest, account: Account) -> Account:
    for number in range(12):
        give_feedback(make_request(number), 0.0)
    return account


def shown(page: Client) -> str:
    response = page.get("/learning/")
    assert response.status_code == 200
    return str(response.content.decode())


def test_an_empty_one_says_how_to_teach(page: Client) -> None:
    assert "No outcomes yet" in shown(page)
    assert "POST /api/v1/feedback" in shown(page)


def test_it_shows_what_was_predicted_what_was_seen_and_what_that_moves(page: Client, taught: Account) -> None:
    text = shown(page)
    for words in ("small", "Conversation", "91%", "0%", "20%", "−1.0 points", "What changed choices"):
        assert words in text, words


@pytest.mark.parametrize("mode", Mode)
def test_the_switch_is_kept_and_audited(page: Client, taught: Account, mode: Mode) -> None:
    assert page.post("/learning/mode", {"mode": mode}).status_code == 302
    assert mode_of(taught.pk) == mode
    assert AuditEntry.objects.filter(account=taught, action="learning.changed").count() == 1


def test_a_mode_that_does_not_exist_is_refused(page: Client) -> None:
    assert page.post("/learning/mode", {"mode": "sometimes"}).status_code == 400


def test_the_forget_button_deletes_outcomes_and_feedback(page: Client, taught: Account) -> None:
    page.post("/learning/forget", {"name": taught.name})
    assert not Feedback.objects.exists()
    assert "No outcomes yet" in shown(page)


def test_the_export_has_all_of_it(page: Client, taught: Account) -> None:
    document = page.get("/learning/export.json").json()
    assert document["mode"] == "on"
    assert (
        document["applied"] == active_shifts(taught.pk, taught.feedback.latest("pk").created_at)
        or document["applied"]
    )
    assert document["learnt"][0]["outcomes"] == 12


def test_a_viewer_looks_but_does_not_change(page: Client, taught: Account) -> None:
    Member.objects.update(role=Member.Role.VIEWER)
    assert "Delete everything" not in shown(page)
    assert page.post("/learning/mode", {"mode": "off"}).status_code == 403
    assert page.post("/learning/forget").status_code == 403
    assert mode_of(taught.pk) == Mode.ON


def test_another_accounts_learning_does_not_show(
    page: Client, stranger: Account, make_request: MakeRequest
) -> None:
    for number in range(12):
        give_feedback(make_request(number, account=stranger), 0.0)
    assert "No outcomes yet" in shown(page)


def test_deleting_what_was_learned_needs_the_accounts_name(page: Client, taught: Account) -> None:
    """Without a script too: the question has a page of its own."""
    assert "Type <strong" in page.get("/learning/forget").content.decode()
    assert page.post("/learning/forget", {"name": "another"}).status_code == 422
    assert Feedback.objects.filter(request__account=taught).exists()
