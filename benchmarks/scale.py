"""How long a night is with many keys: simulated, without a network.

    python -m benchmarks scale

The tap's own `RateLimiter` and the sandbox's limits run on a clock that jumps. A key's
shards follow one another, each with a limiter that knows nothing of the one before it;
keys run side by side, as many as the machines have room for. What a run takes of them
comes from `python -m benchmarks scale_check`, which compares one point with a real run,
too. Both tables stand in docs/scale.md.
"""

from __future__ import annotations

import itertools
import math
import sys
import threading
from dataclasses import dataclass
from functools import partial
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
SHARD = 125  # locations

# A machine, and what of it a task takes with tap and target, and then each row. Memory
# is in MB, processor time in seconds.
CORES, MEMORY = 4, 16_000
TASK_MEMORY = 400
TASK_CPU, ROW_CPU = 4.0, 0.00025

NIGHT = 8 * 3600


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
        """Return the time of day; nobody sets this clock, so it is monotonic."""
        return self.now

    monotonic = time

    def sleep(self, seconds: float) -> None:
        """Jump ahead."""
        self.now += seconds


def load(locations: int, *, items: int, periods: int) -> Load:
    """Return what a shard costs, as docs/budget.md says; ATP is read whole."""
    pages = items // 100 + 1 + PRODUCTS // 200 + 1
    rows = items + PRODUCTS * (1 + CHANNELS) + periods * (1 + CATEGORIES)
    return Load(locations * (pages + periods), locations * rows)


# A first run, and one that reads what changed.
whole = partial(load, items=ITEMS, periods=13)
nightly = partial(load, items=CHANGED, periods=2)


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
    shards = math.ceil(locations / SHARD)
    return [load.requests // shards] * shards


def makespan(keys: int, seconds: float, cpu: float, machines: int) -> float:
    """Return the seconds until all keys are done, on so many machines.

    Each key takes `seconds` in all, and `cpu` seconds of a processor.
    """
    turns = math.ceil(keys / (machines * (MEMORY // TASK_MEMORY)))
    return max(turns * seconds, keys * cpu / (machines * CORES))


def nights() -> Iterator[tuple[str, ...]]:
    """Return what many keys take, and how many machines."""
    yield (
        *("Keys", "Locations each", "Items in all", "First run of a key"),
        *("A key's night", "All keys' night, one machine"),
        *("Machines for 8 h", "Rows a second, over 8 h"),
    )
    for keys, locations in itertools.product((1, 10, 100, 1000), (50, 500)):
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
    """Return what one key's night takes, cut into shards."""
    yield "Shards", "100 locations' night", "Refusals"
    requests = nightly(100).requests
    for shards in (1, 2, 5, 10):
        found = replay([requests // shards] * shards)
        yield f"{shards}", f"{found.seconds / 60:.1f} min", f"{found.refused}"


def tables() -> list[str]:
    """Return both tables, in Markdown."""
    texts = []
    for head, *rows in (nights(), cuts()):
        cells = (head, ["---:"] * len(head), *rows)
        texts.append("".join(f"| {' | '.join(row)} |\n" for row in cells))
    return texts


def main() -> int:
    """Print the tables."""
    sys.stdout.write("\n".join(tables()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
