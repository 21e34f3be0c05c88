"""The public pages. Signed-in people see them with their sidebar; they have a Models page of their own."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from accounts.access import current_account
from accounts.models import Plan
from routing.catalog.live import catalog
from routing.language.arms import Capability
from routing.pages.docs.library import changelog as rendered_changelog
from routing.pages.models.views import models as members_models
from routing.pages.provider_health import circuits, current_snapshot

_CAPABILITIES = {
    Capability.VISION: "images",
    Capability.PDF: "PDFs",
    Capability.AUDIO_IN: "audio",
    Capability.VIDEO_IN: "video",
    Capability.TOOLS: "tools",
    Capability.STRUCTURED_OUTPUT: "JSON schemas",
    Capability.REASONING: "reasoning",
}


@dataclass(frozen=True)
class PublicModel:
    """A model that is offered here. Prices in USD per million tokens at the first tier; None: unpriced."""

    id: str
    name: str
    provider: str
    context_window: int
    input_usd: Decimal | None
    output_usd: Decimal | None
    capabilities: list[str]
    retires: date | None


@require_safe
def models(request: HttpRequest) -> HttpResponse:
    """Visitors see the models that are offered here; members get the Models page of their account."""
    if request.user.is_authenticated:
        return members_models(request)  # type: ignore[arg-type]
    return render(request, "pages/public/models.html", {"models": _offered()})


@require_safe
def pricing(request: HttpRequest) -> HttpResponse:
    context = {
        "plans": Plan.objects.order_by(F("daily_usd").asc(nulls_last=True), "name"),
        "is_paid": bool(settings.STRIPE_SECRET_KEY),
    }
    return render(request, "pages/public/pricing.html", _context(request) | context)


@require_safe
def changelog(request: HttpRequest) -> HttpResponse:
    document = rendered_changelog()
    html = mark_safe(document.html)  # noqa: S308 - rendered without raw HTML
    return render(request, "pages/public/changelog.html", _context(request) | {"html": html})


def _offered() -> list[PublicModel]:
    """By provider, newest first."""
    now, snapshot = timezone.now(), current_snapshot(circuits())
    rows = []
    order = sorted(
        snapshot.models.values(),
        key=lambda facts: (facts.provider, -(facts.released or date.min).toordinal(), facts.id),
    )
    for facts in order:
        period = catalog.price_book.at(facts.id, now)
        prices = period.tiers[0].prices if period and period.tiers else None
        rows.append(
            PublicModel(
                id=facts.id,
                name=facts.name,
                provider=facts.provider,
                context_window=facts.context_window,
                input_usd=prices.uncached_input if prices else None,
                output_usd=prices.output if prices else None,
                capabilities=[words for name, words in _CAPABILITIES.items() if name in facts.capabilities],
                retires=facts.shutdown,
            )
        )
    return rows


def _context(request: HttpRequest) -> dict[str, Any]:
    if request.user.is_authenticated:
        request.account = current_account(request)  # type: ignore[attr-defined]
    return {}
