"""How long a night is with many keys: simulated, without a network.

    python -m benchmarks scale

The tap's own `RateLimiter` and the sandbox's limits run on a clock that jumps. A key's
shards follow one another, each with a limiter that knows nothing of the one before it;
keys run side by side, as many as the machines have room for. What a run costs them in
memory and processor time is what `python -m benchmarks scale_check` measures, which
compares one point with a real run, too. The table stands in docs/scale.md.
"""

from __future__ import annotations

import heapq
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

from tap_betterdata.api import rate_limit, rate_limit_headers
from tap_betterdata.sandbox.limits import Limiter
from tap_betterdata.sandbox.options import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

PER_MINUTE, PER_HOUR, MAX_WAIT = 100, 1000, 3900
# A whole night's wait is what the budget says; nothing is gained from many requests.
SECONDS_A_REQUEST = 0.05
START_SECONDS = 3.0

# A location: its items, products, channels of a product and categories of a period;
# of the items, how many change in a day.
ITEMS, PRODUCTS, CHANNELS, CATEGORIES, CHANGED = 1000, 500, 3, 5, 50
PERIODS_AT_FIRST, PERIODS_A_NIGHT = 13, 2

# A machine, and what one task with tap and target takes of it, as measured.
CORES, MEMORY = 4, 16_000
TASK_MEMORY = 400
TASK_CPU, ROW_CPU = 8.0, 0.0003

NIGHT = 8 * 3600
SIZES = (
    (1, 5),
    (1, 50),
    (1, 500),
    (10, 50),
    (100, 50),
    (100, 500),
    (1000, 50),
    (1000, 500),
)


class Load(NamedTuple):
    """What a shard asks for and writes."""

    requests: int
    rows: int


class Replay(NamedTuple):
    """What came of a key's shards: until the last answer, and how many refusals."""

    seconds: float
    refused: int


@dataclass
class Clock:
    """Stands in for the module `time`, and jumps."""

    now: float = 1_800_000_000.0

    def time(self) -> float:
        """Return the time of day."""
        return self.now

    def monotonic(self) -> float:
        """Return the same: nobody sets this clock."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Jump ahead."""
        self.now += seconds


def whole(locations: int) -> Load:
    """Return what a first run costs, as docs/budget.md says."""
    pages = ITEMS // 100 + 1 + PRODUCTS // 200 + 1
    rows = ITEMS + PRODUCTS * (1 + CHANNELS) + PERIODS_AT_FIRST * (1 + CATEGORIES)
    return Load(locations * (pages + PERIODS_AT_FIRST), locations * rows)


def nightly(locations: int) -> Load:
    """Return what a run costs that reads what changed; ATP is read whole."""
    pages = CHANGED // 100 + 1 + PRODUCTS // 200 + 1
    rows = CHANGED + PRODUCTS * (1 + CHANNELS) + PERIODS_A_NIGHT * (1 + CATEGORIES)
    return Load(locations * (pages + PERIODS_A_NIGHT), locations * rows)


def replay(shards: Sequence[int]) -> Replay:
    """Let a key's shards, given by their requests, go one after the other."""
    clock = Clock()
    started, refused = clock.now, 0
    limits = Options(per_minute=PER_MINUTE, per_hour=PER_HOUR, window="sliding")
    server = Limiter(limits, clock.time)
    with (
        mock.patch.object(rate_limit, "time", clock),
        mock.patch.object(rate_limit_headers, "time", clock),
    ):
        for requests in shards:
            clock.now += START_SECONDS
            limiter = rate_limit.RateLimiter(
                per_minute=PER_MINUTE,
                per_hour=PER_HOUR,
                max_wait=MAX_WAIT,
                stop=threading.Event(),
            )
            left = requests
            while left:
                # What the limiter would wait for in many short sleeps.
                clock.now += limiter.seconds_for(1)
                limiter.acquire()
                verdict = server.admit()
                clock.now += SECONDS_A_REQUEST
                limiter.observe(429 if verdict.refused else 200, verdict.headers)
                refused += verdict.refused
                left -= not verdict.refused
    return Replay(clock.now - started, refused)


def makespan(keys: int, seconds: float, load: Load, machines: int) -> float:
    """Return the seconds until all keys are done, on so many machines."""
    slots = [0.0] * min(keys, machines * (MEMORY // TASK_MEMORY))
    for _ in range(keys):
        heapq.heapreplace(slots, slots[0] + seconds)
    cpu = keys * (TASK_CPU + load.rows * ROW_CPU)
    return max(*slots, cpu / (machines * CORES))


def machines_for(keys: int, seconds: float, load: Load, within: float) -> int | None:
    """Return how many machines it takes to be done in time; None if none can."""
    if seconds > within:
        return None
    machines = 1
    while makespan(keys, seconds, load, machines) > within:
        machines += 1
    return machines


def table() -> str:
    """Return the table, in Markdown."""
    head = (
        *("Keys", "Locations each", "Items in all", "Requests a key and night"),
        *("First run, h", "Night, h", "Machines", "Machines, if it may take 8 h"),
    )
    lines = [head, ["---:"] * len(head)]
    for keys, locations in SIZES:
        first, night = whole(locations), nightly(locations)
        long, short = replay([first.requests]), replay([night.requests])
        at_once = machines_for(keys, short.seconds, night, short.seconds * 1.001)
        slowly = machines_for(keys, short.seconds, night, NIGHT)
        lines.append(
            [
                *(f"{n:,}" for n in (keys, locations, keys * locations * ITEMS)),
                f"{night.requests:,}",
                *(f"{found.seconds / 3600:.1f}" for found in (long, short)),
                *("-" if n is None else f"{n:,}" for n in (at_once, slowly)),
            ]
        )
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> int:
    """Print the table, and what cutting one key's night into shards does."""
    sys.stdout.write(table())
    requests = nightly(100).requests
    for shards in (1, 2, 5, 10):
        found = replay([requests // shards] * shards)
        sys.stdout.write(
            f"{requests} requests of one key in {shards} shards: "
            f"{found.seconds / 60:.1f} min, {found.refused} x 429\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
