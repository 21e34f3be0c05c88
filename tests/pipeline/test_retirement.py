"""A request that names a model about to be retired gets a note with date and successor, at every API."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from routing.catalog.live import catalog
from routing.catalog.models import Model
from tests.conftest import Simulator
from tests.door_client import DoorClient

NAMED, SUCCESSOR = "gpt-4.1-mini", "gpt-6-luna"


@pytest.fixture
def last_day(live_db: None) -> Iterator[date]:
    """The retirement of NAMED, a week from now."""
    day = date.today() + timedelta(days=7)
    before = Model.objects.get(pk=NAMED).shutdown
    Model.objects.filter(pk=NAMED).update(shutdown=day)
    catalog.refresh_now()
    yield day
    Model.objects.filter(pk=NAMED).update(shutdown=before)
    catalog.refresh_now()


def test_a_named_model_answers_with_a_note(caller: DoorClient, last_day: date, simulator: Simulator) -> None:
    reply = caller.ask(model=NAMED)
    assert reply.model == NAMED
    assert reply.notes == [f"{NAMED} will be retired on {last_day}; its documented successor is {SUCCESSOR}"]


def test_smart_routing_does_not_choose_it(caller: DoorClient, last_day: date, simulator: Simulator) -> None:
    reply = caller.ask(models=[NAMED, "gpt-4.1"])
    assert reply.model == "gpt-4.1"
    assert not reply.notes
