"""Django app: the catalog's tables and seed command."""

from django.apps import AppConfig


class CatalogConfig(AppConfig):
    name = "routing.catalog"
    label = "catalog"
