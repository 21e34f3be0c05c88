"""The usage reports of OpenAI-compatible servers: names and sums of each dialect (docs/ledger.md).

The forms are those of the servers' documentation and sources, as of November 2026.
"""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.usage import Usage, UsageIssue
from routing.language.chat import UsageReport
from routing.providers.openai import chat_answers
from routing.providers.openai.usage import usage_of
from routing.providers.shared.wire import CallContext
from tests.execute.odd_answers import chat, frames

CONTEXT = CallContext("provider", "model")
INCONSISTENT = UsageIssue.INCONSISTENT


def report(prompt: int, completion: int, total: int | None = None, **more: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    return counts | ({} if total is None else {"total_tokens": total}) | more


def reasoning(tokens: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": tokens}}


def cached(tokens: int, name: str = "prompt_tokens_details") -> dict[str, Any]:
    return {name: {"cached_tokens": tokens}}


# Report and usage: uncached input, cache reads, cache writes (5 minutes, one hour), output, reasoning.
DIALECTS: dict[str, tuple[dict[str, Any], Usage]] = {
    "openai": (report(640, 355, 995, **cached(128), **reasoning(310)), Usage(512, 128, 0, 0, 355, 310)),
    "xai": (report(640, 45, 995, **cached(128), **reasoning(310)), Usage(512, 128, 0, 0, 355, 310)),
    "reasoning beside, without a total": (report(640, 45, **reasoning(310)), Usage(640, 0, 0, 0, 355, 310)),
    "reasoning of the same size": (report(9, 30, 39, **reasoning(30)), Usage(9, 0, 0, 0, 30, 30)),
    "reasoning of the same size beside": (report(9, 30, 69, **reasoning(30)), Usage(9, 0, 0, 0, 60, 30)),
    "gemini's compatible api": (report(9, 30, 99), Usage(9, 0, 0, 0, 90, 60, issue=INCONSISTENT)),
    "deepseek": (
        report(100, 30, 130, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36, **reasoning(12)),
        Usage(36, 64, 0, 0, 30, 12),
    ),
    "deepseek without a sum": (
        {"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36, "completion_tokens": 30},
        Usage(36, 64, 0, 0, 30),
    ),
    "mistral": (report(100, 30, 130, num_cached_tokens=64), Usage(36, 64, 0, 0, 30)),
    "mistral's details": (
        report(100, 30, 130, **cached(64, "prompt_token_details")),
        Usage(36, 64, 0, 0, 30),
    ),
    "moonshot": (report(100, 30, 130, cached_tokens=64), Usage(36, 64, 0, 0, 30)),
    "qwen": (
        report(
            100, 30, 130, prompt_tokens_details={"cached_tokens": 40, "cache_creation_input_tokens": 24}
        ),
        Usage(36, 40, 24, 0, 30),
    ),
    "vllm": (report(100, 30, 130, prompt_tokens_details=None), Usage(100, 0, 0, 0, 30)),
    "perplexity": (report(100, 30, 150, reasoning_tokens=20), Usage(100, 0, 0, 0, 50, 20)),
    "a proxy of anthropic": (
        report(
            10, 30, 130, cache_read_input_tokens=60, cache_creation_input_tokens=30,
            cache_creation={"ephemeral_1h_input_tokens": 20},
        ),
        Usage(10, 60, 10, 20, 30),
    ),
    "more cached than sent": (report(10, 30, 40, **cached(64)), Usage(0, 10, 0, 0, 30, issue=INCONSISTENT)),
    "a total that is too small": (report(100, 30, 99), Usage(100, 0, 0, 0, 30, issue=INCONSISTENT)),
    "more reasoning than any sum has": (
        report(100, 30, 135, **reasoning(50)),
        Usage(100, 0, 0, 0, 80, 50, issue=INCONSISTENT),
    ),
    "a total of zero": (report(100, 30, 0), Usage(100, 0, 0, 0, 30)),
    "a detail that is no count": (
        report(100, 30, 130, **cached(-4)),
        Usage(100, 0, 0, 0, 30, issue=UsageIssue.UNREADABLE),
    ),
}  # fmt: skip


def reported(*chunks: Any) -> Usage | None:
    stream = chat_answers.Stream(CONTEXT)
    events = [*stream.feed(frames(chat({"content": "Oslo."}), *chunks, b"[DONE]")), *stream.end()]
    usages = [event.usage for event in events if isinstance(event, UsageReport)]
    return usages[-1] if usages else None


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_is_read_by_its_own_rules(name: str) -> None:
    sent, usage = DIALECTS[name]
    assert reported(chat({}, "stop") | {"usage": sent}) == usage
    choice = {"index": 0, "message": {"content": "Oslo."}, "finish_reason": "stop"}
    whole = list(chat_answers.whole(json.dumps({"choices": [choice], "usage": sent}).encode(), CONTEXT))
    assert UsageReport(usage) in whole


def test_moonshot_reports_within_the_last_choice() -> None:
    last = chat({}, "stop")
    last["choices"][0]["usage"] = report(100, 30, 130, cached_tokens=64)
    assert reported(last) == Usage(36, 64, 0, 0, 30)


@pytest.mark.parametrize("usage", [{}, {"usage": None}, {"usage": {}}], ids=["absent", "null", "empty"])
def test_llama_cpp_times_its_tokens_where_it_reports_no_usage(usage: dict[str, Any]) -> None:
    timings = {"prompt_n": 36, "cache_n": 64, "predicted_n": 30, "prompt_ms": 12.5}
    assert reported(chat({}, "stop") | usage | {"timings": timings}) == Usage(36, 64, 0, 0, 30)


def test_an_empty_report_does_not_replace_an_earlier_one() -> None:
    chunks = [chat({}, "stop") | {"usage": report(9, 3, 12)}, {"choices": [], "usage": None}]
    assert reported(*chunks, {"choices": [], "usage": {}}) == Usage(9, 0, 0, 0, 3)


_TOKENS = st.integers(0, 400)


@given(
    counts=st.tuples(_TOKENS, _TOKENS, st.integers(0, 1200)),
    prompt=st.dictionaries(
        st.sampled_from(["cached_tokens", "cache_write_tokens", "audio_tokens"]), _TOKENS | st.none()
    ),
    completion=st.dictionaries(st.sampled_from(["reasoning_tokens", "audio_tokens"]), _TOKENS),
)
def test_a_report_in_openais_form_is_read_alike_in_one_step_and_by_name(
    counts: tuple[int, int, int], prompt: dict[str, int | None], completion: dict[str, int]
) -> None:
    body = report(*counts, prompt_tokens_details=prompt, completion_tokens_details=completion)
    by_name = body | {"of_another_server": None}
    assert usage_of(json.dumps(body).encode()) == usage_of(json.dumps(by_name).encode())
