"""Secrets at rest: unreadable in the database, readable again, also after SECRET_KEY was changed."""

from typing import Any

import pytest

from core.encryption import CannotUnseal, reseal, seal, unseal


def test_a_secret_comes_back_and_does_not_show() -> None:
    sealed = seal("whsec_abc")
    assert b"whsec_abc" not in sealed
    assert unseal(sealed) == "whsec_abc"
    assert unseal(memoryview(sealed)) == "whsec_abc"  # type: ignore[arg-type]
    assert seal("whsec_abc") != sealed  # equal secrets do not look equal


def test_an_old_secret_key_still_opens_what_it_sealed(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "old" * 20, []
    sealed = seal("whsec_abc")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new" * 20, ["old" * 20]
    assert unseal(sealed) == "whsec_abc"
    moved = reseal(sealed)
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(moved) == "whsec_abc"
    with pytest.raises(CannotUnseal, match="SECRET_KEY_FALLBACKS"):
        unseal(sealed)


def test_a_changed_byte_is_noticed() -> None:
    sealed = bytearray(seal("whsec_abc"))
    sealed[20] ^= 1
    with pytest.raises(CannotUnseal):
        unseal(bytes(sealed))
