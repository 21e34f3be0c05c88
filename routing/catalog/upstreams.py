"""Further OpenAI-compatible upstreams, from the UPSTREAMS setting (docs/upstreams.md)."""

from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from billing.prices.book import DECLARED, SINCE_EVER, ListedPrice
from routing.catalog.model_listing import PREMIUM_OVER_USD, listed_models
from routing.catalog.models import Model
from routing.catalog.snapshot import PublishedScore
from routing.language.arms import Capability

Tokens = Annotated[int, msgspec.Meta(gt=0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+$")]
ModelId = Annotated[str, msgspec.Meta(min_length=1, max_length=120)]


class DeclaredPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens; a declared 0 is a price."""

    input: Decimal
    output: Decimal
    cached_input: Decimal | None = None

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            price = getattr(self, field)
            if price is not None and not (price.is_finite() and price >= 0):
                raise ValueError(f"`{field}` must be 0 or more")


class UpstreamModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: ModelId
    context_window: Tokens
    max_output_tokens: Tokens
    upstream_id: str | None = None
    name: str | None = None
    usd_per_mtok: DeclaredPrice | None = None  # absent: unpriced
    capabilities: tuple[Capability, ...] = ()
    scores: tuple[PublishedScore, ...] = ()

    def row(self, provider: str, *, pass_unknown: bool = False) -> Model:
        premium = self.usd_per_mtok is None or self.usd_per_mtok.output > PREMIUM_OVER_USD
        return Model(
            id=self.id,
            provider=provider,
            name=self.name or self.id,
            status="current",
            tier="premium" if premium else "default",
            context_window=self.context_window,
            max_input_tokens=self.context_window,
            max_output_tokens=self.max_output_tokens,
            capabilities=list(self.capabilities),
            quirks={"upstream_id": self.upstream_id or self.id, "pass_unknown": pass_unknown},
            match={},
            scores=msgspec.to_builtins(self.scores),
        )

    def prices(self) -> list[ListedPrice]:
        if self.usd_per_mtok is None:
            return []
        listed = {"uncached_input": self.usd_per_mtok.input, "output": self.usd_per_mtok.output}
        if self.usd_per_mtok.cached_input is not None:
            listed["cache_read"] = self.usd_per_mtok.cached_input
        return [ListedPrice(self.id, SINCE_EVER, None, ((0, listed),), DECLARED)]


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`pass_unknown`: its server gets the parameters of a request that nothing here knows."""

    name: Name
    base_url: str
    models: tuple[UpstreamModel, ...]
    api_key: str = ""
    pass_unknown: bool = False


def configured_upstreams() -> tuple[Upstream, ...]:
    """Return the UPSTREAMS setting, parsed. Raises ImproperlyConfigured with the field that is wrong."""
    return _parsed(settings.UPSTREAMS)


def extra_providers() -> list[dict[str, str]]:
    """Return the upstreams as entries like those of settings.PROVIDERS."""
    return [
        {
            "name": upstream.name,
            "dialect": "openai_chat",
            "base_url": upstream.base_url.rstrip("/"),
            "api_key": upstream.api_key,
        }
        for upstream in configured_upstreams()
    ]


@lru_cache
def _parsed(setting: str) -> tuple[Upstream, ...]:
    if not setting.strip():
        return ()
    try:
        text = setting if setting.lstrip().startswith("[") else Path(setting).read_text()
        upstreams = msgspec.json.decode(text, type=tuple[Upstream, ...])
    except (OSError, msgspec.DecodeError) as error:
        raise ImproperlyConfigured(f"UPSTREAMS: {error} (docs/upstreams.md shows the form)") from error
    _refuse_clashes(upstreams)
    for upstream in upstreams:
        if not upstream.base_url.startswith(("http://", "https://")):
            raise ImproperlyConfigured(f"UPSTREAMS: base_url of {upstream.name!r} must be an http(s) URL")
    return upstreams


def _refuse_clashes(upstreams: tuple[Upstream, ...]) -> None:
    providers = {provider["name"] for provider in settings.PROVIDERS}
    providers |= {model["provider"] for model in listed_models()}
    models = {model["id"] for model in listed_models()}
    for upstream in upstreams:
        if upstream.name in providers:
            raise ImproperlyConfigured(f"UPSTREAMS: there are two providers named {upstream.name!r}")
        providers.add(upstream.name)
        for model in upstream.models:
            if model.id in models:
                raise ImproperlyConfigured(f"UPSTREAMS: there are two models with the id {model.id!r}")
            models.add(model.id)
