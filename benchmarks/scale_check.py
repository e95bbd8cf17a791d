"""Compare one point of the simulation with a real run, and measure what a run takes.

    python -m benchmarks scale_check

Eight locations are read in two shards, one after the other, by the tap into
target-postgres and a real PostgreSQL, at 100 requests a minute: a good two minutes. The
processor time of a row, and of a run without rows, come from two runs without limits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import dev
from benchmarks import scale
from benchmarks.measure import KEY, environment
from benchmarks.scenarios import NO_LIMITS, TAP
from tests.e2e import postgres
from tests.e2e.targets import postgres_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.e2e.postgres import Database

LOCATIONS = 8
FEW = 1
TOLERANCE = 0.1
MEGABYTE = 1 << 10  # what the kernel counts peaks in is kilobytes


class Cost(NamedTuple):
    """What tap and target took together."""

    cpu: float
    peak: float
    state: bytes


def run(
    locations: Sequence[str], url: str, folder: Path, database: Database, **limits: int
) -> Cost:
    """Run tap and target for a shard.

    Raises:
        subprocess.CalledProcessError: If one of the two fails.
    """
    env = environment() | {
        "TAP_BETTERDATA_API_URL": url,
        "TAP_BETTERDATA_API_KEY": KEY,
        "TAP_BETTERDATA_LOCATION_IDS": json.dumps(locations),
        **{
            f"TAP_BETTERDATA_{name.upper()}": str(value)
            for name, value in limits.items()
        },
        **{
            f"TARGET_POSTGRES_{name.upper()}": str(value)
            for name, value in postgres_config(database).items()
        },
    }
    commands: list[list[str | Path]] = [
        [path, "--config=ENV"] for path in (TAP, dev.loader("target-postgres"))
    ]
    states, log = folder / "states", folder / "log"
    with states.open("wb") as output, log.open("wb") as errors:
        tap = subprocess.Popen(  # noqa: S603 - the words are ours
            commands[0], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=errors
        )
        target = subprocess.Popen(  # noqa: S603 - the words are ours
            commands[1],
            cwd=folder,
            env=env,
            stdin=tap.stdout,
            stdout=output,
            stderr=errors,
        )
        if tap.stdout is not None:
            tap.stdout.close()
        cpu = peak = 0.0
        for process in (tap, target):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, log.read_text())
            cpu += usage.ru_utime + usage.ru_stime
            peak += usage.ru_maxrss / MEGABYTE
    return Cost(cpu, peak, states.read_bytes().splitlines()[-1])


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def measure_cost(folder: Path, database: Database) -> None:
    """Say what a run costs, and how large its state is."""
    from tap_betterdata.sandbox import Sandbox  # noqa: PLC0415

    with Sandbox(**company(LOCATIONS)) as sandbox:
        places = sandbox.company.location_ids
        few = run(
            places[:FEW], sandbox.url, folder, database.sibling("few"), **NO_LIMITS
        )
        requests = len(sandbox.requests)
        many = run(places, sandbox.url, folder, database.sibling("many"), **NO_LIMITS)
        requests = len(sandbox.requests) - requests
    row = (many.cpu - few.cpu) / (scale.whole(LOCATIONS - FEW).rows)
    say(f"requests: {requests}, by the simulation {scale.whole(LOCATIONS).requests}")
    say(f"processor time of a row: {row * 1000:.2f} ms")
    say(f"of a run without rows: {few.cpu - scale.whole(FEW).rows * row:.1f} s")
    say(f"memory of tap and target: {many.peak:.0f} MB")
    say(f"state of a location: {len(many.state) / LOCATIONS:.0f} bytes")


def compare(folder: Path, database: Database) -> float:
    """Say how long two shards take, and return what part of it was not foreseen."""
    from tap_betterdata.sandbox import Sandbox  # noqa: PLC0415

    shards = [scale.whole(LOCATIONS // 2).requests] * 2
    foreseen = scale.replay(shards)
    limits = {"per_minute": scale.PER_MINUTE, "per_hour": scale.PER_HOUR}
    with Sandbox(**company(LOCATIONS), **limits, window="sliding") as sandbox:
        started = time.monotonic()
        places = sandbox.company.location_ids
        for shard in (places[: LOCATIONS // 2], places[LOCATIONS // 2 :]):
            run(shard, sandbox.url, folder, database)
        seconds = time.monotonic() - started
        statuses = [request.status for request in sandbox.requests]
    say(
        f"{len(shards)} shards of {shards[0]} requests: {seconds:.0f} s, "
        f"{statuses.count(429)} x 429; by the simulation {foreseen.seconds:.0f} s, "
        f"{foreseen.refused} x 429"
    )
    return abs(seconds / foreseen.seconds - 1)


def company(locations: int) -> dict[str, Any]:
    """Return the sandbox's options for the simulation's kind of location."""
    return {
        "api_key": KEY,
        "items": locations * scale.ITEMS,
        "locations": locations,
        "products_per_location": scale.PRODUCTS,
        "latency_ms": 5,
    }


def main() -> int:
    """Print the figures; return 1 if the simulation is more than a tenth off."""
    with tempfile.TemporaryDirectory() as folder, postgres.serve() as database:
        measure_cost(Path(folder), database)
        return int(compare(Path(folder), database) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
