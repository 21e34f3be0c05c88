"""The time of a decision: `python -m bench.decision_time` prints p50 and p99 in ms by prompt length.

It is all a request pays for: reading its text, the request model, the decision, and its record as bytes for
the ledger, with the published catalog and on one core. Every prompt is different. `--cpu` counts CPU time,
which other work on the machine disturbs less. A second line has the share of each stage.
"""

import argparse
import random
import time
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from bench.fit_decide import everyday_prompts
from bench.published import NOW, snapshot
from core import packed_json
from routing.decide.decision import Decision, DecisionInput, decide, load
from routing.decide.prediction import features, request_features, request_model, tokens
from routing.language.chat import ChatRequest, Message, Role, Strategy, Text

TOKENS = (20, 200, 2000, 100_000)
CHARS = 4  # per token, about, in these texts
WARM_UP = 20  # the first decisions build the arm table and warm caches
FAILING = 0.002  # share of attempts that fail, of every other model: in service none is perfect
STAGES = (
    "text and request model",
    "question's features",
    "token count",
    "scores, choice, record",
    "encoding",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--cpu", action="store_true", help="CPU time of the thread instead of elapsed time")
    arguments = parser.parse_args()
    clock = time.thread_time if arguments.cpu else time.perf_counter
    began = time.perf_counter()
    load()
    tokens.load()
    print(f"load {(time.perf_counter() - began) * 1000:.0f} ms")
    for length in TOKENS:
        taken, decision = timed(length, arguments.rounds, clock)
        p50, p99 = np.percentile(taken.sum(axis=1), (50, 99))
        counted, arms = decision.record.input_tokens, len(decision.trace.candidates)
        print(f"{length:7} tokens ({counted} counted), {arms} candidates: p50 {p50:.3f} ms, p99 {p99:.3f} ms")
        shares = np.median(taken, axis=0) / np.median(taken, axis=0).sum()
        print(" " * 8 + ", ".join(f"{name} {share:.0%}" for name, share in zip(STAGES, shares, strict=True)))


def timed(
    length: int, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[npt.NDArray[np.float64], Decision]:
    """Return `(rounds, len(STAGES))` ms on prompts of about `length` tokens, and the last decision."""
    catalog = snapshot()
    p_up = {model: 1 - FAILING * (place % 2) for place, model in enumerate(catalog.models)}
    catalog = msgspec.structs.replace(catalog, p_up=p_up)
    texts = [row["text"] for row in everyday_prompts()]
    dice = random.Random(7)  # noqa: S311
    model, taken = request_model.shipped(), []
    for turn in range(rounds + WARM_UP):
        words = " ".join(dice.choices(texts, k=2 + length // 8))
        request = ChatRequest(messages=(Message(Role.USER, (Text(words[: length * CHARS]),)),))
        times = [clock()]
        text = request_features.request_text(request)
        judgement = model.judge_features(request_features.features(text))
        times.append(clock())
        features.read(request, text.analysis)  # `decide` does this too: its time is taken off there
        times.append(clock())
        tokens.InputSize(request)
        times.append(clock())
        decision = decide(
            DecisionInput(request=request, at=NOW, strategy=Strategy.AUTO, text=text, judgement=judgement),
            catalog,
        )
        times.append(clock())
        packed_json.encode(decision.record)
        times.append(clock())
        judged, read, counted, decided, encoded = np.diff(times)
        if turn >= WARM_UP:
            taken.append((judged, read, counted, max(decided - read - counted, 0.0), encoded))
    return np.array(taken) * 1000, decision


if __name__ == "__main__":
    main()
