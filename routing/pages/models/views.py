"""The Models page: the catalog, filtered by provider, capability and name."""

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required
from routing.catalog.live import catalog
from routing.pages.models.queries import CAPABILITIES, ModelFilters, listed_models, retired_models
from routing.pages.page_request import PageRequest, is_fragment

_MAX_TEXT = 100


@require_GET
@account_required
@vary_on_headers("HX-Request")
def models(request: PageRequest) -> HttpResponse:
    filters = ModelFilters(
        provider=request.GET.get("provider", "")[:_MAX_TEXT],
        capability=request.GET.get("capability", "")[:_MAX_TEXT],
        q=request.GET.get("q", "").strip()[:_MAX_TEXT],
    )
    all_models = listed_models(catalog.snapshot, catalog.price_book, timezone.now())
    context = {
        "filters": filters,
        "models": [listed for listed in all_models if filters.keep(listed)],
        "total": len(all_models),
        "providers": sorted({listed.model.provider for listed in all_models}),
        "capabilities": [(str(name), words) for name, words in CAPABILITIES.items()],
        "retired": retired_models(),
    }
    template = "pages/models/_list.html" if is_fragment(request) else "pages/models/page.html"
    return render(request, template, context)
