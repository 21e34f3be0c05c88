"""Usage as OpenAI and servers compatible with it report it, each under names of its own.

OpenAI counts cached tokens within the prompt and reasoning within the completion. Others count one or both
beside them (xAI, Gemini's compatible API, proxies of Anthropic); `total_tokens` shows which.
"""

from typing import Annotated, Any

import msgspec

from billing.usage import Usage, UsageIssue
from routing.language.reported import MAX_COUNT, Counts

_PROMPT = ("prompt_tokens", "input_tokens")
_COMPLETION = ("completion_tokens", "output_tokens")
_CACHED = (
    "prompt_tokens_details.cached_tokens",  # OpenAI, vLLM, Qwen, xAI, llama.cpp
    "input_tokens_details.cached_tokens",  # OpenAI's Responses API
    "prompt_token_details.cached_tokens",  # Mistral
    "num_cached_tokens",  # Mistral
    "cached_tokens",  # Moonshot
    "prompt_cache_hit_tokens",  # DeepSeek
    "cache_read_input_tokens",  # proxies of Anthropic
)
_WRITTEN = (
    "prompt_tokens_details.cache_write_tokens",  # OpenAI
    "input_tokens_details.cache_write_tokens",
    "prompt_tokens_details.cache_creation_input_tokens",  # Qwen
    "cache_creation_input_tokens",  # proxies of Anthropic
)
_WRITTEN_1H = ("cache_creation.ephemeral_1h_input_tokens",)
_AUDIO = ("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens")
_REASONING = (
    "completion_tokens_details.reasoning_tokens",  # OpenAI, DeepSeek, Qwen, xAI
    "output_tokens_details.reasoning_tokens",  # OpenAI's Responses API
    "reasoning_tokens",  # Perplexity
)


def usage_of(report: msgspec.Raw | bytes, timings: msgspec.Raw | bytes = b"") -> Usage | None:
    """The usage of a report; None: nothing was reported. `timings`: llama.cpp's, where it sends no usage."""
    if (standard := _standard(report)) is not None:
        return standard
    counts = Counts(report)
    if not counts:
        return _of_timings(Counts(timings))
    prompt, completion, total = counts.read(*_PROMPT), counts.read(*_COMPLETION), counts.read("total_tokens")
    if counts.issue is not None:  # one of the sums itself cannot be read
        return Usage(issue=counts.issue)
    if prompt is None:
        hit, missed = counts.read("prompt_cache_hit_tokens"), counts.read("prompt_cache_miss_tokens")
        prompt = (hit or 0) + (missed or 0)
    cached, written = counts.read(*_CACHED) or 0, counts.read(*_WRITTEN) or 0
    written_1h, reasoning = counts.read(*_WRITTEN_1H) or 0, counts.read(*_REASONING) or 0
    audio = counts.read(*_AUDIO) or 0
    usage = _usage(prompt, completion or 0, total, (cached, written, written_1h), reasoning, audio)
    return usage if counts.issue is None else msgspec.structs.replace(usage, issue=counts.issue)


Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _PromptDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cached_tokens: Count = 0
    cache_write_tokens: Count = 0
    audio_tokens: Count = 0


class _CompletionDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reasoning_tokens: Count = 0
    audio_tokens: Any = None
    accepted_prediction_tokens: Any = None
    rejected_prediction_tokens: Any = None


class _Standard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A report as OpenAI writes it, which is read in one step. Any other field may be another's count."""

    prompt_tokens: Count
    completion_tokens: Count
    total_tokens: Count
    prompt_tokens_details: _PromptDetails = _PromptDetails()
    completion_tokens_details: _CompletionDetails = _CompletionDetails()


_decode_standard = msgspec.json.Decoder(_Standard).decode


def _standard(report: msgspec.Raw | bytes) -> Usage | None:
    """The usage of a report as OpenAI writes it; None: it has another form."""
    try:
        read = _decode_standard(report)
    except (ValueError, RecursionError):
        return None
    prompt, completion = read.prompt_tokens_details, read.completion_tokens_details
    cache = (prompt.cached_tokens, prompt.cache_write_tokens, 0)
    sums = (read.prompt_tokens, read.completion_tokens, read.total_tokens)
    return _usage(*sums, cache, completion.reasoning_tokens, prompt.audio_tokens)


def _usage(
    prompt: int,
    completion: int,
    total: int | None,
    cache: tuple[int, int, int],
    reasoning: int,
    audio: int,
) -> Usage:
    """`cache`: tokens read, written, and of those written for an hour."""
    cached, written, written_1h = cache
    prompt, output, adds_up = _sums(prompt, completion, total, cached + written, reasoning)
    cached = min(cached, prompt)
    written = min(written, prompt - cached)
    written_1h = min(written_1h, written)
    return Usage(
        uncached_input_tokens=prompt - cached - written,
        cache_read_tokens=cached,
        cache_write_tokens=written - written_1h,
        cache_write_1h_tokens=written_1h,
        output_tokens=output,
        reasoning_tokens=min(max(reasoning, output - completion), output),
        issue=None if adds_up else UsageIssue.INCONSISTENT,
        audio_input_tokens=min(audio, prompt - cached - written),
    )


def _sums(
    prompt: int, completion: int, total: int | None, cached: int, reasoning: int
) -> tuple[int, int, bool]:
    """Input and output in all, and whether the report adds up.

    A total beyond prompt and completion that no count explains is output: it is the reasoning of servers that
    report no reasoning.
    """
    beside = (0, reasoning) if reasoning > completion else (0, 0)
    if total is None or total == 0:
        return prompt + (cached if cached > prompt else 0), completion + beside[1], cached <= prompt
    for input_beside, output_beside in ((0, 0), (0, reasoning), (cached, 0), (cached, reasoning)):
        is_within = (input_beside or cached <= prompt) and (output_beside or reasoning <= completion)
        if is_within and total == prompt + input_beside + completion + output_beside:
            return prompt + input_beside, completion + output_beside, True
    if total > prompt + completion and not reasoning and cached <= prompt:
        return prompt, total - prompt, False
    return prompt, completion + beside[1], False


def _of_timings(timings: Counts) -> Usage | None:
    """llama.cpp counts the evaluated prompt without its cached part."""
    evaluated, predicted = timings.read("prompt_n"), timings.read("predicted_n")
    if evaluated is None or predicted is None:
        return None
    return Usage(
        uncached_input_tokens=evaluated,
        cache_read_tokens=timings.read("cache_n") or 0,
        output_tokens=predicted,
        issue=timings.issue,
    )
