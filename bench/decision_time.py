"""The time of a decision: `python -m bench.decision_time` prints p50 and p99 in ms by prompt length.

One core, the published catalog, features and token counting included. Every prompt is different.
"""

import argparse
import random
import time

import numpy as np

from bench.fit_decide import everyday_prompts
from bench.published import NOW, snapshot
from routing.decide.decision import Decision, DecisionInput, decide, load
from routing.language.chat import ChatRequest, Message, Role, Strategy, Text

TOKENS = (20, 200, 2000, 20000)
CHARS = 4  # per token, about, in these texts
WARM_UP = 20  # the first decisions build the arm table and warm caches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    arguments = parser.parse_args()
    began = time.perf_counter()
    load()
    print(f"load {(time.perf_counter() - began) * 1000:.0f} ms")
    for tokens in TOKENS:
        taken, decision = timed(tokens, arguments.rounds)
        p50, p99 = np.percentile(taken, (50, 99))
        counted = decision.trace.input_tokens
        arms = len(decision.trace.candidates)
        print(f"{tokens:6} tokens ({counted} counted), {arms} candidates: p50 {p50:.3f} ms, p99 {p99:.3f} ms")


def timed(tokens: int, rounds: int) -> tuple[list[float], Decision]:
    """Return the ms of each of `rounds` decisions on prompts of about `tokens` tokens, and the last one."""
    catalog = snapshot()
    texts = [row["text"] for row in everyday_prompts()]
    dice = random.Random(7)  # noqa: S311
    taken = []
    for turn in range(rounds + WARM_UP):
        text = " ".join(dice.choices(texts, k=2 + tokens // 8))
        text = text[: tokens * CHARS]
        request = ChatRequest(messages=(Message(Role.USER, (Text(text),)),))
        began = time.perf_counter()
        decision = decide(DecisionInput(request=request, at=NOW, strategy=Strategy.AUTO), catalog)
        if turn >= WARM_UP:
            taken.append((time.perf_counter() - began) * 1000)
    return taken, decision


if __name__ == "__main__":
    main()
