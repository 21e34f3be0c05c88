"""Betas of the Messages API: the values of its header, and the fields, that go to Claude as they came."""

from typing import Any

from routing.language.arms import ModelFacts
from routing.language.chat import ChatRequest
from routing.providers.shared.receipt import BETA_HEADER, ReceiptWriter

# Standard by now: what they switched on is sent without them
_STANDARD = (
    *("prompt-caching-", "extended-cache-ttl-", "pdfs-", "token-counting-"),
    *("output-128k-", "token-efficient-tools-", "effort-"),
)
# Sent whichever Claude answers: they change nothing but the answer, and every model takes them
_FOR_ALL = (
    *("interleaved-thinking-", "context-management-", "fine-grained-tool-streaming-"),
    "thinking-display-updates-",
)
# Never sent: they change the price or who pays, sign in otherwise, or need state and tools at Anthropic
_REFUSED = (
    *("fast-mode-", "server-side-fallback-", "fallback-credit-", "user-profiles-", "oauth-", "context-1m-"),
    *("mcp-", "code-execution-", "files-api-", "skills-", "message-threads-", "message-batches-"),
    *("managed-agents-", "agent-memory-", "dreaming-", "compact-", "advisor-tool-", "inline-tools-"),
)
FIELDS_FOR_ALL = frozenset({"context_management", "thinking.display"})
LEFT_OUT = "left out"


def headers(request: ChatRequest, model: ModelFacts, receipt: ReceiptWriter) -> tuple[tuple[str, str], ...]:
    """The `anthropic-beta` header. A value that not every Claude takes goes only to the named model."""
    names = [name for name in request.beta.names if not name.startswith(_STANDARD)]
    sent = [name for name in names if _is_sent(name, request, model)]
    if len(sent) == len(names):
        receipt.pass_beta(BETA_HEADER)
    elif sent:
        rest = ", ".join(name for name in names if name not in sent)
        receipt.adapt(BETA_HEADER, f"{LEFT_OUT}: {rest}")
    return ((BETA_HEADER, ",".join(sent)),) if sent else ()


def _is_sent(name: str, request: ChatRequest, model: ModelFacts) -> bool:
    if name.startswith(_REFUSED):
        return False
    return name.startswith(_FOR_ALL) or model.id == request.named_model


def add_fields(body: dict[str, Any], request: ChatRequest, model: ModelFacts, receipt: ReceiptWriter) -> None:
    """Add the fields that betas bring; those unknown here only for the named model."""
    for path, value in request.beta.fields.items():
        if path not in FIELDS_FOR_ALL and model.id != request.named_model:
            continue
        outer, _, inner = path.partition(".")
        if not inner:
            if outer in body:
                continue
            body[outer] = value
        elif outer == "thinking" and body.get("thinking", {}).get("type") not in ("adaptive", "enabled"):
            continue  # it is about thoughts that there are none of
        else:
            body[outer] = body.get(outer, {}) | {inner: value}
        receipt.pass_beta(path)
