"""The Keys page: a key is created, shown once, rotated and revoked, never by members of another account."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts import model_ids
from accounts.caller import Limits
from accounts.caller_lookup import find_caller_sync, forget_all_callers
from accounts.keys import KeyNotUsable, create_key, revoke, rotate, suspend_keys_of
from accounts.models import Account, ApiKey, AuditEntry, Member, User
from core.errors import InvalidApiKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def their_account(person: User) -> Account:
    return person.accounts.get()


@pytest.fixture(autouse=True)
def _catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ids, "_source", lambda: ["gpt-4.1", "gpt-4.1-mini", "claude-sonnet-4-5"])


def form_of(browser: Client, path: str = "/keys/new/", **fields: Any) -> dict[str, Any]:
    """The POST data of the page's form with these fields filled in."""
    form_id = re.search(r'name="form_id" value="([^"]+)"', browser.get(path).content.decode())
    assert form_id is not None
    return {"form_id": form_id.group(1), **fields}


def new_key(browser: Client, **fields: Any) -> Any:
    fields = {"name": "laptop", "scopes": ["chat", "read"], **fields}
    return browser.post("/keys/new/", form_of(browser, **fields))


def secret_on(page: Any) -> str:
    secret = re.search(r"rp_live_[0-9A-Za-z]{49}", page.content.decode())
    assert secret is not None
    return secret.group()


def test_a_new_key_is_shown_once_and_works(browser: Client, their_account: Account) -> None:
    response = new_key(browser)
    secret = secret_on(response)
    assert "no-store" in response["Cache-Control"]
    assert find_caller_sync(secret, None).account_id == their_account.pk
    listed = browser.get("/keys/").content.decode()
    assert secret not in listed
    assert f"…{secret[-4:]}" in listed


def test_a_form_sent_twice_makes_one_key(browser: Client, their_account: Account) -> None:
    form = form_of(browser, name="laptop", scopes=["chat"])
    browser.post("/keys/new/", form)
    again = browser.post("/keys/new/", form, follow=True)
    assert "already created" in again.content.decode()
    assert their_account.keys.count() == 1


def test_a_key_gets_what_the_form_says(browser: Client, person: User) -> None:
    person.time_zone = "America/New_York"
    person.save()
    new_key(
        browser,
        scopes=["chat"],
        expires_on="2035-01-31",
        requests_per_minute="60",
        daily_usd="2.5",
        daily_tokens="100000",
        strategy="cost",
        allowed_models="gpt-4.1, gpt-4.1-mini\ngpt-4.1",
        ip_networks="203.0.113.7/24\n2001:db8::/32",
    )
    key = ApiKey.objects.get(account__members=person)
    assert key.scopes == ["chat"]
    assert key.expires_at == datetime(2035, 2, 1, 5, tzinfo=UTC)  # midnight in New York
    assert (key.requests_per_minute, key.daily_usd, key.daily_tokens) == (60, Decimal("2.5"), 100_000)
    assert key.strategy == "cost"
    assert key.allowed_models == ["gpt-4.1", "gpt-4.1-mini"]
    assert key.ip_networks == ["203.0.113.0/24", "2001:db8::/32"]
    assert key.created_by == person


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", " ", "This field is required"),
        ("name", "x" * 81, "at most 80 characters"),
        ("name", "a\u0007b", "printable"),
        ("scopes", [], "Choose at least one"),
        ("scopes", ["admin"], "Select a valid choice"),
        ("expires_on", "2001-01-01", "has passed"),
        ("expires_on", "9999-12-31", "within ten years"),
        ("expires_on", "soon", "Enter a valid date"),
        ("requests_per_minute", "0", "greater than or equal to 1"),
        ("requests_per_minute", "99999999999", "less than or equal to"),
        ("daily_usd", "-1", "greater than or equal to 0"),
        ("daily_usd", "NaN", "Enter a number"),
        ("daily_usd", "0.0000000001", "no more than 9 decimal places"),
        ("daily_tokens", "1.5", "Enter a whole number"),
        ("strategy", "best", "Select a valid choice"),
        ("allowed_models", "gpt-4.1-mimi", "Did you mean gpt-4.1-mini"),
        ("ip_networks", "10.0.0.0/8 nonsense", "“nonsense” is not an IP address"),
        ("ip_networks", " ".join(f"10.0.0.{n % 256}" for n in range(300)), "At most 200"),
    ],
)
def test_a_bad_field_is_named_and_no_key_made(
    browser: Client, their_account: Account, field: str, value: Any, message: str
) -> None:
    response = new_key(browser, **{field: value})
    assert response.status_code == 422
    assert message in response.content.decode()
    assert not their_account.keys.exists()


def test_a_revoked_key_stops_and_stays_in_the_list_of_all(browser: Client, their_account: Account) -> None:
    key, secret = create_key(their_account, "laptop")
    browser.post(f"/keys/{key.pk}/revoke/", {"name": "laptop"})
    forget_all_callers()  # the commit, which forgets it, never comes in a test
    with pytest.raises(InvalidApiKey):
        find_caller_sync(secret, None)
    assert key.last_four not in browser.get("/keys/").content.decode().split("toasts")[0]
    assert key.last_four in browser.get("/keys/?show=all").content.decode()


def test_revoking_needs_the_name(browser: Client, their_account: Account) -> None:
    key, secret = create_key(their_account, "laptop")
    response = browser.post(f"/keys/{key.pk}/revoke/", {"name": "Laptop"})
    assert response.status_code == 422
    assert "That is not the name" in response.content.decode()
    assert find_caller_sync(secret, None)


def test_a_rotated_key_keeps_working_for_the_overlap(browser: Client, their_account: Account) -> None:
    old, old_secret = create_key(
        their_account,
        "laptop",
        limits=Limits(requests_per_minute=9),
        scopes=["chat"],
        allowed_models=["gpt-4.1"],
        ip_networks=["10.0.0.0/8"],
        strategy="speed",
    )
    path = f"/keys/{old.pk}/rotate/"
    new_secret = secret_on(browser.post(path, form_of(browser, path, overlap="24")))
    before, after = find_caller_sync(old_secret, "10.1.1.1"), find_caller_sync(new_secret, "10.1.1.1")
    assert before.key_id != after.key_id
    for field in ("key_name", "key_limits", "scopes", "models", "ip_networks", "strategy"):
        assert getattr(before, field) == getattr(after, field)
    assert before.expires_at is not None
    assert timedelta(hours=23) < before.expires_at - datetime.now(UTC) <= timedelta(hours=24)
    assert after.expires_at is None


def test_rotating_never_lengthens_the_old_keys_life(their_account: Account) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    old, _ = create_key(their_account, "laptop", expires_at=ends)
    rotate(old, timedelta(days=7))
    old.refresh_from_db()
    assert old.expires_at == ends


def test_a_key_that_no_longer_works_cannot_be_rotated(their_account: Account) -> None:
    key, _ = create_key(their_account, "laptop")
    revoke(key)
    with pytest.raises(KeyNotUsable):
        rotate(key, timedelta(0))


def test_a_dialog_is_the_part_of_its_page(browser: Client, their_account: Account) -> None:
    key, _ = create_key(their_account, "laptop")
    for verb in ("rotate", "revoke"):
        page = browser.get(f"/keys/{key.pk}/{verb}/").content.decode()
        part = browser.get(f"/keys/{key.pk}/{verb}/", headers={"HX-Request": "true"}).content.decode()
        assert "<html" in page
        assert "<html" not in part
        assert f'action="/keys/{key.pk}/{verb}/"' in page
        assert f'action="/keys/{key.pk}/{verb}/"' in part


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_another_accounts_key_is_not_there(browser: Client, stranger: User, method: str, verb: str) -> None:
    key, secret = create_key(stranger.accounts.get(), "theirs")
    response = getattr(browser, method)(f"/keys/{key.pk}/{verb}/", {"name": "theirs", "overlap": "0"})
    assert response.status_code == 404
    assert find_caller_sync(secret, None).expires_at is None
    assert "theirs" not in browser.get("/keys/?show=all").content.decode()


@pytest.mark.parametrize("path", ["/keys/", "/keys/new/", "/keys/1/rotate/", "/keys/1/revoke/", "/settings/"])
def test_pages_are_for_those_signed_in(client: Client, path: str) -> None:
    assert client.get(path).url == f"/accounts/login/?next={path}"


def test_a_viewer_looks_but_does_not_touch(browser: Client, person: User, their_account: Account) -> None:
    key, secret = create_key(their_account, "laptop")
    Member.objects.filter(user=person).update(role=Member.Role.VIEWER)
    assert "laptop" in browser.get("/keys/").content.decode()
    for path in ("/keys/new/", f"/keys/{key.pk}/rotate/", f"/keys/{key.pk}/revoke/"):
        assert browser.post(path, {"name": "laptop"}).status_code == 403
    assert browser.post("/settings/", {"save_account": "", "name": "mine"}).status_code == 403
    assert find_caller_sync(secret, None)


def test_forms_need_their_csrf_token(person: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    assert client.post("/keys/new/", {"name": "x", "scopes": "chat", "form_id": "1"}).status_code == 403


def test_the_list_takes_as_many_queries_for_60_keys_as_for_one(
    browser: Client, their_account: Account, django_assert_max_num_queries: Any
) -> None:
    for number in range(60):
        create_key(their_account, f"key number {number}")
    with django_assert_max_num_queries(4):  # session, person, membership, keys
        first = browser.get("/keys/").content.decode()
    assert "key number 59" in first
    assert "key number 9<" not in first
    older = re.search(r'href="(\?[^"]*before=\d+[^"]*)"', first)
    assert older is not None
    assert "key number 9<" in browser.get("/keys/" + older.group(1)).content.decode()


def test_a_name_is_hostile_text(browser: Client, their_account: Account) -> None:
    key, _ = create_key(their_account, '"><script>alert(1)</script>')
    for path in ("/keys/", f"/keys/{key.pk}/rotate/", f"/keys/{key.pk}/revoke/"):
        assert "<script>alert" not in browser.get(path).content.decode()


def test_the_keys_of_a_removed_member_are_suspended(
    browser: Client, person: User, stranger: User, their_account: Account
) -> None:
    member = Member.objects.create(account=their_account, user=stranger, role="admin")
    key, secret = create_key(their_account, "theirs", created_by=stranger)
    create_key(their_account, "ours", created_by=person)
    browser.post(f"/members/{member.pk}/remove/", {"name": stranger.email})
    with pytest.raises(InvalidApiKey, match="suspended"):
        find_caller_sync(secret, None)
    key.refresh_from_db()
    assert list(ApiKey.objects.exclude(suspended_at=None)) == [key]
    assert mail.outbox[-1].to == [person.email]
    assert "theirs (…" in str(mail.outbox[-1].body)
    assert "ours" not in str(mail.outbox[-1].body)
    assert "suspended" in browser.get("/keys/").content.decode()
    browser.post(f"/keys/{key.pk}/resume/")
    forget_all_callers()
    assert find_caller_sync(secret, None).key_name == "theirs"
    acts = AuditEntry.objects.filter(account=their_account, action__startswith="key.").values_list("action")
    assert [action for (action,) in acts.order_by("pk")] == ["key.suspended", "key.resumed"]


def test_a_suspended_key_is_resumed_by_those_who_may(
    browser: Client, person: User, stranger: User, their_account: Account
) -> None:
    key, _ = create_key(their_account, "theirs", created_by=stranger)
    suspend_keys_of(stranger, their_account)
    Member.objects.filter(account=their_account, user=person).update(role="viewer")
    assert browser.post(f"/keys/{key.pk}/resume/").status_code == 403
    with pytest.raises(KeyNotUsable, match="suspended"):
        rotate(ApiKey.objects.get(pk=key.pk), timedelta(0))


@pytest.mark.parametrize("action", ["rotate", "revoke"])
def test_a_key_revoked_elsewhere_opens_no_dialog(
    browser: Client, their_account: Account, action: str
) -> None:
    key, _ = create_key(their_account, "laptop")
    revoke(key)
    dialog = browser.get(f"/keys/{key.pk}/{action}/", headers={"hx-request": "true"})
    assert dialog.headers["HX-Redirect"] == "/keys/"
    assert browser.get(f"/keys/{key.pk}/{action}/").url == "/keys/"
    assert "is revoked. Create a new key instead." in browser.get("/keys/").content.decode()


def test_the_form_lists_models_by_name_with_their_ids(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_ids, "_names", lambda: {"gpt-4.1": "GPT-4.1"})
    shown = browser.get("/keys/new/").content.decode()
    assert "<span>GPT-4.1</span> <code>gpt-4.1</code>" in shown
