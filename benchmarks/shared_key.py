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
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.measure import KEY, environment
from benchmarks.scenarios import Bench

if TYPE_CHECKING:
    from tap_betterdata.sandbox import Sandbox

TAPS = 4
ROUNDS = 3
PER_MINUTE, MINUTE = 100, 4.0
PER_HOUR, HOUR = 400, 24.0
# No last page is full, so that no request is needed to see that it is the last.
ITEMS = (600 - TAPS) * 100 + TAPS * 50
# The installed command, but for the length of its minute and its hour.
COMMAND = f"""
from functools import partial
from tap_betterdata.api import rate_limit
from tap_betterdata.tap import TapBetterData
scaled = partial(rate_limit.RateLimiter, minute={MINUTE}, hour={HOUR})
rate_limit.RateLimiter = scaled
TapBetterData.cli()
"""


class Round(NamedTuple):
    """What came of a round."""

    seconds: float
    sent: int
    refused: int
    is_right: bool


def run(bench: Bench, catalog: Path, share: int) -> Round:
    """Run the taps at once, each with a share of the limits.

    Raises:
        subprocess.CalledProcessError: If one fails.
    """
    # Others measure this process's memory, and the sandbox is large.
    from tap_betterdata.sandbox import Sandbox  # noqa: PLC0415

    with ExitStack() as stack:
        sandbox = stack.enter_context(
            Sandbox(
                items=ITEMS,
                locations=TAPS,
                api_key=KEY,
                latency_ms=5,
                per_minute=PER_MINUTE,
                window_s=MINUTE,
                per_hour=PER_HOUR,
                hour_s=HOUR,
                window="sliding",
                retry_after="fraction",
            )
        )
        limits = {
            "requests_per_minute": PER_MINUTE // share,
            "requests_per_hour": PER_HOUR // share,
        }
        started = time.monotonic()
        taps = []
        for location in sandbox.company.location_ids:
            words = bench.command(sandbox.url, location_ids=[location], **limits)[1:]
            output = stack.enter_context((bench.folder / location).open("wb"))
            taps.append(
                subprocess.Popen(  # noqa: S603 - the words are ours
                    [sys.executable, "-c", COMMAND, *words, "--catalog", catalog],
                    env=environment(),
                    stdout=output,
                    stderr=subprocess.DEVNULL,
                )
            )
        for tap in taps:
            if tap.wait():
                raise subprocess.CalledProcessError(tap.returncode, tap.args)
        seconds = time.monotonic() - started
        statuses = Counter(request.status for request in sandbox.requests)
        is_right = is_all(sandbox, bench.folder)
    return Round(seconds, statuses.total(), statuses[429], is_right)


def is_all(sandbox: Sandbox, folder: Path) -> bool:
    """Tell whether the taps have written each item once."""
    written: Counter[str] = Counter()
    for location in sandbox.company.location_ids:
        with (folder / location).open("rb") as lines:
            messages = map(json.loads, lines)
            written.update(m["record"]["id"] for m in messages if "record" in m)
    return written == Counter(item["id"] for item in sandbox.company.items())


def main() -> int:
    """Print the table; return 1 if split limits let a request be refused."""
    is_wrong = False
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), runs=1)
        catalog = bench.inventory_only(bench.command("sandbox:"))
        for share in (*[TAPS] * ROUNDS, 1):
            found = run(bench, catalog, share)
            is_wrong |= not found.is_right or (share == TAPS and found.refused > 0)
            sys.stdout.write(
                f"{found.seconds:5.1f} s {found.refused:4d} x 429 {found.sent:4d} "
                f"requests  each tap has 1/{share} of the limits  "
                f"{'all rows' if found.is_right else 'ROWS ARE WRONG'}\n"
            )
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
