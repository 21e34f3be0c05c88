"""Two workers on committed rows: each alert goes out once."""

import threading
from datetime import UTC, datetime

from django.db import connection

from billing.alerts.channels import add_webhook, default_channel, switch
from billing.alerts.delivery import deliver_due
from billing.alerts.models import Delivery
from billing.alerts.publish import raise_alert
from tests.alerts.conftest import Receiver, make_account


def test_two_workers_at_once_send_each_alert_once(live_db: None, receiver: Receiver) -> None:
    account = make_account("busy")
    switch(default_channel(account), on=False)
    add_webhook(account, receiver.url, None)
    for number in range(30):
        raise_alert("a", f"alert {number}", "m", account=account)

    def work() -> None:
        deliver_due(datetime.now(UTC))
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    sent = Delivery.objects.filter(alert__account=account, status=Delivery.Status.DELIVERED)
    assert sorted(receiver.ids) == sorted(sent.values_list("webhook_id", flat=True))
    assert len(receiver.ids) == 30
    account.delete()
