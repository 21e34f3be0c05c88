"""Reads the rated requests: what the client sent, its level, its skill and the length of a good answer.

There are two sets. The estimates are judged on one, a folder outside this repository, with each of its
writers left out in turn. The other, requests.jsonl beside this file (CC0), only adds to what they are fitted
on: with more writers, a new one's style says less about the level. Its writers have not seen the first set.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from routing.decide.prediction.skills import Skill
from routing.language.chat import ChatRequest, Message, Role, Text

ADDED = Path(__file__).with_name("requests.jsonl")
_ROLES = {"system": Role.SYSTEM, "developer": Role.SYSTEM, "assistant": Role.ASSISTANT, "tool": Role.TOOL}


class RatedRequest(msgspec.Struct, frozen=True):
    """`level`: 1 (trivial) to 5 (very hard); `answer_tokens`: of a good visible answer."""

    id: str
    writer: str
    level: float
    skill: Skill
    answer_tokens: float
    request: ChatRequest


def rated_requests(folder: Path) -> list[RatedRequest]:
    """The requests to judge estimates on: those of `traffic.jsonl`. Raises FileNotFoundError."""
    return _read(folder / "traffic.jsonl")


def added_requests() -> list[RatedRequest]:
    """The requests that estimates are fitted on beside those of other writers, and never judged on."""
    return _read(ADDED)


def _read(file: Path) -> list[RatedRequest]:
    return [_rated(json.loads(line)) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]


def _rated(row: dict[str, Any]) -> RatedRequest:
    messages = tuple(
        Message(_ROLES.get(message["role"], Role.USER), (Text(_text(message["content"])),))
        for message in row["messages"]
    )
    return RatedRequest(
        id=row["id"],
        writer=row["writer"],
        level=row["level"],
        skill=Skill(row["skill"]),
        answer_tokens=row["answer_tokens"],
        request=ChatRequest(messages=messages),
    )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
