"""Estimates of rated requests that the encoder was not fitted on, by group left out.

`make fit-encoder` writes them and `make bench-traffic` reads them: a fit takes half an hour.
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from routing.decide.prediction.second_look import SecondLook

FILE = Path(__file__).with_name("held_out.csv")
RANDOM = "random third"  # left out; the other groups are named after a writer


def read() -> dict[str, dict[str, SecondLook]]:
    """Return the estimates by group left out and id of the request."""
    estimates: dict[str, dict[str, SecondLook]] = {}
    with FILE.open(newline="") as file:
        for group, request, level, tokens, *skills in csv.reader(file):
            second = SecondLook(float(level), float(tokens), tuple(map(float, skills)))
            estimates.setdefault(group, {})[request] = second
    return estimates


def write(estimates: Mapping[str, Sequence[tuple[str, SecondLook]]]) -> None:
    with FILE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for group, rows in estimates.items():
            for request, second in rows:
                skills = (f"{share:.4f}" for share in second.skills)
                tokens = f"{second.answer_tokens:.1f}"
                writer.writerow([group, request, f"{second.level:.3f}", tokens, *skills])
