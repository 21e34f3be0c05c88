"""The format of API keys."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.key_format import SECRET_LENGTH, digest_of, new_secret, well_formed

secrets = st.builds(new_secret)
base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@given(secrets)
def test_a_secret_has_a_prefix_43_random_characters_and_a_checksum_of_6(secret: str) -> None:
    assert re.fullmatch(r"rp_live_[0-9A-Za-z]{43}[0-9A-Za-z]{6}", secret)
    assert len(secret) == SECRET_LENGTH
    assert well_formed(secret)


@given(secrets, st.integers(0, SECRET_LENGTH - 1), st.sampled_from(base62))
def test_a_secret_with_one_character_changed_is_not_well_formed(secret: str, at: int, other: str) -> None:
    changed = secret[:at] + other + secret[at + 1 :]
    assert well_formed(changed) == (changed == secret)


@given(secrets, st.integers(8, SECRET_LENGTH - 2))
def test_a_secret_with_two_neighbours_swapped_is_not_well_formed(secret: str, at: int) -> None:
    swapped = secret[:at] + secret[at + 1] + secret[at] + secret[at + 2 :]
    assert well_formed(swapped) == (swapped == secret)


@given(st.text())
def test_nothing_else_is_well_formed(text: str) -> None:
    assert not well_formed(text)
    assert not well_formed("rp_live_" + text)


@pytest.mark.parametrize("text", ["", "rp_live_", "rp_live_" + "é" * 49, "rp_live_" + "٣" * 49, "\0" * 57])
def test_odd_texts_are_not_well_formed(text: str) -> None:
    assert not well_formed(text)


def test_secrets_do_not_repeat() -> None:
    assert len({new_secret() for _ in range(2000)}) == 2000


@given(secrets)
def test_the_digest_is_sha_256_in_hex(secret: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", digest_of(secret))
    assert secret[8:] not in digest_of(secret)
