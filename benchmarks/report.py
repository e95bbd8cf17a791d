"""Results as Markdown tables and as a plot."""

from __future__ import annotations

import os
import platform
from html import escape
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks.scenarios import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.measure import Side
    from benchmarks.scenarios import Bound, Comparison

PLOT = "images/benchmarks.svg"

_PAGE = f"""\
<!-- Written by `python3 dev.py bench`. -->
# Benchmarks

How long the tap takes, how much memory and how many requests, beside three others that
ask the same fast local server:

- the **template tap** is written as the Singer SDK's own template has one begin: a page
  at a time, and records, types, messages and output left to the SDK;
- the **vendor's script** is the method of the vendor's export guide, written anew: a
  new connection for each page, all items in memory, then a CSV file;
- the **bare loop** reads pages and writes a line for each item, and does nothing else:
  no schema, no types, no state. It is the floor.

The tap does all that it does in use: exactness, types, state, signals. Only the limits
of the key's budget are switched off here; with them on, the [budget](budget.md) decides
how long a run takes. Machines differ, and so do their loads: read the ratios.

![Medians as bars, with the range of the runs as a line over each]({PLOT})

"""
_UNITS = {"wall": "s", "cpu": "s", "peak": "MB", "requests": "requests"}

_WIDTH = 760
_LABELS = 250
_BARS = 360
_LINE = 22
_BAR = 14
_HEADING = 34
_MARGIN = 16
_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 13px }
  .back { fill: #ffffff }
  .ours { fill: #0969da }
  .other { fill: #afb8c1 }
  .range { stroke: #24292f; stroke-width: 1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .back { fill: #0d1117 }
    .ours { fill: #4493f8 }
    .other { fill: #6e7681 }
    .range { stroke: #e6edf3 }
  }
"""


def markdown(comparisons: Sequence[Comparison], runs: int) -> str:
    """Write all results.

    Args:
        comparisons: What was measured.
        runs: How often each side was run.

    Returns:
        Markdown.
    """
    about = (
        f"Medians of {runs} runs of each side in turn, with the least and the most; "
        f"whole processes, start-up included; {os.cpu_count()} cores, "
        f"{platform.system()}, Python {platform.python_version()}, singer-sdk "
        f"{version('singer-sdk')}."
    )
    bounds = [bound for comparison in comparisons for bound in comparison.bounds]
    tables = [_table(comparison) for comparison in comparisons]
    return "\n\n".join([about, *tables, *_bounds(bounds)]) + "\n"


def page(tables: str) -> str:
    """Write the page of the documentation.

    Args:
        tables: The results.

    Returns:
        Markdown.
    """
    how = "Made by `python3 dev.py bench`, which takes about half an hour."
    return f"{_PAGE}{tables}\n{how}\n"


def _table(comparison: Comparison) -> str:
    head = ("", "Wall, s", "CPU, s", "Peak, MB", "Requests")
    rows = [_row(side) for side in comparison.sides]
    return f"## {comparison.title}\n\n{_rows([head, *rows])}"


def _row(side: Side) -> tuple[str, ...]:
    name = f"**{side.name}**" if side.name.startswith(OURS) else side.name
    return (
        name,
        _spread(side, "wall", ".2f"),
        _spread(side, "cpu", ".2f"),
        _spread(side, "peak", ".0f"),
        f"{side.median('requests'):,.0f}",
    )


def _spread(side: Side, measure: str, form: str) -> str:
    values = side.values(measure)
    return f"{side.median(measure):{form}} ({values[0]:{form}} to {values[-1]:{form}})"


def _bounds(bounds: Sequence[Bound]) -> list[str]:
    if not bounds:
        return []
    head = ("What is to be held", "Measured", "At most", "Held")
    rows = [
        (
            bound.what,
            _figure(bound.value, bound.unit),
            _figure(bound.at_most, bound.unit),
            "yes" if bound.value <= bound.at_most else "no",
        )
        for bound in bounds
    ]
    return ["## What is to be held", _rows([head, *rows])]


def _figure(value: float, unit: str) -> str:
    if unit in {"", "s"}:
        return f"{value:.2f} {unit}".rstrip()
    return f"{value:,.0f} {unit}"


def _rows(rows: Iterable[Sequence[str]]) -> str:
    head, *others = rows
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *others))


def svg(comparisons: Sequence[Comparison]) -> str:
    """Draw all results, a bar for each side's median and a line for its range.

    Args:
        comparisons: What was measured.

    Returns:
        An SVG document, for light and dark pages.
    """
    panels = []
    top = _MARGIN
    for comparison in comparisons:
        panels.append(_panel(comparison, top))
        top += _HEADING + _LINE * len(comparison.sides)
    height = top + _MARGIN // 2
    body = "\n".join(panels)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="Benchmarks of {OURS}">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="back" width="{_WIDTH}" height="{height}" rx="6"/>\n'
        f"{body}\n</svg>\n"
    )


def _panel(comparison: Comparison, top: int) -> str:
    measure = comparison.plotted
    most = max(side.values(measure)[-1] for side in comparison.sides) or 1.0
    title = comparison.title
    if measure != "requests":
        title += f", {_UNITS[measure]}"
    parts = [f'<text class="title" x="{_MARGIN}" y="{top + 14}">{escape(title)}</text>']
    for place, side in enumerate(comparison.sides):
        parts.append(_bar(side, measure, most, top + 22 + _LINE * place))
    return "\n".join(parts)


def _bar(side: Side, measure: str, most: float, top: int) -> str:
    values = [value / most * _BARS for value in side.values(measure)]
    middle = side.median(measure)
    form = ",.2f" if _UNITS[measure] == "s" else ",.0f"
    width = max(1.0, middle / most * _BARS)
    kind = "ours" if side.name.startswith(OURS) else "other"
    centre = top + _BAR / 2
    begin, end = _LABELS + values[0], _LABELS + values[-1]
    base = top + _BAR - 3
    return (
        f'<text x="{_LABELS - 8}" y="{base}" text-anchor="end">'
        f"{escape(side.name)}</text>"
        f'<rect class="{kind}" x="{_LABELS}" y="{top}" width="{width:.1f}" '
        f'height="{_BAR}"/>'
        f'<line class="range" x1="{begin:.1f}" y1="{centre}" x2="{end:.1f}" '
        f'y2="{centre}"/>'
        f'<text x="{max(end, _LABELS + width) + 6:.1f}" y="{base}">'
        f"{middle:{form}}</text>"
    )
