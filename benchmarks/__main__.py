"""Measure the tap against others, on the same sandbox.

The others are a tap as singer-sdk's template has one begin, the method of the vendor's
export guide, and a bare loop that does nothing but read pages and write lines. Each
side is a process of its own, from its start to its end; the sides run in turn, so that
what slows the machine down slows them all down.

Without scenarios all are run, which takes about half an hour with five runs and up to
2 GB of memory for the vendor's method, and the results become part of the
documentation: docs/benchmarks.md and docs/images/benchmarks.svg. With scenarios, or
another scale, they are only printed.

Each alone: `rate_limits` measures in a good two minutes how the tap keeps to the
limits, `shared_key` what several taps do to one key's, `scale` simulates nights with
many keys, and `scale_check` compares a point of that with a real run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from benchmarks.measure import ROOT, CommandFailedError
from benchmarks.report import PLOT, markdown, page, svg
from benchmarks.scenarios import SCENARIOS, Bench, say

PAGE = "benchmarks.md"
RUNS = 5
# Modules, imported when they are asked for: others measure this process's memory.
ALONE = ("rate_limits", "scale", "scale_check", "shared_key")


def main() -> int:
    """Run what the command line asks for, and return the exit code."""
    parser = _parser()
    given = parser.parse_args()
    if len(given.scenarios) == 1 and given.scenarios[0] in ALONE:
        module = import_module(f"benchmarks.{given.scenarios[0]}")
        return int(module.main())
    names = given.scenarios or list(SCENARIOS)
    if not SCENARIOS.keys() >= set(names):
        parser.error(f"SCENARIO is one of {', '.join(SCENARIOS)}")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            bench = Bench(Path(scratch), given.runs, given.scale)
            results = [result for name in names for result in SCENARIOS[name](bench)]
    except CommandFailedError as error:
        say(f"benchmarks: {error}")
        return 1
    tables = markdown(results, given.runs)
    sys.stdout.write(tables)
    folder = given.out
    if folder is None and set(names) == set(SCENARIOS) and given.scale == 1:
        folder = ROOT / "docs"
    if folder is not None:
        for name, content in ((PAGE, page(tables)), (PLOT, svg(results))):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            say(f"Written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scenarios",
        nargs="*",
        metavar="SCENARIO",
        help=", ".join(SCENARIOS),
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
