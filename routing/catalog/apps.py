"""Django app: the catalog's tables and seed command."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "routing.catalog"
    label = "catalog"

    def ready(self) -> None:
        from accounts import model_ids
        from routing.catalog import checks as _checks  # noqa: F401  # registers itself
        from routing.catalog.models import Model

        enabled = Model.objects.filter(enabled=True)
        model_ids.offer(
            lambda: list(enabled.values_list("id", flat=True)),
            lambda: list(enabled.order_by("provider").values_list("provider", flat=True).distinct()),
            lambda: dict(Model.objects.values_list("id", "name")),
        )
