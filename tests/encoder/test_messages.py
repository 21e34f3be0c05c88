"""Messages between a web process and its workers."""

from routing.encoder.messages import Frames, framed, texts


def test_a_lone_surrogate_is_replaced() -> None:
    assert texts("a\ud800b", "", "").request == "a?b"


def test_messages_are_put_together_from_parts() -> None:
    frames, sent = Frames(), framed(b"first") + framed(b"") + framed(b"third")
    received = [message for byte in sent for message in frames.add(bytes((byte,)))]
    assert received == [b"first", b"", b"third"]
