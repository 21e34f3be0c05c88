"""Reads the rated requests: what the client sent, its level, its skill and the length of a good answer."""

import json
from pathlib import Path
from typing import Any

import msgspec

from routing.decide.prediction.skills import Skill
from routing.language.chat import ChatRequest, Message, Role, Text

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
    """Those of `traffic.jsonl`. Raises FileNotFoundError."""
    lines = (folder / "traffic.jsonl").read_text(encoding="utf-8").splitlines()
    return [_rated(json.loads(line)) for line in lines if line.strip()]


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
