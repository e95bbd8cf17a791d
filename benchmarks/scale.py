"""How long a night is with many keys: simulated, without a network.

    python -m benchmarks scale

The tap's own `RateLimiter` and the sandbox's limits run on a clock that jumps. A key's
shards follow one another, each with a limiter that knows nothing of the one before it;
keys run side by side, as many as the machines have room for. What a run takes of them
comes from `python -m benchmarks scale_check`, which compares one point with a real run,
too. Both tables stand in docs/scale.md.
"""

from __future__ import annotations

import heapq
import itertools
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

from tap_betterdata.api import rate_limit, rate_limit_headers
from tap_betterdata.output.progress import duration
from tap_betterdata.sandbox.limits import Limiter
from tap_betterdata.sandbox.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PER_MINUTE, PER_HOUR, MAX_WAIT = 100, 1000, 3900
# Eight answers of 0.4 s are under way at once.
SECONDS_A_REQUEST = 0.05
START_SECONDS = 3.0

# A location: its items, products, channels of a product and categories of a period;
# of the items, how many change in a day.
ITEMS, PRODUCTS, CHANNELS, CATEGORIES, CHANGED = 1000, 500, 3, 5, 50
PERIODS_AT_FIRST, PERIODS_A_NIGHT = 13, 2
SHARD = 125  # locations

# A machine, and what of it a task takes with tap and target, and then each row. Memory
# is in MB, processor time in seconds.
CORES, MEMORY = 4, 16_000
TASK_MEMORY = 400
TASK_CPU, ROW_CPU = 4.0, 0.00025

NIGHT = 8 * 3600
SIZES = (
    *((1, 50), (1, 500), (10, 50), (10, 500)),
    *((100, 50), (100, 500), (1000, 50), (1000, 500)),
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


def shards_of(load: Load, locations: int) -> list[int]:
    """Cut a key's requests into shards of equal size."""
    shards = -(-locations // SHARD)
    return [load.requests // shards] * shards


def makespan(keys: int, seconds: float, cpu: float, machines: int) -> float:
    """Return the seconds until all keys are done, on so many machines.

    Each key takes `seconds` in all, and `cpu` seconds of a processor.
    """
    slots = [0.0] * min(keys, machines * (MEMORY // TASK_MEMORY))
    for _ in range(keys):
        heapq.heapreplace(slots, slots[0] + seconds)
    return max(*slots, 0.0, keys * cpu / (machines * CORES))


def nights() -> Iterator[tuple[str, ...]]:
    """Return the rows of the table: what many keys take, and how many machines."""
    for keys, locations in SIZES:
        first, night = whole(locations), nightly(locations)
        shards = shards_of(night, locations)
        cpu = len(shards) * TASK_CPU + night.rows * ROW_CPU
        seconds = replay(shards).seconds
        machines = next(
            n for n in itertools.count(1) if makespan(keys, seconds, cpu, n) <= NIGHT
        )
        yield (
            *(f"{n:,}" for n in (keys, locations, keys * locations * ITEMS)),
            duration(replay(shards_of(first, locations)).seconds),
            duration(seconds),
            duration(makespan(keys, seconds, cpu, 1)),
            f"{machines:,}",
            f"{keys * night.rows / NIGHT:,.0f}",
        )


def cuts() -> Iterator[tuple[str, ...]]:
    """Return the rows of the table: one key's night, cut into shards."""
    requests = nightly(100).requests
    for shards in (1, 2, 5, 10):
        found = replay([requests // shards] * shards)
        yield f"{shards}", f"{found.seconds / 60:.1f} min", f"{found.refused}"


TABLES = (
    (
        (
            *("Keys", "Locations each", "Items in all", "First run of a key"),
            *("A key's night", "All keys' night, one machine"),
            *("Machines for 8 h", "Rows a second, over 8 h"),
        ),
        nights,
    ),
    (("Shards", "100 locations' night", "Refusals"), cuts),
)


def tables() -> list[str]:
    """Return the tables, in Markdown."""
    return [
        "".join(
            f"| {' | '.join(cells)} |\n"
            for cells in (head, ["---:"] * len(head), *rows())
        )
        for head, rows in TABLES
    ]


def main() -> int:
    """Print the tables."""
    sys.stdout.write("\n".join(tables()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
