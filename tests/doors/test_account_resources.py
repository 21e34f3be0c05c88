"""Endpoints that need a key: the decision alone, feedback, the request log, usage and the key."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.conftest import Simulator
from tests.doors.conftest import MESSAGES

CHAT = {"messages": MESSAGES, "max_output_tokens": 64}


def _ok(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["success"] is True
    assert body["meta"]["request_id"] == response.headers["x-request-id"]
    return body["data"]


def _chat(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    return dict(_ok(http.post("/api/v1/chat", json=CHAT | fields)))


def _error_fields(response: httpx.Response) -> list[str]:
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "validation_error"
    return [detail["field"] for detail in response.json()["error"]["details"]]


def _missing(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


def _rows(http: httpx.Client, **query: Any) -> list[str]:
    return [row["id"] for row in _ok(http.get("/api/v1/requests", params=query))]


@pytest.fixture
def with_key(server: str) -> Iterator[Callable[..., httpx.Client]]:
    """Clients of further keys: `with_key(account, scopes=["read"])`."""
    from accounts.keys import create_key

    clients = []

    def client(account: Any, **options: Any) -> httpx.Client:
        secret = create_key(account, options.pop("name", "other"), **options)[1]
        clients.append(
            httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=30)
        )
        return clients[-1]

    yield client
    for client in clients:
        client.close()


@pytest.fixture
def stranger(with_key: Callable[..., httpx.Client], live_db: None) -> httpx.Client:
    """A client of another account."""
    from accounts.models import Account, Plan

    return with_key(Account.objects.create(name="Strangers", plan=Plan.objects.get(pk="unlimited")))


@pytest.fixture
def ledger(account: Any, http: httpx.Client) -> Callable[..., Any]:
    """Writes settled rows of the account: `ledger(number, created_at=…)`."""
    from billing.models import Request

    def row(number: int, **fields: Any) -> Any:
        now = datetime.now(UTC)
        known = {
            "id": f"req_{account.pk:010d}{number:06d}",
            "account": account,
            "key": account.keys.first(),
            "created_at": now,
            "settled_at": now,
            "lease_until": now,
            "status": "succeeded",
            "door": "native",
            "mode": "routeplex-ai",
            "strategy": "auto",
            "routed_model": "model-a",
            "served_model": "model-a",
            "provider": "somebody",
            "uncached_input_tokens": 10,
            "output_tokens": 5,
            "cost_usd": Decimal("0.000000123"),
            "trace": {},
        }
        return Request.objects.create(**known | fields)

    return row


ENDPOINTS = [
    ("POST", "/api/v1/route", "chat"),
    ("POST", "/api/v1/feedback", "chat"),
    ("POST", "/api/v1/insights/feedback", "chat"),
    ("DELETE", "/api/v1/insights/learning", "chat"),
    ("GET", "/api/v1/insights/learning", "read"),
    ("GET", "/api/v1/requests", "read"),
    ("GET", "/api/v1/requests/export", "read"),
    ("GET", "/api/v1/requests/req_1", "read"),
    ("GET", "/api/v1/usage", "read"),
    ("GET", "/api/v1/key", "read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), ENDPOINTS)
def test_needs_a_key_of_the_scope(
    with_key: Callable[..., httpx.Client], account: Any, server: str, method: str, path: str, scope: str
) -> None:
    assert httpx.request(method, server + path).status_code == 401
    lacking = with_key(account, scopes=[{"chat": "read", "read": "chat"}[scope]])
    refused = lacking.request(method, path)
    assert refused.status_code == 403
    assert f'"{scope}"' in refused.json()["error"]["message"]
    assert with_key(account, scopes=[scope]).request(method, path).status_code not in (401, 403)


def test_route_decides_as_chat_does_without_a_call(http: httpx.Client, simulator: Simulator) -> None:
    decision = _ok(http.post("/api/v1/route", json=CHAT | {"strategy": "cost"}))
    assert simulator.calls() == []
    assert _rows(http) == []
    best = decision["candidates"][0]
    assert best.keys() == {
        "arm", "model", "effort", "provider", "p_success", "cost_usd", "latency_ms", "utility", "retires"
    }  # fmt: skip
    assert (best["model"], best["arm"]) == (decision["model"], decision["chain"][0])
    assert decision["estimated"]["cost_usd"] > 0
    assert decision["reason"]
    assert decision["flip"]
    assert {role for alternative in decision["alternatives"] for role in alternative["roles"]} >= {
        "runner_up"
    }
    assert all(alternative["facts"] for alternative in decision["alternatives"])
    assert decision["query_type"]
    assert 0 <= decision["complexity"] <= 1
    assert _chat(http, strategy="cost")["model_used"] == decision["model"]


def test_route_says_why_others_are_out(http: httpx.Client) -> None:
    decision = _ok(http.post("/api/v1/route", json=CHAT | {"test_mode": True}))
    assert {candidate["code"] for candidate in decision["removed"]} >= {"test_mode"}
    assert all(candidate["reason"].endswith(".") for candidate in decision["removed"])


def test_route_refuses_what_chat_refuses(http: httpx.Client) -> None:
    assert _error_fields(http.post("/api/v1/route", json=CHAT | {"strategy": "best"})) == ["strategy"]
    unknown = http.post("/api/v1/route", json=CHAT | {"model": "no-such-model"})
    assert unknown.json()["error"]["code"] == "invalid_model"


def test_route_counts_what_is_left_to_spend(with_key: Callable[..., httpx.Client], account: Any) -> None:
    from accounts.caller import Limits

    poor = with_key(account, limits=Limits(daily_usd=Decimal("0.000000001")))
    refused = poor.post("/api/v1/route", json=CHAT)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "daily_cost_limit_exceeded")


def test_feedback_is_stored_and_replaced(http: httpx.Client) -> None:
    request_id = _chat(http)["id"]
    first = _ok(
        http.post("/api/v1/feedback", json={"request_id": request_id, "score": 0.25, "comment": "Meh"})
    )
    assert (first["score"], first["comment"]) == (0.25, "Meh")
    again = _ok(http.post("/api/v1/feedback", json={"request_id": request_id, "thumb": "up"}))
    assert (again["score"], again["comment"]) == (1.0, None)
    (stored,) = _ok(http.get(f"/api/v1/requests/{request_id}"))["feedback"]
    assert stored["score"] == 1.0


def test_key_and_dashboard_speak_for_themselves(http: httpx.Client, ledger: Callable[..., Any]) -> None:
    from routing.learning.feedback import give_feedback

    row = ledger(1)
    _ok(http.post("/api/v1/feedback", json={"request_id": row.pk, "thumb": "up"}))
    give_feedback(row, 0.5, "First")
    give_feedback(row, 0.0, "Second")
    stored = _ok(http.get(f"/api/v1/requests/{row.pk}"))["feedback"]
    assert sorted((entry["score"], entry["comment"]) for entry in stored) == [(0.0, "Second"), (1.0, None)]


@pytest.mark.parametrize(("rating", "score"), [(1, 0.0), (2, 0.25), (3, 0.5), (4, 0.75), (5, 1.0)])
def test_a_rating_is_feedback(
    http: httpx.Client, ledger: Callable[..., Any], rating: int, score: float
) -> None:
    sent = {"request_id": ledger(1).pk, "rating": rating}
    assert _ok(http.post("/api/v1/insights/feedback", json=sent))["score"] == score


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, ["score"]),
        ({"score": 0.5, "thumb": "up"}, ["score"]),
        ({"score": 1.5}, ["score"]),
        ({"score": "1"}, ["score"]),
        ({"score": True}, ["score"]),
        ({"thumb": "sideways"}, ["thumb"]),
        ({"score": 1, "comment": "x" * 2001}, ["comment"]),
        ({"score": 1, "comment": "a\0b"}, ["comment"]),
        ({"score": 1, "request_id": 5}, ["request_id"]),
        ({"score": 1, "stars": 5}, ["stars"]),
    ],
)
def test_bad_feedback_names_the_field(http: httpx.Client, fields: dict[str, Any], named: list[str]) -> None:
    assert _error_fields(http.post("/api/v1/feedback", json={"request_id": "req_1"} | fields)) == named


@pytest.mark.parametrize("rating", [0, 6, 2.5, "5", None, True])
def test_a_bad_rating_names_the_field(http: httpx.Client, rating: Any) -> None:
    sent = {"request_id": "req_1", "rating": rating}
    assert _error_fields(http.post("/api/v1/insights/feedback", json=sent)) == ["rating"]


def test_what_is_anothers_is_as_if_it_were_not(
    http: httpx.Client, stranger: httpx.Client, ledger: Callable[..., Any]
) -> None:
    request_id = ledger(1).pk
    _ok(http.post("/api/v1/feedback", json={"request_id": request_id, "score": 1}))
    for number in (request_id, "req_unknown", "req_%00", "x" * 500):
        _missing(stranger.get(f"/api/v1/requests/{number}"))
    _missing(stranger.post("/api/v1/feedback", json={"request_id": request_id, "score": 0}))
    _missing(stranger.post("/api/v1/insights/feedback", json={"request_id": request_id, "rating": 1}))
    key = _ok(http.get("/api/v1/key"))["id"]
    assert _rows(stranger) == _rows(stranger, key=key) == []
    assert _ok(stranger.get("/api/v1/usage"))["totals"]["requests"] == 0
    assert _ok(stranger.delete("/api/v1/insights/learning")) == {"forgotten": 0}
    assert _ok(stranger.get("/api/v1/insights/learning"))["feedback"]["count"] == 0
    assert _ok(http.get(f"/api/v1/requests/{request_id}"))["feedback"][0]["score"] == 1


def test_learning_adds_feedback_up_and_forgets(http: httpx.Client, ledger: Callable[..., Any]) -> None:
    ratings = [("model-a", "code", 1), ("model-a", "code", 0.5), ("model-b", "math", 0)]
    for number, (model, query_type, score) in enumerate(ratings):
        row = ledger(number, served_model=model, query_type=query_type)
        _ok(http.post("/api/v1/feedback", json={"request_id": row.pk, "score": score}))
    learnt = _ok(http.get("/api/v1/insights/learning"))
    assert learnt["feedback"] == {"count": 3, "mean_score": 0.5}
    assert learnt["by_model_and_query_type"] == [
        {"model": "model-a", "query_type": "code", "count": 2, "mean_score": 0.75},
        {"model": "model-b", "query_type": "math", "count": 1, "mean_score": 0.0},
    ]
    assert learnt["learnt"] == []  # there is no prediction for these models
    assert learnt["influence"]["applied"] is False
    assert "feedback" in learnt["influence"]["message"].lower()
    assert _ok(http.delete("/api/v1/insights/learning")) == {"forgotten": 3}
    assert _ok(http.get("/api/v1/insights/learning"))["feedback"] == {"count": 0, "mean_score": None}


def test_one_request_tells_all_that_is_known(http: httpx.Client, simulator: Simulator) -> None:
    answer = _chat(http, metadata={"team": "a"})
    entry = _ok(http.get(f"/api/v1/requests/{answer['id']}"))
    assert entry["usage"] == answer["usage"]
    assert (entry["model_used"], entry["status"]) == (answer["model_used"], "succeeded")
    assert entry["metadata"] == {"team": "a"}
    assert entry["decision"]["reason"] == answer["routing"]["reason"]
    assert entry["decision"]["candidates"]
    assert all(alternative["reason"].endswith(".") for alternative in entry["alternatives"])
    assert entry["alternatives"]
    assert [attempt["outcome"] for attempt in entry["attempts"]] == ["ok"]
    assert entry["baseline"]["cost_usd"] is not None
    used, prices = entry["usage_by_class"], entry["unit_prices"]
    assert set(prices) == {"uncached_input", "output", "cache_read", "cache_write", "cache_write_1h"}
    cost = sum(used[f"{name}_tokens"] * price for name, price in prices.items()) / 1e6
    assert cost == pytest.approx(entry["usage"]["cost_usd"], abs=1e-9)


def test_pages_hold_each_row_once_while_rows_arrive(http: httpx.Client, ledger: Callable[..., Any]) -> None:
    moment = datetime.now(UTC) - timedelta(hours=1)
    for number in range(7):  # some at the same time: the id decides
        ledger(number, created_at=moment + timedelta(seconds=number // 3))
    ids: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        body = http.get("/api/v1/requests", params=query).json()
        ids += [row["id"] for row in body["data"]]
        ledger(100 + len(ids))
        if body["next_cursor"] is None:
            break
        query["cursor"] = body["next_cursor"]
    assert [int(row_id[-6:]) for row_id in ids] == [6, 5, 4, 3, 2, 1, 0]


def test_the_export_has_what_the_list_has_in_both_formats(
    http: httpx.Client, ledger: Callable[..., Any], stranger: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billing.reports.export.BATCH", 2)
    for number in range(7):
        cost = Decimal("0.000000001")
        ledger(number, strategy="cost" if number % 3 else "auto", served_model="=1+1", cost_usd=cost)
    ids = _rows(http, strategy="cost")
    table = http.get("/api/v1/requests/export", params={"strategy": "cost"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["id"] for row in rows] == ids
    assert {(row["served_model"], row["cost_usd"]) for row in rows} == {("'=1+1", "0.000000001")}
    lines = http.get("/api/v1/requests/export", params={"strategy": "cost", "format": "ndjson"})
    assert lines.headers["content-type"] == "application/x-ndjson"
    exported = [json.loads(line, parse_float=Decimal) for line in lines.text.splitlines()]
    assert [row["id"] for row in exported] == ids
    assert {(row["served_model"], row["cost_usd"]) for row in exported} == {("=1+1", Decimal("0.000000001"))}
    assert stranger.get("/api/v1/requests/export", params={"format": "ndjson"}).text == ""


def test_a_sorted_list_is_read_in_pages(http: httpx.Client, ledger: Callable[..., Any]) -> None:
    for number in range(5):
        ledger(number, latency_ms=[300, 100, 500, 100, 200][number])
    ids: list[str] = []
    query: dict[str, Any] = {"limit": 2, "sort": "slowest"}
    while query.get("cursor", "") is not None:
        body = http.get("/api/v1/requests", params=query).json()
        ids += [row["id"] for row in body["data"]]
        query["cursor"] = body["next_cursor"]
    assert [int(row_id[-6:]) for row_id in ids] == [2, 0, 4, 3, 1]
    assert _error_fields(http.get("/api/v1/requests", params={"sort": "best"})) == ["sort"]
    assert _error_fields(http.get("/api/v1/requests", params={"sort": "slowest", "cursor": "x"})) == [
        "cursor"
    ]


def test_the_export_takes_no_page_and_no_other_format(http: httpx.Client) -> None:
    assert _error_fields(http.get("/api/v1/requests/export", params={"limit": 5})) == ["limit"]
    assert _error_fields(http.get("/api/v1/requests/export", params={"format": "xml"})) == ["format"]


def test_filters_pick_rows(http: httpx.Client, ledger: Callable[..., Any], account: Any) -> None:
    from accounts.keys import create_key

    moment = datetime(2026, 1, 2, 12, tzinfo=UTC)
    other_key = create_key(account, "second")[0]
    plain = ledger(1, created_at=moment).pk
    failed = ledger(
        2, created_at=moment - timedelta(days=1), status="failed", served_model="", routed_model="model-b"
    ).pk
    special = ledger(
        3, created_at=moment - timedelta(days=2), strategy="cost", provider="else", key=other_key
    ).pk
    assert _rows(http) == [plain, failed, special]
    assert _rows(http, model="model-b") == _rows(http, status="failed") == [failed]
    assert _rows(http, strategy="cost") == _rows(http, provider="else") == [special]
    assert _rows(http, key=other_key.pk) == [special]
    assert _rows(http, **{"from": "2026-01-02T12:00:00Z"}) == [plain]
    assert _rows(http, to="2026-01-02T13:00:00+01:00") == [failed, special]
    unescaped = http.get("/api/v1/requests?to=2026-01-02T13:00:00+01:00")
    assert [row["id"] for row in _ok(unescaped)] == [failed, special]
    assert _rows(http, status="failed", strategy="cost") == []


def test_a_filter_tests_so_many_rows_a_page(
    http: httpx.Client, ledger: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.doors.resources.requests.SCAN_ROWS", 2)
    moment = datetime.now(UTC)
    for number in range(4):
        ledger(
            number, created_at=moment + timedelta(seconds=number), strategy="cost" if number == 0 else "auto"
        )
    first = http.get("/api/v1/requests", params={"strategy": "cost"}).json()
    assert first["data"] == []
    query = {"strategy": "cost", "cursor": first["next_cursor"]}
    second = http.get("/api/v1/requests", params=query).json()
    assert [int(row["id"][-6:]) for row in second["data"]] == [0]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": 0}, ["limit"]),
        ({"limit": 201}, ["limit"]),
        ({"limit": "many"}, ["limit"]),
        ({"cursor": "bm90IG91cnM"}, ["cursor"]),
        ({"cursor": "é"}, ["cursor"]),
        ({"cursor": "x"}, ["cursor"]),
        ({"status": "done"}, ["status"]),
        ({"strategy": "best"}, ["strategy"]),
        ({"key": "mine"}, ["key"]),
        ({"key": 2**63}, ["key"]),
        ({"model": "a\0"}, ["model"]),
        ({"from": "yesterday"}, ["from"]),
        ({"to": "9999-12-31T23:59:59-12:00"}, ["to"]),
        ({"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, ["from"]),
        ({"colour": "red"}, ["colour"]),
    ],
)
def test_bad_queries_of_the_log_name_the_field(
    http: httpx.Client, query: dict[str, Any], named: list[str]
) -> None:
    assert _error_fields(http.get("/api/v1/requests", params=query)) == named


def test_the_log_asks_the_database_as_often_for_many_rows(
    http: httpx.Client, ledger: Callable[..., Any], account: Any
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from routing.doors.resources.requests import _line, _page

    for number in range(3):
        ledger(number)
    with CaptureQueriesContext(connection) as queries:
        rows, _ = _page(account.pk, {"limit": 50}, None)
        assert len([_line(row) for row in rows]) == 3
    assert len(queries) == 1


def test_usage_adds_up_every_way(http: httpx.Client, ledger: Callable[..., Any], account: Any) -> None:
    moment = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)
    ledger(1, created_at=moment)
    ledger(2, created_at=moment + timedelta(minutes=2), served_model="model-b", provider="else")
    ledger(3, created_at=moment, served_model="", provider="", status="failed", cost_usd=0)
    ledger(4, created_at=moment, cost_usd=None, unpriced=True)
    ledger(5, created_at=moment - timedelta(days=400))
    used = _ok(http.get("/api/v1/usage", params={"from": "2026-03-01", "to": "2026-03-31"}))
    assert used["totals"] == {
        "requests": 4,
        "input_tokens": 40,
        "output_tokens": 20,
        "total_tokens": 60,
        "cost_usd": 0.000000246,
        "unpriced_requests": 1,
    }
    assert [(total["day"], total["requests"]) for total in used["by_day"]] == [
        ("2026-03-04", 3),
        ("2026-03-05", 1),
    ]
    assert {total["model"]: total["requests"] for total in used["by_model"]} == {
        "model-a": 2, "model-b": 1, None: 1
    }  # fmt: skip
    assert {total["provider"]: total["requests"] for total in used["by_provider"]} == {
        "somebody": 2, "else": 1, None: 1
    }  # fmt: skip
    (of_key,) = used["by_key"]
    assert of_key["key"]["id"] == account.keys.get().pk
    assert of_key["total_tokens"] == 60


def test_usage_is_of_the_last_thirty_days(http: httpx.Client, ledger: Callable[..., Any]) -> None:
    ledger(1, created_at=datetime.now(UTC) - timedelta(days=31))
    answer = _chat(http)
    totals = _ok(http.get("/api/v1/usage"))["totals"]
    assert (totals["requests"], totals["cost_usd"]) == (1, answer["usage"]["cost_usd"])


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"from": "soon"}, ["from"]),
        ({"to": ""}, ["to"]),
        ({"from": "2020-01-01", "to": "2026-01-01"}, ["from"]),
        ({"from": "2900-01-01"}, ["from"]),
        ({"to": "1970-01-01T00:00:00Z"}, []),
        ({"by": "day"}, ["by"]),
    ],
)
def test_bad_queries_of_usage_name_the_field(
    http: httpx.Client, query: dict[str, Any], named: list[str]
) -> None:
    response = http.get("/api/v1/usage", params=query)
    assert (_error_fields(response) if named else list(_ok(response)["by_day"])) == named


def test_the_key_says_what_it_may_and_has_left(with_key: Callable[..., httpx.Client], account: Any) -> None:
    from accounts.caller import Limits

    expires_at = datetime.now(UTC) + timedelta(days=3)
    limits = Limits(daily_usd=Decimal("1.5"), daily_tokens=100_000, requests_per_minute=60)
    mine = with_key(account, name="Mine", limits=limits, expires_at=expires_at)
    secret = mine.headers["authorization"]
    used = _chat(mine)["usage"]
    key = _ok(mine.get("/api/v1/key"))
    assert (key["name"], key["last_four"], key["plan"]) == ("Mine", secret[-4:], "unlimited")
    assert key["scopes"] == ["chat", "read"]
    assert datetime.fromisoformat(key["expires_at"]) == expires_at
    assert key["limits"]["key"]["daily_usd"] == 1.5
    assert key["limits"]["account"]["daily_usd"] is None
    today = key["today"]
    assert (today["requests"], today["spent_usd"], today["spent_tokens"]) == (
        1, used["cost_usd"], used["total_tokens"]
    )  # fmt: skip
    assert today["left_usd"] == pytest.approx(1.5 - used["cost_usd"], abs=1e-9)
    assert today["left_tokens"] == 100_000 - used["total_tokens"]


def test_a_key_without_limits_has_no_number_left(http: httpx.Client) -> None:
    today = _ok(http.get("/api/v1/key"))["today"]
    assert (today["requests"], today["left_usd"], today["left_tokens"]) == (0, None, None)


def test_the_account_may_leave_less_than_the_key(
    http: httpx.Client, account: Any, ledger: Callable[..., Any], with_key: Callable[..., httpx.Client]
) -> None:
    from accounts.caller import Limits
    from accounts.models import Account

    ledger(1)  # by another key
    Account.objects.filter(pk=account.pk).update(daily_tokens=20)
    key = _ok(with_key(account, limits=Limits(daily_tokens=1000)).get("/api/v1/key"))
    assert key["today"]["left_tokens"] == 5


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    return dict(SchemaGenerator().get_schema(request=None, public=True))


def _as_documented(document: dict[str, Any], schema: dict[str, Any], value: Any, at: str) -> None:
    for inner in schema.get("allOf", []):
        schema = inner | {"nullable": schema.get("nullable", False)}
    nullable = schema.get("nullable", False)
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if value is None:
        assert nullable, at
    elif "properties" in schema:
        assert value.keys() == schema["properties"].keys(), at
        for name, inner in schema["properties"].items():
            _as_documented(document, inner, value[name], f"{at}.{name}")
    elif schema["type"] == "array":
        for item in value:
            _as_documented(document, schema["items"], item, f"{at}[]")
    else:
        kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}
        assert isinstance(value, kinds[schema["type"]]), at


def test_answers_are_as_documented(
    http: httpx.Client, simulator: Simulator, document: dict[str, Any], ledger: Callable[..., Any]
) -> None:
    request_id = _chat(http)["id"]
    ledger(1, status="failed", error_code="provider_error", served_model="", provider="")
    feedback = {"request_id": request_id}
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/api/v1/route", CHAT | {"test_mode": True}),
        ("POST", "/api/v1/feedback", feedback | {"thumb": "up"}),
        ("POST", "/api/v1/insights/feedback", feedback | {"rating": 4}),
        ("GET", "/api/v1/insights/learning", None),
        ("GET", "/api/v1/requests", None),
        ("GET", f"/api/v1/requests/{request_id}", None),
        ("GET", "/api/v1/usage", None),
        ("GET", "/api/v1/key", None),
        ("DELETE", "/api/v1/insights/learning", None),
    ]
    for method, path, body in calls:
        response = http.request(method, path, json=body)
        _ok(response)
        operation = document["paths"][path.replace(request_id, "{request_id}")][method.lower()]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        _as_documented(document, schema, response.json(), f"{method} {path}")
