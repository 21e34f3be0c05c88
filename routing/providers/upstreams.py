"""The only entrance to the providers: one neutral request to one model, its answer as neutral events.

An answer passes four levels, from the outside in: `complete` sends the request, and sends it once more if the
provider refuses the reasoning in it; `_for_all_choices` makes as many calls as the choices need; `Answer`
(in `call`) joins the legs of one answer; `Leg` is one HTTP request.
"""

import ssl
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple

import msgspec

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import (
    CacheMark,
    ChatRequest,
    Started,
    StreamEvent,
    cache_marks,
    is_plain,
    marked_at_end,
)
from routing.language.choices import upstream_calls
from routing.language.fidelity import with_change
from routing.providers.adapters import adapter_of
from routing.providers.call import Answer, Target, Upstream
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.fan_out import Several
from routing.providers.shared.media import with_true_types
from routing.providers.shared.quotes import without_quotes
from routing.providers.shared.reasoning import reasoning_refused, without_reasoning
from routing.providers.shared.remote_media import inlined, remote_kinds
from routing.providers.shared.tools.forms import Unwrapper, plain
from routing.providers.shared.tools.names import SHORTENED, restored, short_names, with_names
from routing.providers.shared.tools.object_root import with_object_roots
from routing.providers.transport.config import Deadlines, Provider
from routing.providers.transport.transport import Transport, tls_context

__all__ = ["Deadlines", "Provider", "UpstreamFailure", "Upstreams"]

_DEFAULT_DEADLINES = Deadlines()
MARKED = "set here at the end of the conversation, which the next turn then reads from the cache"
_NOTHING: frozenset[str] = frozenset()


class _Prepared(NamedTuple):
    """A request in forms its provider takes, and how many calls its choices need."""

    request: ChatRequest
    calls: int
    changes: tuple[tuple[str, str], ...]  # parameter and what was changed, for the receipt
    custom_tools: frozenset[str]  # names of custom tools that were sent as functions
    full_names: dict[str, str]  # of tools, by the short names that were sent

    def without_reasoning(self) -> "_Prepared":
        change = ("reasoning", "left out: its provider did not take it back")
        return self._replace(request=without_reasoning(self.request), changes=(*self.changes, change))


class Upstreams:
    """The configured providers. Belongs to the event loop that first uses it; `aclose` it there."""

    def __init__(self, providers: Iterable[Provider], deadlines: Deadlines = _DEFAULT_DEADLINES) -> None:
        """Raises ValueError when a provider's dialect has no adapter."""
        self._deadlines = deadlines
        tls = tls_context()
        self._upstreams = {provider.name: _upstream(provider, deadlines, tls) for provider in providers}

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._upstreams)

    async def complete(
        self,
        request: ChatRequest,
        model: ModelFacts,
        effort: Effort | None,
        *,
        stream: bool,
        first_byte_s: float | None = None,
    ) -> AsyncGenerator[list[StreamEvent], None]:
        """The model's answer: Started, content, UsageReport, Finished for each choice.

        Events come in batches: all that arrived together. Each level they pass takes time for a batch, not
        for an event.

        `first_byte_s`: seconds until the first content of a stream, or the first byte of a whole answer.
        Closing the generator closes the connection at once. Raises UpstreamFailure, also between events.
        """
        upstream = self._upstreams.get(model.provider)
        if upstream is None:
            raise UpstreamFailure(FailureKind.UNAVAILABLE, f"provider {model.provider!r} is not configured")
        if first_byte_s is None:
            first_byte_s = self._deadlines.first_byte_s
        target = Target(upstream, model, effort, stream, first_byte_s)
        prepared = await _prepare(request, target)
        unwrapper = Unwrapper(prepared.custom_tools) if prepared.custom_tools else None
        has_begun = False
        # Reasoning that a provider once returned may be refused later, because it is bound to a conversation
        # or a model version that has changed. The second round sends the request without it. This is safe
        # before the first event only: a refused call answers nothing and is not charged.
        while True:
            try:
                answer = self._for_all_choices(prepared, target)
                try:
                    while (batch := await answer.next()) is not None:
                        has_begun = True
                        yield _as_requested(batch, prepared, unwrapper)
                finally:
                    await answer.close()
                return
            except UpstreamFailure as failure:
                if has_begun or not reasoning_refused(failure, prepared.request, model.provider):
                    raise failure.saying(without_quotes(failure.message, request)) from failure.__cause__
                prepared = prepared.without_reasoning()

    def _for_all_choices(self, prepared: _Prepared, target: Target) -> "Answer | Several":
        """One call where the API returns all choices at once, else parallel calls read as one answer."""

        def call() -> Answer:
            return Answer(prepared.request, target, self._deadlines)

        return call() if prepared.calls == 1 else Several(prepared.calls, call)

    async def aclose(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.transport.aclose()


def _upstream(provider: Provider, deadlines: Deadlines, tls: ssl.SSLContext) -> Upstream:
    """The API key goes in a header, never in the address: addresses are logged."""
    adapter = adapter_of(provider.dialect)
    headers = [
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),  # answers are short, and unpacking each event takes time
        ("user-agent", "routeplex"),
    ]
    if provider.api_key:
        headers.append(adapter.auth_header(provider.api_key))
    headers += provider.headers.items()
    return Upstream(provider, adapter, Transport(provider, headers, deadlines, tls))


async def _prepare(request: ChatRequest, target: Target) -> _Prepared:
    """Replace what the provider's API has no form for. Raises UpstreamFailure: a URL cannot be fetched."""
    adapter = target.upstream.adapter
    if is_plain(request) and not (request.continues and adapter.caches_at_marks):
        calls = upstream_calls(request, target.model, target.effort)
        if calls == 1:
            return _Prepared(request, 1, (), _NOTHING, {})
    in_plain_forms = plain(request, target.model, native=adapter.has_custom_tools)
    sent, folded = with_object_roots(in_plain_forms.request)
    changes = [*in_plain_forms.changes, *(("tools", change) for change in folded)]
    kinds = adapter.inlined_media(request)
    if remote := remote_kinds(sent, kinds):
        sent = await inlined(sent, kinds)
        changes += [(name, "fetched here and sent as content") for name in remote]
    if sent.continues and adapter.caches_at_marks and not any(True for _ in cache_marks(sent)):
        sent = msgspec.structs.replace(sent, messages=marked_at_end(sent.messages, CacheMark()))
        changes.append(("cache_control", MARKED))
    sent, retyped = with_true_types(sent)
    changes += [("images", change) for change in retyped]
    if (calls := upstream_calls(sent, target.model, target.effort)) > 1:
        sent = msgspec.structs.replace(sent, n=1)
        changes.append(("n", f"asked {calls} times"))
    if short := short_names(sent, adapter.tool_names):
        sent = with_names(sent, short)
        changes.append(("tools", SHORTENED))
    full = {name: long for long, name in short.items()}
    return _Prepared(sent, calls, tuple(changes), in_plain_forms.customs, full)


def _as_requested(
    batch: list[StreamEvent], prepared: _Prepared, unwrapper: Unwrapper | None
) -> list[StreamEvent]:
    """The events in the terms of the caller's request, from which `prepared` differs."""
    if prepared.changes and isinstance(batch[0], Started):
        batch = [_with_changes(batch[0], prepared.changes), *batch[1:]]
    if prepared.full_names:
        batch = [restored(event, prepared.full_names) for event in batch]
    if unwrapper is not None:
        batch = [outgoing for event in batch for outgoing in unwrapper.of(event)]
    return batch


def _with_changes(started: Started, changes: Iterable[tuple[str, str]]) -> Started:
    """The event with the changes made before the adapter saw the request in its receipt."""
    receipt = started.receipt
    for parameter, change in changes:
        receipt = with_change(receipt, parameter, change)
    return msgspec.structs.replace(started, receipt=receipt)
