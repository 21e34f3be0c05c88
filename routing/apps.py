"""Django app: routing, for its pages and commands; its tables are the catalog's."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "routing"

    def ready(self) -> None:
        """Let the catalog read the adapters' facts: the two packages do not import each other."""
        from routing.catalog.facts import read_api_facts_from
        from routing.providers.adapters import api_facts

        read_api_facts_from(api_facts)
