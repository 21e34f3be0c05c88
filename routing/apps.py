"""Django app of routing: pages and commands. Its tables belong to routing.catalog and routing.learning."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "routing"

    def ready(self) -> None:
        """Let the catalog read the adapters' facts: the two packages do not import each other."""
        from routing.catalog.facts import read_api_facts_from
        from routing.providers.adapters import api_facts

        read_api_facts_from(api_facts)
