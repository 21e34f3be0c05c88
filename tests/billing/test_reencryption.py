"""`manage.py reencrypt`: after it, what was encrypted with an old SECRET_KEY can be read without it."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.management import CommandError, call_command

from accounts.models import Account, AuditEntry, Plan, User
from billing import reencryption
from billing.alerts.models import AlertChannel
from billing.models import IdempotentOutcome
from core.encryption import CannotDecrypt, decrypt, decrypt_bytes, encrypt, encrypt_bytes

NOW = datetime.now(UTC)
OLD, NEW = "old" * 20, "new" * 20


def reencrypt() -> str:
    out = io.StringIO()
    call_command("reencrypt", stdout=out)
    return out.getvalue()


@pytest.fixture
def stored_secrets(db: None, settings: Any) -> Account:
    """An account with a secret of each kind, sealed with what is then the old SECRET_KEY."""
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = OLD, []
    account = Account.objects.create(name="sealed", plan=Plan.objects.get(pk="unlimited"))
    for number in range(5):
        AlertChannel.objects.create(
            account=account,
            kind="webhook",
            address=f"https://{number}.example",
            secret=encrypt(f"whsec_{number}"),
        )
    AlertChannel.objects.create(account=account, kind="email")  # has no secret
    user = User.objects.create_user("ada@sealed.example")
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    RecoveryCodes.activate(user)
    IdempotentOutcome.objects.create(
        account=account, key="k", request_id="req_1", lease_until=NOW, created_at=NOW,
        expires_at=NOW + timedelta(days=1), status=200, body=encrypt_bytes(b"\xff\x00 compressed"),
    )  # fmt: skip
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    return account


def secrets(account: Account) -> list[str]:
    channels = AlertChannel.objects.filter(account=account, kind="webhook").order_by("pk")
    return [decrypt(bytes(channel.secret or b"")) for channel in channels]


def test_afterwards_the_old_key_may_go(stored_secrets: Account, settings: Any) -> None:
    codes = Authenticator.objects.get(type="recovery_codes").wrap().generate_codes()
    assert "webhook secrets: 5 encrypted anew, 0 use" in reencrypt()
    settings.SECRET_KEY_FALLBACKS = []
    assert secrets(stored_secrets) == [f"whsec_{number}" for number in range(5)]
    assert decrypt(Authenticator.objects.get(type="totp").data["secret"].encode()) == "JBSWY3DPEHPK3PXP"
    assert Authenticator.objects.get(type="recovery_codes").wrap().generate_codes() == codes
    assert decrypt_bytes(bytes(IdempotentOutcome.objects.get().body or b"")) == b"\xff\x00 compressed"


def test_without_it_the_old_key_may_not_go(stored_secrets: Account, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = []
    with pytest.raises(CannotDecrypt):
        secrets(stored_secrets)


def test_a_run_that_was_cut_off_is_gone_on_with(
    stored_secrets: Account, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    class Cut(Exception): ...

    done = 0
    real = reencryption.reencrypt

    def until_cut(secret: bytes) -> bytes:
        nonlocal done
        done += 1
        if done > 4:
            raise Cut
        return real(secret)

    monkeypatch.setattr(reencryption, "BATCH", 2)
    monkeypatch.setattr(reencryption, "reencrypt", until_cut)
    with pytest.raises(Cut):
        reencrypt()
    monkeypatch.setattr(reencryption, "reencrypt", real)
    output = reencrypt()
    assert "webhook secrets: 1 encrypted anew, 4 use" in output
    assert "second factors: 2 encrypted anew, 0 use" in output
    settings.SECRET_KEY_FALLBACKS = []
    assert len(secrets(stored_secrets)) == 5


def test_twice_is_as_once(stored_secrets: Account) -> None:
    reencrypt()
    before = list(AlertChannel.objects.order_by("pk").values_list("secret", flat=True))
    assert "webhook secrets: 0 encrypted anew, 5 use" in reencrypt()
    assert list(map(bytes, filter(None, before))) == [
        bytes(secret)
        for secret in AlertChannel.objects.order_by("pk").values_list("secret", flat=True)
        if secret
    ]
    assert AuditEntry.objects.filter(action="secrets.resealed").count() == 1


def test_unreadable_secrets_are_reported_and_left(stored_secrets: Account, settings: Any) -> None:
    lost = AlertChannel.objects.filter(kind="webhook").order_by("pk")[0]
    settings.SECRET_KEY = "lost" * 15
    lost.secret = encrypt("whsec_lost")
    lost.save()
    settings.SECRET_KEY = NEW
    with pytest.raises(CommandError, match="1 secrets use a SECRET_KEY"):
        reencrypt()
    settings.SECRET_KEY = "lost" * 15
    assert decrypt(bytes(AlertChannel.objects.get(pk=lost.pk).secret or b"")) == "whsec_lost"
