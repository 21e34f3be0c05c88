"""The encoder's input: the request, the system text and the earlier turns as token ids.

Training and serving share this module. The worker process imports it: it needs tokenizers and msgspec only.
"""

from typing import NamedTuple

from tokenizers import Tokenizer

from routing.encoder.messages import Texts

# A request's task is at its beginning or its end. The system text tells the kind of application; of the
# earlier turns the end tells what the request refers to.
REQUEST_HEAD, REQUEST_TAIL = 112, 48  # tokens
SYSTEM_HEAD, HISTORY_TAIL = 40, 20  # tokens
LONGEST = 1 + REQUEST_HEAD + REQUEST_TAIL + 1 + SYSTEM_HEAD + 1 + HISTORY_TAIL + 1  # tokens, with marks


class Tokens(NamedTuple):
    """Token ids, and for each 0 if it belongs to the request, else 1; both as long."""

    ids: list[int]
    types: list[int]


def tokenise(texts: Texts, tokenizer: Tokenizer) -> Tokens:
    """Return at most LONGEST tokens: `[CLS] request [SEP] system [SEP] history [SEP]`."""
    request, system, history = (
        encoding.ids
        for encoding in tokenizer.encode_batch_fast(
            [texts.request, texts.system, texts.history], add_special_tokens=False
        )
    )
    if len(request) > REQUEST_HEAD + REQUEST_TAIL:
        request = request[:REQUEST_HEAD] + request[-REQUEST_TAIL:]
    start, end = _mark("[CLS]", tokenizer), _mark("[SEP]", tokenizer)
    own = [start, *request, end]
    context = [*system[:SYSTEM_HEAD], end, *history[-HISTORY_TAIL:], end]
    return Tokens(own + context, [0] * len(own) + [1] * len(context))


def _mark(name: str, tokenizer: Tokenizer) -> int:
    place = tokenizer.token_to_id(name)
    if place is None:
        raise ValueError(f"the tokeniser has no {name}")
    return place
