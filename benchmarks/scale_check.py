"""Compare one point of the simulation with a real run, and measure what a run takes.

    python -m benchmarks scale_check

Eight locations are read in two shards, one after the other, by the tap into
target-postgres and a real PostgreSQL, at 100 requests a minute: a good two minutes. The
processor time of a row, and of a run without rows, come from two runs without limits.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

import dev
from benchmarks import scale
from benchmarks.measure import KEY, environment
from benchmarks.scenarios import NO_LIMITS, TAP
from tap_betterdata.sandbox import Sandbox
from tests.e2e import postgres
from tests.e2e.targets import SCHEMA, postgres_config
from tests.e2e.truth import KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.e2e.postgres import Database

LOCATIONS = 8
FEW = 1
MORE = 2
TOLERANCE = 0.1
MEGABYTE = 1 << 10  # what the kernel counts peaks in is kilobytes


class Cost(NamedTuple):
    """What tap and target took together, and the state that they ended with."""

    cpu: float
    peak: float
    state: bytes


@dataclass(frozen=True)
class Pipeline:
    """The tap and target-postgres, from a sandbox into a database."""

    folder: Path
    sandbox: Sandbox
    database: Database
    costs: list[Cost] = field(default_factory=list)

    def run(
        self,
        locations: Sequence[str],
        limits: Mapping[str, int],
        state: bytes = b"{}",
    ) -> Cost:
        """Run both for a shard.

        Raises:
            subprocess.CalledProcessError: If one of the two fails.
        """
        env = self._environment(locations, limits)
        (self.folder / "state.json").write_bytes(state)
        tap_words: list[str | Path] = [TAP, "--config=ENV", "--state=state.json"]
        target_words: list[str | Path] = [dev.loader("target-postgres"), "--config=ENV"]
        states = self.folder / "states"
        with states.open("wb") as output:
            tap = subprocess.Popen(  # noqa: S603 - the words are ours
                tap_words,
                cwd=self.folder,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            target = subprocess.Popen(  # noqa: S603 - the words are ours
                target_words,
                cwd=self.folder,
                env=env,
                stdin=tap.stdout,
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
            if tap.stdout is not None:
                tap.stdout.close()
            cpu = peak = 0.0
            for process in (tap, target):
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                if process.returncode:
                    raise subprocess.CalledProcessError(
                        process.returncode, process.args
                    )
                cpu += usage.ru_utime + usage.ru_stime
                peak += usage.ru_maxrss / MEGABYTE
        cost = Cost(cpu, peak, states.read_bytes().splitlines()[-1])
        self.costs.append(cost)
        return cost

    def rows(self) -> int:
        """Count the rows of all tables."""
        counts = [
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(SCHEMA, stream))
            for stream in KEYS
        ]
        with self.database.connect() as connection:
            found = [connection.execute(count).fetchone() for count in counts]
        return sum(row[0] for row in found if row)

    def requests(self) -> int:
        """Tell how many requests there were since the last call."""
        made = len(self.sandbox.requests)
        self.sandbox.requests.clear()
        return made

    def _environment(
        self, locations: Sequence[str], limits: Mapping[str, int]
    ) -> dict[str, str]:
        tap = {
            "api_url": self.sandbox.url,
            "api_key": KEY,
            "location_ids": json.dumps(locations),
            **limits,
        }
        target = postgres_config(self.database)
        sides = (("TAP_BETTERDATA", tap), ("TARGET_POSTGRES", target))
        return environment() | {
            f"{prefix}_{name.upper()}": str(value)
            for prefix, settings in sides
            for name, value in settings.items()
        }


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure(pipeline: Pipeline) -> bool:
    """Say what runs take; return whether their requests were foreseen."""
    company = pipeline.sandbox.company
    places = company.location_ids
    few = pipeline.run(places[:FEW], NO_LIMITS)
    pipeline.requests()
    many = pipeline.run(places[FEW:], NO_LIMITS)
    first = pipeline.requests()
    rows = pipeline.rows()
    for place in places[FEW:]:
        for item in list(islice(company.items(place), scale.CHANGED)):
            company.update(item["id"], quantityOnHand=4711)
    pipeline.run(places[FEW:], NO_LIMITS, many.state)
    night = pipeline.requests()
    others = LOCATIONS - FEW
    foreseen = [load(others).requests for load in (scale.whole, scale.nightly)]
    row = (many.cpu - few.cpu) / scale.whole(others - FEW).rows
    say(f"first run and night: {first} and {night} requests; by the simulation")
    say(f"  {foreseen[0]} and {foreseen[1]}")
    say(f"processor time of a row: {row * 1000:.2f} ms")
    say(f"of a run without rows: {few.cpu - scale.whole(FEW).rows * row:.1f} s")
    say(f"memory of tap and target: {many.peak:.0f} MB")
    say(f"state of a location: {len(many.state) / others:.0f} bytes")
    say(f"rows: {rows}, by the simulation {scale.whole(LOCATIONS).rows}")
    # A run that reads what changed may take a request or two more.
    return first == foreseen[0] and 0 <= night - foreseen[1] <= MORE


def compare(pipeline: Pipeline) -> bool:
    """Say how long two shards take; return whether that was foreseen."""
    shards = [scale.whole(LOCATIONS // 2).requests] * 2
    foreseen = scale.replay(shards)
    started = time.monotonic()
    places = pipeline.sandbox.company.location_ids
    for shard in (places[: LOCATIONS // 2], places[LOCATIONS // 2 :]):
        pipeline.run(shard, {})
    seconds = time.monotonic() - started
    statuses = [request.status for request in pipeline.sandbox.requests]
    say(
        f"{len(shards)} shards of {shards[0]} requests: {seconds:.0f} s, "
        f"{statuses.count(429)} x 429; by the simulation {foreseen.seconds:.0f} s, "
        f"{foreseen.refused} x 429"
    )
    return abs(seconds / foreseen.seconds - 1) <= TOLERANCE


def serving(**limits: Any) -> Sandbox:
    """Set up a sandbox with the simulation's kind of locations."""
    return Sandbox(
        api_key=KEY,
        items=LOCATIONS * scale.ITEMS,
        locations=LOCATIONS,
        products_per_location=scale.PRODUCTS,
        latency_ms=5,
        **limits,
    )


def main() -> int:
    """Print the figures; return 1 if the simulation foresees something else."""
    limits: dict[str, Any] = {
        "per_minute": scale.PER_MINUTE,
        "per_hour": scale.PER_HOUR,
    }
    with tempfile.TemporaryDirectory() as name:
        with postgres.serve() as database, serving() as sandbox:
            costs = Pipeline(Path(name), sandbox, database)
            is_right = measure(costs)
        # All that has ended: the server too, but for what tap and target took.
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = usage.ru_utime + usage.ru_stime - sum(cost.cpu for cost in costs.costs)
        rows = scale.whole(LOCATIONS).rows + scale.nightly(LOCATIONS - FEW).rows
        say(f"processor time of a row in PostgreSQL: {cpu / rows * 1000:.2f} ms")
        with (
            postgres.serve() as database,
            serving(**limits, window="sliding") as sandbox,
        ):
            is_right &= compare(Pipeline(Path(name), sandbox, database))
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
