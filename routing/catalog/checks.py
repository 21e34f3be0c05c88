"""System check: `manage.py check` warns when no provider is configured and every request would fail."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from routing.catalog.upstreams import configured_upstreams


@checks.register("providers")
def someone_can_answer(app_configs: Any, **options: Any) -> list[checks.CheckMessage]:
    try:
        upstreams = configured_upstreams()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="catalog.E001")]
    if settings.PROVIDERS or upstreams:
        return []
    return [
        checks.Warning(
            "No provider is configured and the simulator is off: every request will be refused.",
            hint="Set OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY or UPSTREAMS, or SIMULATOR=on.",
            id="catalog.W001",
        )
    ]
