"""The rate limiter against a server that limits rates, over HTTP and on scaled windows.

How much of a limit is used is measured by `benchmarks/rate_limits.py`; here it counts
that nothing is lost and nothing is refused needlessly.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pytest
import requests

from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.sandbox import Sandbox

LIMIT = 20
PATIENCE = 60.0


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        pages: The numbers of the pages that arrived, sorted.
        refused: How many requests were answered with 429.
        latency: The longest time in seconds from letting a request go to its answer.
        seconds: How long it took.
        waited: Seconds that the rate limiter waited.
    """

    pages: list[int]
    refused: int
    latency: float
    seconds: float
    waited: float


def fetch_pages(
    count: int, threads: int, ours: dict[str, Any], **server: Any
) -> Outcome:
    """Fetch pages of the inventory, each until it is there."""
    limits = RateLimiter(
        **({"per_minute": 0, "per_hour": 0, "max_wait": PATIENCE} | ours),
        stop=threading.Event(),
    )
    latencies = []
    with (
        Sandbox(**server) as sandbox,
        requests.Session() as session,
        ThreadPoolExecutor(threads) as pool,
    ):
        session.headers["Authorization"] = f"Bearer {sandbox.api_key}"

        def fetch(page: int) -> int:
            for _ in range(200):
                limits.acquire()
                sent = time.monotonic()
                response = session.get(
                    f"{sandbox.url}/inventory",
                    params={"limit": "1", "page": str(page)},
                    timeout=30,
                )
                limits.observe(response.status_code, response.headers)
                latencies.append(time.monotonic() - sent)
                if response.status_code == HTTPStatus.OK:
                    return int(response.json()["pagination"]["page"])
                assert response.status_code == HTTPStatus.TOO_MANY_REQUESTS
            pytest.fail("refused for ever")

        start = time.monotonic()
        futures = [pool.submit(fetch, page) for page in range(1, count + 1)]
        pages = sorted(future.result(PATIENCE) for future in futures)
        seconds = time.monotonic() - start
        statuses = [request.status for request in sandbox.requests]
    refused = statuses.count(HTTPStatus.TOO_MANY_REQUESTS)
    assert limits.used == len(statuses) == count + refused
    return Outcome(pages, refused, max(latencies), seconds, limits.waited)


def fetch_on_a_calm_machine(allowed: float, *args: Any, **server: Any) -> Outcome:
    """Fetch pages, again if the machine held a request up for too long.

    Our own windows can't know when a request reaches the server. They allow for a
    latency of a twentieth of the minute, which a scaled one makes very short.
    """
    for _ in range(5):
        outcome = fetch_pages(*args, **server)
        if outcome.latency < allowed:
            break
    return outcome


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize(("threads", "headers"), [(1, False), (4, True)])
def test_our_own_limits_are_never_the_reason_for_a_429(
    window: str, threads: int, *, headers: bool
) -> None:
    outcome = fetch_on_a_calm_machine(
        0.035,
        50,
        threads,
        {"per_minute": LIMIT, "minute": 0.7},
        per_minute=LIMIT,
        window_s=0.7,
        window=window,
        rate_headers=headers,
    )
    assert outcome.pages == list(range(1, 51))
    assert outcome.refused == 0
    assert outcome.waited > 0


def test_both_windows_at_once() -> None:
    outcome = fetch_on_a_calm_machine(
        0.025,
        40,
        4,
        {"per_minute": 10, "per_hour": 25, "minute": 0.5, "hour": 2.0},
        per_minute=10,
        per_hour=25,
        window_s=0.5,
        hour_s=2.0,
        window="sliding",
    )
    assert outcome.pages == list(range(1, 41))
    assert outcome.refused == 0
    # 10, 10, 5, and 2 s after the first 10, 5 of the last 15 have to wait again.
    assert outcome.seconds >= 2.5


@pytest.mark.parametrize(
    ("form", "window", "threads"),
    [
        ("epoch", "fixed", 1),
        ("epoch", "sliding", 1),
        ("epoch", "fixed", 4),
        ("epoch", "sliding", 4),
        ("seconds", "fixed", 4),
        ("seconds", "sliding", 4),
    ],
)
def test_with_the_headers_there_is_no_429(form: str, window: str, threads: int) -> None:
    outcome = fetch_pages(
        30,
        threads,
        {"minute": 0.3, "hour": 10.0},
        per_minute=LIMIT,
        window_s=0.3,
        window=window,
        headers_describe="minute",
        reset=form,
    )
    assert outcome.pages == list(range(1, 31))
    assert outcome.refused == 0
    assert outcome.waited > 0


@pytest.mark.parametrize(
    ("retry_after", "window", "reset", "refused_count"),
    [
        ("fraction", "fixed", None, False),
        ("fraction", "sliding", None, False),
        ("fraction", "sliding", None, True),
        ("fraction", "fixed", "garbage", False),
        ("none", "fixed", None, False),
        ("none", "sliding", None, False),
        ("seconds", "fixed", None, False),
        ("date", "fixed", None, False),
    ],
)
def test_a_server_that_tells_little_loses_nothing(
    retry_after: str, window: str, reset: str | None, *, refused_count: bool
) -> None:
    outcome = fetch_pages(
        30,
        4,
        {"minute": 0.3, "hour": 10.0},
        per_minute=LIMIT,
        window_s=0.3,
        window=window,
        headers_describe="minute",
        rate_headers=reset is not None,
        reset=reset or "epoch",
        retry_after=retry_after,
        count_refused=refused_count,
    )
    assert outcome.pages == list(range(1, 31))
    # Those in flight when the limit was reached, then one at a time.
    assert 1 <= outcome.refused <= 40
