"""The encoder's input: what is read of long texts."""

import pytest
from tokenizers import Tokenizer

from routing.encoder.artefact import ARTEFACT
from routing.encoder.messages import texts
from routing.encoder.tokenise import HISTORY_TAIL, LONGEST, REQUEST_HEAD, REQUEST_TAIL, SYSTEM_HEAD, tokenise


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(ARTEFACT / "tokenizer.json"))


def words(tokens: list[int], tokenizer: Tokenizer) -> list[str | None]:
    return [tokenizer.id_to_token(token) for token in tokens]


def test_request_system_text_and_history_are_set_apart(tokenizer: Tokenizer) -> None:
    tokens = tokenise(texts("Hello there", "Be brief", "Good day"), tokenizer)
    assert words(tokens.ids, tokenizer) == [
        *("[CLS]", "hello", "there", "[SEP]"),
        *("be", "brief", "[SEP]", "good", "day", "[SEP]"),
    ]
    assert tokens.types == [0] * 4 + [1] * 6


def test_long_texts_are_cut(tokenizer: Tokenizer) -> None:
    request = "one " * REQUEST_HEAD + "two " * 500 + "three " * REQUEST_TAIL
    system, history = "four " * SYSTEM_HEAD + "two " * 9, "two " * 9 + "six " * HISTORY_TAIL
    read = words(tokenise(texts(request, system, history), tokenizer).ids, tokenizer)
    assert "two" not in read
    counts = [read.count(word) for word in ("one", "three", "four", "six")]
    assert counts == [REQUEST_HEAD, REQUEST_TAIL, SYSTEM_HEAD, HISTORY_TAIL]
    assert len(read) == LONGEST
