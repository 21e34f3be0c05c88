"""The catalog in one process's memory: current snapshot, prices and names, refreshed every few seconds.

Reading never waits for the database. When a refresh fails, the last good build stays in use.
"""

import asyncio
import logging
from datetime import UTC, datetime

from django.conf import settings

from billing.prices.prices import PriceBook
from core.database import from_database
from core.waiting import end
from routing.catalog.build import Built, build
from routing.catalog.names import NameBook
from routing.catalog.snapshot import Snapshot
from routing.catalog.upstreams import extra_providers

logger = logging.getLogger(__name__)


class Catalog:
    """Holds the latest build. Without a background refresh, the first access builds it."""

    def __init__(self) -> None:
        self._built: Built | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def snapshot(self) -> Snapshot:
        return self._latest().snapshot

    @property
    def price_book(self) -> PriceBook:
        return self._latest().price_book

    @property
    def names(self) -> NameBook:
        return self._latest().names

    def refresh_now(self) -> None:
        """Build from the tables, in the calling thread."""
        built = build(datetime.now(UTC), [*settings.PROVIDERS, *extra_providers()])
        # Arm tables are cached by the identity of the snapshot's parts. Keeping the old snapshot object while
        # its content is the same saves building them again after each refresh.
        if self._built is not None and built.snapshot.version == self._built.snapshot.version:
            built = built._replace(snapshot=self._built.snapshot)
        self._built = built

    async def refresh(self) -> None:
        await from_database(self.refresh_now)

    def start(self) -> None:
        """Keep refreshing in the background of the running loop until `stop`."""
        self._task = asyncio.create_task(self._keep_fresh())

    async def stop(self) -> None:
        await end(self._task)
        self._task = None

    def _latest(self) -> Built:
        if self._built is None:
            self.refresh_now()
        assert self._built is not None
        return self._built

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(settings.CATALOG_REFRESH_S)
            try:
                await self.refresh()
            except Exception:
                logger.exception("Catalog refresh failed; the last build stays in use")


catalog = Catalog()
