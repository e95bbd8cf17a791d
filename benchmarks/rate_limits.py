"""Measure how much of a rate limit the tap uses, in real time, and print a table.

    python -m benchmarks rate_limits

250 requests at 100 a minute take two minutes at least: 100 go at once, 100 after one
minute, 50 after two. Each row is one kind of server and a tap of its own, and all run
side by side. `ratio` is the time taken over that least time, `429` the requests that
were refused. At the defaults, none may be.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import KEY, environment
from benchmarks.scenarios import NO_LIMITS, Bench

REQUESTS = 250
LEAST = 120.0
# The last page is not full, so that no request is needed to see that it is the last.
ITEMS = REQUESTS * 100 - 50
SERVER = {"items": ITEMS, "per_minute": 100, "per_hour": 1000, "latency_ms": 5}


class Case(NamedTuple):
    """A kind of server, and what the tap is told about it."""

    name: str
    config: dict[str, Any]
    server: dict[str, Any]


CASES = (
    Case("the defaults", {}, {}),
    Case("the defaults, no headers", {}, {"rate_headers": False}),
    Case("headers alone", NO_LIMITS, {"headers_describe": "minute"}),
    Case("Retry-After alone", NO_LIMITS, {"rate_headers": False}),
)


class Outcome(NamedTuple):
    """What came of a case."""

    seconds: float
    sent: int
    refused: int


def measure(bench: Bench, catalog: Path, chosen: tuple[Case, str]) -> Outcome:
    """Run the tap once.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    # Others measure this process's memory, and the sandbox is large.
    from tap_betterdata.sandbox import Sandbox  # noqa: PLC0415

    case, window = chosen
    with Sandbox(api_key=KEY, window=window, **SERVER, **case.server) as sandbox:
        command = [*bench.command(sandbox.url, **case.config), "--catalog", catalog]
        start = time.monotonic()
        subprocess.run(  # noqa: S603 - the words are ours
            command,
            env=environment(),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - start
        statuses = [request.status for request in sandbox.requests]
    return Outcome(seconds, len(statuses), statuses.count(429))


def main() -> int:
    """Print the table; return 1 if a request was refused at the defaults."""
    rows = list(product(CASES, ("fixed", "sliding")))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(rows)) as pool:
        bench = Bench(Path(folder), runs=1)
        catalog = bench.inventory_only(bench.command("sandbox:"))
        outcomes = list(pool.map(partial(measure, bench, catalog), rows))
    is_refused = False
    for (case, window), outcome in zip(rows, outcomes, strict=True):
        is_refused |= bool(outcome.refused and not case.config)
        sys.stdout.write(
            f"{outcome.seconds / LEAST:5.3f} ratio {outcome.refused:4d} x 429 "
            f"{outcome.sent:4d} requests  {window:<7}  {case.name}\n"
        )
    return int(is_refused)


if __name__ == "__main__":
    sys.exit(main())
