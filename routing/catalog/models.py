"""The catalog's tables: models, their measured health, and ids that are retired."""

from typing import ClassVar

from django.db import models


class Model(models.Model):
    """One model a provider offers, as in data/catalog.json or the UPSTREAMS setting."""

    id = models.CharField(primary_key=True, max_length=120)
    provider = models.CharField(max_length=60, db_index=True)
    name = models.CharField(max_length=160)
    status = models.CharField(max_length=20)
    tier = models.CharField(max_length=10)  # default or premium
    context_window = models.PositiveIntegerField()
    max_input_tokens = models.PositiveIntegerField()
    max_output_tokens = models.PositiveIntegerField()
    capabilities = models.JSONField(default=list)
    quirks = models.JSONField(default=dict)
    match = models.JSONField(default=dict)  # rules for other names that mean this model
    scores = models.JSONField(default=list)  # published scores, data/quality_priors.json
    released = models.DateField(null=True, blank=True)
    shutdown = models.DateField(null=True, blank=True)
    note = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)  # set by an operator; seeding keeps it
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.id


class RetiredModel(models.Model):
    """An id its provider no longer serves, and the documented successor that answers instead."""

    id = models.CharField(primary_key=True, max_length=120)
    provider = models.CharField(max_length=60)
    retired = models.DateField()
    successor = models.ForeignKey(Model, null=True, blank=True, on_delete=models.SET_NULL)
    source = models.CharField(max_length=300)

    def __str__(self) -> str:
        return self.id


class Measurement(models.Model):
    """An arm's latency, speed and health from recent traffic, written by a Celery task."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="measurements")
    effort = models.CharField(max_length=12, blank=True)
    samples = models.PositiveIntegerField(default=0)
    ttft_p50_ms = models.FloatField(null=True, blank=True)
    ttft_p95_ms = models.FloatField(null=True, blank=True)
    tokens_per_second = models.FloatField(null=True, blank=True)
    p_up = models.FloatField(default=1.0)
    measured_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["model", "effort"], name="measurement_once")]

    def __str__(self) -> str:
        return f"{self.model_id} {self.effort}"


class AvailabilityHour(models.Model):
    """Attempts at a model within an hour, and how many failed; written by a Celery task (availability.py)."""

    hour = models.DateTimeField()
    provider = models.CharField(max_length=60)
    model = models.CharField(max_length=120)
    attempts = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["model", "hour", "provider"], name="availability_hour_once")
        ]
        indexes: ClassVar = [models.Index(fields=["hour"], name="availability_by_hour")]

    def __str__(self) -> str:
        return f"{self.model} {self.hour:%Y-%m-%d %H:00}"


class AnswerLength(models.Model):
    """How long answers are compared with their forecast, at one level; written by a Celery task.

    Empty `arm` and `skill`: all of them, as is `band` NULL. Ratios are relative to the level above
    (`length_ratios.py`).
    """

    arm = models.CharField(max_length=140, blank=True)
    skill = models.CharField(max_length=32, blank=True)
    band = models.PositiveSmallIntegerField(null=True, blank=True)  # of difficulty, 0 the easiest
    visible_ratio = models.FloatField()
    reasoning_ratio = models.FloatField()
    learned_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.arm} {self.skill} {self.band}"
