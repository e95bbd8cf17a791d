"""The rate limiter, on scaled windows and in real time.

Waits are only ever bounded from below, and counts from above: a machine that is busy
makes everything later, never earlier. Where the length of a wait matters,
`seconds_for` tells it without waiting.
"""

from __future__ import annotations

import gc
import logging
import math
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotDoneError
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk import metrics

from tap_betterdata.api import rate_limit
from tap_betterdata.api.errors import LimitedError
from tap_betterdata.api.rate_limit import RateLimiter, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 20.0
"""Seconds after which something that must happen is taken for hung."""


class Lines(logging.Handler):
    """Keeps what is logged, whatever others have done to the logging set-up."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def having(self, text: str) -> list[str]:
        return [line for line in self.texts if text in line]


def listen(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(logger, "handlers", [lines])
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    monkeypatch.setattr(logger, "disabled", False)
    monkeypatch.setattr(logger, "_cache", {})
    return lines


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return listen(rate_limit.LOGGER, monkeypatch)


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Lines:
    return listen(metrics.get_metrics_logger(), monkeypatch)


_stops: list[threading.Event] = []


def stop_all() -> None:
    """End whatever a failed test leaves waiting."""
    while _stops:
        _stops.pop().set()


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


class Moment(float):
    """A moment that can be told from other numbers."""


class Clock:
    """Stands in for the module `time`: sleeping takes none."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return Moment(self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @contextmanager
    def in_place(self) -> Iterator[Clock]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rate_limit, "time", self)
            patch.setattr(rate_limit, "_POLL", 1.0)
            yield self


@pytest.fixture
def clock() -> Iterator[Clock]:
    with Clock().in_place() as clock:
        yield clock


def make(**options: Any) -> RateLimiter:
    stop = options.setdefault("stop", threading.Event())
    _stops.append(stop)
    return RateLimiter(**({"per_minute": 0, "per_hour": 0, "max_wait": 3700} | options))


class Threads:
    """Numbered threads that do one thing after the other."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._pools: dict[int, ThreadPoolExecutor] = {}

    def start(
        self, number: int, work: Callable[..., Any], *args: object
    ) -> Future[Any]:
        if number not in self._pools:
            pool = self._stack.enter_context(ThreadPoolExecutor(1))
            self._pools[number] = pool
            # Runs before the pool waits for its thread.
            self._stack.callback(stop_all)
        return self._pools[number].submit(work, *args)

    def run(self, number: int, work: Callable[..., Any], *args: object) -> None:
        self.start(number, work, *args).result(PATIENCE)


@pytest.fixture
def threads() -> Iterator[Threads]:
    with ExitStack() as stack:
        yield Threads(stack)


def spend_together(limiter: RateLimiter, threads: Threads, count: int) -> None:
    """Send so many requests at once, and wait until all are answered."""

    def work() -> None:
        limiter.acquire()
        limiter.observe(200, {})

    for future in [threads.start(number, work) for number in range(count)]:
        future.result(PATIENCE)


def is_held(future: Future[None], seconds: float = 0.12) -> bool:
    try:
        future.result(seconds)
    except NotDoneError:
        return True
    return False


def epoch(seconds: float) -> str:
    return f"{time.time() + seconds:.3f}"


def room(remaining: int, seconds: float = 100.0) -> dict[str, str]:
    return {
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": epoch(seconds),
    }


# --- our own windows ------------------------------------------------------------


def shortest(moments: list[float], limit: int) -> float:
    """The least time that any `limit + 1` consecutive moments take."""
    moments = sorted(moments)
    return min(
        late - early for early, late in zip(moments, moments[limit:], strict=False)
    )


@pytest.mark.parametrize("count", [1, 4])
def test_no_window_ever_has_more_than_its_limit(count: int) -> None:
    limiter = make(per_minute=20, per_hour=50, minute=0.2, hour=0.6)
    moments: list[float] = []

    def work() -> None:
        for _ in range(80 // count):
            limiter.acquire()
            moments.append(time.monotonic())
            limiter.observe(200, {})

    with ThreadPoolExecutor(count) as pool:
        for future in [pool.submit(work) for _ in range(count)]:
            future.result(PATIENCE)

    assert len(moments) == limiter.used == 80
    # Well below, for a thread that is held up between being let go and looking at
    # the clock; one request too many would make these nearly zero.
    assert shortest(moments, 20) >= 0.12
    assert shortest(moments, 50) >= 0.36
    assert 0 < limiter.waited <= max(moments) - min(moments) + 1


def test_the_windows_slide() -> None:
    limiter = make(per_minute=4, minute=0.45, hour=10.0)
    moments: list[float] = []
    for pause in (0, 0.3, 0, 0, 0, 0, 0):
        time.sleep(pause)
        limiter.acquire()
        moments.append(time.monotonic())
    # A fixed window would let the fifth to seventh go together, 0.45 s after the first.
    assert moments[5] - moments[1] >= 0.3
    assert shortest(moments, 4) >= 0.3


def test_the_documented_limits_are_used_to_the_full() -> None:
    limiter = make(per_minute=100, per_hour=1000)
    assert limiter.seconds_for(0) == 0
    assert limiter.seconds_for(100) == 0
    assert 60 < limiter.seconds_for(101) < 60.1
    assert 540 < limiter.seconds_for(1000) < 540.6
    assert 3600 < limiter.seconds_for(1001) < 3602.1
    assert 7200 + 540 < limiter.seconds_for(3000) < 7745
    assert limiter.used == 0


@given(
    per_minute=st.integers(0, 12),
    per_hour=st.integers(0, 40),
    hour=st.floats(61, 400),
    pauses=st.lists(st.floats(0, 100), max_size=20),
    told=st.integers(0, 90),
    requests=st.integers(1, 90),
)
@settings(deadline=None)
def test_the_plan_is_kept(  # noqa: PLR0913 - what is drawn
    *,
    per_minute: int,
    per_hour: int,
    hour: float,
    pauses: list[float],
    told: int,
    requests: int,
) -> None:
    limiter = make(per_minute=per_minute, per_hour=per_hour, hour=hour)
    with Clock().in_place() as clock:
        for pause in pauses:
            clock.sleep(pause)
            limiter.acquire()
        limiter.observe(429 if told else 200, {"Retry-After": str(told)})
        plan, start = limiter.seconds_for(requests), clock.now
        for _ in range(requests):
            limiter.acquire()
            limiter.observe(200, {})
        taken = clock.now - start
    # Never too long, and by less than a minute too short: that much a whole hour may
    # leave of its last minute.
    assert taken - 60.1 < plan <= taken + 0.001


def test_a_plan_for_any_number_of_requests_is_made_at_once() -> None:
    limiter = make(per_minute=100, per_hour=1000)
    limiter.acquire()
    assert limiter.seconds_for(10**18) == pytest.approx(3601.8 * 10**15, rel=1e-6)
    assert make(per_minute=10**30).seconds_for(10**18) == 0


def test_how_much_room_is_left(clock: Clock) -> None:
    limiter = make(per_minute=3, per_hour=5)
    rooms = [limiter.room()]
    for _ in range(4):
        limiter.acquire()
        rooms.append(limiter.room())
    assert rooms == [(3, 5), (2, 4), (1, 3), (0, 2), (2, 1)]
    clock.sleep(59)
    assert limiter.room() == (2, 1)
    clock.sleep(2)
    assert limiter.room() == (3, 1)
    clock.sleep(3600)
    assert limiter.room() == (3, 5)
    assert make(per_minute=3).room() == (3, None)
    assert make().room() == (None, None)


def test_what_is_used_already_counts() -> None:
    limiter = make(per_minute=10, per_hour=0)
    for _ in range(7):
        limiter.acquire()
    assert limiter.used == 7
    assert limiter.seconds_for(3) == 0
    assert 50 < limiter.seconds_for(4) <= 60.1
    assert 50 < limiter.seconds_for(13) <= 60.1
    assert 110 < limiter.seconds_for(14) <= 120.1


def test_the_plan_begins_when_the_server_lets_us() -> None:
    limiter = make(per_minute=10)
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "500"})
    assert limiter.seconds_for(0) == 0
    assert 490 < limiter.seconds_for(10) <= 500.1
    assert 610 < limiter.seconds_for(25) <= 620.2


def test_the_plan_does_not_wait_for_what_a_response_may_lift(threads: Threads) -> None:
    limiter = make()
    threads.run(1, limiter.acquire)
    limiter.observe(200, room(1))
    assert limiter.seconds_for(1) == 0


@pytest.mark.parametrize(
    ("per_minute", "per_hour", "at_once", "more", "least"),
    [
        (0, 10, 10, 11, 3600),
        (10, 0, 10, 11, 60),
        (100, 100, 100, 101, 3600),  # the hour makes the minute needless
        (100, 40, 40, 41, 3600),
        (10, 600, 10, 11, 60),  # the minute makes the hour needless
        (10, 9999, 10, 601, 3600),
        (1, 1, 1, 2, 3600),
        (100, 101, 100, 102, 3600),
    ],
)
def test_any_pair_of_limits_works(
    per_minute: int, per_hour: int, at_once: int, more: int, least: int
) -> None:
    limiter = make(per_minute=per_minute, per_hour=per_hour)
    assert limiter.seconds_for(at_once) == 0
    assert limiter.seconds_for(at_once + 1) >= 60
    assert least <= limiter.seconds_for(more) <= least * 1.001


@given(
    per_minute=st.integers(0, 300),
    per_hour=st.integers(0, 3000),
    hour=st.floats(61, 7200),
    requests=st.integers(1, 500),
)
@settings(deadline=None, max_examples=50)
def test_no_limit_is_ever_planned_over(
    per_minute: int, per_hour: int, hour: float, requests: int
) -> None:
    limiter = make(per_minute=per_minute, per_hour=per_hour, hour=hour)
    seconds = limiter.seconds_for(requests)
    for limit, window in ((per_minute, 60.0), (per_hour, hour)):
        if limit:
            assert seconds >= (math.ceil(requests / limit) - 1) * window


@pytest.mark.parametrize(("per_minute", "per_hour"), [(5, 10), (0, 10), (0, 0)])
def test_what_has_left_the_windows_is_forgotten(
    per_minute: int, per_hour: int, clock: Clock
) -> None:
    limiter = make(per_minute=per_minute, per_hour=per_hour)
    for _ in range(100):
        limiter.acquire()
        limiter.observe(200, {})
    gc.collect()
    assert sum(isinstance(thing, Moment) for thing in gc.get_objects()) < 25
    assert limiter.used == 100
    assert (clock.now > 0) == bool(per_hour)


def test_zero_is_no_limit() -> None:
    limiter = make()
    for _ in range(3000):
        limiter.acquire()
    assert limiter.used == 3000
    assert limiter.waited == 0
    assert limiter.seconds_for(10**6) == 0


def test_the_windows_allow_for_the_longest_latency() -> None:
    limiter = make(per_minute=1, minute=60.0)
    before = time.monotonic()
    limiter.acquire()
    time.sleep(0.2)
    limiter.observe(200, {})
    # Had the request taken all the time to reach the server, the next one must not
    # be there within a minute of it.
    assert limiter.seconds_for(1) + (time.monotonic() - before) >= 60.2


def test_the_windows_never_shrink_again(clock: Clock) -> None:
    limiter = make(per_minute=2)
    for latency in (2, 0):
        limiter.acquire()
        clock.sleep(latency)
        limiter.observe(200, {})
    assert limiter.seconds_for(1) == pytest.approx(60.03)


def test_a_slow_response_costs_little() -> None:
    limiter = make(per_minute=1, minute=1.0)
    limiter.acquire()
    after = time.monotonic()
    time.sleep(0.2)
    limiter.observe(200, {})
    gone = time.monotonic() - after
    assert limiter.seconds_for(1) <= 1.06 - gone


# --- stopping -------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["own", "server"])
def test_stop_ends_a_wait(stop: threading.Event, threads: Threads, cause: str) -> None:
    limiter = make(per_minute=1 if cause == "own" else 0, stop=stop)
    limiter.acquire()
    limiter.observe(200 if cause == "own" else 429, {"Retry-After": "600"})
    waiting = [threads.start(number, limiter.acquire) for number in range(3)]
    assert is_held(waiting[0])
    stop.set()
    for future in waiting:
        with pytest.raises(StoppedError):
            future.result(PATIENCE)
    assert limiter.used == 1


def test_nothing_is_let_go_after_stop(stop: threading.Event) -> None:
    limiter = make(stop=stop)
    stop.set()
    with pytest.raises(StoppedError):
        limiter.acquire()
    assert limiter.used == 0


def test_observing_is_possible_while_others_wait(threads: Threads) -> None:
    limiter = make(per_minute=1)
    limiter.acquire()
    waiting = [threads.start(number, limiter.acquire) for number in range(4)]
    assert is_held(waiting[0])
    for _ in range(100):
        threads.run(9, limiter.observe, 200, room(5))
    assert is_held(waiting[0], 0)


# --- what the server has left ----------------------------------------------------


@pytest.mark.parametrize("status", [200, 503])
def test_the_hold_ends_and_is_counted(status: int) -> None:
    limiter = make()
    limiter.acquire()
    start = time.time()
    limiter.observe(status, room(0, 0.3))
    limiter.acquire()
    assert time.time() >= start + 0.299
    assert 0 < limiter.waited <= time.time() - start


def test_room_on_the_server_holds_nothing() -> None:
    limiter = make()
    for status in (200, 404, 500):
        limiter.acquire()
        limiter.observe(status, room(1))
    assert limiter.seconds_for(1) == 0
    limiter.acquire()
    assert limiter.waited == 0


# --- Remaining near zero, with several requests in flight -----------------------


def test_requests_in_flight_count_against_remaining(
    threads: Threads, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "ANNOUNCE_FROM", PATIENCE)
    limiter = make()
    for number in (1, 2, 3):
        threads.run(number, limiter.acquire)
    threads.run(3, limiter.observe, 200, room(2))
    third = threads.start(3, limiter.acquire)
    assert is_held(third)
    # The response shows that its request was in the 2 already.
    threads.run(1, limiter.observe, 200, room(2))
    third.result(PATIENCE)
    assert limiter.used == 4
    # Now two are in flight again.
    assert is_held(threads.start(1, limiter.acquire))
    # Reset is far away, but a response may end such a wait at any time.
    assert lines.texts == []


def test_what_is_left_is_heeded_even_if_reset_has_passed(threads: Threads) -> None:
    limiter = make()
    for number in (1, 2, 3):
        threads.run(number, limiter.acquire)
    threads.run(1, limiter.observe, 200, room(7))
    # As where the window slides: the next place has become free meanwhile.
    threads.run(2, limiter.observe, 200, room(0, -1))
    assert is_held(threads.start(1, limiter.acquire))


def test_threads_cannot_take_the_same_place(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(deque[float]):
        def append(self, moment: float) -> None:
            time.sleep(0.02)
            super().append(moment)

    monkeypatch.setattr(rate_limit, "deque", Slow)
    limiter = make(per_minute=100)
    limiter.observe(200, room(1))
    futures = [threads.start(number, limiter.acquire) for number in range(4)]
    time.sleep(0.3)
    assert sum(future.done() for future in futures) == limiter.used <= 1


def test_a_request_without_a_response_is_not_in_flight_for_ever(
    threads: Threads,
) -> None:
    limiter = make()
    threads.run(1, limiter.acquire)
    limiter.acquire()
    limiter.observe(200, room(1))
    held = threads.start(2, limiter.acquire)
    assert is_held(held)
    threads.run(1, limiter.release)
    held.result(PATIENCE)


def test_an_older_response_does_not_lift_a_hold(threads: Threads) -> None:
    limiter = make()
    for number in (1, 2):
        threads.run(number, limiter.acquire)
    threads.run(1, limiter.observe, 200, room(0))
    threads.run(2, limiter.observe, 200, room(7))
    assert limiter.seconds_for(1) > 50


def test_a_newer_response_replaces_what_was_known(threads: Threads) -> None:
    limiter = make()
    for remaining in (1, 50):
        threads.run(1, limiter.acquire)
        threads.run(1, limiter.observe, 200, room(remaining))
    for number in range(4):
        threads.run(number, limiter.acquire)
    assert limiter.waited == 0


@pytest.mark.parametrize("status", [200, 429])
def test_after_a_hold_one_goes_ahead(threads: Threads, status: int) -> None:
    limiter = make()
    limiter.acquire()
    limiter.observe(status, room(0, 0.1))
    futures = {number: threads.start(number, limiter.acquire) for number in range(4)}
    time.sleep(0.3)
    assert limiter.used <= 2
    while limiter.used < 2:
        time.sleep(0.01)
    first = next(number for number, future in futures.items() if future.done())
    threads.run(first, limiter.observe, 200, {})
    for future in futures.values():
        future.result(PATIENCE)


def test_retry_after_is_for_429_alone() -> None:
    limiter = make()
    for status in (200, 404, 503):
        limiter.observe(status, {"Retry-After": "100"})
    assert limiter.seconds_for(1) == 0


def test_after_a_hold_our_own_windows_still_rule(threads: Threads) -> None:
    limiter = make(per_minute=3)
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "0.1"})
    limiter.acquire()
    limiter.observe(200, {})
    limiter.acquire()
    limiter.observe(200, {})
    assert limiter.seconds_for(1) > 50
    assert is_held(threads.start(1, limiter.acquire))


# --- 429 ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "left", "reset", "least", "most"),
    [
        ("300", None, None, 290, 300),
        (" 300.5 ", None, None, 290, 300.5),
        ("date", None, None, 290, 301.1),
        ("300", 0, 900, 290, 300),
        ("300", 5, 30, 290, 300),
        (None, 0, 900, 890, 900.1),
        (None, None, 900, 890, 900.1),
        # Reset speaks of the hour, and that has room: it was the minute.
        (None, 5, 900, 50, 60),
        (None, 5, 30, 20, 30.1),
        ("0", 0, 900, 890, 900.1),
        ("soon", 0, 900, 890, 900.1),
        ("1700000000", 0, 900, 890, 900.1),
        ("86400", 0, 900, 86300, 86400),
        # Neither makes sense, or it is over: back off, for up to a second at first.
        ("-1", None, 9999, 0, 1),
        (None, 0, -5, 0, 1),
        (None, None, None, 0, 1),
    ],
)
def test_how_long_a_429_holds(
    told: str | None, left: int | None, reset: float | None, least: float, most: float
) -> None:
    headers = {}
    if told is not None:
        date = datetime.now(UTC) + timedelta(seconds=300)
        headers["Retry-After"] = told.replace(
            "date", format_datetime(date, usegmt=True)
        )
    if left is not None:
        headers["X-RateLimit-Remaining"] = str(left)
    if reset is not None:
        headers["X-RateLimit-Reset"] = epoch(reset)
    limiter = make()
    limiter.acquire()
    limiter.observe(429, headers)
    assert least <= limiter.seconds_for(1) <= most


def test_a_429_is_waited_for() -> None:
    limiter = make()
    limiter.acquire()
    start = time.monotonic()
    limiter.observe(429, {"Retry-After": "0.2"})
    limiter.acquire()
    assert time.monotonic() - start >= 0.2


def test_the_backoff_is_drawn_at_random() -> None:
    waits = []
    for _ in range(60):
        limiter = make()
        limiter.acquire()
        limiter.observe(429, {})
        waits.append(limiter.seconds_for(1))
    assert max(waits) > 0.5
    assert min(waits) < 0.4
    assert max(waits) <= 1


@pytest.fixture
def ceilings(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the backoff was drawn below; it always draws next to nothing."""
    drawn: list[float] = []

    def uniform(low: float, high: float) -> float:
        assert low == 0
        drawn.append(high)
        return high / 1000

    monkeypatch.setattr("tap_betterdata.api.rate_limit.random.uniform", uniform)
    return drawn


def test_the_backoff_grows_to_the_window_and_a_success_resets_it(
    ceilings: list[float],
) -> None:
    limiter = make()
    for status in (429, 429, 429, 500, 429, 429, 429, 429, 429, 200, 429):
        limiter.acquire()
        limiter.observe(status, {})
    assert ceilings == [1, 2, 4, 8, 16, 32, 60, 60, 1]


def test_the_backoff_stays_at_the_window(ceilings: list[float], clock: Clock) -> None:
    limiter = make()
    for _ in range(1100):
        limiter.acquire()
        limiter.observe(429, {})
    assert ceilings[-1] == 60
    assert clock.now >= 1100 * 0.05


def test_a_burst_of_429s_counts_once(threads: Threads, ceilings: list[float]) -> None:
    limiter = make()
    for number in range(4):
        threads.run(number, limiter.acquire)
    for number in range(4):
        threads.run(number, limiter.observe, 429, {})
    assert ceilings == [1]
    threads.run(0, limiter.acquire)
    threads.run(0, limiter.observe, 429, {})
    assert ceilings == [1, 2]


def test_an_older_success_does_not_reset_the_backoff(
    threads: Threads, ceilings: list[float]
) -> None:
    limiter = make()
    for number in (1, 2):
        threads.run(number, limiter.acquire)
    threads.run(1, limiter.observe, 429, {})
    threads.run(2, limiter.observe, 200, {})
    threads.run(1, limiter.acquire)
    threads.run(1, limiter.observe, 429, {})
    assert ceilings == [1, 2]


def test_a_later_429_of_a_burst_only_extends_the_pause(threads: Threads) -> None:
    limiter = make()
    for number in range(4):
        threads.run(number, limiter.acquire)
    expected = [(100, 90, 100), (30, 80, 100), (300, 280, 300), (200, 270, 300)]
    for number, (told, least, most) in enumerate(expected):
        threads.run(number, limiter.observe, 429, {"Retry-After": str(told)})
        assert least < limiter.seconds_for(1) <= most


def test_one_pause_holds_all_threads_once(threads: Threads) -> None:
    limiter = make()
    for number in range(4):
        threads.run(number, limiter.acquire)
    start = time.monotonic()
    for number in range(4):
        threads.run(number, limiter.observe, 429, {"Retry-After": "0.3"})

    def again() -> float:
        limiter.acquire()
        now = time.monotonic()
        limiter.observe(200, {})
        return now

    futures = [threads.start(number, again) for number in range(4)]
    assert min(future.result(PATIENCE) for future in futures) - start >= 0.3
    # The four waited at the same time, which is not four times as long.
    assert 0 < limiter.waited <= time.monotonic() - start


# --- giving up ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "why"),
    [(429, "429 and X-RateLimit-Reset"), (200, "0 requests left")],
)
def test_an_order_beyond_max_wait_ends_the_run_at_once(status: int, why: str) -> None:
    limiter = make(max_wait=200)
    limiter.acquire()
    limiter.observe(
        status, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "300.0"}
    )
    with pytest.raises(LimitedError) as caught:
        limiter.acquire()
    message = str(caught.value)
    for part in ("waited 0 s", "300 s more", "200 s", why):
        assert part in message
    for part in ("later", "raise rate_limit_max_wait", "requests_per_minute"):
        assert part in message
    assert "\n" not in message
    assert limiter.used == 1


def test_waits_without_an_answer_between_add_up() -> None:
    limiter = make(max_wait=0.5)
    start = time.monotonic()

    def insist() -> None:
        while limiter.used < 10:
            limiter.acquire()
            limiter.observe(429, {"Retry-After": "0.2"})

    with pytest.raises(LimitedError):
        insist()
    assert limiter.used <= 3
    assert time.monotonic() - start >= 0.2
    assert limiter.waited <= 0.5 + 0.2


def test_an_answer_starts_the_patience_anew() -> None:
    limiter = make(max_wait=0.5)
    for _ in range(3):
        limiter.acquire()
        limiter.observe(429, {"Retry-After": "0.2"})
        limiter.acquire()
        limiter.observe(200, {})
    assert limiter.used == 6


def test_patience_is_for_the_time_not_for_each_thread(threads: Threads) -> None:
    limiter = make(max_wait=0.7)
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "0.3"})

    spend_together(limiter, threads, 6)
    assert limiter.used == 7


def test_our_own_pacing_needs_no_patience() -> None:
    limiter = make(per_minute=2, minute=0.2, hour=10.0, max_wait=0)
    for _ in range(6):
        limiter.acquire()
    assert limiter.waited > 0


def test_our_own_pacing_takes_nothing_from_the_patience() -> None:
    limiter = make(per_minute=1, minute=0.2, hour=10.0, max_wait=0.15)
    limiter.acquire()
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "0.1"})
    limiter.acquire()
    assert limiter.used == 3


# --- being loud -----------------------------------------------------------------


def test_a_long_wait_is_announced_once_for_all_threads(
    threads: Threads, lines: Lines, points: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "PROGRESS_EVERY", 0.2)
    monkeypatch.setattr(rate_limit, "ANNOUNCE_FROM", 0.5)
    limiter = make()
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "0.7"})

    spend_together(limiter, threads, 4)

    (start,) = lines.having("Waiting")
    assert "429" in start
    assert "Retry-After" in start
    assert "until" in start
    assert "UTC" in start
    assert 1 <= len(lines.having("Still waiting")) <= 3
    assert len(lines.texts) == 1 + len(lines.having("Still waiting"))

    (record,) = points.records
    assert isinstance(record.args, tuple)
    (point,) = record.args
    assert isinstance(point, metrics.Point)
    assert point.metric_type == "timer"
    assert point.metric is metrics.Metric.JOB_DURATION
    assert point.value > 0.3
    assert point.tags[metrics.Tag.JOB_TYPE] == "rate_limit_wait"
    assert point.tags[metrics.Tag.STATUS] == metrics.Status.SUCCEEDED
    assert '"metric":"job_duration"' in points.texts[0]


def test_the_end_of_an_announced_wait_is_not_announced_again(
    threads: Threads, lines: Lines, points: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "ANNOUNCE_FROM", 0.6)
    limiter = make()
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "0.8"})
    futures = {number: threads.start(number, limiter.acquire) for number in range(3)}
    # One has gone ahead, and the others, who have waited long, wait a little more.
    while limiter.used < 2:
        time.sleep(0.01)
    time.sleep(0.2)
    first = next(number for number, future in futures.items() if future.done())
    threads.run(first, limiter.observe, 200, {})
    for future in futures.values():
        future.result(PATIENCE)
    assert len(lines.texts) == len(points.texts) == 1


def test_threads_let_go_one_by_one_are_announced_once(
    threads: Threads, lines: Lines, points: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "ANNOUNCE_FROM", 0.6)
    limiter = make(per_minute=3, minute=1.0, hour=10.0)
    for _ in range(3):
        limiter.acquire()
        time.sleep(0.1)
    for future in [threads.start(number, limiter.acquire) for number in range(3)]:
        future.result(PATIENCE)
    assert len(lines.texts) == len(points.texts) == 1


def test_the_end_is_told_in_utc(threads: Threads, lines: Lines) -> None:
    limiter = make(per_hour=1)
    limiter.acquire()
    before = datetime.now(UTC)
    assert is_held(threads.start(1, limiter.acquire))
    (line,) = lines.texts
    assert "requests_per_hour" in line
    clock = line.partition("until ")[2].removesuffix(" UTC.")
    end = datetime.strptime(clock, "%H:%M:%S").replace(tzinfo=UTC)
    expected = before + timedelta(seconds=3601.8)
    seconds = (end - expected).total_seconds() % 86400
    assert min(seconds, 86400 - seconds) < 60


def test_the_minute_is_named_when_it_binds(threads: Threads, lines: Lines) -> None:
    limiter = make(per_minute=1, per_hour=30)
    limiter.acquire()
    assert is_held(threads.start(1, limiter.acquire))
    assert len(lines.texts) == 1
    assert "requests_per_minute" in lines.texts[0]


def test_the_window_that_lasts_longest_is_named_at_once(
    threads: Threads, lines: Lines
) -> None:
    limiter = make(per_minute=2, per_hour=3, minute=0.3, hour=400.0)
    for _ in range(3):
        limiter.acquire()
    # Both windows are full, and the minute's is the first to say no.
    assert is_held(threads.start(1, limiter.acquire), 0.1)
    assert "requests_per_hour" in lines.texts[0]
    assert "Waiting 400 s" in lines.texts[0]


def test_the_longer_of_two_waits_is_announced(threads: Threads, lines: Lines) -> None:
    limiter = make(per_minute=1)
    limiter.acquire()
    limiter.observe(429, {"Retry-After": "5"})
    assert is_held(threads.start(1, limiter.acquire))
    (line,) = lines.texts
    assert "Waiting 60 s" in line
    assert "requests_per_minute" in line
    assert limiter.seconds_for(1) > 50


def test_short_waits_are_silent_but_counted(lines: Lines, points: Lines) -> None:
    limiter = make(per_minute=2, minute=0.2, hour=10.0)
    for _ in range(5):
        limiter.acquire()
    assert lines.texts == points.texts == []
    assert limiter.waited > 0


def test_a_wait_that_gets_long_is_announced(
    threads: Threads, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "ANNOUNCE_FROM", 0.3)
    limiter = make()
    for number in (1, 2):
        threads.run(number, limiter.acquire)
    threads.run(2, limiter.observe, 200, room(1))
    waiting = threads.start(2, limiter.acquire)
    assert is_held(waiting, 0.6)
    (line,) = lines.texts
    assert "X-RateLimit-Remaining" in line
    assert "up to" in line
    # It ends sooner, and what was said covers no more than that.
    threads.run(1, limiter.observe, 200, room(1))
    waiting.result(PATIENCE)
    assert is_held(threads.start(1, limiter.acquire), 0.6)
    assert len(lines.texts) == 2


def test_waiting_for_the_one_that_tries_ahead_is_announced_once(
    threads: Threads, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "ANNOUNCE_FROM", 0.2)
    limiter = make()
    for number in (1, 2):
        threads.run(number, limiter.acquire)
    threads.run(2, limiter.observe, 429, {"Retry-After": "0.001"})
    waiting = threads.start(2, limiter.acquire)
    assert is_held(waiting, 1.0)
    assert len(lines.having("up to")) == len(lines.texts) == 1


def test_a_longer_pause_is_announced_anew(threads: Threads, lines: Lines) -> None:
    limiter = make()
    for number in (1, 2):
        threads.run(number, limiter.acquire)
    threads.run(1, limiter.observe, 429, {"Retry-After": "100"})
    assert is_held(threads.start(1, limiter.acquire))
    threads.run(2, limiter.observe, 429, {"Retry-After": "300"})
    assert is_held(threads.start(2, limiter.acquire))
    assert ["100 s" in line for line in lines.texts] == [True, False]
    assert "300 s" in lines.texts[1]


def test_the_metric_of_a_wait_that_is_cut_short(
    stop: threading.Event, threads: Threads, points: Lines
) -> None:
    limiter = make(per_minute=1, stop=stop)
    limiter.acquire()
    waiting = threads.start(1, limiter.acquire)
    assert is_held(waiting)
    stop.set()
    with pytest.raises(StoppedError):
        waiting.result(PATIENCE)
    (text,) = points.texts
    assert '"status":"failed"' in text


def test_the_given_logger_is_used(lines: Lines) -> None:
    logger = logging.getLogger("tests.rate_limit")
    mine = Lines()
    logger.addHandler(mine)
    limiter = make(logger=logger)
    limiter.observe(200, {"X-RateLimit-Reset": "never"})
    logger.removeHandler(mine)
    assert len(mine.texts) == 1
    assert lines.texts == []
