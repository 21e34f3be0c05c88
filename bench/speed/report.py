"""The table and the plot of a measurement, on the terminal and in docs/speed.md."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import msgspec

from bench.speed.machine import ROOT, Machine
from bench.speed.phases import PACED, Result, Run

PAGE = ROOT / "docs" / "speed.md"
PLOT = ROOT / "docs" / "images" / "speed.svg"
_UNKNOWN = "–"


class Column(msgspec.Struct, frozen=True):
    title: str
    read: Callable[[Result], float | None]
    digits: int = 0

    def cell(self, result: Result) -> str:
        value = self.read(result)
        return _UNKNOWN if value is None else f"{value:,.{self.digits}f}"


def _median(phase: str, read: Callable[[Run], float]) -> Callable[[Result], float | None]:
    return lambda result: result.median(phase, read)


def _busiest_cpu(result: Result) -> float | None:
    """CPU per request with 64 in flight, or 32 if that is all that was measured."""
    if result.idle_mb is None:
        return None
    at_64 = result.median("saturation-64", lambda run: run.cpu_us)
    return at_64 if at_64 is not None else result.median("saturation-32", lambda run: run.cpu_us)


def _added_first_byte_ms(result: Result) -> float | None:
    """None for the bare application, which does not wait as the upstream does."""
    value = result.median("paced", lambda run: run.load.first_byte.p50)
    added_ms = -1.0 if value is None else value / 1000 - PACED.delay_ms
    return added_ms if added_ms >= 0 else None


COLUMNS = (
    Column("requests/s/core", lambda result: result.requests_per_s or None),
    Column("CPU µs/request", _busiest_cpu),
    Column("added p50 at 50/s, ms", _median("low", lambda run: run.load.overhead.p50 / 1000), 1),
    Column("p99", _median("low", lambda run: run.load.overhead.p99 / 1000), 1),
    Column("added p50 at half, ms", _median("half", lambda run: run.load.overhead.p50 / 1000), 1),
    Column("p99", _median("half", lambda run: run.load.overhead.p99 / 1000), 1),
    Column("first streamed byte, ms", _added_first_byte_ms, 1),
    Column("per event p50, ms", _median("paced", lambda run: run.load.event_delay.p50 / 1000), 2),
    Column("events/s", _median("burst", lambda run: run.load.events_per_s)),
    Column("idle MB", lambda result: result.idle_mb),
    Column("after 20,000, MB", lambda result: result.after_mb),
)


def table(results: Iterable[Result]) -> str:
    """A Markdown table, a row a target; what could not be measured says why."""
    lines = ["| gateway | " + " | ".join(column.title for column in COLUMNS) + " |"]
    lines.append("| --- |" + " ---: |" * len(COLUMNS))
    for result in results:
        name = f"{result.target} ({result.store})" if result.target in ("auto", "manual") else result.target
        if result.phases:
            lines.append(f"| {name} | " + " | ".join(column.cell(result) for column in COLUMNS) + " |")
        else:
            lines.append(f"| {name} | not measured: {'; '.join(result.errors)} |" + " |" * (len(COLUMNS) - 1))
    return "\n".join(lines)


def versions(results: Iterable[Result]) -> str:
    known = {result.target: result.version for result in results if result.version}
    return "; ".join(f"{target}: {version}" for target, version in known.items())


def write_page(results: Sequence[Result], machine: Machine) -> None:
    """Replace the measured part of docs/speed.md, and the plot."""
    days = sorted({result.at[:10] for result in results})
    measured = (
        f"Measured on {' and '.join(days)}: {machine}. {versions(results)}.\n\n{table(results)}\n\n"
        "![Requests per second and core](images/speed.svg)\n"
    )
    replace_part("make bench-speed", measured)
    write_plot(results, PLOT)


def replace_part(name: str, text: str) -> None:
    """Replace the part of docs/speed.md that a measurement writes. Raises LookupError without such a part."""
    start, end = f"<!-- measured: {name} -->\n", "<!-- end -->"
    page = PAGE.read_text()
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(page):
        raise LookupError(f"{PAGE} has no part {start}")
    PAGE.write_text(pattern.sub(lambda _: f"{start}\n{text}\n{end}", page))


_WIDTH, _ROW, _LABELS, _FIGURES = 760, 30, 210, 70


def write_plot(results: Sequence[Result], path: Path) -> None:
    """Bars of the requests per second that each gateway serves on one core."""
    shown = [result for result in results if result.phases and result.target != "direct"]
    most = max((result.requests_per_s for result in shown), default=1.0)
    size = {"width": str(_WIDTH), "height": str(_ROW * len(shown) + 10)}
    style = {"font-family": "sans-serif", "font-size": "13", "role": "img"}
    svg = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, **style})
    ElementTree.SubElement(svg, "title").text = "Requests per second and core"
    ElementTree.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    for number, result in enumerate(sorted(shown, key=lambda result: -result.requests_per_s)):
        top = number * _ROW + 5
        ours = result.target in ("auto", "manual")
        name = f"RoutePlex {result.target}, {result.store}" if ours else result.target
        width = max(1.0, (_WIDTH - _LABELS - _FIGURES) * result.requests_per_s / most)
        _text(svg, _LABELS - 8, top + 19, name, anchor="end")
        bar = {"x": str(_LABELS), "y": str(top + 4), "width": f"{width:.1f}", "height": str(_ROW - 10)}
        ElementTree.SubElement(svg, "rect", {**bar, "rx": "2", "fill": "#2f6fdb" if ours else "#9aa5b4"})
        _text(svg, _LABELS + width + 6, top + 19, f"{result.requests_per_s:,.0f}")
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.indent(svg)
    path.write_text(ElementTree.tostring(svg, encoding="unicode") + "\n")


def _text(svg: ElementTree.Element, x: float, y: float, text: str, anchor: str = "start") -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "fill": "#1f2933"}
    ElementTree.SubElement(svg, "text", place).text = text
