"""Members: invited by a link that works once, with roles that hold, out at once when removed."""

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.db import connection
from django.test import Client

from accounts.members import LIFE, MOST_PENDING, MemberRefusal, accept, change_role, invite, remove
from accounts.models import Account, AuditEntry, Invitation, Member, User
from accounts.registration import open_account
from tests.accounts.conftest import PASSWORD
from tests.accounts.test_signing_in import sign_up

NOW = datetime.now(UTC)


@pytest.fixture
def owner(person: User) -> Member:
    return Member.objects.get(user=person)


def add(owner: Member, name: str, role: str = "viewer") -> Member:
    user = User.objects.create_user(f"{name}@example.com", PASSWORD)
    return Member.objects.create(account=owner.account, user=user, role=role)


def browser_of(member: Member) -> Client:
    client = Client()
    client.force_login(member.user)
    return client


def ask(browser: Client, email: str = "grace.hopper@example.com", role: str = "admin") -> Any:
    return browser.post("/members/", {"email": email, "role": role})


def link(email: str = "grace.hopper@example.com") -> str:
    """The path in the newest invitation to that address."""
    bodies = [str(message.body) for message in reversed(mail.outbox) if message.to == [email]]
    return next(match.group(1) for body in bodies if (match := re.search(r"(/members/join/\S+)", body)))


class TestJoining:
    def test_a_newcomer_signs_up_by_the_link_and_is_in(self, browser: Client, owner: Member) -> None:
        assert link_shown(ask(browser)) == link()
        newcomer = Client()
        page = newcomer.get(link()).content.decode()
        assert "ada@example.com invites you as admin" in page
        match = re.search(r'href="(/accounts/signup/[^"]+)"', page)
        assert match is not None
        answer = newcomer.post(
            match.group(1).replace("&amp;", "&"),
            {"email": "grace.hopper@example.com", "password1": PASSWORD, "next": link()},
        )
        assert answer.url == link()
        assert "Confirm your address first" in newcomer.get(link()).content.decode()
        newcomer.post(link())
        assert not Member.objects.filter(user__email="grace.hopper@example.com").exists()
        EmailAddress.objects.filter(email="grace.hopper@example.com").update(verified=True)
        assert newcomer.post(link()).url == "/"
        grace = Member.objects.get(user__email="grace.hopper@example.com")  # and no account of her own
        assert (grace.account, grace.role) == (owner.account, "admin")
        assert newcomer.get("/keys/new/").status_code == 200
        entries = AuditEntry.objects.filter(account=owner.account).order_by("pk")
        assert [entry.action for entry in entries] == ["member.invited", "member.joined"]

    def test_who_has_an_account_sees_the_new_one_and_can_go_back(
        self, browser: Client, owner: Member, stranger: User
    ) -> None:
        ask(browser, stranger.email, "viewer")
        theirs = Client()
        theirs.force_login(stranger)
        theirs.post(link(stranger.email))
        assert owner.account.name in theirs.get("/members/").content.decode()
        assert theirs.get("/keys/new/").status_code == 403
        own = stranger.accounts.exclude(pk=owner.account_id).get()
        assert theirs.post("/my-accounts/", {"account": own.pk}).url == "/"
        assert theirs.get("/keys/new/").status_code == 200
        assert "Other accounts" in theirs.get("/keys/").content.decode()

    def test_a_link_works_once(self, browser: Client, stranger: User) -> None:
        ask(browser, stranger.email)
        theirs = Client()
        theirs.force_login(stranger)
        assert theirs.post(link(stranger.email)).url == "/"
        Member.objects.filter(user=stranger, role="admin").delete()
        assert theirs.post(link(stranger.email)).status_code == 404

    def test_a_link_is_for_one_address(self, browser: Client, stranger: User, owner: Member) -> None:
        ask(browser)
        theirs = Client()
        theirs.force_login(stranger)
        assert "for another address" in theirs.get(link()).content.decode()
        theirs.post(link())
        assert not Member.objects.filter(user=stranger, account=owner.account).exists()
        assert Invitation.objects.get().ended_at is None

    def test_a_link_ends_after_its_time(self, owner: Member, stranger: User) -> None:
        _, secret = invite(owner, stranger.email, "viewer", NOW)
        with pytest.raises(MemberRefusal, match="too old"):
            accept(secret, stranger, NOW + LIFE)
        assert accept(secret, stranger, NOW + LIFE - timedelta(seconds=1)).role == "viewer"

    def test_a_link_ends_when_it_is_withdrawn_or_replaced(self, browser: Client, stranger: User) -> None:
        ask(browser, stranger.email)
        first = link(stranger.email)
        ask(browser, stranger.email.upper())
        second = link(stranger.email)
        assert Client().get(first).status_code == 404
        assert Client().get(second).status_code == 200
        pending = Invitation.objects.get(ended_at=None)
        browser.post(f"/members/invitations/{pending.pk}/withdraw/")
        assert Client().get(second).status_code == 404

    def test_a_link_ends_with_the_power_of_who_sent_it(self, owner: Member, stranger: User) -> None:
        admin = add(owner, "admin", "admin")
        _, secret = invite(admin, stranger.email, "admin", NOW)
        change_role(owner, admin, "viewer", NOW)
        with pytest.raises(MemberRefusal):
            accept(secret, stranger, NOW)

    def test_the_secret_of_a_link_is_not_in_the_database(self, browser: Client) -> None:
        ask(browser)
        secret = link().split("/")[-2]
        assert secret not in str(list(Invitation.objects.values())) + str(list(AuditEntry.objects.values()))

    def test_signing_up_with_another_address_opens_an_account_as_ever(self, browser: Client) -> None:
        ask(browser)
        newcomer = Client()
        newcomer.get(link())
        sign_up(newcomer, "someone.else@example.com")
        assert Member.objects.get(user__email="someone.else@example.com").role == "owner"

    def test_mails_to_strangers_are_bounded(self, owner: Member) -> None:
        for number in range(MOST_PENDING):
            invite(owner, f"{number}@example.com", "viewer", NOW)
        with pytest.raises(MemberRefusal, match="are pending already"):
            invite(owner, "one-more@example.com", "viewer", NOW)
        invite(owner, "one-more@example.com", "viewer", NOW + LIFE)  # the old ones are over

    def test_a_mail_that_fails_shows_the_link_instead(self, browser: Client, settings: Any) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9  # no server listens there
        answer = ask(browser)
        assert "The mail could not be sent" in answer.content.decode()
        assert Client().get(link_shown(answer)).status_code == 200


def link_shown(answer: Any) -> str:
    match = re.search(r"(/members/join/[\w-]+/)", answer.content.decode())
    assert match is not None
    return match.group(1)


class TestRoles:
    @pytest.mark.parametrize(
        ("by", "role", "status"),
        [
            ("owner", "owner", 200),
            ("admin", "admin", 200),
            ("admin", "owner", 422),
            ("viewer", "viewer", 403),
        ],
    )
    def test_who_invites_whom(self, owner: Member, by: str, role: str, status: int) -> None:
        browser = browser_of(add(owner, "by", by))
        assert ask(browser, role=role).status_code == status
        assert Invitation.objects.count() == (status == 200)

    @pytest.mark.parametrize(
        ("by", "of", "to", "changes"),
        [
            ("owner", "owner", "viewer", True),
            ("owner", "viewer", "owner", True),
            ("admin", "viewer", "admin", True),
            ("admin", "admin", "viewer", True),
            ("admin", "viewer", "owner", False),
            ("admin", "owner", "viewer", False),
            ("viewer", "viewer", "admin", False),
        ],
    )
    def test_who_changes_whom(self, owner: Member, by: str, of: str, to: str, changes: bool) -> None:
        other = add(owner, "other", of)
        browser_of(add(owner, "by", by)).post(f"/members/{other.pk}/role/", {"role": to})
        other.refresh_from_db()
        assert other.role == (to if changes else of)

    def test_the_last_owner_stays_one(self, browser: Client, owner: Member) -> None:
        add(owner, "admin", "admin")
        browser.post(f"/members/{owner.pk}/role/", {"role": "viewer"})
        browser.post(f"/members/{owner.pk}/remove/", {"name": "ada@example.com"})
        owner.refresh_from_db()
        assert owner.role == "owner"
        assert "needs an owner" in browser.get("/members/").content.decode()

    def test_two_owners_leaving_at_once_leave_one(self, live_db: None) -> None:
        account = open_account(User.objects.create_user(f"first.{NOW.timestamp()}@e.example"), "unlimited")
        first = Member.objects.get(account=account)
        second = User.objects.create_user(f"second.{NOW.timestamp()}@e.example")
        both = [first, Member.objects.create(account=account, user=second, role="owner")]
        refused: list[MemberRefusal] = []
        start = threading.Barrier(2)

        def leave(member: Member) -> None:
            start.wait()
            try:
                remove(member, member, NOW)
            except MemberRefusal as refusal:
                refused.append(refusal)
            finally:
                connection.close()

        threads = [threading.Thread(target=leave, args=(member,)) for member in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = Member.objects.filter(account=account).count()
        users = [member.user_id for member in both]
        Account.objects.filter(pk=account.pk).delete()
        User.objects.filter(pk__in=users).delete()
        assert (left, len(refused)) == (1, 1)


class TestLeaving:
    def test_who_is_removed_is_out_with_their_next_click(self, browser: Client, owner: Member) -> None:
        admin = add(owner, "admin", "admin")
        theirs = browser_of(admin)
        assert theirs.get("/keys/new/").status_code == 200
        browser.post(f"/members/{admin.pk}/remove/", {"name": "admin@example.com"})
        page = theirs.get("/members/").content.decode()
        assert "ada@example.com" not in page, "what they see now is an account of their own"
        assert Member.objects.get(user=admin.user).account != owner.account

    def test_removing_is_confirmed_by_the_address(self, browser: Client, owner: Member) -> None:
        admin = add(owner, "admin", "admin")
        answer = browser.post(f"/members/{admin.pk}/remove/", {"name": "another"})
        assert answer.status_code == 422
        assert Member.objects.filter(pk=admin.pk).exists()

    def test_an_admin_removes_no_owner(self, owner: Member) -> None:
        admin = add(owner, "admin", "admin")
        browser_of(admin).post(f"/members/{owner.pk}/remove/", {"name": "ada@example.com"})
        assert Member.objects.filter(pk=owner.pk).exists()

    def test_a_viewer_may_leave(self, owner: Member) -> None:
        viewer = add(owner, "viewer")
        answer = browser_of(viewer).post(f"/members/{viewer.pk}/remove/", {"name": "viewer@example.com"})
        assert answer.url == "/"
        assert not Member.objects.filter(pk=viewer.pk).exists()
        assert AuditEntry.objects.get(account=owner.account).action == "member.left"


def test_the_page_asks_the_database_as_often_however_many_there_are(
    browser: Client, owner: Member, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        add(owner, f"member{number}")
        invite(owner, f"{number}@invited.example", "viewer", NOW)
    with django_assert_max_num_queries(5):
        assert browser.get("/members/").content.decode().count("@invited.example") >= 12
