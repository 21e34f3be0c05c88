"""Secrets that we must be able to read again, such as webhook secrets: encrypted in the database.

Authenticated encryption (Fernet) with a key derived from SECRET_KEY; what was sealed with one that is now
among SECRET_KEY_FALLBACKS can still be read, so the key can be changed without losing anything.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"routeplex secrets at rest v1"  # the same SECRET_KEY signs sessions: never the same key for both


class CannotUnseal(Exception):
    """Sealed with a SECRET_KEY that is neither the present one nor among SECRET_KEY_FALLBACKS."""


def seal(text: str) -> bytes:
    """Encrypt a secret for the database."""
    return seal_bytes(text.encode())


def seal_bytes(content: bytes) -> bytes:
    return _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(content)


def unseal(sealed: bytes) -> str:
    """The secret again. Raises CannotUnseal."""
    return unseal_bytes(sealed).decode()


def unseal_bytes(sealed: bytes) -> bytes:
    """Raises CannotUnseal."""
    box = _box(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    try:
        return box.decrypt(bytes(sealed))  # PostgreSQL hands out a memoryview
    except InvalidToken:
        raise CannotUnseal(
            "This was encrypted with another SECRET_KEY. Add the old one to SECRET_KEY_FALLBACKS."
        ) from None


def reseal(sealed: bytes) -> bytes:
    """The same secret under the present SECRET_KEY, after which the old one may go. Raises CannotUnseal."""
    return seal_bytes(unseal_bytes(sealed))


def is_sealed_anew(sealed: bytes) -> bool:
    """Whether it lies under the present SECRET_KEY, so that no fallback is needed for it."""
    try:
        _box(settings.SECRET_KEY).decrypt(bytes(sealed))
    except InvalidToken:
        return False
    return True


@lru_cache(maxsize=8)
def _box(*secret_keys: str) -> MultiFernet:
    return MultiFernet([Fernet(_derived(key)) for key in secret_keys])


def _derived(secret_key: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret_key.encode())
    return base64.urlsafe_b64encode(derived)
