"""Request ids: `req_` and 26 characters that sort by time (48 bits of milliseconds, 80 random bits)."""

import os
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32


def new_request_id() -> str:
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return "req_" + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
