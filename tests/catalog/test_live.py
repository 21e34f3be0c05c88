"""The picture of the catalog that a process keeps, also when nothing changes or the database is away."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from routing.catalog.live import Catalog
from routing.catalog.models import Model


@pytest.mark.django_db
def test_the_same_content_has_the_same_version_and_object() -> None:
    catalog = Catalog()
    first = catalog.snapshot
    catalog.refresh_now()
    assert catalog.snapshot is first
    Model.objects.filter(pk="gpt-6-luna").update(tier="premium")
    catalog.refresh_now()
    assert catalog.snapshot.version != first.version


@pytest.fixture
def broken_database() -> Iterator[None]:
    def fail(*args: Any) -> None:
        raise OperationalError("the database is away")

    with connection.execute_wrapper(fail):
        yield


@pytest.mark.django_db
def test_without_the_database_the_last_picture_stays(request: pytest.FixtureRequest) -> None:
    catalog = Catalog()
    before = catalog.snapshot
    request.getfixturevalue("broken_database")
    with pytest.raises(OperationalError):
        catalog.refresh_now()
    assert catalog.snapshot is before
    assert catalog.names.resolve("gpt-4o").id == "gpt-4o"


@pytest.fixture
def hidden_later(live_db: None) -> Iterator[str]:
    """A model that the test switches off; the tests after it find it as it was."""
    name = "gpt-5.2"
    yield name
    Model.objects.filter(pk=name).update(enabled=True)


async def test_a_running_catalog_takes_up_a_change_by_itself(hidden_later: str) -> None:
    catalog = Catalog()
    await catalog.refresh()
    assert hidden_later in catalog.snapshot.models
    with override_settings(CATALOG_REFRESH_S=0.01):
        catalog.start()
        Model.objects.filter(pk=hidden_later).update(enabled=False)
        async with asyncio.timeout(10):
            while hidden_later in catalog.snapshot.models:  # noqa: ASYNC110  # what is awaited has no event
                await asyncio.sleep(0.01)
        await catalog.stop()
