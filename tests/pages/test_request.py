"""The request page: why, what was tried, what it cost, what the others would have cost; and whose it is."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.keys import create_key
from accounts.models import Account, AuditEntry, Member, User
from billing.models import Attempt, Request
from billing.usage import Usage
from routing.catalog.live import catalog
from routing.learning.models import Feedback
from routing.pages.request_detail.counterfactual import counterfactuals
from tests.pages.conftest import TRACE, MakeRequest, entry

SUMMARY = {
    "chars": 20, "words": 4, "turns": 1, "question_chars": 20, "script": "latin", "english": True,
    "code": False, "math": False, "sampled": False, "tools": 0, "images": 0, "files": 0, "audio": 0,
}  # fmt: skip
# With all that ranking again needs
FULL_TRACE = TRACE | {
    "artefact": "test",
    "stream": False,
    "features": SUMMARY,
    "difficulty": -2.0,
    "input_tokens": 20,
    "output_tokens": 120,
    "baseline": None,
    "saved_usd": None,
}

MakeAttempt = Callable[..., Attempt]


def content(page: Client, row: Request, query: str = "") -> str:
    response = page.get(f"/requests/{row.id}{query}")
    assert response.status_code == 200
    return str(response.content.decode())


def test_it_says_why_in_a_sentence_and_what_would_flip_it(page: Client, make_request: MakeRequest) -> None:
    shown = content(page, make_request(1))
    assert TRACE["reason"] in shown
    assert TRACE["flip"] in shown


def test_every_candidate_has_its_numbers_or_the_reason_it_was_ruled_out(
    page: Client, make_request: MakeRequest
) -> None:
    shown = content(page, make_request(1))
    assert "90.0 to 97.0" in shown  # middle's interval
    assert "$0.04" in shown  # large's expected cost
    assert "does not see images" in shown


def test_the_picture_marks_the_chosen_and_says_so_in_words(page: Client, make_request: MakeRequest) -> None:
    shown = content(page, make_request(1))
    assert "Chosen: small." in shown
    assert 'class="frontier"' in shown
    picture = shown.partition('<svg class="scatter"')[2].partition("</svg>")[0]
    assert picture.count("<circle") == 4  # the ranked ones


@pytest.mark.parametrize(
    ("sort", "first"), [("", "Small"), ("success", "Large"), ("cost", "Small"), ("nonsense", "Small")]
)
def test_the_table_sorts_by_url(sort: str, first: str, page: Client, make_request: MakeRequest) -> None:
    table = content(page, make_request(1), f"?sort={sort}").partition('aria-label="Candidates"')[2]
    names = [name for name in ("Small", "Middle", "Large", "Waste") if name in table]
    assert min(names, key=table.index) == first


def test_what_became_of_the_parameters_is_shown(page: Client, make_request: MakeRequest) -> None:
    parameters = [{"parameter": "temperature", "verdict": "adapted", "change": "1.7 became 1"}]
    row = make_request(fidelity={"parameters": parameters, "output": {"valid": False, "fault": "required"}})
    html = content(page, row)
    assert "1.7 became 1" in html
    assert "not as asked" in html
    assert "<h3>Requested and applied parameters</h3>" in html
    for strange in (None, [], {"parameters": 7}):
        Request.objects.filter(pk=row.pk).update(fidelity=strange)
        assert "<h3>Requested and applied parameters</h3>" not in content(page, row)


def test_another_accounts_request_is_not_there(
    page: Client, stranger: Account, make_request: MakeRequest
) -> None:
    theirs = make_request(1, account=stranger, key=create_key(stranger, "theirs")[0])
    for path in (f"/requests/{theirs.id}", f"/requests/{theirs.id}.json"):
        answer = page.get(path)
        assert answer.status_code == 404
        assert b"conversation prompt" not in answer.content


def test_a_visitor_signs_in_first(client: Client, make_request: MakeRequest) -> None:
    row = make_request(1)
    assert client.get(f"/requests/{row.id}").status_code == 302
    assert client.get(f"/requests/{row.id}.json").status_code == 302


def test_attempts_are_listed_with_their_errors(
    page: Client, make_request: MakeRequest, make_attempt: MakeAttempt
) -> None:
    row = make_request(1, fallback_used=True, served_model="middle")
    make_attempt(
        row, 1, outcome="failed", error_kind="server_error", error_message="overloaded", status_code=503
    )
    make_attempt(row, 2, model="middle", provider_request_id="chatcmpl-7")
    shown = content(page, row)
    assert "small failed (server error), so middle answered" in shown
    assert "overloaded" in shown
    assert "chatcmpl-7" in shown
    assert 'class="bar bar-failed"' in shown


def test_usage_shows_the_unit_prices_used_and_the_exact_cost(page: Client, make_request: MakeRequest) -> None:
    shown = content(page, make_request(1, cache_read_tokens=4000, cost_usd=Decimal("0.000280000")))
    assert "Input read from cache" in shown
    assert ">0.025<" in shown
    assert "$0.00028" in shown


def test_saved_may_be_negative_and_says_so(page: Client, make_request: MakeRequest) -> None:
    shown = content(page, make_request(1, cost_usd=Decimal("0.02"), baseline_usd=Decimal("0.009")))
    assert "−$0.011" in shown


def test_others_are_priced_for_the_tokens_that_were_used(make_request: MakeRequest) -> None:
    book = catalog.price_book
    model = next(name for name in catalog.snapshot.prices if name != "small")
    row = make_request(1, uncached_input_tokens=1_000_000, output_tokens=0)
    prices = book.at(model, row.created_at)
    assert prices is not None
    other = counterfactuals(row, [model, "small", "unheard-of"], book)
    assert [entry.model for entry in other] == [model, "unheard-of"]
    usage = Usage(uncached_input_tokens=1_000_000)
    expected = [tier for tier in prices.tiers if usage.input_tokens > tier.over_input_tokens][-1]
    assert other[0].usd == expected.prices.uncached_input
    assert other[1].usd is None


def test_an_open_request_shows_what_is_known_and_looks_again(page: Client, make_request: MakeRequest) -> None:
    row = make_request(
        1, status="open", served_model="", cost_usd=None, baseline_usd=None, latency_ms=None, unit_prices=None
    )
    shown = content(page, row)
    assert "Still running" in shown
    assert 'hx-trigger="every 2s"' in shown
    assert 'hx-trigger="every 2s"' not in content(page, make_request(2))


def test_the_successor_of_a_retired_model_is_named(page: Client, make_request: MakeRequest) -> None:
    note = "gpt-old is retired since 2026-01-01; its successor small answers"
    row = make_request(1, mode="manual", requested_model="gpt-old", trace=TRACE | {"notes": [note]})
    shown = content(page, row)
    assert note in shown
    assert "gpt-old" in shown


@pytest.mark.parametrize(
    "trace",
    [
        {},
        [],
        "gone",
        {"candidates": "none", "reason": 7, "skills": ["a"], "chain": None, "notes": "x"},
        {"candidates": [1, None, {}, {"arm": "a", "p_success": "high", "cost_usd": -1}]},
        {"candidates": [entry("free", cost_usd=0), entry("paid", cost_usd=0.1)], "chain": ["free"]},
        {"candidates": [entry("alone")]},
    ],
)
def test_a_trace_of_another_shape_never_breaks_the_page(
    trace: object, page: Client, make_request: MakeRequest
) -> None:
    content(page, make_request(1, trace=trace))


def test_hostile_text_is_shown_as_text(
    page: Client, make_request: MakeRequest, make_attempt: MakeAttempt
) -> None:
    hostile = '</title><script>alert(1)</script><img src=x onerror="x">'
    trace = TRACE | {
        "reason": hostile,
        "flip": hostile,
        "notes": [hostile],
        "candidates": [entry(hostile, name=hostile, chosen=True), entry("b", name=hostile)],
        "chain": [hostile],
    }
    row = make_request(
        1,
        trace=trace,
        served_model=hostile,
        upstream_model=hostile,
        metadata={hostile: hostile, "items": "x"},
        error_code="provider_error",
        error_message=hostile,
    )
    make_attempt(row, 1, model=hostile, outcome="failed", error_kind="x", error_message=hostile)
    shown = content(page, row)
    assert "<script>alert" not in shown
    assert "<img" not in shown


def test_raw_json_is_the_row_with_its_attempts_and_exact_money(
    page: Client, make_request: MakeRequest, make_attempt: MakeAttempt
) -> None:
    row = make_request(1, cost_usd=Decimal("0.000000001"))
    make_attempt(row, 1)
    raw = json.loads(page.get(f"/requests/{row.id}.json").content)
    assert raw["cost_usd"] == "0.000000001"
    assert raw["trace"]["reason"] == TRACE["reason"]
    assert [attempt["number"] for attempt in raw["attempts"]] == [1]


def test_queries_do_not_grow_with_attempts(
    page: Client,
    make_request: MakeRequest,
    make_attempt: MakeAttempt,
    django_assert_max_num_queries: Callable,
) -> None:
    row = make_request(1)
    for number in range(1, 4):
        make_attempt(row, number, started_at=row.created_at + timedelta(seconds=number))
    assert catalog.snapshot
    with django_assert_max_num_queries(9):
        content(page, row)


def test_a_thumb_is_stored_and_the_later_one_counts(page: Client, make_request: MakeRequest) -> None:
    row = make_request(1)
    for thumb in ("down", "up"):
        page.post(f"/requests/{row.id}/feedback", {"thumb": thumb})
    assert list(Feedback.objects.values_list("request_id", "score")) == [(row.id, 1.0)]
    shown = page.get(f"/requests/{row.id}").content.decode()
    assert 'value="up" aria-pressed="true"' in shown


def test_a_rating_is_in_the_audit_log(
    page: Client, make_request: MakeRequest, mine: tuple[Account, User]
) -> None:
    row = make_request(1)
    page.post(f"/requests/{row.id}/feedback", {"thumb": "down"})
    entry = AuditEntry.objects.get(account=mine[0], action="request.rated")
    assert (entry.target, entry.detail, entry.actor) == (row.id, {"score": 0.0}, mine[1])


def test_a_viewer_looks_but_does_not_rate(
    page: Client, make_request: MakeRequest, mine: tuple[Account, User]
) -> None:
    row = make_request(1)
    Member.objects.filter(account=mine[0], user=mine[1]).update(role="viewer")
    assert page.post(f"/requests/{row.id}/feedback", {"thumb": "up"}).status_code == 403
    assert not Feedback.objects.exists()
    assert 'value="up"' not in page.get(f"/requests/{row.id}").content.decode()


def test_a_thumb_by_htmx_answers_with_the_fragment_alone(page: Client, make_request: MakeRequest) -> None:
    row = make_request(1)
    shown = page.post(f"/requests/{row.id}/feedback", {"thumb": "down"}, headers={"HX-Request": "true"})
    assert 'value="down" aria-pressed="true"' in shown.content.decode()
    assert "<html" not in shown.content.decode()


def test_neither_another_accounts_request_nor_a_strange_thumb_takes_feedback(
    page: Client, make_request: MakeRequest, stranger: Account
) -> None:
    theirs = make_request(1, account=stranger, key=create_key(stranger, "theirs")[0])
    assert page.post(f"/requests/{theirs.id}/feedback", {"thumb": "up"}).status_code == 404
    assert page.post(f"/requests/{make_request(2).id}/feedback", {"thumb": "sideways"}).status_code == 400
    assert not Feedback.objects.exists()


def test_a_verdict_opens_the_page(page: Client, make_request: MakeRequest) -> None:
    lines = page.get(f"/requests/{make_request(1).id}").context["verdict"]
    assert lines == [
        "small answered in 850 ms for $0.00018.",
        TRACE["reason"],
        "It cost more than the $0.0001 expected: 200 output tokens, where 120 were forecast.",
        "That is $0.00882 (98%) less than the baseline, large at its default effort, would have cost.",
    ]


def test_the_cost_stands_beside_what_was_expected(page: Client, make_request: MakeRequest) -> None:
    shown = content(page, make_request(1))
    assert re.search(r">\$0.0001</data> expected, with 120 output tokens", shown)
    assert " expected, with" not in content(page, make_request(2, served_model="another"))


def test_a_choice_below_the_line_says_why(page: Client, make_request: MakeRequest) -> None:
    assert "below the line" not in content(page, make_request(1, trace=FULL_TRACE))
    chain = ["waste", *(arm for arm in FULL_TRACE["chain"] if arm != "waste")]
    shown = content(page, make_request(2, trace=FULL_TRACE | {"chain": chain}))
    assert "The chosen model is below the line" in shown


def test_a_cut_answer_says_so_on_the_page_and_in_the_list(page: Client, make_request: MakeRequest) -> None:
    row = make_request(1, finish_reason="length", output_tokens=1234)
    assert "cut the answer at 1,234 tokens" in content(page, row)
    assert "cut at 1,234 tokens" in page.get("/requests/").content.decode()


def test_three_rivals_say_why_they_lost_and_so_does_every_dot(
    page: Client, make_request: MakeRequest
) -> None:
    response = page.get(f"/requests/{make_request(1, trace=FULL_TRACE).id}")
    assert len(response.context["rivals"]) == 3
    shown = response.content.decode()
    assert shown.count("Lost because") == 3
    assert not any("was not chosen" in rival.reason for rival in response.context["rivals"])
    picture = shown.partition('<svg class="scatter"')[2].partition("</svg>")[0]
    titles = re.findall(r"<title>(.*?)</title>", picture)
    assert all("Chosen." in title or "not chosen" in title or "but it" in title for title in titles)


def test_the_other_strategies_are_replayed_from_the_trace(page: Client, make_request: MakeRequest) -> None:
    choices = page.get(f"/requests/{make_request(1, trace=FULL_TRACE).id}").context["strategies"]
    assert {choice.strategy for choice in choices} == {"auto", "balanced", "cost", "quality", "speed"}
    (cheapest,) = (choice for choice in choices if choice.strategy == "cost")
    assert cheapest.arm == "small"


def test_every_part_of_the_time_has_a_name(
    page: Client, make_request: MakeRequest, make_attempt: MakeAttempt
) -> None:
    row = make_request(1, latency_ms=2000)
    make_attempt(
        row, 1, outcome="failed", latency_ms=400, started_at=row.created_at + timedelta(milliseconds=50)
    )
    make_attempt(row, 2, latency_ms=900, started_at=row.created_at + timedelta(milliseconds=1000))
    parts = [bar.part for bar in page.get(f"/requests/{row.id}").context["timeline"].bars]
    assert [(part.kind, part.start_ms, part.ms) for part in parts] == [
        ("routing", 0, 50),
        ("failed", 50, 400),
        ("pause", 450, 550),
        ("ok", 1000, 900),
        ("settlement", 1900, 100),
    ]
    assert sum(part.ms for part in parts) == 2000


def test_it_leads_to_the_requests_beside_it_and_to_its_key(
    page: Client, make_request: MakeRequest, stranger: Account
) -> None:
    first, second, third = (make_request(number) for number in (1, 2, 3))
    make_request(4, account=stranger, key=create_key(stranger, "theirs")[0])
    shown = content(page, second)
    assert f'rel="prev" href="/requests/{third.id}"' in shown
    assert f'rel="next" href="/requests/{first.id}"' in shown
    assert f"/requests/?key={second.key_id}" in shown
    assert 'rel="prev"' not in content(page, third)


def test_all_but_the_answer_to_why_is_folded_and_summed_up(
    page: Client, make_request: MakeRequest, make_attempt: MakeAttempt
) -> None:
    parameters = [{"parameter": "temperature", "verdict": "adapted", "change": "1.7 became 1"}]
    row = make_request(1, trace=FULL_TRACE, fidelity={"parameters": parameters, "output": {"valid": True}})
    make_attempt(row)
    shown = content(page, row)
    folds = re.findall(
        r'<details class="fold"[^>]*>.*?<h3>(.*?)</h3><span class="fold-note">(.*?)</span>', shown, re.S
    )
    assert folds == [
        ("All candidates", "4 ranked, 1 ruled out"),
        ("Replay under another strategy", "Auto and quality would choose another model"),
        ("Cost with other models", "$0.009 with large"),
        ("Requested and applied parameters", "1 adapted, output valid"),
        ("Details", "Strategy auto, conversation, native API"),
    ]
    assert "open" not in re.findall(r'<details class="fold"([^>]*)>', shown)[0]
    open_parts = re.sub(r'<details class="fold".*?</details>', "", shown, flags=re.S)
    assert all(
        part in open_parts for part in ("Why not another model?", "What happened", "Cost by kind of token")
    )


def test_sorting_candidates_leaves_their_section_open(page: Client, make_request: MakeRequest) -> None:
    row = make_request(1)
    for query in ("?sort=cost", "?sort=rank"):
        assert '<details class="fold" id="candidates" open>' in content(page, row, query)


def test_the_cost_stands_above_its_forecast_and_the_baseline(page: Client, make_request: MakeRequest) -> None:
    shown = content(
        page, make_request(1, baseline_low_usd=Decimal("0.004"), baseline_high_usd=Decimal("0.02"))
    )
    foot = shown.partition("<tfoot>")[2].partition("</tfoot>")[0]
    assert re.findall(r"\$[\d.]+(?=<)", foot) == ["$0.00018", "$0.0001", "$0.009", "$0.004", "$0.02"]
