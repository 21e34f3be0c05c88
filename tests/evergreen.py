"""Freezes the tests' catalog on the day it was generated, so that no retirement breaks a test."""

import json
from datetime import date

from routing.catalog.model_listing import DATA
from routing.catalog.models import Model, RetiredModel


def postpone_retirements() -> None:
    """Postpone by a hundred years the retirement of models still served on the catalog's day."""
    day = date.fromisoformat(json.loads((DATA / "catalog.json").read_text())["generated"])
    for model in Model.objects.filter(shutdown__gt=day):
        Model.objects.filter(pk=model.pk).update(shutdown=_later(model.shutdown))
    for retired in RetiredModel.objects.filter(retired__gt=day):
        RetiredModel.objects.filter(pk=retired.pk).update(retired=_later(retired.retired))


def _later(day: date | None) -> date | None:
    return None if day is None else day.replace(year=day.year + 100)
