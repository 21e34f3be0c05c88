"""Writes the fidelity receipt while an adapter translates.

A parameter that the adapter does not mention counts as dropped, so that none is honoured by mistake.
"""

from collections.abc import Iterator

from routing.language.arms import Capability, Effort, ModelFacts
from routing.language.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Part,
    Role,
    Sampling,
    cache_marks,
    caller_limit,
    is_plain,
)
from routing.language.fidelity import ParameterReceipt, Receipt, Verdict
from routing.providers.shared.reasoning import carried_reasoning

UNKNOWN = "this model or its API does not take it"
IGNORED = "nothing here takes it"
CUT_HERE = "cut here: the provider writes on, and all it writes is charged"
VISIBLE = "visible answer"
FOREIGN = "another provider made it"
BETA_HEADER = "anthropic-beta"
WITHOUT_TOOLS = "means nothing without tools"
_NO_SAMPLING = Sampling()
MOST_CHANGES = 6  # of one parameter in a receipt; more say nothing new


class ReceiptWriter:
    """One request's receipt. Entries for parameters that the request does not have are ignored."""

    def __init__(self, request: ChatRequest, provider: str) -> None:
        self._request, self._provider = request, provider
        self._parameters = tuple(dict.fromkeys(parameters_of(request)))
        self._honoured: set[str] = set()
        self._changes: dict[str, list[str]] = {}
        self._dropped: dict[str, str] = {}
        self._betas: set[str] = set()  # passed on
        self._notes: dict[str, str] = {}  # of honoured parameters

    def keep(self, *parameters: str) -> None:
        self._honoured.update(parameters)

    def pass_beta(self, name: str) -> None:
        """Note that the beta header, or a field of a beta, is sent as it came."""
        self._betas.add(name)

    def adapt(self, parameter: str, change: str) -> None:
        changes = self._changes.setdefault(parameter, [])
        if change not in changes and len(changes) < MOST_CHANGES:
            changes.append(change)

    def drop(self, parameter: str, why: str) -> None:
        self._dropped[parameter] = why

    def limit(self, sent: int | None) -> None:
        """`sent`: the limit of the whole output, as sent. A limit of the visible answer holds within it."""
        wanted = caller_limit(self._request)
        is_visible = self._request.max_answer_tokens is not None
        if wanted is not None and is_visible and sent is not None and sent >= wanted:
            self.keep("max_tokens")
            self._notes["max_tokens"] = VISIBLE
        elif sent == wanted:
            self.keep("max_tokens")
        else:
            self.adapt("max_tokens", f"{wanted} became {sent}, the nearest this model takes")

    def effort(self, sent: str | None, model: ModelFacts) -> None:
        """`sent`: the level as a value of `Effort`; None: no level was sent."""
        wanted = self._request.effort
        never_thinks = sent is None and Capability.REASONING not in model.capabilities
        if sent == wanted or (wanted is Effort.NONE and never_thinks):
            self.keep("reasoning_effort")
        elif sent is not None:
            self.adapt("reasoning_effort", f"{wanted} became {sent}")

    def tier(self, sent: str | None) -> None:
        if sent == self._request.service_tier:
            self.keep("service_tier")
        elif sent is not None:
            self.adapt("service_tier", f"{self._request.service_tier} is called {sent} there")

    def user(self) -> str | None:
        """The caller's id of its user: `safety_identifier`, the newer parameter, else `user`."""
        request = self._request
        if request.safety_identifier is None:
            self.keep("user")
            return request.user
        self.keep("safety_identifier")
        self.drop("user", "safety_identifier goes before it")
        return request.safety_identifier

    def cut_here(self, stops: tuple[str, ...]) -> tuple[str, ...]:
        """The stop sequences that are not sent, because the API does not take them."""
        if stops:
            self.adapt("stop", CUT_HERE)
        return stops

    def without_detail(self) -> None:
        """Images are sent, but this API has no parameter for their detail."""
        self.keep("images")
        if any(isinstance(part, Image) and part.detail for part in _parts(self._request)):
            self.adapt("images", "this API has no parameter for the detail")

    def own_reasoning_only(self) -> None:
        """Reasoning goes back to the provider that returned it; that of other providers is not sent."""
        is_own = {carried.provider == self._provider for carried in carried_reasoning(self._request)}
        if is_own == {True}:
            self.keep("reasoning")
        elif is_own == {False}:
            self.drop("reasoning", FOREIGN)
        else:
            self.adapt("reasoning", "what other providers made is left out")

    def cache_ttls(self) -> set[str | None]:
        """The lifetimes of the caller's cache marks."""
        return {mark.ttl for mark in cache_marks(self._request)}

    def no_prefill(self) -> None:
        self.drop("prefill", "this API begins a new message")

    def entries(self) -> Receipt:
        return tuple(self._entry(parameter) for parameter in self._parameters)

    def _entry(self, parameter: str) -> ParameterReceipt:
        if parameter in self._request.ignored:
            return ParameterReceipt(parameter, Verdict.DROPPED, IGNORED)
        if parameter in self._betas:
            return ParameterReceipt(parameter, Verdict.HONOURED)
        if parameter in self._request.beta.fields:  # whose names may be those of other APIs' parameters
            return ParameterReceipt(parameter, Verdict.DROPPED, UNKNOWN)
        if parameter in ("tool_choice", "parallel_tool_calls") and not self._request.tools:
            return ParameterReceipt(parameter, Verdict.DROPPED, WITHOUT_TOOLS)
        if parameter in self._dropped:
            return ParameterReceipt(parameter, Verdict.DROPPED, self._dropped[parameter])
        if parameter in self._changes:
            return ParameterReceipt(parameter, Verdict.ADAPTED, "; ".join(self._changes[parameter]))
        if parameter in self._honoured:
            return ParameterReceipt(parameter, Verdict.HONOURED, self._notes.get(parameter))
        return ParameterReceipt(parameter, Verdict.DROPPED, UNKNOWN)


def media_name(part: Image | File | Audio) -> str:
    return {Image: "images", File: "files", Audio: "audio"}[type(part)]


def parameters_of(request: ChatRequest) -> Iterator[str]:
    """The optional parameters that a request has, by their names in OpenAI's chat API."""
    if request.sampling != _NO_SAMPLING:
        for name in request.sampling.__struct_fields__:
            if getattr(request.sampling, name) is not None:
                yield name
    if caller_limit(request) is not None:
        yield "max_tokens"
    if request.stop:
        yield "stop"
    if request.n > 1:
        yield "n"
    if request.logprobs:
        yield "logprobs"
    if request.top_logprobs is not None:
        yield "top_logprobs"
    if request.tools:
        yield "tools"
    if request.tool_choice is not None:
        yield "tool_choice"
    if request.parallel_tool_calls is not None:
        yield "parallel_tool_calls"
    if request.response_format is not None:
        yield "response_format"
    if request.effort is not None:
        yield "reasoning_effort"
    if request.verbosity is not None:
        yield "verbosity"
    if request.user is not None:
        yield "user"
    if request.safety_identifier is not None:
        yield "safety_identifier"
    if request.metadata:
        yield "metadata"
    if request.service_tier is not None:
        yield "service_tier"
    yield from request.extra
    yield from request.ignored
    if request.beta.names:
        yield BETA_HEADER
    yield from request.beta.fields
    if not is_plain(request):
        kinds = {type(part) for part in _parts(request)}
        for name, kind in (("images", Image), ("files", File), ("audio", Audio)):
            if kind in kinds:
                yield name
    if next(cache_marks(request), None) is not None:
        yield "cache_control"
    if any(True for _ in carried_reasoning(request)):
        yield "reasoning"
    if begins_answer(request):
        yield "prefill"


def begins_answer(request: ChatRequest) -> bool:
    """Return whether the last message is the assistant's, which the model is to continue."""
    last = request.messages[-1] if request.messages else None
    return last is not None and last.role is Role.ASSISTANT and not last.tool_calls


def _parts(request: ChatRequest) -> Iterator[Part]:
    return (part for message in request.messages for part in message.parts)
