"""Keeps the tests' catalog as it was on its own day, so that no test goes stale when a model is retired."""

import json
from datetime import date

from routing.catalog.model_listing import DATA
from routing.catalog.models import Model, RetiredModel


def postpone_retirements() -> None:
    """What was still served on the catalog's day is served for another hundred years."""
    day = date.fromisoformat(json.loads((DATA / "catalog.json").read_text())["generated"])
    for model in Model.objects.filter(shutdown__gt=day):
        Model.objects.filter(pk=model.pk).update(shutdown=_later(model.shutdown))
    for retired in RetiredModel.objects.filter(retired__gt=day):
        RetiredModel.objects.filter(pk=retired.pk).update(retired=_later(retired.retired))


def _later(day: date | None) -> date | None:
    return None if day is None else day.replace(year=day.year + 100)
