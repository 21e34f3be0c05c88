"""`python -m bench.sessions`: the saving from knowing that a conversation's prompt is cached.

Generated conversations of several turns over a long shared text, decided turn by turn with and without
knowing which arm answered the last turn. Both are priced the same way: input that a provider has cached,
because the same model answered the turn before, costs its cached price. Forecasts are on the published
catalog, without network.
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from bench.fit_decide import everyday_prompts
from bench.published import NOW, snapshot
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import decide, load
from routing.decide.forecast import Conversation
from routing.decide.inputs import DecisionInput
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role, Strategy, Text

SESSIONS, TURNS = 40, 8
TEXT_TOKENS = (2_000, 8_000, 30_000)  # of what all turns share
PAUSE = timedelta(seconds=40)  # between turns, well within a cache's life
ANSWER = "Here is what I found, in a few sentences, as you asked. " * 12


@dataclass
class Paid:
    """Sums over turns of one way to decide: USD, predicted success, and changes of the model."""

    usd: float = 0.0
    success: float = 0.0
    turns: int = 0
    changes: int = 0


def main() -> None:
    load()
    catalog = snapshot()
    print(f"{SESSIONS} conversations of {TURNS} turns; per turn, knowing the cache / not knowing it")
    for strategy in (Strategy.AUTO, Strategy.BALANCED, Strategy.COST):
        for tokens in TEXT_TOKENS:
            informed, blind = Paid(), Paid()
            random = np.random.default_rng(7)
            for _ in range(SESSIONS):
                _session(catalog, strategy, tokens, random, informed, blind)
            usd, change = informed.usd / informed.turns, informed.usd / blind.usd - 1
            print(
                f"{strategy:10} {tokens:6} tokens shared: {usd:.6f} / {blind.usd / blind.turns:.6f} USD"
                f" ({change:+.1%}), success {informed.success / informed.turns:.3f} /"
                f" {blind.success / blind.turns:.3f}, model changed {informed.changes / informed.turns:.0%} /"
                f" {blind.changes / blind.turns:.0%}"
            )


def _session(
    catalog: Snapshot,
    strategy: Strategy,
    tokens: int,
    random: np.random.Generator,
    informed: Paid,
    blind: Paid,
) -> None:
    questions = [row["text"] for row in everyday_prompts()]
    text = "The report says that costs rose in spring and fell in autumn. " * (tokens // 13)
    messages: list[Message] = [Message(Role.SYSTEM, (Text(text),))]
    last: dict[bool, Conversation | None] = {True: None, False: None}
    at = NOW
    for _ in range(TURNS):
        messages.append(Message(Role.USER, (Text(str(random.choice(questions))),)))
        request = ChatRequest(messages=tuple(messages), max_output_tokens=2000)
        for knows, paid in ((True, informed), (False, blind)):
            question = DecisionInput(request=request, at=at, strategy=strategy, conversation=last[knows])
            real = decide(question, catalog, draw=0.0)
            arm = real.chain[0]
            if not knows:
                arm = decide(
                    DecisionInput(request=request, at=at, strategy=strategy), catalog, draw=0.0
                ).chain[0]
            entry = next(entry for entry in real.trace.candidates if entry.arm == arm.name)
            before = last[knows]
            paid.usd += entry.cost_usd or 0.0
            paid.success += entry.p_success
            paid.turns += 1
            paid.changes += before is not None and before.arm.model != arm.model
            last[knows] = Conversation(Arm(arm.model, arm.effort), real.trace.input_tokens, at)
        messages.append(Message(Role.ASSISTANT, (Text(ANSWER),)))
        at += PAUSE


if __name__ == "__main__":
    main()
