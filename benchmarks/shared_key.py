"""Measure what several runs at once do to one key's limits, on windows scaled down.

    python -m benchmarks shared_key

Four taps read four locations, 600 requests in all, at 100 in a minute of 4 s and 400 in
an hour of 24 s, both sliding. In each of the rounds they share the key's two limits
between them; in a last one each takes the whole of them for its own. `429` counts the
requests that were refused. With split limits, none may be, and no row may be missing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import KEY, environment
from benchmarks.scenarios import Bench

TAPS = 4
ROUNDS = 3
PER_MINUTE, MINUTE = 100, 4.0
PER_HOUR, HOUR = 400, 24.0
# No last page is full, so that no request is needed to see that it is the last.
ITEMS = (600 - TAPS) * 100 + TAPS * 50
SERVER: dict[str, Any] = {
    "items": ITEMS,
    "locations": TAPS,
    "latency_ms": 5,
    "api_key": KEY,
    "per_minute": PER_MINUTE,
    "window_s": MINUTE,
    "retry_after": "fraction",
    "per_hour": PER_HOUR,
    "hour_s": HOUR,
    "window": "sliding",
}
# The installed command, but for the length of its minute and its hour.
COMMAND = f"""
from functools import partial
from tap_betterdata.api import connection
from tap_betterdata.tap import TapBetterData
scaled = partial(connection.RateLimiter, minute={MINUTE}, hour={HOUR})
connection.RateLimiter = scaled
TapBetterData.cli()
"""


def measure(bench: Bench, catalog: Path, share: int) -> bool:
    """Run the taps at once, each with a share; return whether all is well.

    Raises:
        subprocess.CalledProcessError: If one fails.
    """
    # Others measure this process's memory, and the sandbox is large.
    from tap_betterdata.sandbox import Sandbox  # noqa: PLC0415

    def read(location: str) -> bytes:
        words = bench.command(
            sandbox.url,
            location_ids=[location],
            requests_per_minute=PER_MINUTE // share,
            requests_per_hour=PER_HOUR // share,
        )
        return subprocess.run(  # noqa: S603 - the words are ours
            [sys.executable, "-c", COMMAND, *words[1:], "--catalog", catalog],
            env=environment(),
            check=True,
            capture_output=True,
        ).stdout

    with (
        Sandbox(**SERVER) as sandbox,
        ThreadPoolExecutor(TAPS) as pool,
    ):
        started = time.monotonic()
        outputs = list(pool.map(read, sandbox.company.location_ids))
        seconds = time.monotonic() - started
        statuses = Counter(request.status for request in sandbox.requests)
        truth = Counter(item["id"] for item in sandbox.company.items())
    messages = (json.loads(line) for each in outputs for line in each.splitlines())
    is_right = truth == Counter(m["record"]["id"] for m in messages if "record" in m)
    sys.stdout.write(
        f"{seconds:5.1f} s {statuses[429]:4d} x 429 {statuses.total():4d} requests  "
        f"each tap has 1/{share} of the limits  "
        f"{'all rows' if is_right else 'ROWS ARE WRONG'}\n"
    )
    return is_right and not (share == TAPS and statuses[429])


def main() -> int:
    """Print the table; return 1 if split limits let a request be refused."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), runs=1)
        catalog = bench.inventory_only(bench.command("sandbox:"))
        shares = (*[TAPS] * ROUNDS, 1)
        outcomes = [measure(bench, catalog, share) for share in shares]
    return int(not all(outcomes))


if __name__ == "__main__":
    sys.exit(main())
