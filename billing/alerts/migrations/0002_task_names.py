"""Celery tasks moved from `jobs` to `tasks` modules: carry their recorded runs and open alerts to the new names."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import migrations

_STALE = "jobs.stale."  # an open alert's once_key, followed by the task's name


def renaming(old: str, new: str) -> Callable[[Any, Any], None]:
    """A migration step that replaces the module `old` in task names; a row under the new name is kept."""

    def rename(apps: Any, schema_editor: Any) -> None:
        runs = apps.get_model("alerts", "JobRun").objects
        names = set(runs.values_list("name", flat=True))
        for name in [name for name in names if old in name]:
            renamed = name.replace(old, new)
            if renamed in names:
                runs.filter(name=name).delete()
            else:
                runs.filter(name=name).update(name=renamed)

        open_alerts = apps.get_model("alerts", "Alert").objects.filter(
            once_key__startswith=_STALE, resolved_at=None
        )
        keys = set(open_alerts.values_list("once_key", flat=True))
        for key in [key for key in keys if old in key.removeprefix(_STALE)]:
            renamed = _STALE + key.removeprefix(_STALE).replace(old, new)
            if renamed in keys:
                open_alerts.filter(once_key=key).update(resolved_at=datetime.now(UTC))
            else:
                open_alerts.filter(once_key=key).update(once_key=renamed)

    return rename


class Migration(migrations.Migration):
    dependencies = [("alerts", "0001_initial")]

    operations = [
        migrations.RunPython(renaming(".jobs.", ".tasks."), renaming(".tasks.", ".jobs.")),
    ]
