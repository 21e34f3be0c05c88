"""Request ids: `req_` and 26 characters that sort by time (48 bits of milliseconds, 80 random bits)."""

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BYTES = 10  # of an id
_DRAWN = 100  # ids for which random bytes are drawn at once: a call of the system takes as long as the rest

_drawn: list[bytes] = []


def new_request_id() -> str:
    while True:
        try:
            random = _drawn.pop()  # no two threads get the same
            break
        except IndexError:
            drawn = os.urandom(_RANDOM_BYTES * _DRAWN)
            _drawn.extend(drawn[at : at + _RANDOM_BYTES] for at in range(0, len(drawn), _RANDOM_BYTES))
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(random)
    return "req_" + "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


os.register_at_fork(after_in_child=_drawn.clear)
