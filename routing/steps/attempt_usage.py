"""The usage of an attempt that is charged: the provider's report within plausible bounds, else our own count.

A report may lack counts, or claim more than was sent or allowed: 900 million tokens for an answer of 60 would
pass every spending limit. What lies beyond the bounds is flagged and counted here instead.
"""

import math
from collections.abc import Iterator, Sequence

import msgspec

from billing.usage import Usage, UsageIssue
from routing.catalog.tokenizers import tokenizer_of
from routing.decide.prediction.tokens import InputSize, charged_count
from routing.execute.attempt import AttemptRecord, InputCount
from routing.language.arms import ModelFacts
from routing.language.chat import Audio, ChatRequest, File, Image, is_plain
from routing.steps.judgement import count_whole

# Our count of the input against a provider's own. On known tokenizers it is 18 % off at worst; a server with
# another tokenizer, a chat template and hidden instructions counts up to twice as much and some hundred more.
INPUT_MARGIN, INPUT_EXTRA = 2.0, 1000
_IMAGE_TOKENS = 10_000  # of one image; the largest documented is below 7,000
_LEAST_OUTPUT = 16  # tokens; some APIs take no smaller limit
# A provider that stops a little late is not flagged, but charged no more than the limit.
_LATE_SHARE, _LATE_TOKENS = 0.02, 16


def input_count(request: ChatRequest, tokens: int, facts: ModelFacts) -> InputCount:
    """`tokens`: the decision's count for this model."""
    media = 0 if is_plain(request) else sum(_most_of_media(request, facts.max_input_tokens))
    most = math.ceil(tokens * INPUT_MARGIN) + INPUT_EXTRA + media
    return InputCount(tokens, min(most, max(facts.max_input_tokens, tokens)))


async def count_again(request: ChatRequest, attempts: Sequence[AttemptRecord]) -> None:
    """Count the input of long requests whole where our own count decides what is charged.

    The decision's count may be an estimate from samples, and a caller can write a text that it misjudges.
    """
    doubtful = [attempt for attempt in attempts if _needs_own_count(attempt)]
    counted = await count_whole(request) if doubtful else None
    if counted is None:
        return
    size = InputSize(request, counted)
    for attempt in doubtful:
        tokens = size.tokens(tokenizer_of(attempt.facts))
        attempt.input_count = input_count(request, tokens, attempt.facts)


def _needs_own_count(attempt: AttemptRecord) -> bool:
    reported = attempt.usage.input_tokens if attempt.usage is not None else 0
    return not reported or reported > most_tokens(attempt)[0]


def usage_of(attempt: AttemptRecord) -> Usage:
    """A call that was closed at the caller's limit has no full report: its reasoning is the forecast's."""
    usage = _completed(attempt, attempt.usage or Usage())
    most_input, most_output = most_tokens(attempt)
    if usage.input_tokens > most_input or usage.output_tokens > _late(most_output):
        usage = Usage(issue=UsageIssue.IMPLAUSIBLE)
        usage = _completed(attempt, usage)
    if usage.output_tokens > most_output:
        reasoning = min(usage.reasoning_tokens, most_output)
        usage = msgspec.structs.replace(usage, output_tokens=most_output, reasoning_tokens=reasoning)
    return usage


def most_tokens(attempt: AttemptRecord) -> tuple[int, int]:
    """The most input and output tokens that the attempt's provider can plausibly count.

    An answer in several legs reads its input and what it wrote again for each.
    """
    limit = attempt.most_output_tokens or attempt.facts.max_output_tokens or attempt.facts.context_window
    output = max(limit, _LEAST_OUTPUT) * max(attempt.choices, attempt.calls)
    carried = len(attempt.continued)  # a token has at least one character
    counted = (attempt.input_count.most + carried) * attempt.calls
    return counted + (output if attempt.calls > attempt.choices else 0), output


def _completed(attempt: AttemptRecord, known: Usage) -> Usage:
    """The report with what it lacks counted here: an answer was neither written nor read with no tokens."""
    has_content = attempt.ttft_ms is not None
    if not has_content and attempt.outcome != "ok":
        return known
    fields: dict[str, int] = {}
    if not known.input_tokens:
        fields["uncached_input_tokens"] = _own_input(attempt)
    if attempt.ended_early:
        text = charged_count(attempt.written, attempt.facts)
        most = (attempt.most_output_tokens or 0) * attempt.choices  # what the provider kept to
        reasoning = known.reasoning_tokens or max(0, min(attempt.expected_reasoning, most - text))
        fields |= {
            "output_tokens": max(known.output_tokens, text + reasoning),
            "reasoning_tokens": reasoning,
        }
    elif has_content and not known.output_tokens:
        text = charged_count(attempt.written, attempt.facts)
        reasoning = max(charged_count(attempt.reasoning, attempt.facts), _hidden_reasoning(attempt, text))
        fields |= {"output_tokens": max(1, text + reasoning), "reasoning_tokens": reasoning}
    return msgspec.structs.replace(known, **fields, estimated=True) if fields else known


def _hidden_reasoning(attempt: AttemptRecord, text: int) -> int:
    """The forecast of the reasoning before the `text` tokens of an answer that its caller left.

    Providers charge it in full and show at most a summary. Without this, a caller who leaves just before the
    end of a stream would pay for the text alone. Of a stream that its provider cut, only the text is charged.
    """
    if not attempt.caller_left or not attempt.written:
        return 0
    most = attempt.most_output_tokens
    return (
        attempt.expected_reasoning
        if most is None
        else max(0, min(attempt.expected_reasoning, most * attempt.choices - text))
    )


def _own_input(attempt: AttemptRecord) -> int:
    continued = charged_count(attempt.continued, attempt.facts) if attempt.continued else 0
    return (attempt.input_count.tokens + continued) * attempt.calls


def _late(limit: int) -> int:
    return limit + max(_LATE_TOKENS, round(limit * _LATE_SHARE))


def _most_of_media(request: ChatRequest, window: int) -> Iterator[int]:
    """Of a text that is sent along, each byte may be a token. The pages of a PDF may share what they show,
    so its size says little, and the size of a link is unknown.
    """
    for message in request.messages:
        for part in message.parts:
            match part:
                case Image():
                    yield _IMAGE_TOKENS
                case File():
                    is_text = part.url.startswith("data:text/")
                    yield len(part.url) if is_text else window
                case Audio():
                    yield len(part.data)
