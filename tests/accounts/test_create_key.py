"""`manage.py create_key`: prints a key that works, and nothing else."""

import subprocess
import sys
from decimal import Decimal
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from accounts import model_ids
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


def test_the_key_has_exactly_the_limits_of_the_options() -> None:
    secret = create_key(
        "--email", "ci@example.com", "--name", "nightly", "--daily-usd", "2.5", "--rpm", "60"
    ).strip()
    caller = find_caller_sync(secret, None)
    assert caller.key_name == "nightly"
    assert caller.key_limits == Limits(daily_usd=Decimal("2.5"), requests_per_minute=60)


def test_the_key_has_the_model_rules_of_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ids, "_source", lambda: ["gpt-4.1", "gpt-4.1-mini"])
    monkeypatch.setattr(model_ids, "_providers", lambda: ["openai"])
    secret = create_key("--email", "ci@example.com", "--models=-gpt-4.1,openai/*").strip()
    assert find_caller_sync(secret, None).models == {"-gpt-4.1", "openai/*"}
    with pytest.raises(
        CommandError, match=r"--models: There is no model “gpt-4.1-mimi”\. Did you mean gpt-4.1-mini"
    ):
        create_key("--email", "ci@example.com", "--models=-gpt-4.1-mimi")


def test_an_existing_account_is_used() -> None:
    first = find_caller_sync(create_key("--email", "ci@example.com").strip(), None)
    second = find_caller_sync(create_key("--email", "CI@example.com").strip(), None)
    assert first.account_id == second.account_id
    assert User.objects.filter(email__iexact="ci@example.com").count() == 1


def test_the_plan_changes_only_with_the_option() -> None:
    create_key("--email", "ci@example.com", "--plan", "usage")
    create_key("--email", "ci@example.com")
    assert Account.objects.get(name="ci").plan_id == "usage"
    create_key("--email", "ci@example.com", "--plan", "evaluation")
    assert Account.objects.get(name="ci").plan_id == "evaluation"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--email", "not-an-address"], "--email: .* not an e-mail address"),
        (["--email", ""], "--email: .* not an e-mail address"),
        (["--email", f"{'a' * 250}@example.com"], "--email: .* not an e-mail address"),
        (["--email", "ci@example.com", "--plan", "gold"], "--plan: .* evaluation, unlimited, usage"),
        (["--email", "ci@example.com", "--plan", ""], "--plan: .* evaluation, unlimited, usage"),
        (["--email", "ci@example.com", "--daily-usd", "-1"], "--daily-usd: .* not an amount"),
        (["--email", "ci@example.com", "--daily-usd", "nan"], "--daily-usd: .* not an amount"),
        (["--email", "ci@example.com", "--daily-usd", "a lot"], "--daily-usd: .* not an amount"),
        (["--email", "ci@example.com", "--rpm", "0"], "--rpm: .* not a number"),
        (["--email", "ci@example.com", "--rpm", "1.5"], "--rpm: .* not a number"),
        (["--email", "ci@example.com", "--rpm", "9" * 5000], "--rpm: .* not a number"),
        (["--email", "ci@example.com", "--daily-usd", "1e999999"], "--daily-usd: .* not an amount"),
        (["--email", "ci@example.com", "--name", " "], "--name: .* 1 to 80"),
        ([], "--email"),
    ],
)
def test_an_invalid_option_is_named_and_nothing_is_created(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as refusal:
        create_key(*arguments)
    assert refusal.value.returncode == 1
    assert not User.objects.filter(email="ci@example.com").exists()


def test_an_invalid_option_exits_with_1_and_without_a_traceback() -> None:
    command = [sys.executable, "manage.py", "create_key", "--email", "not-an-address"]
    run = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout) == (1, "")
    assert "Traceback" not in run.stderr
    assert run.stderr.strip().endswith(
        "CommandError: --email: 'not-an-address' is not an e-mail address, such as you@example.com."
    )
