"""Input tokens: near the real tokenizers, everything in the request counted, long inputs on samples."""

import pytest
from bpe_openai import get_encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.published import facts, snapshot
from routing.catalog.tokenizers import Tokenizer, tokenizer_of
from routing.decide.prediction.claude_tokens import claude_counter
from routing.decide.prediction.tokens import (
    MESSAGE_OVERHEAD,
    REQUEST_OVERHEAD,
    SAMPLE_OVER,
    InputSize,
    count_input,
    count_o200k,
    exact_count,
    script,
)
from routing.language.arms import ModelFacts
from routing.language.chat import ChatRequest, File, Image, Message, Role, Text, Tool, ToolCall
from tests.decide.conftest import chat_request

PROSE = (
    "The committee met on Tuesday to discuss the harbour. After a long debate about costs, noise and the "
    "view from the old town, it agreed to ask three engineers for their opinion before the summer. "
)
CODE = "def merge(left, right):\n    both = []\n    while left and right:\n        both.append(left.pop(0))\n"
PIECES = st.lists(
    st.sampled_from(
        ("Sort", "the", " list", " ", "\n", "\r\n", "\t", "/", "!", "'s", "42", "日本", "é", "\u0301")
    ),
    max_size=6,
).map("".join)


@pytest.fixture(scope="module")
def models() -> dict[str, ModelFacts]:
    return snapshot().models


@pytest.mark.parametrize("text", [PROSE, CODE, "Hello", PROSE * 20])
def test_o200k_is_exact_on_short_texts(models: dict[str, ModelFacts], text: str) -> None:
    exact = len(get_encoding("o200k_base").encode(text))
    assert count_o200k(text) == exact
    assert exact_count(text, models["gpt-6-luna"]) == exact


@given(texts=st.lists(st.one_of(PIECES, st.text(max_size=30)), max_size=4))
@settings(deadline=None)
def test_a_remembered_system_text_changes_no_count(texts: list[str]) -> None:
    request = ChatRequest(messages=tuple(Message(Role.SYSTEM, (Text(text),)) for text in texts))
    expected = len(get_encoding("o200k_base").encode("\n".join(texts)))
    expected += REQUEST_OVERHEAD + MESSAGE_OVERHEAD * len(texts)
    assert InputSize(request).tokens(Tokenizer.O200K) == expected
    assert InputSize(request).tokens(Tokenizer.O200K) == expected, "the second time from memory"


def test_a_system_message_without_text_changes_no_count() -> None:
    request = ChatRequest(messages=(Message(Role.SYSTEM, ()), Message(Role.USER, (Text("Hello"),))))
    assert InputSize(request).tokens(Tokenizer.O200K) == 1 + REQUEST_OVERHEAD + 2 * MESSAGE_OVERHEAD


@pytest.mark.parametrize("text", [PROSE * 300, CODE * 400, (PROSE + CODE) * 200])
def test_long_inputs_are_sampled_within_5_percent(text: str) -> None:
    assert len(text) > SAMPLE_OVER
    assert count_o200k(text) == pytest.approx(len(get_encoding("o200k_base").encode(text)), rel=0.05)


@pytest.mark.parametrize("model", ["claude-opus-4-5", "claude-opus-5"])
@pytest.mark.parametrize("text", [PROSE * 5, PROSE + CODE])
def test_claude_is_within_15_percent_of_its_tokenizer(
    models: dict[str, ModelFacts], model: str, text: str
) -> None:
    ctok = pytest.importorskip("ctok")
    version = {"claude-opus-4-5": "4.5", "claude-opus-5": "4.8"}[model]
    assert count_input(chat_request(text), models[model]) == pytest.approx(
        ctok.token_count(text, version), rel=0.15
    )


@pytest.mark.parametrize("version", ["4.5", "4.8"])
@pytest.mark.parametrize("text", ["", "x", PROSE, CODE, "日本語 и русский 😀", "a\n\n\n", "DON'T “quote” it"])
def test_claude_tokens_are_counted_as_ctok_does(version: str, text: str) -> None:
    ctok = pytest.importorskip("ctok")
    counter = claude_counter()
    assert counter is not None
    assert counter(text, version) == ctok.token_count(text, version)


def test_newer_claude_models_make_more_tokens_of_the_same_text(models: dict[str, ModelFacts]) -> None:
    old, new = (
        count_input(chat_request(PROSE), models[name]) for name in ("claude-opus-4-5", "claude-opus-5")
    )
    assert new > 1.2 * old


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", Tokenizer.O200K),
        ("claude-opus-4-6", Tokenizer.CLAUDE_3),
        ("claude-opus-4-7", Tokenizer.CLAUDE_4_7),
        ("claude-fable-5-2", Tokenizer.CLAUDE_4_7),
        ("gemini-2.5-pro", Tokenizer.GEMINI),
    ],
)
def test_each_family_has_its_tokenizer(
    models: dict[str, ModelFacts], model: str, expected: Tokenizer
) -> None:
    assert tokenizer_of(models[model]) is expected


def test_a_quirk_names_the_tokenizer_of_an_unknown_upstream() -> None:
    row = {
        "id": "own", "provider": "openai", "name": "Own", "status": "current", "context_window": 1000,
        "max_input_tokens": None, "max_output_tokens": 1000, "prices": [], "capabilities": {},
        "quirks": {"tokenizer": "claude-3"},
    }  # fmt: skip
    assert tokenizer_of(facts(row)) is Tokenizer.CLAUDE_3


def test_everything_in_the_request_counts(models: dict[str, ModelFacts]) -> None:
    luna = models["gpt-6-luna"]
    bare = count_input(chat_request("What is this?"), luna)
    image = Message(Role.USER, (Text("What is this?"), Image("https://a.example/cat.png")))
    document = Message(
        Role.USER, (Text("What is this?"), File("data:application/pdf;base64," + "A" * 90_000))
    )
    called = Message(Role.ASSISTANT, tool_calls=(ToolCall("1", "weather", '{"city": "Bern"}'),))
    tool = Tool(
        "weather", "Weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}
    )
    messages = chat_request("What is this?").messages
    assert count_input(ChatRequest(messages=(image,)), luna) > bare + 700
    assert count_input(ChatRequest(messages=(document,)), luna) > bare + 1500
    assert count_input(ChatRequest(messages=(*messages, called)), luna) > bare + 5
    assert count_input(ChatRequest(messages=messages, tools=(tool,)), luna) > bare + 20


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is the station?", "english"),
        ("1 + 1", "english"),
        ("Der Zug ist nicht da und wir warten", "latin"),
        ("日本の首都はどこですか", "cjk"),
        ("한국의 수도는 어디입니까", "cjk"),
        ("Какой город столица?", "cyrillic"),
        ("ما هي عاصمة مصر؟", "other"),
        ("", "english"),
    ],
)
def test_the_script_is_recognised_by_its_letters(text: str, expected: str) -> None:
    assert script(text) == expected


def test_an_empty_request_still_has_its_frame() -> None:
    assert InputSize(ChatRequest(messages=())).tokens(Tokenizer.O200K) > 0
