"""Marks the attempts that earlier requests were charged for: until now always the last one."""

from django.db import migrations
from django.db.models import OuterRef, Subquery


def mark(apps, schema_editor):
    request, attempt = apps.get_model("billing", "Request"), apps.get_model("billing", "Attempt")
    siblings = attempt.objects.filter(request_id=OuterRef("request_id")).order_by("-number")
    parent = request.objects.filter(pk=OuterRef("request_id"))
    charged = attempt.objects.filter(
        request__status__in=["succeeded", "partial", "aborted"],
        number=Subquery(siblings.values("number")[:1]),
    )
    charged.update(
        charged=True,
        unit_prices=Subquery(parent.values("unit_prices")[:1]),
        price_version=Subquery(parent.values("price_version")[:1]),
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_windows_idempotency_proposals")]
    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
