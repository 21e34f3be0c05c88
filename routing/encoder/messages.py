"""The messages between a web process and its encoder workers: a length of four bytes, then MessagePack.

A worker sends READY once it has loaded the model. From then on it answers each `Texts` with an `Estimate`, or
with FAILED when the model raised an error. The worker process imports this module, so it needs msgspec only.
"""

import socket
from struct import Struct

import msgspec

READY, FAILED = b"", b"\xc0"  # \xc0: MessagePack's nil
_LENGTH = Struct(">I")
_DIGITS = str.maketrans("123456789", "0" * 9)


class Texts(msgspec.Struct, frozen=True, array_like=True):
    """The texts that the encoder judges; `RequestText` has them clipped."""

    request: str  # known words of other languages in English
    system: str
    history: str


class Estimate(msgspec.Struct, frozen=True, array_like=True):
    """The encoder's estimates for one request; `skills`: probabilities over the text skills."""

    level: float  # 1 (trivial) to 5 (very hard)
    answer_tokens: float
    skills: tuple[float, ...]


encode = msgspec.msgpack.Encoder().encode
decode_texts = msgspec.msgpack.Decoder(Texts).decode
decode_estimate = msgspec.msgpack.Decoder(Estimate | None).decode


def texts(request: str, system: str, history: str) -> Texts:
    """Return them as the encoder reads them.

    Every digit is a 0: requests that differ in numbers alone, such as an order's, are judged alike, and only
    the first of them takes time. Lone surrogates are replaced, because neither MessagePack nor the tokeniser
    accepts them.
    """
    return Texts(*map(_read_alike, (request, system, history)))


def _read_alike(text: str) -> str:
    return text.translate(_DIGITS).encode("utf-8", "replace").decode()


def framed(message: bytes) -> bytes:
    return _LENGTH.pack(len(message)) + message


class Frames:
    """Cuts received bytes into messages."""

    def __init__(self) -> None:
        self._received = bytearray()

    def add(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete now."""
        self._received += data
        messages = []
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                break
            messages.append(bytes(self._received[_LENGTH.size : end]))
            del self._received[:end]
        return messages


def received(connection: socket.socket) -> bytes | None:
    """Wait for the next message; None when the other end has closed. For the worker, which may block."""
    length = _exactly(connection, _LENGTH.size)
    return None if length is None else _exactly(connection, _LENGTH.unpack(length)[0])


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            return None
        data += part
    return bytes(data)
