"""The request list sorted, with columns of choice, and saved views of a person in an account."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Account, Member, User
from billing.reports import sorting
from routing.pages.requests import queries
from routing.pages.requests.models import SavedView
from tests.pages.conftest import MakeRequest

URL = "/requests/"


def ids(response: Any) -> list[str]:
    return re.findall(r'id="row-(req_\w+)"', response.content.decode())


def heads(response: Any) -> list[str]:
    matches = re.findall(r"<th\b[^>]*>(.*?)</th>", response.content.decode(), re.DOTALL)
    return [re.sub(r"<[^>]+>", "", head).strip() for head in matches]


def link(response: Any, label: str) -> str:
    matches = re.search(
        rf'href="([^"]+)">(?:<svg(?:(?!</svg>).)*</svg>)?{label}', response.content.decode(), re.DOTALL
    )
    return matches.group(1).replace("&amp;", "&") if matches else ""


@pytest.mark.parametrize(
    ("sort", "column"),
    [
        ("oldest", "created_at"),
        ("most_expensive", "cost_usd"),
        ("cheapest", "cost_usd"),
        ("slowest", "latency_ms"),
        ("fastest", "latency_ms"),
        ("most_tokens", "output_tokens"),
        ("fewest_tokens", "output_tokens"),
    ],
)
def test_pages_of_a_sorted_list_hold_each_row_once(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch, sort: str, column: str
) -> None:
    monkeypatch.setattr(queries, "PAGE_ROWS", 4)
    rows = [
        make_request(
            number, latency_ms=number * 7 % 5, output_tokens=number * 3 % 4,
            cost_usd=Decimal(number * 5 % 3) / 10**9,
        )
        for number in range(11)
    ]  # fmt: skip
    expected = sorted(
        rows,
        key=lambda row: (getattr(row, column), row.id),
        reverse=sort in ("most_expensive", "slowest", "most_tokens"),
    )
    shown, pages, url = [], [], f"{URL}?sort={sort}"
    while url:
        answer = page.get(url)
        pages.append(ids(answer))
        shown += pages[-1]
        previous, url = link(answer, "Previous"), link(answer, "Next")
    assert shown == [row.id for row in expected]
    assert ids(page.get(previous)) == pages[-2]


def test_a_row_without_the_figure_comes_last(page: Client, make_request: MakeRequest) -> None:
    priced = make_request(1)
    unpriced = make_request(2, cost_usd=None, unpriced=True)
    for sort in ("most_expensive", "cheapest"):
        assert ids(page.get(URL, {"sort": sort})) == [priced.id, unpriced.id]


def test_a_sorted_list_keeps_its_filters_and_says_how_far_it_reaches(
    page: Client, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sorting, "SORTED_ROWS", 3)
    rows = [make_request(number, latency_ms=100 - number) for number in range(5)]
    answer = page.get(URL, {"sort": "slowest", "status": "succeeded"})
    assert ids(answer) == [rows[2].id, rows[3].id, rows[4].id]
    assert "Choose a time above to sort older ones" in answer.content.decode()
    assert ids(page.get(URL, {"sort": "slowest", "status": "failed"})) == []


@pytest.mark.parametrize("query", ["sort=nonsense", "sort=slowest&before=x", "sort=oldest&before=-9.req_1"])
def test_an_invalid_sort_or_place_shows_the_first_page(
    page: Client, make_request: MakeRequest, query: str
) -> None:
    row = make_request(1)
    assert ids(page.get(f"{URL}?{query}")) == [row.id]


def test_a_head_sorts_and_a_second_click_turns_around(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    content = page.get(URL, {"status": "succeeded"}).content.decode()
    assert "/requests/?status=succeeded&amp;sort=most_expensive" in content
    content = page.get(URL, {"sort": "most_expensive"}).content.decode()
    assert 'aria-sort="descending"' in content
    assert "/requests/?sort=cheapest" in content


def test_columns_are_kept_for_the_person(page: Client, make_request: MakeRequest) -> None:
    make_request(1, provider="openai")
    answer = page.post(f"{URL}columns", {"column": ["provider", "cost", "nonsense"], "query": "sort=slowest"})
    assert answer.url == f"{URL}?sort=slowest"
    assert heads(page.get(URL)) == ["Time", "Provider", "Cost"]


def test_a_view_is_saved_opened_renamed_and_deleted(
    page: Client, make_request: MakeRequest, account: Account
) -> None:
    make_request(1)
    failed = make_request(2, status="failed")
    query = "status=failed&sort=slowest&before=9.req_1&live=off"
    opened = page.post(f"{URL}views/", {"name": "  Slow  failures ", "query": query}).url
    saved_view = SavedView.objects.get(account=account)
    assert (saved_view.name, saved_view.query) == ("Slow failures", "status=failed&sort=slowest")
    assert ids(page.get(opened)) == [failed.id]
    page.post(f"{URL}columns", {"column": ["latency"], "view": saved_view.pk})
    assert heads(page.get(opened)) == ["Time", "Latency"]
    assert len(heads(page.get(URL))) == 9  # the person's own columns are as they were
    page.post(f"{URL}views/{saved_view.pk}/rename/", {"name": "Failures"})
    assert "Failures</a>" in page.get(URL).content.decode()
    question = page.get(f"{URL}views/{saved_view.pk}/remove/", {"query": saved_view.query})
    assert "Delete the view “Failures”" in question.content.decode()
    assert SavedView.objects.filter(account=account).exists()
    answer = page.post(f"{URL}views/{saved_view.pk}/remove/", {"query": saved_view.query}, follow=True)
    assert "“Failures” is deleted" in answer.content.decode()
    assert not SavedView.objects.filter(account=account).exists()


@pytest.mark.parametrize("name", ["", "   ", "taken", "a\x00b"])
def test_a_view_needs_a_name_of_its_own(page: Client, account: Account, name: str) -> None:
    page.post(f"{URL}views/", {"name": "taken", "query": "status=failed"})
    page.post(f"{URL}views/", {"name": name, "query": "status=succeeded"})
    assert SavedView.objects.filter(account=account).count() == 1


def test_a_colleague_does_not_have_my_views(page: Client, account: Account) -> None:
    page.post(f"{URL}views/", {"name": "mine alone", "query": "status=failed"})
    saved_view = SavedView.objects.get(account=account)
    colleague = User.objects.create_user("colleague@saved.example")
    Member.objects.create(account=account, user=colleague)
    theirs = Client()
    theirs.force_login(colleague, backend="allauth.account.auth_backends.AuthenticationBackend")
    assert "mine alone" not in theirs.get(f"{URL}?view={saved_view.pk}").content.decode()
    assert theirs.get(f"{URL}views/{saved_view.pk}/remove/").status_code == 404
    assert theirs.post(f"{URL}views/{saved_view.pk}/remove/").status_code == 404


def test_the_page_makes_few_queries(page: Client, make_request: MakeRequest) -> None:
    for number in range(60):
        make_request(number)
    page.get(URL)
    for query, most in (("", 12), ("?sort=slowest", 14)):
        with CaptureQueriesContext(connection) as captured:
            page.get(URL + query)
        assert len(captured) <= most, [each["sql"][:120] for each in captured]
