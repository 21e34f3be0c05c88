"""Re-pricing while requests are settled: no writer waits forever, and no window loses a cent."""

import threading
import uuid

import pytest
from django.db import connection

from billing.models import Request
from billing.prices.repricing import undo
from tests.billing.bookkeeping import Books
from tests.billing.test_repricing import DAY, NOON, NOW, THOUSAND, batch_of, broken, listed


@pytest.mark.usefixtures("live_db")
def test_traffic_goes_on_meanwhile_and_the_books_stay_in_order() -> None:
    model = f"busy-{uuid.uuid4().hex[:8]}"  # these rows are committed, so other tests must not share them
    listed(model, "1")
    books = Books()
    for _ in range(5):
        books.settled(NOON, (model, THOUSAND))
    failures: list[BaseException] = []

    def spend() -> None:
        try:
            for _ in range(40):
                books.settled(NOON, (model, THOUSAND), (model, THOUSAND))
        except BaseException as failure:
            failures.append(failure)
        finally:
            connection.close()

    threads = [threading.Thread(target=spend) for _ in range(2)]
    for thread in threads:
        thread.start()
    listed(model, "2", NOON - DAY)
    while any(thread.is_alive() for thread in threads):
        batch = batch_of(model)
        assert broken(books) == []
        undo(batch, by="tests", now=NOW)
        assert broken(books) == []
    for thread in threads:
        thread.join()
    assert failures == []
    assert broken(books) == []
    assert Request.objects.filter(account=books.account).count() == 85
