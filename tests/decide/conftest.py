"""The vocabulary of the decision's tests: the published catalog and a way to ask."""

from collections.abc import Callable
from typing import Any

import pytest

from bench.published import NOW, snapshot
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, DecisionInput, decide, load
from routing.language.chat import ChatRequest, Message, Role, Text

Ask = Callable[..., Decision]


@pytest.fixture(scope="session")
def catalog() -> Snapshot:
    load()
    return snapshot()


@pytest.fixture(scope="session")
def ask(catalog: Snapshot) -> Ask:
    """`ask("text", strategy=…, catalog=…, draw=…)`: the decision on one user message; `request` for more."""

    def ask(text: str = "", request: ChatRequest | None = None, **circumstances: Any) -> Decision:
        snapshot = circumstances.pop("catalog", catalog)
        draw = circumstances.pop("draw", 0.0)
        learning = circumstances.pop("learning", None)
        decision_input = DecisionInput(
            request=request or chat_request(text), at=circumstances.pop("at", NOW), **circumstances
        )
        return decide(decision_input, snapshot, draw=draw, learning=learning)

    return ask


def chat_request(text: str, **fields: Any) -> ChatRequest:
    return ChatRequest(messages=(Message(Role.USER, (Text(text),)),), **fields)


PROMPTS = (
    "hi",
    "What is the capital of France?",
    "What is Python?",
    "What is 13 * 7?",
    "Write a haiku about the sea",
    "Translate 'where is the station' into Italian",
    "Is this review positive or negative: the soup was cold and the waiter rude",
    "Draft a polite e-mail declining a job offer",
    "Summarise the following paragraph in two sentences: the committee met on Tuesday and agreed to wait.",
    "Why does ice float on water?",
    "Explain the difference between a will and a living trust",
    "Write a Python function that merges overlapping intervals",
    "Implement a red-black tree in Rust with deletion and property tests",
    "Refactor this 3000-line service into modules without changing behaviour and keep all tests green",
    "Find all integer solutions of x^3 + y^3 = z^3 + 1 below 100 and prove there are no others",
    "Prove that every sufficiently large even integer is the sum of a prime and a product of two primes",
    "Five people with five pets live in five houses; given these fifteen clues, who owns the fish?",
    "Quelle est la différence entre le subjonctif et l'indicatif ?",
    "Schreibe eine kurze Geschichte über einen Leuchtturm",
    "日本の四季について短い文章を書いてください",
)
