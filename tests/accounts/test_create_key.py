"""`manage.py create_key`: prints a key that works, and nothing else."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.caller import Limits
from accounts.caller_lookup import find_caller_sync
from accounts.key_format import well_formed
from accounts.models import Account, User

pytestmark = pytest.mark.django_db


def create_key(*arguments: str) -> str:
    out, err = StringIO(), StringIO()
    call_command("create_key", *arguments, stdout=out, stderr=err)
    assert err.getvalue() == ""
    return out.getvalue()


def test_it_prints_only_the_key_and_the_key_works() -> None:
    printed = create_key("--email", "ci@example.com")
    assert printed == printed.strip() + "\n"
    assert well_formed(printed.strip())
    caller = find_caller_sync(printed.strip(), None)
    assert caller.account_name == "ci"
    assert caller.plan == "unlimited"
    assert caller.key_limits == caller.account_limits == Limits()
    assert caller.scopes == {"chat", "read"}


def test_the_key_gets_exactly_the_limits_given() -> None:
    secret = create_key(
        "--email", "ci@example.com", "--name", "nightly", "--daily-usd", "2.5", "--rpm", "60"
    ).strip()
    caller = find_caller_sync(secret, None)
    assert caller.key_name == "nightly"
    assert caller.key_limits == Limits(daily_usd=Decimal("2.5"), requests_per_minute=60)


def test_it_uses_the_account_there_is() -> None:
    first = find_caller_sync(create_key("--email", "ci@example.com").strip(), None)
    second = find_caller_sync(create_key("--email", "CI@example.com").strip(), None)
    assert first.account_id == second.account_id
    assert User.objects.filter(email__iexact="ci@example.com").count() == 1


def test_the_plan_of_an_account_changes_only_when_given() -> None:
    create_key("--email", "ci@example.com", "--plan", "usage")
    create_key("--email", "ci@example.com")
    assert Account.objects.get(name="ci").plan_id == "usage"
    create_key("--email", "ci@example.com", "--plan", "evaluation")
    assert Account.objects.get(name="ci").plan_id == "evaluation"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--email", "nobody"], "not an e-mail address"),
        (["--email", "ci@example.com", "--plan", "gold"], "evaluation, unlimited, usage"),
        (["--email", "ci@example.com", "--daily-usd", "-1"], "not an amount"),
        (["--email", "ci@example.com", "--daily-usd", "nan"], "not an amount"),
        (["--email", "ci@example.com", "--daily-usd", "a lot"], "not an amount"),
        (["--email", "ci@example.com", "--rpm", "0"], "not a number"),
        (["--email", "ci@example.com", "--rpm", "1.5"], "not a number"),
        (["--email", "ci@example.com", "--name", " "], "1 to 80"),
        ([], "--email"),
    ],
)
def test_wrong_arguments_say_what_is_wrong_and_make_nothing(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        create_key(*arguments)
    assert not User.objects.filter(email="ci@example.com").exists()
