"""`/favicon.ico`, which browsers fetch beside pages that name no icon, such as JSON responses."""

from functools import cache

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe


@require_safe
@cache_control(public=True, max_age=24 * 3600)
def favicon(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_icon(), content_type="image/x-icon")


@cache
def _icon() -> bytes:
    path = finders.find("favicon.ico")
    assert isinstance(path, str)
    with open(path, "rb") as file:
        return file.read()
