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
ask the same server on the same machine: the
[sandbox](howto/python.md#the-sandbox-in-your-own-tests), with made-up data:

- the **template tap** is written as the Singer SDK's own template has one begin: a page
  at a time, and records, types, messages and output left to the SDK;
- the **vendor's script** is the method of the vendor's export guide, written anew: a
  new connection for each page, all items in memory, then a CSV file;
- the **bare loop** reads pages and writes a line for each item, and does nothing else:
  no schema, no types, no state. It is the floor.

The tap does all that it does in use: exactness, types, state, signals. Only the limits
of the key's budget are switched off here; with them on, the [budget](budget.md) decides
how long a run takes, which `python3 dev.py bench rate_limits` measures in a good two
minutes. Machines differ, and so do their loads: read the ratios.

![The medians as bars]({PLOT})

"""
_UNITS = {"wall": ", s", "cpu": ", s", "peak": ", MB", "requests": ""}

_WIDTH = 760
_LABELS = 250
_BARS = 400
_LINE = 22
_HEADING = 34
_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 13px }
  .back { fill: #ffffff }
  .ours { fill: #0969da }
  .other { fill: #afb8c1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .back { fill: #0d1117 }
    .ours { fill: #4493f8 }
    .other { fill: #6e7681 }
  }
"""


def markdown(comparisons: Sequence[Comparison], runs: int) -> str:
    """Write all results as tables."""
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
    """Write the page of the documentation around the tables."""
    how = "Made by `python3 dev.py bench`, which takes about half an hour."
    return f"{_PAGE}{tables}\n{how}\n"


def _table(comparison: Comparison) -> str:
    head = ("", "Wall, s", "CPU, s", "Peak, MB", "Requests")
    rows = [
        (
            f"**{side.name}**" if side.name.startswith(OURS) else side.name,
            _spread(side, "wall", ".2f"),
            _spread(side, "cpu", ".2f"),
            _spread(side, "peak", ".0f"),
            f"{side.median('requests'):,.0f}",
        )
        for side in comparison.sides
    ]
    return f"## {comparison.title}\n\n{_rows([head, *rows])}"


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
    """Draw the medians as bars, for light and dark pages."""
    parts, top = [], 0
    for comparison in comparisons:
        measure = comparison.plotted
        title = escape(comparison.title + _UNITS[measure])
        parts.append(f'<text class="title" x="16" y="{top + 28}">{title}</text>')
        top += _HEADING
        most = max(side.median(measure) for side in comparison.sides) or 1.0
        for side in comparison.sides:
            value = side.median(measure)
            width = max(1.0, value / most * _BARS)
            kind = "ours" if side.name.startswith(OURS) else "other"
            form = ",.2f" if measure in {"wall", "cpu"} else ",.0f"
            parts.append(
                f'<text x="{_LABELS - 8}" y="{top + 15}" text-anchor="end">'
                f'{escape(side.name)}</text><rect class="{kind}" x="{_LABELS}" '
                f'y="{top + 4}" width="{width:.1f}" height="14"/>'
                f'<text x="{_LABELS + width + 6:.1f}" y="{top + 15}">{value:{form}}'
                "</text>"
            )
            top += _LINE
    size = f'width="{_WIDTH}" height="{top + 16}"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {_WIDTH} {top + 16}" role="img" '
        f'aria-label="Benchmarks of {OURS}">\n<style>{_STYLE}</style>\n'
        f'<rect class="back" {size} rx="6"/>\n{body}\n</svg>\n'
    )
