"""Keys are suspended when the member who created them leaves the account."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0007_key_lineage"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="suspended_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
