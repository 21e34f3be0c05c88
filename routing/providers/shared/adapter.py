"""An adapter: one value that holds all that differs between the APIs of two providers."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from routing.language.arms import ApiFacts, Effort, ModelFacts
from routing.language.chat import ChatRequest
from routing.language.choices import needs_second_api
from routing.providers.shared.error_rules import Headers
from routing.providers.shared.failures import UpstreamFailure
from routing.providers.shared.media import Kinds
from routing.providers.shared.wire import CallContext, Decoder, Wire, WireEvent


class Builder(Protocol):
    def __call__(
        self, request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool
    ) -> Wire:
        """The request in the provider's form. Raises UpstreamFailure (bad_request): it has no such form."""


class Api(NamedTuple):
    """One wire format: how requests are written and answers are read."""

    build: Builder
    stream: Callable[[CallContext], Decoder]  # decoder of a streamed answer
    whole: Callable[[bytes, CallContext], Iterator[WireEvent]]  # events of an unstreamed answer


# From a leg's request, the provider's token and the output tokens left (None: no limit) to the next request
FollowUp = Callable[[Wire, str, int | None], Wire]


OPENAI_TOOL_NAMES = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _nothing_inlined(request: ChatRequest) -> Kinds:
    return ()


class Adapter(NamedTuple):
    """A provider's API. `dialect` is its name in the settings and in `ModelFacts`."""

    dialect: str
    api: Api
    auth_header: Callable[[str], tuple[str, str]]  # from the API key: header name and value
    classify: Callable[[int, Headers, bytes], UpstreamFailure]  # from status, headers and body of an error
    facts: ApiFacts
    second_api: Api | None = None  # for the requests that `ModelFacts.second_api` describes
    follow_up: FollowUp | None = None  # where the provider returns a long answer in several legs
    inlined_media: Callable[[ChatRequest], Kinds] = _nothing_inlined  # by URL this API takes none of these
    tool_names: re.Pattern[str] = OPENAI_TOOL_NAMES  # those this API takes
    caches_at_marks: bool = False  # and nowhere else
    has_custom_tools: bool = False  # takes custom tools and lists of allowed tools as they are

    def api_for(self, request: ChatRequest, model: ModelFacts, effort: Effort | None) -> Api:
        if self.second_api is not None and needs_second_api(request, model, effort):
            return self.second_api
        return self.api


def bearer(api_key: str) -> tuple[str, str]:
    """The usual header for an API key."""
    return "authorization", f"Bearer {api_key}"
