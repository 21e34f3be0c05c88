"""What one provider wants back, as an opaque text that clients of another dialect carry for it.

Neither secret nor trusted: at most its own provider refuses it, and then the turn goes on without.
"""

import base64
import binascii

import msgspec

from routing.language.chat import Opaque

_MARK = "rp1."
_decoder = msgspec.json.Decoder(tuple[str, dict])  # type: ignore[type-arg]


def seal(made: Opaque) -> str:
    return _MARK + base64.urlsafe_b64encode(msgspec.json.encode((made.provider, made.data))).decode()


def is_sealed(text: str) -> bool:
    """Whether it came from here; it may still be damaged."""
    return text.startswith(_MARK)


def unseal(text: str) -> Opaque | None:
    """None when it is damaged."""
    try:
        provider, data = _decoder.decode(base64.urlsafe_b64decode(text.removeprefix(_MARK)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return Opaque(provider, data)
