"""How many upstream calls the choices of a request take, and which of a provider's APIs it needs."""

from routing.language.arms import Capability, Effort, ModelFacts
from routing.language.chat import ChatRequest, File, cache_marks

MOST_TOOLS = 128  # in one request to the APIs of OpenAI and Google; Anthropic states no such limit
MOST_CALLS = 8  # upstream calls in parallel for one request


def upstream_calls(request: ChatRequest, model: ModelFacts, effort: Effort | None) -> int:
    """1 where one call returns all choices, else one call a choice."""
    if request.n == 1:
        return 1
    in_one_call = Capability.N in model.capabilities and not needs_second_api(request, model, effort)
    return 1 if in_one_call else request.n


def needs_second_api(request: ChatRequest, model: ModelFacts, effort: Effort | None) -> bool:
    """Return whether the model's main API would refuse this request. `effort`: as it will be sent."""
    api = model.second_api
    if api is None:
        return False
    if api.always or effort in api.with_efforts:
        return True
    if request.tools and effort in api.with_tools:
        return True
    if api.with_cache_lifetimes and not _cache_lifetimes(request).isdisjoint(api.with_cache_lifetimes):
        return True
    return api.with_file_urls and _has_file_url(request)


def _cache_lifetimes(request: ChatRequest) -> set[str]:
    """The lifetimes of the caller's cache marks, and the one it states for the whole request."""
    lifetimes = {mark.ttl for mark in cache_marks(request) if mark.ttl is not None}
    options = request.extra.get("prompt_cache_options")
    if isinstance(options, dict) and isinstance(options.get("ttl"), str):
        lifetimes.add(options["ttl"])
    return lifetimes


def _has_file_url(request: ChatRequest) -> bool:
    return any(
        isinstance(part, File) and not part.url.startswith("data:")
        for message in request.messages
        for part in message.parts
    )
