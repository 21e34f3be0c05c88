"""Writes a provider's opaque data as one string, for clients of APIs that have no field for it.

Clients send the string back unchanged. It is neither secret nor trusted: if a client alters it, its own
provider refuses it, and the turn continues without it.
"""

import base64
import binascii

import msgspec

from routing.language.chat import Opaque

_PREFIX = "rp1."
_decoder = msgspec.json.Decoder(tuple[str, dict])  # type: ignore[type-arg]


def encode_opaque(part: Opaque) -> str:
    return _PREFIX + base64.urlsafe_b64encode(msgspec.json.encode((part.provider, part.data))).decode()


def is_encoded_opaque(text: str) -> bool:
    """Return whether `encode_opaque` wrote this text; it may have been damaged since."""
    return text.startswith(_PREFIX)


def decode_opaque(text: str) -> Opaque | None:
    """The part that was encoded; None when the text is damaged."""
    try:
        provider, data = _decoder.decode(base64.urlsafe_b64decode(text.removeprefix(_PREFIX)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return Opaque(provider, data)
