"""Secrets at rest: unreadable in the database, readable again, also after SECRET_KEY was changed."""

from typing import Any

import pytest

from core.encryption import CannotDecrypt, decrypt, encrypt, reencrypt


def test_a_secret_comes_back_and_does_not_show() -> None:
    encrypted = encrypt("whsec_abc")
    assert b"whsec_abc" not in encrypted
    assert decrypt(encrypted) == "whsec_abc"
    assert decrypt(memoryview(encrypted)) == "whsec_abc"  # type: ignore[arg-type]
    assert encrypt("whsec_abc") != encrypted  # equal secrets do not look equal


def test_an_old_secret_key_still_opens_what_it_sealed(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old" * 20, []
    encrypted = encrypt("whsec_abc")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, ["old" * 20]
    assert decrypt(encrypted) == "whsec_abc"
    moved = reencrypt(encrypted)
    settings.SECRET_KEY_FALLBACKS = []
    assert decrypt(moved) == "whsec_abc"
    with pytest.raises(CannotDecrypt, match="SECRET_KEY_FALLBACKS"):
        decrypt(encrypted)


def test_a_changed_byte_is_noticed() -> None:
    encrypted = bytearray(encrypt("whsec_abc"))
    encrypted[20] ^= 1
    with pytest.raises(CannotDecrypt):
        decrypt(bytes(encrypted))
