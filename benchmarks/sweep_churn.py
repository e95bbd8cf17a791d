# ruff: noqa: T201 - a script that prints
"""Measure what a sweep over a moving list costs, in requests and in memory.

Lists of 300 pages of 100 rows; for every 5 pages an insert, a delete and two updates
at random places. `at once`: all four between the same two requests; `spread`: each at
a moment of its own. Each row of the table is 100 seeds: how many sweeps were exact, how
many lost a row without saying so, and the requests beyond the 300, on average and at
most. Before it, the memory that a sweep takes for 10,000 and for 1,000,000 keys.

    python benchmarks/sweep_churn.py [seeds, default 100]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tap_betterdata.pages import Page  # noqa: E402 - found by the line above
from tap_betterdata.sweep import Sweep  # noqa: E402
from tests.sweep_model import EPOCH, Model, churn  # noqa: E402

PAGES = 300
SIZE = 100
EVERY = 5


def one(order: str, width: int, seed: int, *, spread: bool, extra: int | None) -> Sweep:
    """Sweep once; the number of rows missing is left in `missing`."""
    model = Model(
        PAGES * SIZE,
        SIZE,
        order,
        churn(PAGES, every=EVERY, seed=seed, spread=spread),
        width=width,
        picks=[0, 0, 1, 0, 2, 0, 0, 1],
    )
    sweep = Sweep(
        model.read,
        model.read_ahead,
        lambda row: row["id"],
        lambda row: row["updatedAt"],
        newest_first=order == "newest",
        extra=extra,
        started_at=EPOCH,
    )
    came = {row["id"] for rows in sweep for row in rows}
    sweep.missing = len(model.steady() - came)  # type: ignore[attr-defined]
    return sweep


def table(seeds: int) -> None:
    """Print what churn costs."""
    print(f"{'order':>7} {'flight':>6} {'changes':>8} {'allowed':>7}", end=" ")
    print(f"{'exact':>6} {'silent':>6} {'extra':>12} {'most':>5}")
    cases = product(("newest", "id"), (1, 8), (False, True), (None, PAGES))
    for order, width, spread, extra in cases:
        if order == "id" and extra:
            continue
        sweeps = [
            one(order, width, seed, spread=spread, extra=extra) for seed in range(seeds)
        ]
        exact = sum(sweep.exact for sweep in sweeps)
        silent = sum(s.exact and s.missing > 0 for s in sweeps)  # type: ignore[attr-defined]
        more = [sweep.requests - PAGES for sweep in sweeps]
        mean = statistics.mean(more)
        print(
            f"{order:>7} {width:>6} {'spread' if spread else 'at once':>8} "
            f"{extra or 'default':>7} {exact:>6} {silent:>6} "
            f"{mean:>5.1f} ={mean / PAGES:>5.1%} {max(more):>5}",
            flush=True,
        )


def keys(count: int) -> None:
    """Sweep a still list of so many rows, and print the process's peak memory."""

    def read(number: int) -> Page:
        start = (number - 1) * SIZE
        rows = [
            {"id": f"3f2a77c0-0000-4000-8000-{n:012}"}
            for n in range(start, start + SIZE)
        ]
        return Page(number, rows, SIZE, count, count // SIZE)

    sweep = Sweep(read, lambda numbers: map(read, numbers), lambda row: row["id"])
    began = time.process_time()
    rows = sum(map(len, sweep))
    took = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert sweep.exact  # noqa: S101 - a check of the measurement
    print(
        f"{rows:>9} keys: peak {peak:.1f} MB, {took / rows * 1e6:.2f} us of CPU a row"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["keys"]:
        keys(int(sys.argv[2]))
    else:
        # First, while this process is small: a child's peak begins at its parent's.
        for number in ("10000", "1000000"):
            subprocess.run(  # noqa: S603 - this very script
                [sys.executable, __file__, "keys", number], check=True
            )
        table(int(sys.argv[1]) if sys.argv[1:] else 100)
