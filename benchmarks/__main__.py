"""Measure the tap against others, on the same fast local server.

The others are a tap as singer-sdk's template has one begin, the method of the vendor's
export guide, and a bare loop that does nothing but read pages and write lines. Each
side is a process of its own, from its start to its end; the sides run in turn, so that
what slows the machine down slows them all down.

Without scenarios all are run, which takes about half an hour with five runs and up to
2 GB of memory for the vendor's method, and the results become part of the
documentation: docs/benchmarks.md and docs/images/benchmarks.svg. With scenarios, or
another scale, they are only printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, CommandFailedError
from benchmarks.report import PLOT, markdown, page, svg
from benchmarks.scenarios import SCENARIOS, Bench, Comparison, say

PAGE = "benchmarks.md"
RUNS = 5


def main() -> int:
    """Run what the command line asks for.

    Returns:
        The exit code.
    """
    given = _parser().parse_args()
    names = given.scenarios or list(SCENARIOS)
    try:
        comparisons = measure(names, given.runs, given.scale)
    except CommandFailedError as error:
        say(f"benchmarks: {error}")
        return 1
    tables = markdown(comparisons, given.runs)
    sys.stdout.write(tables)
    folder = given.out
    if folder is None and set(names) == set(SCENARIOS) and given.scale == 1:
        folder = ROOT / "docs"
    if folder is not None:
        write(folder / PAGE, page(tables))
        write(folder / PLOT, svg(comparisons))
    return 0


def measure(names: list[str], runs: int, scale: float) -> list[Comparison]:
    """Run scenarios.

    Args:
        names: Which ones.
        runs: How often each side is run.
        scale: By what the sizes are multiplied.

    Returns:
        What was measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), runs, scale)
        return [comparison for name in names for comparison in SCENARIOS[name](bench)]


def write(path: Path, content: str) -> None:
    """Write a file, and say so.

    Args:
        path: Where.
        content: What.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    say(f"Written: {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS)
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, help="of each side (default: %(default)s)"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the sizes, for a try, such as 0.1"
    )
    parser.add_argument(
        "--out", type=Path, help="a folder that the page and the plot are written to"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
