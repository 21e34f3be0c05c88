"""The format of API keys: `rp_live_`, 256 random bits in base 62, and a CRC-32 of both.

Secret scanners can recognise a leaked key, and a mistyped key is refused without a database query.
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "rp_live_"

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_BITS = 256
_RANDOM_LENGTH = 43  # 62 ** 43 > 2 ** 256
_CHECK_LENGTH = 6  # 62 ** 6 > 2 ** 32
SECRET_LENGTH = len(PREFIX) + _RANDOM_LENGTH + _CHECK_LENGTH


def new_secret() -> str:
    body = PREFIX + _base62(secrets.randbits(_RANDOM_BITS), _RANDOM_LENGTH)
    return body + _checksum(body)


def well_formed(secret: str) -> bool:
    """Return True if length, prefix, alphabet and checksum are valid."""
    if len(secret) != SECRET_LENGTH or not secret.startswith(PREFIX) or not secret.isascii():
        return False
    body, checksum = secret[:-_CHECK_LENGTH], secret[-_CHECK_LENGTH:]
    return body[len(PREFIX) :].isalnum() and secrets.compare_digest(_checksum(body), checksum)


def digest_of(secret: str) -> str:
    """SHA-256 in hex. 256 random bits can't be guessed, so neither salt nor stretching is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_LENGTH)
