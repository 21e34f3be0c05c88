"""Django app: the table of feedback."""

from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "routing.learning"
    label = "learning"
