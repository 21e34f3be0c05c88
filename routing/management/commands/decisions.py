"""`manage.py decisions`: make stored decisions again, or ask what another choice would have come to."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from billing.management.timestamps import moment
from routing.catalog.live import catalog
from routing.language.chat import Strategy
from routing.replay.stored import Mismatch, latest, logged, replayed
from routing.replay.what_if import Figure, WhatIf, what_if

SHOWN = 5  # mismatches told one by one


def policy(text: str) -> Strategy | str:
    """A strategy's name, or `model:` and a model's id."""
    if text.startswith("model:"):
        found = catalog.names.resolve(text.removeprefix("model:"))
        if not found.id:
            raise ArgumentTypeError(f"there is no model {text.removeprefix('model:')!r}")
        return found.id
    try:
        return Strategy(text)
    except ValueError as error:
        names = ", ".join(Strategy)
        raise ArgumentTypeError(f"{text!r} is none of {names} and no model:ID") from error


class Command(BaseCommand):
    help = (
        "Make stored decisions again from their records alone; exit code 1 when one comes out otherwise. "
        "With --what-if say instead what another strategy, or one model for everything, would have come to."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", type=int, help="only that account's; all by default")
        parser.add_argument("--since", type=moment, help="only requests made since (ISO 8601)")
        parser.add_argument("--last", type=int, default=10_000, help="at most so many, newest first; 10,000")
        parser.add_argument(
            "--what-if", type=policy, nargs="+", metavar="POLICY", help="auto, balanced, …, or model:ID"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = latest(options["account"], options["since"])
        if not options["what_if"]:
            self._replay(list(replayed(rows, options["last"])), as_json=options["json"])
            return
        seen = logged(rows, options["last"])
        found = {str(one): what_if(seen, one) for one in options["what_if"]}
        if options["json"]:
            self.stdout.write(msgspec.json.encode(found).decode())
            return
        self.stdout.write(f"{len(seen)} answered requests")
        for name, told in found.items():
            for line in _lines(told):
                self.stdout.write(f"{name:24} {line}")

    def _replay(self, found: list[Mismatch | None], *, as_json: bool) -> None:
        wrong = [one for one in found if one is not None]
        if as_json:
            whole = {"decisions": len(found), "reproduced": len(found) - len(wrong), "mismatches": wrong}
            self.stdout.write(msgspec.json.encode(whole).decode())
        else:
            self.stdout.write(f"{len(found) - len(wrong)} of {len(found)} decisions reproduced")
            for one in wrong[:SHOWN]:
                self.stdout.write(f"{one.request}: {'; '.join(one.differences)}")
        if wrong:
            raise CommandError(f"{len(wrong)} records do not give their decision again.", returncode=1)


def _lines(told: WhatIf | None) -> list[str]:
    if told is None:
        return ["nothing can be said: no request has a forecast for it"]
    share = told.cost_difference_usd.value / told.paid_usd if told.paid_usd else 0.0
    by = "forecasts alone" if told.judged < 1 else f"forecasts and {told.judged} outcomes"
    return [
        f"cost {_usd(told.cost_usd)} a request, paid {told.paid_usd:.9f} ({share:+.1%})",
        f"success {_figure(told.success)}, was {told.success_was:.3f}, by {by}",
        f"latency {told.latency_ms.value:.0f} ms [{told.latency_ms.low:.0f}, {told.latency_ms.high:.0f}]",
        f"same choice {told.same:.1%}; {told.alone:.1%} rest on forecasts alone; {told.left_out} left out",
    ]


def _usd(figure: Figure) -> str:
    return f"{figure.value:.9f} USD [{figure.low:.9f}, {figure.high:.9f}]"


def _figure(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
