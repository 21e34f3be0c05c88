"""The published `routeplex` 1.0.0 client, unmodified, with only its base URL changed."""

from collections.abc import Callable

import pytest
import routeplex
from routeplex import RoutePlex

from accounts.caller import Limits
from tests.conftest import Simulator

ANSWER = "The capital of France is Paris."
QUESTION = "What is the capital of France?"


@pytest.fixture
def client(server: str, api_key: str) -> RoutePlex:
    return RoutePlex(api_key=api_key, base_url=server)


def test_chat(client: RoutePlex) -> None:
    answer = client.chat(QUESTION)
    assert answer.output == ANSWER
    assert (answer.routing_mode, answer.fallback_used) == ("routeplex-ai", False)
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    assert answer.usage.cost_usd > 0
    assert answer.usage.internal_reasoning_tokens == 0
    assert answer.enhancement is None
    assert isinstance(answer.latency_ms, int)


def test_chat_over_several_turns(client: RoutePlex) -> None:
    answer = client.chat(
        [
            {"role": "system", "content": "You are a helpful tutor."},
            routeplex.Message.user("What is recursion?"),
            routeplex.Message.assistant("A function that calls itself."),
            {"role": "user", "content": "Can you give me a Python example?"},
        ],
        max_output_tokens=1024,
        temperature=0.2,
    )
    assert answer.output


@pytest.mark.parametrize("strategy", ["auto", "balanced", "cost", "quality", "speed"])
def test_every_strategy(client: RoutePlex, strategy: str) -> None:
    answer = client.chat(QUESTION, strategy=strategy)
    assert answer.output == ANSWER
    assert answer.raw["data"]["strategy"] == strategy


def test_a_model_by_name(client: RoutePlex) -> None:
    answer = client.chat(QUESTION, model="claude-haiku-4-5")
    assert (answer.model_used, answer.provider, answer.routing_mode) == (
        "claude-haiku-4-5",
        "anthropic",
        "manual",
    )


def test_a_retired_model_is_answered_by_its_successor_and_says_so(client: RoutePlex) -> None:
    answer = client.chat(QUESTION, model="gpt-4.1-nano")
    assert answer.output == ANSWER
    assert answer.model_used != "gpt-4.1-nano"
    assert any("gpt-4.1-nano was retired" in note for note in answer.raw["data"]["routing"]["notes"])


def test_test_mode_stays_with_default_models(client: RoutePlex) -> None:
    tiers = {model.id: model.tier for model in client.list_models()}
    hard = "Prove that every even integer is the sum of a prime and a product of two primes."
    assert tiers[client.chat(hard, test_mode=True, strategy="quality").model_used] == "default"


def test_prompt_enhancement(client: RoutePlex) -> None:
    answer = client.chat("fix my code", enhance_prompt=True)
    assert answer.enhancement is not None
    assert answer.enhancement["applied"] is True
    assert answer.enhancement["original_prompt"] == "fix my code"
    assert answer.enhancement["enhanced_prompt"] != "fix my code"


@pytest.mark.parametrize("mode", ["buffered", "realtime"])
def test_streaming(client: RoutePlex, mode: str) -> None:
    events = list(client.chat_stream(QUESTION, stream_mode=mode))
    assert events[0].type == "start"
    assert "".join(event.content for event in events if event.type == "delta") == ANSWER
    done = events[-1]
    assert done.type == "done"
    assert done.usage is not None
    assert done.usage["total_tokens"] > 0
    assert done.usage["cost_usd"] > 0
    assert (done.finish_reason, bool(done.model_used), bool(done.provider)) == ("stop", True, True)


def test_estimate(client: RoutePlex) -> None:
    cheapest = client.estimate("Write a blog post about AI")
    dear = client.estimate("Write a blog post about AI", model="claude-opus-5-5")
    assert 0 < cheapest.estimated_cost_usd < dear.estimated_cost_usd
    assert dear.model == "claude-opus-5-5"
    assert cheapest.total_tokens == cheapest.input_tokens + cheapest.max_output_tokens


def test_enhance(client: RoutePlex) -> None:
    done = client.enhance("tell me about kubernetes")
    assert done.changed
    assert done.original_prompt == "tell me about kubernetes"


def test_list_models(client: RoutePlex) -> None:
    models = client.list_models()
    assert len(models) > 50
    assert {model.tier for model in models} == {"default", "premium"}
    assert all(model.context_window > 0 and model.pricing is not None for model in models)


@pytest.mark.parametrize("key", ["rp_live_wrong", "nonsense"])
def test_a_bad_key_is_an_authentication_error(server: str, key: str) -> None:
    with pytest.raises(routeplex.AuthenticationError) as refused:
        RoutePlex(api_key=key, base_url=server).chat("Hello")
    assert refused.value.code == "invalid_api_key"


def test_an_expired_key_is_an_authentication_error(server: str, expired_key: str) -> None:
    with pytest.raises(routeplex.AuthenticationError) as refused:
        RoutePlex(api_key=expired_key, base_url=server).chat("Hello")
    assert refused.value.code == "expired_api_key"


def test_too_many_requests_are_a_rate_limit_error(server: str, key_with: Callable[..., str]) -> None:
    client = RoutePlex(api_key=key_with(limits=Limits(requests_per_minute=1)), base_url=server)
    client.chat("Hello")
    with pytest.raises(routeplex.RateLimitError) as refused:
        client.chat("Hello")
    assert refused.value.code == "rate_limited"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"messages": "Hello", "strategy": "best"}, "validation_error"),
        ({"messages": "Hello", "model": "nobody-knows"}, "invalid_model"),
        ({"messages": []}, "empty_messages"),
        ({"messages": "Hello", "temperature": 3.0}, "validation_error"),
        ({"messages": "Hello", "max_output_tokens": 0}, "validation_error"),
    ],
)
def test_the_callers_mistakes_are_validation_errors(
    client: RoutePlex, arguments: dict[str, object], code: str
) -> None:
    with pytest.raises(routeplex.ValidationError) as refused:
        client.chat(**arguments)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_providers_that_all_fail_are_a_provider_error(client: RoutePlex, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=500, count=3)
    with pytest.raises(routeplex.ProviderError) as refused:
        client.chat("Hello")
    assert refused.value.code == "all_providers_failed"
    assert len(refused.value.details["attempts"]) == 3


def test_a_refused_prompt_is_a_content_policy_error(client: RoutePlex, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=400, error_code="content_policy_violation", count=1)
    with pytest.raises(routeplex.ContentPolicyError):
        client.chat("Hello")


def test_an_error_before_the_first_byte_is_raised_from_a_stream(
    client: RoutePlex, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500, count=3)
    with pytest.raises(routeplex.ProviderError):
        list(client.chat_stream("Hello"))
