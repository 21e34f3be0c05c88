"""Writes the fidelity receipt while an adapter translates.

What an adapter does not speak of counts as dropped: a forgotten parameter must not pass for an honoured one.
"""

from collections.abc import Iterator

from routing.language.arms import Capability, Effort, ModelFacts
from routing.language.chat import Audio, ChatRequest, File, Image, Part, Role, cache_marks
from routing.language.fidelity import Kept, Receipt, Verdict
from routing.providers.shared.reasoning import carried_reasoning

UNKNOWN = "this model or its API does not take it"
UNHEEDED = "nothing here takes it"
CUT_HERE = "cut here: the provider writes on, and all it writes is charged"
FOREIGN = "another provider made it"
MOST_CHANGES = 6  # told of one parameter; more say nothing new


class Writer:
    """One request's receipt; the words of parameters that were not asked for are ignored."""

    def __init__(self, request: ChatRequest, provider: str) -> None:
        self._request, self._provider = request, provider
        self._asked = tuple(dict.fromkeys(asked(request)))
        self._kept: set[str] = set()
        self._changes: dict[str, list[str]] = {}
        self._dropped: dict[str, str] = {}

    def keep(self, *parameters: str) -> None:
        self._kept.update(parameters)

    def adapt(self, parameter: str, change: str) -> None:
        told = self._changes.setdefault(parameter, [])
        if change not in told and len(told) < MOST_CHANGES:
            told.append(change)

    def drop(self, parameter: str, why: str) -> None:
        self._dropped[parameter] = why

    def limit(self, sent: int | None) -> None:
        wanted = self._request.max_output_tokens
        if sent == wanted:
            self.keep("max_tokens")
        else:
            self.adapt("max_tokens", f"{wanted} became {sent}, the nearest this model takes")

    def effort(self, sent: str | None, model: ModelFacts) -> None:
        """`sent`: the level in the vocabulary of `Effort`, None when none was."""
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
        """The caller's name for its user, by the newer of its two names if both were given."""
        request = self._request
        if request.safety_identifier is None:
            self.keep("user")
            return request.user
        self.keep("safety_identifier")
        self.drop("user", "safety_identifier goes before it")
        return request.safety_identifier

    def cut_here(self, stops: tuple[str, ...]) -> tuple[str, ...]:
        """Stop sequences that we keep to ourselves."""
        if stops:
            self.adapt("stop", CUT_HERE)
        return stops

    def without_detail(self) -> None:
        """Pictures are shown, but this API cannot be told how closely to look."""
        self.keep("images")
        if any(isinstance(part, Image) and part.detail for part in _parts(self._request)):
            self.adapt("images", "this API cannot be told the detail")

    def replayed(self) -> None:
        """This provider's own reasoning goes back to it, any other's stays here."""
        whose = {carried.provider == self._provider for carried in carried_reasoning(self._request)}
        if whose == {True}:
            self.keep("reasoning")
        elif whose == {False}:
            self.drop("reasoning", FOREIGN)
        else:
            self.adapt("reasoning", "what other providers made is left out")

    def cache_ttls(self) -> set[str | None]:
        """The lifetimes of the caller's cache marks."""
        return {mark.ttl for mark in cache_marks(self._request)}

    def begins_anew(self) -> None:
        self.drop("prefill", "this API begins a new message")

    def receipt(self) -> Receipt:
        return tuple(self._one(parameter) for parameter in self._asked)

    def _one(self, parameter: str) -> Kept:
        if parameter in self._request.unheeded:
            return Kept(parameter, Verdict.DROPPED, UNHEEDED)
        if parameter in self._dropped:
            return Kept(parameter, Verdict.DROPPED, self._dropped[parameter])
        if parameter in self._changes:
            return Kept(parameter, Verdict.ADAPTED, "; ".join(self._changes[parameter]))
        if parameter in self._kept:
            return Kept(parameter, Verdict.HONOURED)
        return Kept(parameter, Verdict.DROPPED, UNKNOWN)


def media_name(part: Image | File | Audio) -> str:
    return {Image: "images", File: "files", Audio: "audio"}[type(part)]


def asked(request: ChatRequest) -> Iterator[str]:
    """The parameters a request has, by their names at the OpenAI door; not those every request has."""
    simple = {
        "max_tokens": request.max_output_tokens is not None,
        "stop": bool(request.stop),
        "n": request.n > 1,
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs is not None,
        "tools": bool(request.tools),
        "tool_choice": request.tool_choice is not None,
        "parallel_tool_calls": request.parallel_tool_calls is not None,
        "response_format": request.response_format is not None,
        "reasoning_effort": request.effort is not None,
        "verbosity": request.verbosity is not None,
        "user": request.user is not None,
        "safety_identifier": request.safety_identifier is not None,
        "metadata": bool(request.metadata),
        "service_tier": request.service_tier is not None,
    }
    for name in request.sampling.__struct_fields__:
        if getattr(request.sampling, name) is not None:
            yield name
    yield from (name for name, is_asked in simple.items() if is_asked)
    yield from request.extra
    yield from request.unheeded
    parts = list(_parts(request))
    for name, kind in (("images", Image), ("files", File), ("audio", Audio)):
        if any(isinstance(part, kind) for part in parts):
            yield name
    if any(True for _ in cache_marks(request)):
        yield "cache_control"
    if any(True for _ in carried_reasoning(request)):
        yield "reasoning"
    if begins_answer(request):
        yield "prefill"


def begins_answer(request: ChatRequest) -> bool:
    """Whether the last message is the assistant's, for the model to go on with."""
    last = request.messages[-1] if request.messages else None
    return last is not None and last.role is Role.ASSISTANT and not last.tool_calls


def _parts(request: ChatRequest) -> Iterator[Part]:
    return (part for message in request.messages for part in message.parts)
