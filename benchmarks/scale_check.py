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
    from tests.e2e.postgres import Database

LOCATIONS = 8
SHARDS = 2
MORE = 2
TOLERANCE = 0.1
MEGABYTE = 1 << 10  # what the kernel counts peaks in is kilobytes
SERVER: dict[str, Any] = {
    "items": LOCATIONS * scale.ITEMS,
    "locations": LOCATIONS,
    "products_per_location": scale.PRODUCTS,
    "latency_ms": 5,
}
LIMITS = {"per_minute": scale.PER_MINUTE, "per_hour": scale.PER_HOUR}


class Cost(NamedTuple):
    """What tap and target took together, and the state that they ended with."""

    cpu: float
    peak: float
    state: bytes


def run(
    sandbox: Sandbox, database: Database, locations: list[str], state: bytes = b"{}"
) -> Cost:
    """Run tap and target for a shard.

    Raises:
        subprocess.CalledProcessError: If one of the two fails.
    """
    settings: dict[str, object] = {
        **({} if sandbox.options.per_minute else NO_LIMITS),
        "api_url": sandbox.url,
        "api_key": KEY,
        "location_ids": locations,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = {"tap": settings, "target": postgres_config(database)}
        for side, config in contents.items():
            (folder / side).write_text(json.dumps(config), encoding="utf-8")
        (folder / "state").write_bytes(state)
        how: dict[str, Any] = {"cwd": folder, "env": environment()}
        how["stderr"] = subprocess.DEVNULL
        with (folder / "states").open("wb") as states:
            tap = subprocess.Popen(  # noqa: S603 - the words are ours
                (TAP, "--config=tap", "--state=state"), stdout=subprocess.PIPE, **how
            )
            target = subprocess.Popen(  # noqa: S603 - the words are ours
                (dev.loader("target-postgres"), "--config=target"),
                stdin=tap.stdout,
                stdout=states,
                **how,
            )
            if tap.stdout:
                tap.stdout.close()
        cpu = peak = 0.0
        for process in (tap, target):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, process.args)
            cpu += usage.ru_utime + usage.ru_stime
            peak += usage.ru_maxrss / MEGABYTE
        return Cost(cpu, peak, (folder / "states").read_bytes().splitlines()[-1])


def count_rows(database: Database) -> int:
    """Count the rows of all tables."""
    counts = (
        sql.SQL("(SELECT count(*) FROM {})").format(sql.Identifier(SCHEMA, stream))
        for stream in KEYS
    )
    query = sql.SQL("SELECT {}").format(sql.SQL(" + ").join(counts))
    with database.connect() as connection:
        ((rows,),) = connection.execute(query).fetchall()
    return int(rows)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure(sandbox: Sandbox, database: Database) -> tuple[bool, float]:
    """Say what runs take.

    Returns:
        Whether their requests were foreseen, and their processor time.
    """
    company, requests = sandbox.company, sandbox.requests
    few_places, places = company.location_ids[:1], company.location_ids[1:]
    few = run(sandbox, database, few_places)
    before = len(requests)
    many = run(sandbox, database, places)
    first = len(requests) - before
    rows = count_rows(database)
    for place in places:
        for item in [*company.items(place)][: scale.CHANGED]:
            company.update(item["id"], quantityOnHand=4711)
    changed = run(sandbox, database, places, many.state)
    night = len(requests) - before - first
    foreseen = [load(len(places)).requests for load in (scale.whole, scale.nightly)]
    row = (many.cpu - few.cpu) / scale.whole(len(places) - 1).rows
    say(f"first run and night: {first} and {night} requests; by the simulation")
    say(f"  {foreseen[0]} and {foreseen[1]}")
    say(f"processor time of a row: {row * 1000:.2f} ms")
    say(f"of a run without rows: {few.cpu - scale.whole(1).rows * row:.1f} s")
    say(f"memory of tap and target: {many.peak:.0f} MB")
    say(f"state of a location: {len(many.state) / len(places):.0f} bytes")
    say(f"rows: {rows}, by the simulation {scale.whole(LOCATIONS).rows}")
    # A run that reads what changed may take a request or two more.
    is_right = first == foreseen[0] and 0 <= night - foreseen[1] <= MORE
    return is_right, few.cpu + many.cpu + changed.cpu


def compare(sandbox: Sandbox, database: Database) -> bool:
    """Say how long the shards take; return whether that was foreseen."""
    places, size = sandbox.company.location_ids, LOCATIONS // SHARDS
    foreseen = scale.replay([scale.whole(size).requests] * SHARDS)
    started = time.monotonic()
    for first in range(0, LOCATIONS, size):
        run(sandbox, database, places[first : first + size])
    seconds = time.monotonic() - started
    refused = sum(request.status == 429 for request in sandbox.requests)  # noqa: PLR2004
    say(
        f"{SHARDS} shards of {scale.whole(size).requests} requests: {seconds:.0f} s, "
        f"{refused} x 429; by the simulation {foreseen.seconds:.0f} s, "
        f"{foreseen.refused} x 429"
    )
    return abs(seconds / foreseen.seconds - 1) <= TOLERANCE


def main() -> int:
    """Print the figures; return 1 if the simulation foresees something else."""
    with postgres.serve() as database, Sandbox(api_key=KEY, **SERVER) as sandbox:
        is_right, cpu = measure(sandbox, database)
    # All that has ended: the server too, but for what tap and target took.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime - cpu
    rows = scale.whole(LOCATIONS).rows + scale.nightly(LOCATIONS - 1).rows
    say(f"processor time of a row in PostgreSQL: {cpu / rows * 1000:.2f} ms")
    with (
        postgres.serve() as database,
        Sandbox(api_key=KEY, window="sliding", **SERVER, **LIMITS) as sandbox,
    ):
        is_right &= compare(sandbox, database)
    return int(not is_right)


if __name__ == "__main__":
    sys.exit(main())
