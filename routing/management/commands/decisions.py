"""`manage.py decisions`: replay stored decisions, or estimate what another policy would have cost."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from billing.management.arguments import moment
from routing.catalog.live import catalog
from routing.language.chat import Strategy
from routing.replay.stored import Mismatch, latest, logged, replayed
from routing.replay.what_if import Figure, WhatIf, what_if

SHOWN = 5  # mismatches listed


def policy(text: str) -> Strategy | str:
    """Parse a strategy's name, or `model:` and a model's id."""
    if text.startswith("model:"):
        resolved = catalog.names.resolve(text.removeprefix("model:"))
        if not resolved.id:
            raise ArgumentTypeError(f"there is no model {text.removeprefix('model:')!r}")
        return resolved.id
    try:
        return Strategy(text)
    except ValueError as error:
        names = ", ".join(Strategy)
        raise ArgumentTypeError(f"{text!r} is neither one of {names} nor model:ID") from error


class Command(BaseCommand):
    help = (
        "Make stored decisions again from their traces alone; exit code 1 when one differs. "
        "With --what-if, estimate instead what another strategy, or one model for all, would have cost."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--account", type=int, help="id of the only account to read; default: all")
        parser.add_argument("--since", type=moment, help="time of the oldest request to read (ISO 8601)")
        parser.add_argument(
            "--last", type=int, default=10_000, help="most requests to read, newest first; default: 10,000"
        )
        parser.add_argument(
            "--what-if", type=policy, nargs="+", metavar="POLICY", help="auto, balanced, …, or model:ID"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = latest(options["account"], options["since"])
        if not options["what_if"]:
            self._replay(list(replayed(rows, options["last"])), as_json=options["json"])
            return
        decisions = logged(rows, options["last"])
        estimates = {str(policy): what_if(decisions, policy) for policy in options["what_if"]}
        if options["json"]:
            self.stdout.write(msgspec.json.encode(estimates).decode())
            return
        self.stdout.write(f"{len(decisions)} answered requests")
        for name, estimate in estimates.items():
            for line in _lines(estimate):
                self.stdout.write(f"{name:24} {line}")

    def _replay(self, results: list[Mismatch | None], *, as_json: bool) -> None:
        wrong = [mismatch for mismatch in results if mismatch is not None]
        reproduced = len(results) - len(wrong)
        if as_json:
            report = {"decisions": len(results), "reproduced": reproduced, "mismatches": wrong}
            self.stdout.write(msgspec.json.encode(report).decode())
        else:
            self.stdout.write(f"{reproduced} of {len(results)} decisions reproduced")
            for mismatch in wrong[:SHOWN]:
                self.stdout.write(f"{mismatch.request}: {'; '.join(mismatch.differences)}")
        if wrong:
            raise CommandError(f"{len(wrong)} records do not reproduce their decision.", returncode=1)


def _lines(estimate: WhatIf | None) -> list[str]:
    if estimate is None:
        return ["no estimate: no request has a forecast for it"]
    share = estimate.cost_difference_usd.value / estimate.paid_usd if estimate.paid_usd else 0.0
    latency = estimate.latency_ms
    basis = "forecasts alone" if estimate.judged < 1 else f"forecasts and {estimate.judged} outcomes"
    return [
        f"cost {_usd(estimate.cost_usd)} per request, paid {estimate.paid_usd:.9f} ({share:+.1%})",
        f"success {_figure(estimate.success)}, was {estimate.success_was:.3f}, from {basis}",
        f"latency {latency.value:.0f} ms [{latency.low:.0f}, {latency.high:.0f}]",
        f"same choice {estimate.same:.1%}; {estimate.alone:.1%} rest on forecasts alone; "
        f"{estimate.left_out} left out",
    ]


def _usd(figure: Figure) -> str:
    return f"{figure.value:.9f} USD [{figure.low:.9f}, {figure.high:.9f}]"


def _figure(figure: Figure) -> str:
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
