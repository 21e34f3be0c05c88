"""Django app: the tables of the assistant's account and of support messages."""

from django.apps import AppConfig


class AssistantConfig(AppConfig):
    name = "routing.pages.assistant"
    label = "assistant"
