"""Server-sent events survive every way of being cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.sse import MAX_EVENT_BYTES, SseDecoder

STREAM = (
    '\ufeff: hello\n\nevent: message_start\ndata: {"a":"é€😀"}\n\n: ping\r\n\r\ndata: one\r\ndata:two\r\n\r\n'
    "id: 7\nretry: 10\ndata\n\nevent: lost\n\ndata: [DONE]\n\n"
).encode()
EVENTS = [
    (b"message_start", '{"a":"é€😀"}'.encode()),
    (b"", b"one\ntwo"),
    (b"", b""),
    (b"", b"[DONE]"),
]


def events(*pieces: bytes) -> list[tuple[bytes, bytes]]:
    decoder = SseDecoder()
    return [*(event for piece in pieces for event in decoder.feed(piece)), *decoder.end()]


def test_a_stream_is_read_with_either_line_end_comments_and_several_data_lines() -> None:
    assert events(STREAM) == EVENTS


def test_every_byte_split_gives_the_same_events() -> None:
    for cut in range(len(STREAM) + 1):
        assert events(STREAM[:cut], STREAM[cut:]) == EVENTS
    assert events(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_pieces_give_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert events(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


@given(st.lists(st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)))))
def test_any_data_line_is_decoded_unchanged(lines: list[str]) -> None:
    stream = b"".join(b"data: " + line.encode() + b"\n\n" for line in lines)
    assert [data.decode() for _, data in events(stream)] == lines


def test_an_event_whose_closing_blank_line_is_missing_is_delivered_at_the_end() -> None:
    assert events(b"data: [DONE]") == [(b"", b"[DONE]")]


@pytest.mark.parametrize("piece", [b"x" * (1 << 20), b"data: " + b"x" * (1 << 20) + b"\n"])
def test_an_endless_line_or_event_is_malformed(piece: bytes) -> None:
    decoder = SseDecoder()
    pieces = [piece] * (MAX_EVENT_BYTES // len(piece) + 2)
    with pytest.raises(UpstreamFailure) as caught:
        [list(decoder.feed(each)) for each in pieces]
    assert caught.value.kind is FailureKind.MALFORMED
