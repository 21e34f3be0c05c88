"""The Models pages: the catalog with filters, one model, and models side by side."""

from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from accounts.access import account_required
from routing.catalog.availability import model_days
from routing.catalog.live import catalog
from routing.pages.models.queries import (
    CAPABILITIES,
    SORTS,
    Listed,
    ModelFilters,
    listed_models,
    retired_models,
)
from routing.pages.page_request import PageRequest, is_fragment
from routing.pages.provider_health import circuits, current_snapshot

_MAX_TEXT = 100
_MOST_COMPARED = 4


@require_GET
@account_required
@vary_on_headers("HX-Request")
def models(request: PageRequest) -> HttpResponse:
    filters = ModelFilters(
        provider=request.GET.get("provider", "")[:_MAX_TEXT],
        capability=request.GET.get("capability", "")[:_MAX_TEXT],
        q=request.GET.get("q", "").strip()[:_MAX_TEXT],
    )
    all_models = _listed()
    matching = [listed for listed in all_models if filters.keep(listed)]
    sort = request.GET.get("sort", "")
    if sort in SORTS:
        matching.sort(key=SORTS[sort][1])
    chosen = {"q": filters.q, "provider": filters.provider, "capability": filters.capability}
    query = {name: value for name, value in chosen.items() if value}
    context = {
        "filters": filters,
        "models": matching,
        "most_usd": max((listed.output_usd or 0 for listed in matching), default=0),
        "total": len(all_models),
        "sort": sort,
        "sorts": [
            (name, title, "?" + urlencode(query | {"sort": name})) for name, (title, _) in SORTS.items()
        ],
        "most_compared": _MOST_COMPARED,
        "providers": sorted({listed.model.provider for listed in all_models}),
        "capabilities": [(str(name), words) for name, words in CAPABILITIES.items()],
        "retired": retired_models(),
    }
    template = "pages/models/_list.html" if is_fragment(request) else "pages/models/page.html"
    return render(request, template, context)


@require_GET
@account_required
def model(request: PageRequest, model_id: str) -> HttpResponse:
    """Everything about one model; names of retired models and aliases lead to the one that answers."""
    wanted = catalog.names.resolve(model_id).id
    listed = next((listed for listed in _listed() if listed.model.id in (model_id, wanted)), None)
    if listed is None:
        raise Http404("There is no such model.")
    uptime = model_days(listed.model.id, timezone.now())
    return render(request, "pages/models/model.html", {"listed": listed, "uptime": uptime})


@require_GET
@account_required
def compare(request: PageRequest) -> HttpResponse:
    """The models that the URL names, side by side."""
    by_id = {listed.model.id: listed for listed in _listed()}
    wanted = [by_id[name] for name in dict.fromkeys(request.GET.getlist("model")) if name in by_id]
    columns = wanted[:_MOST_COMPARED]
    skills = sorted({name for listed in columns for name, _ in listed.skills})
    chances = [dict(listed.skills) for listed in columns]
    context = {
        "columns": columns,
        "skills": [(name, [chance.get(name) for chance in chances]) for name in skills],
        "ignored": f"The first {_MOST_COMPARED} of {len(wanted)} models are compared."
        if len(wanted) > len(columns)
        else "",
        "too_few": f"{'One model is ticked' if wanted else 'No model is ticked'}: a comparison needs 2 to "
        f"{_MOST_COMPARED}.",
    }
    return render(request, "pages/models/compare.html", context)


def _listed() -> list[Listed]:
    return listed_models(current_snapshot(circuits()), catalog.price_book, timezone.now())
