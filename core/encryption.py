"""Encrypts the secrets in the database that we must be able to read again, such as webhook secrets.

Authenticated encryption (Fernet) with a key derived from SECRET_KEY. What was encrypted with a key that is
now among SECRET_KEY_FALLBACKS can still be decrypted, so SECRET_KEY can be changed without losing anything.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_PURPOSE = b"routeplex secrets at rest v1"  # the same SECRET_KEY signs sessions: never the same key for both


class CannotDecrypt(Exception):
    """Encrypted with a SECRET_KEY that is neither the current one nor among SECRET_KEY_FALLBACKS."""


def encrypt(text: str) -> bytes:
    return encrypt_bytes(text.encode())


def encrypt_bytes(content: bytes) -> bytes:
    return _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS).encrypt(content)


def decrypt(encrypted: bytes) -> str:
    """Raises CannotDecrypt."""
    return decrypt_bytes(encrypted).decode()


def decrypt_bytes(encrypted: bytes) -> bytes:
    """Raises CannotDecrypt."""
    fernet = _fernet(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    try:
        return fernet.decrypt(bytes(encrypted))  # PostgreSQL returns a memoryview
    except InvalidToken:
        raise CannotDecrypt(
            "This was encrypted with another SECRET_KEY. Add the old one to SECRET_KEY_FALLBACKS."
        ) from None


def reencrypt(encrypted: bytes) -> bytes:
    """Encrypt a secret again with the current SECRET_KEY, so that a fallback can go. Raises CannotDecrypt."""
    return encrypt_bytes(decrypt_bytes(encrypted))


def uses_current_key(encrypted: bytes) -> bool:
    """True: no fallback is needed to decrypt it."""
    try:
        _fernet(settings.SECRET_KEY).decrypt(bytes(encrypted))
    except InvalidToken:
        return False
    return True


@lru_cache(maxsize=8)
def _fernet(*secret_keys: str) -> MultiFernet:
    """Encrypts with the first key, decrypts with any of them."""
    return MultiFernet([Fernet(_derived(key)) for key in secret_keys])


def _derived(secret_key: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret_key.encode())
    return base64.urlsafe_b64encode(derived)
