"""The request list: newest first, each filter, stable pages, a tail that misses nothing, no other's rows."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.keys import create_key
from accounts.models import Account, ApiKey
from billing.models import Request
from routing.catalog.live import catalog
from routing.pages.requests import queries
from tests.pages.conftest import MakeRequest, moment

URL = "/requests/"
HTMX = {"HTTP_HX_REQUEST": "true"}


def ids(response: Any) -> list[str]:
    """The rows shown, in order."""
    return re.findall(r'id="row-(req_\w+)"', response.content.decode())


def test_rows_come_newest_first(page: Client, make_request: MakeRequest) -> None:
    rows = [make_request(number) for number in range(3)]
    assert ids(page.get(URL)) == [rows[2].id, rows[1].id, rows[0].id]


def test_a_visitor_signs_in_first(client: Client, db: None) -> None:
    assert client.get(URL).status_code == 302


def test_another_accounts_rows_do_not_show(
    page: Client, stranger: Account, make_request: MakeRequest
) -> None:
    key = create_key(stranger, "theirs")[0]
    make_request(1, account=stranger, key=key)
    assert ids(page.get(URL)) == []
    assert ids(page.get(URL, {"key": key.pk})) == []


def test_an_empty_list_says_how_to_fill_it(page: Client) -> None:
    content = page.get(URL).content.decode()
    assert "No requests yet" in content
    assert 'href="/start"' in content


@pytest.mark.parametrize(
    ("query", "differs"),
    [
        ({"status": "failed"}, {"status": "failed"}),
        ({"model": "other"}, {"served_model": "other"}),
        ({"model": "other"}, {"served_model": "", "routed_model": "other", "status": "failed"}),
        ({"model": "other@high"}, {"served_model": "other", "served_effort": "high"}),
        ({"strategy": "quality"}, {"strategy": "quality"}),
        ({"skill": "coding"}, {"query_type": "coding"}),
        ({"fallback": "yes"}, {"fallback_used": True}),
        ({"min_tokens": "5000"}, {"cache_read_tokens": 6000}),
        ({"min_cost": "0.5"}, {"cost_usd": Decimal("0.75")}),
        ({"min_latency": "2000"}, {"latency_ms": 2500}),
        ({"q": "req_0000000000000000000000009"}, {"id": "req_00000000000000000000000099"}),
        ({"q": "00099"}, {"id": "req_00000000000000000000000099"}),
        ({"q": "Team Blue"}, {"metadata": {"team": "team blue"}}),
        (
            {"since": "2026-01-01T00:00", "until": "2026-01-02T00:00"},
            {"created_at": moment("2026-01-01T12:00")},
        ),
    ],
)
def test_each_filter_keeps_what_matches_alone(
    query: dict[str, str], differs: dict[str, Any], page: Client, make_request: MakeRequest
) -> None:
    make_request(1, metadata={"team": "red"})
    match = make_request(2, **differs)
    assert ids(page.get(URL, query)) == [match.id]


def test_filter_by_key(page: Client, account: Account, make_request: MakeRequest) -> None:
    other = create_key(account, "staging")[0]
    make_request(1)
    match = make_request(2, key=other)
    assert ids(page.get(URL, {"key": other.pk})) == [match.id]


def test_the_picture_shows_the_time_that_the_filter_names(page: Client, make_request: MakeRequest) -> None:
    make_request(1, created_at=timezone.now() - timedelta(days=40))
    make_request(2)
    shown = page.get(URL)
    assert "All time: <strong>2 requests</strong>" in shown.content.decode()
    assert shown.context["histogram"].since < timezone.now() - timedelta(days=40)
    shown = page.get(URL, {"period": "24h"})
    assert "Last 24 hours: <strong>1 request</strong>" in shown.content.decode()


def test_a_picture_that_ends_before_the_list_says_so(page: Client, make_request: MakeRequest) -> None:
    for number, days in enumerate([1, 80, 100]):
        make_request(number, created_at=timezone.now() - timedelta(days=days))
    shown = page.get(URL).content.decode()
    assert "Last 90 days: <strong>2 requests</strong>" in shown
    assert "the list has older ones, too" in shown


def test_the_filters_name_models_as_the_list_does(page: Client, make_request: MakeRequest) -> None:
    facts = catalog.snapshot.models["gpt-5-mini"]
    make_request(1, served_model=facts.id)
    shown = page.get(URL, {"model": f"{facts.id}@low"}).content.decode()
    assert f'<option value="{facts.id}" title="{facts.id}">{facts.name}</option>' in shown
    assert f"model: {facts.name} · low" in shown
    assert f'title="{facts.id}@low" selected>{facts.name} · low</option>' in shown


def test_filter_by_period(page: Client, make_request: MakeRequest) -> None:
    make_request(1, created_at=timezone.now() - timedelta(hours=2))
    match = make_request(2)
    assert ids(page.get(URL, {"period": "1h"})) == [match.id]


def test_times_in_the_url_are_the_viewers(
    page: Client, mine: tuple[Account, Any], make_request: MakeRequest
) -> None:
    mine[1].time_zone = "America/New_York"
    mine[1].save()
    match = make_request(1, created_at=moment("2026-01-01T06:00"))  # 01:00 in New York
    make_request(2, created_at=moment("2026-01-01T04:00"))  # the day before there
    assert ids(page.get(URL, {"since": "2026-01-01T00:00"})) == [match.id]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "nonsense"},
        {"key": "0x1"},
        {"key": "9" * 30},
        {"min_cost": "lots"},
        {"min_tokens": "-1"},
        {"min_latency": "9" * 20},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00"},
        {"until": "9999-12-31T23:59"},
        {"before": "1.\x00"},
        {"before": "x.y"},
        {"before": "9" * 40 + ".req_1"},
        {"after": "12.'; drop table"},
        {"q": "\x00" + "é" * 500},
        {"period": "1000y"},
    ],
)
def test_a_filter_that_makes_no_sense_never_breaks_the_page(
    query: dict[str, str], page: Client, mine: tuple[Account, Any], make_request: MakeRequest
) -> None:
    make_request(1)
    mine[1].time_zone = "Asia/Tokyo"
    mine[1].save()
    assert page.get(URL, query).status_code == 200
    assert page.get("/requests/tail", {**query, "open": "\x00"}, **HTMX).status_code == 200


def test_a_bad_filter_is_explained_beside_its_field(page: Client) -> None:
    assert "Enter a number" in page.get(URL, {"min_cost": "lots"}).content.decode()


def test_pages_stay_put_while_rows_arrive(page: Client, make_request: MakeRequest) -> None:
    size = queries.PAGE_ROWS
    rows = [make_request(number) for number in range(2 * size + 5)]
    newest_first = [row.id for row in reversed(rows)]
    first = page.get(URL)
    older = re.search(r'href="(/requests/\?before=[^"]+)"', first.content.decode())
    assert older
    for number in range(1000, 1010):
        make_request(number)
    second = page.get(older[1])
    assert ids(first) + ids(second) == newest_first[: 2 * size]
    newer = re.search(r'href="(/requests/\?after=[^"]+)"', second.content.decode())
    assert newer
    assert ids(page.get(newer[1])) == newest_first[:size]


def test_rows_of_one_moment_are_neither_lost_nor_shown_twice(page: Client, make_request: MakeRequest) -> None:
    now = timezone.now() - timedelta(minutes=1)
    size = queries.PAGE_ROWS
    expected = {make_request(number, created_at=now).id for number in range(size + 7)}
    first = page.get(URL)
    older = re.search(r'href="(/requests/\?before=[^"]+)"', first.content.decode())
    assert older
    shown = ids(first) + ids(page.get(older[1]))
    assert len(shown) == len(set(shown))
    assert set(shown) == expected


def test_a_rare_filter_stops_looking_and_offers_to_go_on(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SCAN_ROWS", 10)
    match = make_request(0, status="failed")
    for number in range(1, 16):
        make_request(number)
    first = page.get(URL, {"status": "failed"})
    assert ids(first) == []
    further = re.search(r'href="(/requests/\?[^"]*before=[^"]+)">Search older', first.content.decode())
    assert further
    assert ids(page.get(further[1].replace("&amp;", "&"))) == [match.id]


def test_every_list_query_is_bounded_and_their_number_does_not_grow(
    page: Client, make_request: MakeRequest, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        make_request(number)
    with django_assert_max_num_queries(18) as captured:
        page.get(URL)
    with django_assert_max_num_queries(19):
        page.get(URL, {"status": "failed", "q": "blue"})
    queries = [query["sql"] for query in captured]
    listing = [sql for sql in queries if 'FROM "billing_request"' in sql and "ORDER BY" in sql]
    assert listing
    for sql in listing:
        assert "OFFSET" not in sql
        assert "COUNT(" not in sql
        assert "LIMIT" in sql
        assert '"trace"' not in sql


def test_the_tail_waits_until_nothing_can_come_before_a_row(page: Client, make_request: MakeRequest) -> None:
    tail = tail_url(page.get(URL))
    make_request(1, created_at=timezone.now() - timedelta(seconds=0.1))
    assert ids(page.get(tail, **HTMX)) == []


def test_the_tail_brings_each_new_row_once(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "TAIL_LAG", timedelta(0))
    known = make_request(1, created_at=timezone.now())
    first = page.get(URL)
    assert ids(first) == [known.id]
    fresh = make_request(2, created_at=timezone.now())
    second = page.get(tail_url(first), **HTMX)
    assert ids(second) == [fresh.id]
    assert ids(page.get(tail_url(second), **HTMX)) == []


def test_the_tail_keeps_to_the_filters(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "TAIL_LAG", timedelta(0))
    tail = tail_url(page.get(URL, {"status": "failed"}))
    make_request(1, created_at=timezone.now())
    match = make_request(2, created_at=timezone.now(), status="failed")
    assert ids(page.get(tail, **HTMX)) == [match.id]


def test_a_row_that_was_open_is_shown_anew_when_it_is_settled(
    page: Client, make_request: MakeRequest
) -> None:
    row = make_request(1, status="open", served_model="", cost_usd=None, latency_ms=None)
    first = page.get(URL)
    assert 'name="open"' in first.content.decode()
    Request.objects.filter(pk=row.pk).update(status="succeeded", settled_at=timezone.now(), cost_usd=1)
    news = page.get(tail_url(first), {**query_of(tail_url(first)), "open": row.id}, **HTMX).content.decode()
    assert 'hx-swap-oob="true"' in news
    assert "Succeeded" in news


def test_a_tail_that_fell_far_behind_draws_the_list_anew(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "TAIL_LAG", timedelta(0))
    tail = tail_url(page.get(URL))
    for number in range(queries.PAGE_ROWS + 1):
        make_request(number, created_at=timezone.now())
    news = page.get(tail, **HTMX)
    assert news["HX-Retarget"] == "#requests"
    assert len(ids(news)) == queries.PAGE_ROWS


def test_live_can_be_paused_and_the_url_says_so(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    assert "hx-trigger" in page.get(URL).content.decode().partition('id="requests"')[2]
    paused = page.get(URL, {"live": "off", "status": "succeeded"}).content.decode()
    assert 'id="tail"' not in paused
    assert 'href="/requests/?status=succeeded"' in paused  # resume keeps the filter


def test_a_fragment_is_the_list_alone_with_its_url(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    response = page.get(URL, {"status": "succeeded", "q": "", "model": ""}, **HTMX)
    assert b"<html" not in response.content
    assert response["HX-Push-Url"] == "/requests/?status=succeeded"
    assert "HX-Request" in response["Vary"]


def test_hostile_text_is_shown_as_text(page: Client, account: Account, make_request: MakeRequest) -> None:
    hostile = '<script>alert(1)</script>"onmouseover="x'
    key = create_key(account, hostile)[0]
    make_request(1, key=key, served_model=hostile, metadata={hostile: hostile})
    content = page.get(URL, {"q": hostile[:40], "model": hostile}).content.decode()
    assert "<script>alert" not in content
    assert '"onmouseover="' not in content


def test_money_keeps_every_digit(page: Client, make_request: MakeRequest) -> None:
    make_request(1, cost_usd=Decimal("0.000000007"))
    assert "$0.000000007" in page.get(URL).content.decode()


def test_an_unpriced_row_does_not_look_free(page: Client, make_request: MakeRequest) -> None:
    make_request(1, cost_usd=None, unpriced=True)
    assert "unpriced" in page.get(URL).content.decode()


def tail_url(response: Any) -> str:
    link = re.search(r'hx-get="(/requests/tail[^"]*)"', response.content.decode())
    assert link, "no tail on the page"
    return link[1].replace("&amp;", "&")


def query_of(url: str) -> dict[str, Any]:
    from urllib.parse import parse_qs, urlsplit

    return parse_qs(urlsplit(url).query)


def test_key_names_come_with_the_rows(page: Client, key: ApiKey, make_request: MakeRequest) -> None:
    make_request(1)
    assert key.name in page.get(URL).content.decode()


@pytest.mark.parametrize("text", ["Käse", "käse", "KÄSE", "日本"])
def test_search_finds_metadata_that_is_not_ascii(text: str, page: Client, make_request: MakeRequest) -> None:
    make_request(1, metadata={"team": "red"})
    match = make_request(2, metadata={"team": "Käse", "place": "日本"})
    assert ids(page.get(URL, {"q": text})) == [match.id]


def test_search_finds_models_by_id_and_name(page: Client, make_request: MakeRequest) -> None:
    facts = next(iter(catalog.snapshot.models.values()))
    make_request(1, served_model="other")
    match = make_request(2, served_model=facts.id)
    for text in (facts.id, facts.id.upper(), facts.name, facts.name.lower()):
        assert ids(page.get(URL, {"q": text})) == [match.id], text
