"""Signatures of thinking: written when a simulated Claude thinks, checked when the thinking is sent back."""

from hashlib import blake2b
from typing import Any

from routing.simulator.model.models import Model
from routing.simulator.shared.errors import anthropic_error
from routing.simulator.shared.wire import encode

_MARK = "Sim"


def signature(body: dict[str, Any], thinking: str) -> str:
    """Sign `thinking` as part of the answer to `body`."""
    return _MARK + _digest(thinking) + _digest(_prefix(body, len(body["messages"])))


def check_thinking(body: dict[str, Any], number: int, blocks: list[dict[str, Any]], model: Model) -> None:
    """Raises ErrorReply for changed thinking and, on models that bind it, for a changed prefix."""
    for position, block in enumerate(blocks):
        if block.get("type") != "thinking":
            continue
        where = f"messages.{number}.content.{position}"
        signature = block.get("signature")
        if not isinstance(signature, str) or not signature:
            raise anthropic_error(400, f"{where}.thinking.signature: Field required")
        digest = _digest(str(block.get("thinking", "")))
        # Omitted thinking is sent back empty, and its signature is that of the empty text.
        if not signature.startswith(_MARK + digest):
            raise anthropic_error(400, f"{where}: Invalid `signature` in `thinking` block")
        bound = model.quirks.get("thinking_bound_to_prefix", False)
        if bound and signature != _MARK + digest + _digest(_prefix(body, number)):
            raise anthropic_error(
                400,
                f"{where}: `thinking` block was generated with a different prefix (system, tools or "
                "messages). Remove the block or restore the original prefix.",
            )


def _prefix(body: dict[str, Any], end: int) -> bytes:
    prefix = {"system": body.get("system"), "tools": body.get("tools"), "messages": body["messages"][:end]}
    return encode(_without_marks(prefix))


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_marks(inner) for name, inner in value.items() if name != "cache_control"}
    return [_without_marks(inner) for inner in value] if isinstance(value, list) else value


def _digest(data: str | bytes) -> str:
    return blake2b(data.encode() if isinstance(data, str) else data, digest_size=12).hexdigest()
