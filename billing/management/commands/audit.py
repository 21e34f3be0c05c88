"""`manage.py audit`: checks the ledger's invariants; exit code 1 if one is violated."""

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from billing.checks.audit import Audit, alert_violations, audit, store_audit
from billing.checks.provider_usage import TOLERANCE, Compared, compare
from billing.management.arguments import moment


class Command(BaseCommand):
    help = "Check the invariants of the ledger on one consistent snapshot, under traffic."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument(
            "--since",
            type=moment,
            help="only requests created since (ISO 8601); monthly sums are then left out",
        )
        parser.add_argument("--account", type=int, help="only requests of that account")
        parser.add_argument(
            "--provider-report",
            type=Path,
            help='JSON: {"provider": {"model": tokens}}; compared with attempts from --since until --until',
        )
        parser.add_argument("--until", type=moment, help="end of the provider's report")
        parser.add_argument(
            "--tolerance",
            type=float,
            default=TOLERANCE,
            help=f"allowed relative difference, {TOLERANCE} by default",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        result = audit(timezone.now(), options["since"], options["account"])
        if options["account"] is None:
            store_audit(result)
            alert_violations(result)
        compared = _compared(options["provider_report"], options["since"], options["until"])
        off = [usage for usage in compared if usage.off_by > options["tolerance"]]
        if options["json"]:
            report = {**msgspec.to_builtins(result), "providers": msgspec.to_builtins(compared)}
            self.stdout.write(msgspec.json.encode(report).decode())
        else:
            self._print(result, compared, options["tolerance"])
        if result.violations or off:
            raise CommandError("The ledger breaks its promises, see above.", returncode=1)

    def _print(self, result: Audit, compared: list[Compared], tolerance: float) -> None:
        self.stdout.write(", ".join(f"{name} {value}" for name, value in result.figures.items()))
        for check in result.checks:
            verdict = f"{check.violations} broken: {', '.join(check.first)}" if check.violations else "holds"
            self.stdout.write(f"{check.name:32} {verdict}")
        for usage in compared:
            verdict = "holds" if usage.off_by <= tolerance else "broken"
            difference = f"{usage.counted} tokens here, {usage.reported} there ({usage.off_by:.3%})"
            self.stdout.write(f"{'tokens of ' + usage.provider:32} {verdict}: {difference}")
        self.stdout.write(f"checked in {result.took_ms} ms")


def _compared(path: Path | None, since: datetime | None, until: datetime | None) -> list[Compared]:
    if path is None:
        return []
    try:
        return compare(msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, int]]), since, until)
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(f"--provider-report: {error}") from error
