"""The three plans we ship. Raise or add some in the database; an account's own limits override its plan's."""

from decimal import Decimal

from django.db import migrations

PLANS = [
    {
        "name": "evaluation",
        "title": "Evaluation",
        "daily_tokens": 20_000,
        "daily_usd": Decimal("0.17"),
        "requests_per_minute": 5,
        "concurrent_requests": 1,
    },
    {
        "name": "usage",
        "title": "Usage",
        "daily_tokens": 500_000,
        "daily_usd": Decimal("1.67"),
        "requests_per_minute": 30,
        "concurrent_requests": 5,
    },
    {"name": "unlimited", "title": "Unlimited"},
]


def add_plans(apps, schema_editor):
    plan = apps.get_model("accounts", "Plan")
    plan.objects.bulk_create([plan(**facts) for facts in PLANS], ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(add_plans, migrations.RunPython.noop)]
