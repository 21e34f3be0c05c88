"""How answers in traffic compare with their forecast length: ratios by arm, skill and difficulty; pure.

A ratio is actual over forecast tokens. It is a product over four levels: all traffic and a skill's difficulty
band (stored together), an arm, and an arm's cell, which is one skill and band. A level departs from the one
above it only as far as its evidence goes, so that arms and skills without traffic profit from the others.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from routing.catalog.snapshot import OutputRatio

# Upper ends in logits of the difficulty bands: between the rated levels 2 and 3, and between 3 and 4.
BAND_ENDS = (-1.85, -0.6)
BANDS = len(BAND_ENDS) + 1
# Tokens added to both sides of a ratio, so that answers of a few tokens, and no reasoning, count mildly.
OFFSET = 8.0
# Bounds of a correction. Reasoning varies more: models decide themselves how much of an effort they use.
MOST_VISIBLE, MOST_REASONING = 8.0, 32.0
_MOST_SAMPLE = 64.0  # a single answer counts as at most this ratio
# Chosen: answers after which a cell's own mean counts half. Log lengths spread by 0.7 within a cell and by
# about 0.3 between the cells of an arm, which would make it five.
_ENOUGH_ANSWERS = 8.0
_ENOUGH_VOTES = 1.0  # fully known cells after which a level above the cell counts half


class Sample(NamedTuple):
    """One whole answer; `weight` decays with its age. `forecast_*`: before any correction from traffic."""

    arm: str
    skill: str
    band: int
    weight: float
    visible_tokens: int
    reasoning_tokens: int
    forecast_visible: int
    forecast_reasoning: int


class Level(NamedTuple):
    """Where a ratio holds. Empty: all arms, all skills; band None: all bands."""

    arm: str
    skill: str
    band: int | None

    @property
    def key(self) -> str:
        return f"{self.arm}|{self.skill}|{'' if self.band is None else self.band}"

    @classmethod
    def parse(cls, key: str) -> "Level":
        """Return the level of a key; an arm's name may contain the separator, if its model's id does."""
        arm, skill, band = key.rsplit("|", 2)
        return cls(arm, skill, int(band) if band else None)


def band_of(difficulty: float) -> int:
    """Return the difficulty band, 0 the easiest. `difficulty` in logits."""
    return sum(difficulty >= end for end in BAND_ENDS)


def ratios(samples: Iterable[Sample]) -> dict[Level, OutputRatio]:
    """Learn the ratios of all levels that have answers."""
    visible: dict[tuple[str, str, int], _Mean] = defaultdict(_Mean)
    reasoning: dict[tuple[str, str, int], _Mean] = defaultdict(_Mean)
    for sample in samples:
        cell = (sample.arm, sample.skill, sample.band)
        if sample.forecast_reasoning:
            visible[cell].add(sample.weight, sample.visible_tokens, sample.forecast_visible)
            reasoning[cell].add(sample.weight, sample.reasoning_tokens, sample.forecast_reasoning)
        else:  # no reasoning was forecast, so that all of the output corrects the visible part
            output = sample.visible_tokens + sample.reasoning_tokens
            visible[cell].add(sample.weight, output, sample.forecast_visible)
    visible_logs, reasoning_logs = _levels(visible), _levels(reasoning)
    return {
        level: OutputRatio(
            visible=round(math.exp(log), 3), reasoning=round(math.exp(reasoning_logs.get(level, 0.0)), 3)
        )
        for level, log in visible_logs.items()
    }


class _Mean:
    """A weighted mean of log ratios."""

    def __init__(self) -> None:
        self.weight = self.sum = 0.0

    def add(self, weight: float, actual: int, forecast: int) -> None:
        log = math.log((actual + OFFSET) / (forecast + OFFSET))
        most = math.log(_MOST_SAMPLE)
        self.weight += weight
        self.sum += weight * min(max(log, -most), most)

    @property
    def mean(self) -> float:
        return self.sum / self.weight

    @property
    def vote(self) -> float:
        """From 0 without evidence to 1: many answers of one caller decide no more than one cell."""
        return self.weight / (self.weight + _ENOUGH_ANSWERS)


def _levels(cells: Mapping[tuple[str, str, int], _Mean]) -> dict[Level, float]:
    """The log ratios of each level relative to the level above it."""
    overall = _voted((cell.vote, cell.mean) for cell in cells.values())
    by_kind: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for (_, skill, band), cell in cells.items():
        by_kind[skill, band].append((cell.vote, cell.mean - overall))
    kinds = {kind: overall + _voted(votes) for kind, votes in by_kind.items()}
    by_arm: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for (arm, skill, band), cell in cells.items():
        by_arm[arm].append((cell.vote, cell.mean - kinds[skill, band]))
    arms = {arm: _voted(votes) for arm, votes in by_arm.items()}
    levels = {Level("", "", None): overall} if cells else {}
    levels |= {Level("", skill, band): log for (skill, band), log in kinds.items()}
    levels |= {Level(arm, "", None): log for arm, log in arms.items()}
    for (arm, skill, band), cell in cells.items():
        levels[Level(arm, skill, band)] = cell.vote * (cell.mean - kinds[skill, band] - arms[arm])
    return levels


def _voted(votes: Iterable[tuple[float, float]]) -> float:
    """The mean of log ratios by their votes, shrunk to 0 by one vote."""
    total = weighted = 0.0
    for vote, log in votes:
        total += vote
        weighted += vote * log
    return weighted / (total + _ENOUGH_VOTES)
