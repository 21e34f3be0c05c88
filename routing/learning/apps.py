"""Django app: the tables of feedback, outcomes and learning modes."""

from django.apps import AppConfig


class LearningConfig(AppConfig):
    name = "routing.learning"
    label = "learning"
