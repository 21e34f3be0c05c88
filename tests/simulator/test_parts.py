"""The simulator's parts: schema-valid JSON, facts, token counts, prompt cache, model names, independence."""

import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.simulator.model import tokens
from routing.simulator.model.facts import known_answer
from routing.simulator.model.models import Model, catalog, find
from routing.simulator.model.prompt_cache import PromptCache
from routing.simulator.model.structured_output import example


def model(name: str) -> Model:
    return next(model for model in catalog() if model.id == name)


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    numbers = st.integers(-50, 50)
    leaves = st.one_of(
        st.just({"type": "string"}),
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"type": ["string", "null"]}),
        st.sampled_from([{"type": "string", "format": name} for name in ("date", "email", "uuid")]),
        st.lists(st.sampled_from("abcdef"), min_size=1, unique=True).map(lambda options: {"enum": options}),
        st.builds(lambda value: {"const": value}, numbers),
        st.builds(
            lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
            numbers,
            st.integers(0, 9),
        ),
        st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, numbers),
        st.builds(
            lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
            st.integers(0, 30),
            st.integers(0, 9),
        ),
    )

    def grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        properties = st.dictionaries(st.sampled_from(["answer", "city", "name", "count"]), inner, max_size=3)
        return st.one_of(
            properties.map(
                lambda named: {
                    "type": "object",
                    "properties": named,
                    "required": sorted(named),
                    "additionalProperties": False,
                }
            ),
            st.builds(
                lambda item, least: {"type": "array", "items": item, "minItems": least},
                inner,
                st.integers(0, 3),
            ),
            inner.map(lambda schema: {"anyOf": [schema, {"type": "null"}]}),
        )

    return st.recursive(leaves, grown, max_leaves=8)


@settings(deadline=None)
@given(schema=schemas(), prompt=st.sampled_from(["", "Set 7 in Oslo", "not 3.5 or -4 'abc'"]))
def test_an_example_is_valid_under_its_schema(schema: dict[str, Any], prompt: str) -> None:
    jsonschema.validate(example(schema, prompt, "Some text."), schema)


def test_references_and_recursion_are_followed() -> None:
    schema = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["name", "next"],
            }
        },
        "allOf": [{"$ref": "#/$defs/node"}, {"required": ["name"]}],
    }
    jsonschema.validate(example(schema, "a list"), schema)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("What is the capital of France?", "The capital of France is Paris."),
        ("capital of the netherlands please", "The capital of the Netherlands is Amsterdam."),
        ("What is 17 * 23?", "17 * 23 = 391"),
        ("What's (2 + 3) * 4 / 8?", "(2 + 3) * 4 / 8 = 2.5"),
        ("what is 12 plus 30", "12 + 30 = 42"),
        ("1,000 divided by 8", "1000 / 8 = 125"),
        ("1/0", None),
        ("Hello!", "Hello! How can I help you today?"),
        ("Reply with exactly: blue fish", "blue fish"),
        ('Say "good night"', "good night"),
        ("Who wrote Hamlet?", "Hamlet was written by William Shakespeare."),
        ("What is the capital of Atlantis?", None),
        ("Explain tides", None),
    ],
)
def test_known_answers(prompt: str, answer: str | None) -> None:
    assert known_answer(prompt) == answer


def test_the_users_name_is_remembered() -> None:
    assert known_answer("What is my name?", ("My name is Ada.",)) == "Your name is Ada."


@given(left=st.integers(0, 10_000), right=st.integers(1, 10_000), sign=st.sampled_from("+-*"))
def test_arithmetic_is_right(left: int, right: int, sign: str) -> None:
    value = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert known_answer(f"What is {left} {sign} {right}?") == f"{left} {sign} {right} = {value}"


def test_tokens_are_those_of_the_models_own_tokenizer() -> None:
    text = "The quick brown fox jumps over the lazy dog."
    assert tokens.count(text, model("gpt-4o")) == 10  # o200k_base
    assert tokens.count(text, model("gemini-2.5-pro")) == 11  # 1.1 times that
    older, newer = tokens.count(text, model("claude-haiku-4-5")), tokens.count(text, model("claude-opus-5-5"))
    assert older < newer  # newer Claude models make more tokens of the same text


@given(text=st.text(max_size=200))
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(tokens.pieces(text)) == text


@settings(deadline=None)
@given(text=st.text(max_size=200), limit=st.integers(0, 60))
def test_truncation_keeps_a_prefix_within_the_limit(text: str, limit: int) -> None:
    for name in ("gpt-4o", "claude-opus-5-5", "gemini-2.5-pro"):
        cut = tokens.truncate(text, limit, model(name))
        assert text.startswith(cut)
        assert tokens.count(cut, model(name)) <= limit


def test_a_cached_prefix_lasts_five_minutes_and_belongs_to_its_model() -> None:
    now = [0.0]
    cache = PromptCache(clock=lambda: now[0])
    cache.remember("m", "x" * 2000)
    assert cache.matched("m", "x" * 2000 + "more") == 1536  # whole blocks of 512
    assert cache.matched("m", "x" * 2000) == 2000
    assert cache.matched("other", "x" * 2000) == 0
    now[0] = 301.0
    assert cache.matched("m", "x" * 2000) == 0


@pytest.mark.parametrize(
    ("provider", "name", "expected"),
    [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-5.6", "gpt-5.6-sol"),
        ("openai", "gpt-6.2-sol-2026-11-17", "gpt-6.2-sol"),
        ("openai", "gpt-4-turbo", None),
        ("openai", "claude-haiku-5-5", None),
        ("anthropic", "claude-haiku-5-5-20261007", "claude-haiku-5-5"),
        ("google", "gemini-flash-latest", "gemini-3.8-flash"),
        ("google", "gemini-2.5-pro-preview-tts", None),
        ("google", "something", None),
    ],
)
def test_names_mean_models_by_the_catalogs_rules(provider: str, name: str, expected: str | None) -> None:
    model = find(provider, name)
    assert (model.id if model else None) == expected


def test_larger_models_say_more_and_are_slower() -> None:
    assert model("gpt-6-luna").tier < model("gpt-6.1-terra").tier < model("gpt-6.2-astra").tier


def test_the_simulator_imports_no_other_package_of_the_product() -> None:
    script = (
        "import sys, routing.simulator.app; "
        "ours = {'accounts', 'billing', 'routeplex_site', 'django'}; "
        "print([m for m in sys.modules if m.split('.')[0] in ours or "
        "m.startswith('routing.') and not m.startswith('routing.simulator')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
