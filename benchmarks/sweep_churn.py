# ruff: noqa: T201 - a script that prints
"""Measure what a sweep over a moving list costs, in requests and in memory.

Lists of 300 pages of 100 rows; for every 5 pages an insert, a delete and two updates
at random places. `at once`: all four between the same two requests; `spread`: each at
a moment of its own. `backward`: from the newest rows to the oldest, as long lists are
read that the server sorts. Each row of the table is 100 seeds: how many sweeps were
exact, how many lost a row without saying so, and the requests beyond the 300, on
average and at most. Before it, the memory that a sweep takes for 10,000 and for
1,000,000 keys.

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
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tap_betterdata.pages import Page  # noqa: E402 - found by the line above
from tap_betterdata.sweep import Sweep  # noqa: E402
from tests.sweep_model import (  # noqa: E402
    EPOCH,
    Model,
    Whole,
    churn,
    sweep_of,
    whole_of,
)


class Tried(NamedTuple):
    """What a sweep came to.

    Attributes:
        exact: Whether it says that it was.
        missing: How many rows it lost.
        more: How many requests it took beyond those for a list that stands still.
    """

    exact: bool
    missing: int
    more: int


PAGES = 300
SIZE = 100
EVERY = 5


def one(order: str, width: int, seed: int, *, spread: bool, extra: int | None) -> Tried:
    """Sweep once."""
    model = Model(
        # The rows that share the time stamp at the end of the first page must not
        # fill the last page, or the list isn't read backward.
        PAGES * SIZE - 37,
        SIZE,
        "id" if order == "id" else "newest",
        churn(PAGES, every=EVERY, seed=seed, spread=spread),
        width=width,
        picks=[0, 0, 1, 0, 2, 0, 0, 1],
    )
    sweep: Sweep | Whole | None
    if order == "backward":
        sweep = whole_of(model, extra=extra)
        assert sweep  # noqa: S101 - a check of the measurement
    else:
        newest = order == "newest"
        options = {"newest_first": newest, "extra": extra, "started_at": EPOCH}
        sweep = sweep_of(model, Sweep, **options)
    came = {row["id"] for rows in sweep for row in rows}
    missing = len(model.steady() - came)
    return Tried(sweep.exact, missing, sweep.requests - PAGES)


def table(seeds: int) -> None:
    """Print what churn costs."""
    print(f"{'order':>8} {'flight':>6} {'changes':>8} {'allowed':>7}", end=" ")
    print(f"{'exact':>6} {'silent':>6} {'extra':>12} {'most':>5}")
    orders = ("backward", "newest", "id")
    cases = product(orders, (1, 8), (False, True), (None, PAGES))
    for order, width, spread, extra in cases:
        if order != "newest" and extra:
            continue
        tries = [
            one(order, width, seed, spread=spread, extra=extra) for seed in range(seeds)
        ]
        exact = sum(tried.exact for tried in tries)
        silent = sum(tried.exact and tried.missing > 0 for tried in tries)
        mean = statistics.mean(tried.more for tried in tries)
        print(
            f"{order:>8} {width:>6} {'spread' if spread else 'at once':>8} "
            f"{extra or 'default':>7} {exact:>6} {silent:>6} "
            f"{mean:>5.1f} ={mean / PAGES:>5.1%} {max(t.more for t in tries):>5}",
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
