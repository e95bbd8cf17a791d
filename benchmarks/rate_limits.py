# ruff: noqa: T201 - a script that prints
"""Measure how much of a rate limit the tap's rate limiter uses, and print a table.

250 requests at 100 a (scaled) minute need two minutes at least: 100 go at once, 100
after one minute, 50 after two. Each row is one kind of server; `ratio` is the time
taken over that least time, `429` the requests refused.

    python benchmarks/rate_limits.py [seconds of the scaled minute, default 3]
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import product
from typing import Any

import requests

from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.sandbox import Sandbox

REQUESTS = 250
LIMIT = 100
RESETS = ("epoch", "epoch_ms", "seconds", "iso", "http_date")
OUR_LIMITS = {"own": LIMIT, "none": 0}


def cases() -> list[dict[str, Any]]:
    """List the kinds of server, and whether our own windows are set."""
    own: list[dict[str, Any]] = [
        {"own": "own", "rate_headers": False, "window": window}
        for window in ("fixed", "sliding")
    ]
    headers: list[dict[str, Any]] = [
        {
            "own": "none",
            "headers_describe": "minute",
            "reset": reset,
            "window": window,
        }
        for window, reset in product(("fixed", "sliding"), RESETS)
    ]
    neither: list[dict[str, Any]] = [
        {
            "own": "none",
            "rate_headers": False,
            "retry_after": retry_after,
            "window": window,
        }
        for window, retry_after in product(
            ("fixed", "sliding"), ("seconds", "fraction", "none")
        )
    ]
    return own + headers + neither


def measure(
    case: dict[str, Any], threads: int, minute: float
) -> tuple[float, int, float]:
    """Send the requests.

    Returns:
        Seconds taken, requests refused, and seconds that the rate limiter waited.
    """
    options = dict(case)
    rate_limiter = RateLimiter(
        per_minute=OUR_LIMITS[str(options.pop("own"))],
        per_hour=0,
        max_wait=600,
        stop=threading.Event(),
        minute=minute,
        hour=minute * 60,
    )
    with (
        Sandbox(per_minute=LIMIT, window_s=minute, latency_ms=5, **options) as sandbox,
        requests.Session() as session,
        ThreadPoolExecutor(threads) as pool,
    ):
        session.headers["Authorization"] = f"Bearer {sandbox.api_key}"

        def fetch(_: int) -> None:
            status: int = HTTPStatus.TOO_MANY_REQUESTS
            while status == HTTPStatus.TOO_MANY_REQUESTS:
                rate_limiter.acquire()
                response = session.get(f"{sandbox.url}/inventory?limit=1", timeout=30)
                status = response.status_code
                rate_limiter.observe(status, response.headers)
            response.raise_for_status()

        start = time.monotonic()
        list(pool.map(fetch, range(REQUESTS)))
        taken = time.monotonic() - start
        refused = sum(
            request.status == HTTPStatus.TOO_MANY_REQUESTS
            for request in sandbox.requests
        )
    return taken, refused, rate_limiter.waited


def main() -> None:
    """Print the table."""
    minute = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    least = minute * ((REQUESTS - 1) // LIMIT)
    print(f"{REQUESTS} requests, {LIMIT} in {minute:g} s: {least:g} s at least")
    for case, threads in product(cases(), (1, 4)):
        taken, refused, waited = measure(case, threads, minute)
        name = " ".join(f"{key}={value}" for key, value in case.items())
        print(
            f"{taken / least:5.3f} ratio {refused:4d} x 429 {waited:6.2f} s waited  "
            f"{threads} threads  {name}",
            flush=True,
        )


if __name__ == "__main__":
    main()
