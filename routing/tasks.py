"""Celery tasks of routing: measure health, learn from outcomes, and watch how requests spread over arms."""

from datetime import UTC, datetime

from celery import shared_task

from routing.catalog import availability
from routing.catalog.measure import measure
from routing.learning import answer_lengths, distribution, outcomes


@shared_task
def measure_health() -> None:
    measure(datetime.now(UTC))


@shared_task
def roll_up_availability() -> None:
    availability.roll_up(datetime.now(UTC))


@shared_task
def gather_outcomes() -> None:
    outcomes.gather(datetime.now(UTC))


@shared_task
def learn_answer_lengths() -> None:
    answer_lengths.learn_answer_lengths(datetime.now(UTC))


@shared_task
def forget_old_outcomes() -> None:
    outcomes.forget_old(datetime.now(UTC))


@shared_task
def watch_distribution() -> None:
    distribution.watch(datetime.now(UTC))
