"""The native door's answers and errors, for the OpenAPI document."""

from typing import Annotated, Any

from msgspec import UNSET, Struct, UnsetType

from routing.doors.shared.native.envelope import Error, Meta, Usage
from routing.doors.shared.openapi import answers, doc, errors
from routing.language.fidelity import Verdict


class Attempt(Struct):
    model: str
    provider: str
    effort: str | None
    outcome: str
    latency_ms: int
    error: str | UnsetType = UNSET


class ParameterReceipt(Struct):
    parameter: str
    verdict: Verdict
    change: Annotated[str, doc("What was changed, or why it was dropped.")] | UnsetType = UNSET


class Output(Struct):
    valid: Annotated[bool, doc("Whether the output has the JSON form asked for.")]
    fault: Annotated[str, doc("The keyword of the schema that it breaks.")] | UnsetType = UNSET


class Fidelity(Struct):
    parameters: list[ParameterReceipt]
    output: Output | UnsetType = UNSET


class Routing(Struct, kw_only=True):
    query_type: str
    complexity: Annotated[
        float, doc("How often an average model without much reasoning fails on such a request, 0 to 1.")
    ]
    reason: str
    candidates_considered: int
    attempts: list[Attempt]
    rescued: Annotated[bool, doc("A cut stream, continued by another model.")] | UnsetType = UNSET
    notes: list[str] | UnsetType = UNSET
    fidelity: Fidelity


class Enhancement(Struct):
    applied: bool
    original_prompt: str
    enhanced_prompt: str
    query_type: str


class ChatData(Struct):
    id: str
    output: str
    model_used: str
    provider: str
    routing_mode: str
    strategy: str
    fallback_used: bool
    finish_reason: str
    latency_ms: int
    usage: Usage
    tool_calls: list[dict[str, Any]] | None
    routing: Routing
    enhancement: Enhancement | UnsetType = UNSET


class ChatAnswer(Struct):
    success: bool
    data: ChatData
    meta: Meta


CHAT_RESPONSES = answers(ChatAnswer, streams=True) | errors(Error)
