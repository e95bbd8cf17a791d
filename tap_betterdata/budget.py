"""The rate budget: when the next request may be sent.

Every request of the tap, retries included, first asks one `Budget`. It keeps two
limits at once:

* the tap's own, a minute window and an hour window. The counting is
  pyrate-limiter's. Its `Limiter` is left out: that waits where a stop signal
  can't reach it, tells nobody, and starts a background thread.
* the server's, told by its headers and its 429s. The server's word wins.

Facts about the API: 100 requests a minute and 1,000 an hour for each key,
`X-RateLimit-Limit`, `-Remaining` and `-Reset` on all responses and `Retry-After`
on a 429 are documented. That the three headers speak of the hour is assumed (the
documented sample has the hour's limit), and so is that Reset is written as epoch
seconds (from the same sample). So Remaining promises nothing about the minute, and
every usual form of Reset is understood.
"""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from weakref import WeakKeyDictionary

from pyrate_limiter import InMemoryBucket, Rate, RateItem
from singer_sdk import metrics

from tap_betterdata.errors import BudgetExhaustedError

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGGER = logging.getLogger(__name__)

ANNOUNCE_FROM = 1.0
"""Waits longer than this many seconds are announced."""

PROGRESS_EVERY = 30.0
"""Seconds between two lines about the same wait."""

_POLL = 0.05
"""Longest sleep in seconds before the state is looked at again."""

_CLOCK_DRIFT = 0.0005
"""How much faster than ours the server's clock may run: NTP's limit of 500 ppm."""

_LATENCY_SHARE = 0.05
"""Share of the minute window by which the windows grow, at most, for latency."""

_EPOCH_FROM = 1e8
"""A number from here on (year 1973) is no span of seconds but an epoch time."""

_EPOCH_MS_FROM = 1e11
"""A number from here on (year 5138, read as seconds) is an epoch time in ms."""

_NUMBER = re.compile(r"\d+(?:\.\d*)?", re.ASCII)
_UNREADABLE = (ValueError, TypeError, IndexError, OverflowError)


class StoppedError(Exception):
    """The run is to stop, so no further request may be sent."""


# Several answers come within one second, with the same `Date`.
@lru_cache(maxsize=16)
def _parse_moment(text: str) -> datetime | None:
    """Read an ISO-8601 or HTTP date.

    Args:
        text: The header's value.

    Returns:
        The moment, in UTC where the text names no zone; None if it is no date.
    """
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(*_UNREADABLE):
            moment = parse(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def seconds_until(text: str, server_now: float) -> float | None:
    """Read how far ahead an `X-RateLimit-Reset` lies, in whichever form.

    Understood: epoch seconds, epoch milliseconds and seconds from now (decimals
    too), ISO-8601 dates and HTTP dates. The result is rounded up by the last
    place that is written: a server may have cut off the rest, and a request in
    that rest would be refused.

    Args:
        text: The header's value.
        server_now: The server's time, in epoch seconds.

    Returns:
        Seconds from now, below zero if in the past; None if not understood.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        value = float(text)
        grain = 10.0 ** -len(text.partition(".")[2])
        if value < _EPOCH_FROM:
            return value + grain
        unit = 1000 if value >= _EPOCH_MS_FROM else 1
        return (value + grain) / unit - server_now
    moment = _parse_moment(text)
    if moment is None:
        return None
    grain = 0.001 if "." in text else 1.0
    return moment.timestamp() + grain - server_now


def _parse_remaining(text: str | None) -> int | None:
    """Read `X-RateLimit-Remaining`.

    Args:
        text: The header's value, None if it isn't there.

    Returns:
        The requests left; None if the value is no number.
    """
    try:
        return math.floor(float(text)) if text is not None else None
    except _UNREADABLE:
        return None


def _now_ms() -> int:
    """Tell the time as pyrate-limiter's own clock does: monotonic milliseconds."""
    return time.monotonic_ns() // 1_000_000


def _copy(bucket: InMemoryBucket) -> InMemoryBucket:
    """Copy our windows, to look ahead in the copy."""
    copy = InMemoryBucket(bucket.rates)
    copy.items = list(bucket.items)
    return copy


def _fill(bucket: InMemoryBucket, requests: int, start: int) -> tuple[int, Rate | None]:
    """Fill a bucket as fast as it allows.

    Args:
        bucket: A copy of our windows.
        requests: How many requests are to go.
        start: When the first may go at the earliest, in the bucket's milliseconds.

    Returns:
        When the last one may go, and the window that was the last to refuse one.
    """
    refused_by: Rate | None = None
    for _ in range(requests):
        item = RateItem("request", start)
        while not bucket.put(item):
            refused_by = bucket.failing_rate
            item.timestamp += cast("int", bucket.waiting(item))
        start = item.timestamp
    return start, refused_by


def _parse_retry_after(text: str, server_now: float) -> float | None:
    """Read a `Retry-After`.

    Documented is that it is there, not its form. It is taken at its word: RFC 9110
    makes it the span that the client should wait.

    Args:
        text: Seconds (decimals too) or an HTTP date.
        server_now: The server's time, in epoch seconds.

    Returns:
        Seconds from now; None if not understood.
    """
    if _NUMBER.fullmatch(text.strip()):
        return float(text)
    return seconds_until(text, server_now)


class _ServerClock:
    """The server's time, which epoch forms of Reset are written in.

    `Date` has whole seconds, so one response gives a range of a second for the
    distance between the clocks, and several together narrow it. Our own clock is
    believed while it lies in the range. Where it doesn't, the server's earliest
    possible time is taken: late is safe, early is a 429.
    """

    def __init__(self) -> None:
        self._low = -math.inf
        self._high = math.inf

    def heed(self, date: str | None, sent: float, seen: float) -> None:
        """Take note of a response's `Date`.

        Args:
            date: The header's value, None if it isn't there.
            sent: When the request was sent, on the monotonic clock.
            seen: When the response was seen, on the monotonic clock.
        """
        moment = _parse_moment(date) if date else None
        if moment is None:
            return
        low, high = moment.timestamp() - seen, moment.timestamp() + 1 - sent
        if low > self._high or high < self._low:
            # One of the clocks was set, or the two have drifted apart.
            self._low, self._high = low, high
        self._low, self._high = max(self._low, low), min(self._high, high)

    @property
    def is_known(self) -> bool:
        """Whether a response has told the time."""
        return self._low > -math.inf

    def at(self, moment: float) -> float:
        """Tell the server's time.

        Args:
            moment: On the monotonic clock.

        Returns:
            Epoch seconds.
        """
        distance = time.time() - time.monotonic()
        if not self._low <= distance <= self._high:
            distance = self._low
        return moment + distance


@dataclass(frozen=True)
class _Reading:
    """What one response says.

    `sent` and `seen` are moments on the monotonic clock, `reset` and `retry_after`
    seconds from `seen`. None: not there or not sensible.
    """

    sent: float
    seen: float
    remaining: int | None
    reset: float | None
    retry_after: float | None


@dataclass(frozen=True)
class _Room:
    """Requests that the server has left, and until when; as known at `seen`."""

    left: int
    until: float
    seen: float


@dataclass(frozen=True)
class _Wait:
    """Why no request may be sent now, and for how many seconds.

    `by_server`: the server's order, not our own pacing. `firm`: only time ends
    it; otherwise the response to a request in flight may do so sooner.
    """

    seconds: float
    why: str
    by_server: bool = False
    firm: bool = True


@dataclass
class _Notice:
    """A wait that was announced; moments on the monotonic clock."""

    why: str
    since: float
    until: float
    next_line: float


def _send_metric(notice: _Notice | None, status: metrics.Status) -> None:
    """Send the metric of an announced wait that is over.

    The SDK's vocabulary has no metric for a wait. A timer of `job_duration` with
    its tag `job_type` is the one for work beside the streams: it can't be mistaken
    for the duration of a request or of a sync.

    Args:
        notice: The wait; None if there was none.
        status: How it ended.
    """
    if notice is None:
        return
    tags = {
        metrics.Tag.JOB_TYPE: "rate_limit_wait",
        metrics.Tag.STATUS: status,
        "reason": notice.why,
    }
    seconds = time.monotonic() - notice.since
    point = metrics.Point("timer", metrics.Metric.JOB_DURATION, seconds, tags)
    metrics.log(metrics.get_metrics_logger(), point)


class Budget:
    """Lets requests go as fast as the tap's own limits and the server's allow.

    Thread safe. Each thread has at most one request in flight: it calls `acquire`,
    sends the request and hands the response to `observe`, or calls `release` if there
    is none.

    `used` is the number of requests acquired. `waited` is the seconds in which at
    least one thread waited here.
    """

    def __init__(  # noqa: PLR0913 - settings, each with a name
        self,
        *,
        per_minute: int,
        per_hour: int,
        max_wait: float,
        stop: threading.Event,
        minute: float = 60.0,
        hour: float = 3600.0,
        logger: logging.Logger = LOGGER,
    ) -> None:
        """Start with both windows empty.

        Args:
            per_minute: Requests in any minute; 0 for no limit of our own.
            per_hour: Requests in any hour; 0 for no limit of our own.
            max_wait: Seconds for which the server may hold the tap up (429s, or
                Remaining used up until Reset) without one answer in between. A
                wait for our own windows is pacing and never counts: a sync of ten
                hours is no fault.
            stop: Ends all waits when it is set.
            minute: Length of the minute window in seconds.
            hour: Length of the hour window in seconds, longer than `minute`.
            logger: Gets the lines about waits.

        Raises:
            ValueError: If a limit is negative or `hour` isn't the longer window.
        """
        if min(per_minute, per_hour) < 0 or not 0 < minute < hour:
            msg = "limits must be 0 or more, and the hour longer than the minute"
            raise ValueError(msg)
        self.used = 0
        self.waited = 0.0
        self._per_minute = per_minute
        self._per_hour = per_hour
        self._minute = minute
        self._hour = hour
        self._max_wait = max_wait
        self._stop = stop
        self._logger = logger
        self._lock = threading.Lock()
        self._latency = 0.0
        rates = self._rates()
        self._bucket = InMemoryBucket(rates) if rates else None
        # When each thread's request was let go. Weak, so that the request of a
        # thread that has died isn't in flight for ever.
        self._in_flight: WeakKeyDictionary[threading.Thread, float] = (
            WeakKeyDictionary()
        )
        self._clock = _ServerClock()
        self._room: _Room | None = None
        self._refusals = 0
        self._refused_at = -math.inf
        self._refused_until = -math.inf
        self._refused_why = ""
        self._limited = 0.0
        self._counted_until = -math.inf
        self._notice: _Notice | None = None
        self._notice_ended = -math.inf
        self._warned: set[str] = set()

    def acquire(self) -> None:
        """Wait until one request may be sent, and count it.

        Raises:
            BudgetExhaustedError: If the server holds the tap up for longer than
                `max_wait`; as soon as that is certain.
            StoppedError: If `stop` is set.
        """
        entered: float | None = None
        try:
            while wait := self._try():
                entered = entered or time.monotonic()
                self._sleep(wait, entered)
        except BaseException:
            with self._lock:
                notice = self._take_notice()
            _send_metric(notice, metrics.Status.FAILED)
            raise

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note of a response, in the thread that acquired its request.

        Args:
            status: The HTTP status.
            headers: The response's headers; the case of their names is free.
        """
        reading = self._read({name.lower(): text for name, text in headers.items()})
        with self._lock:
            self._in_flight.pop(threading.current_thread(), None)
            self._allow_for(reading.seen - reading.sent)
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                self._refused(reading)
                return
            # An older answer says nothing about a pause that began after it.
            fresh = reading.sent > self._refused_at
            if fresh and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                self._refusals = 0
                self._limited = 0.0
            self._keep_room(reading)

    def release(self) -> None:
        """Take note that a request brought no response, in the thread that sent it."""
        with self._lock:
            self._in_flight.pop(threading.current_thread(), None)

    def server_time(self, moment: float) -> datetime | None:
        """Tell what the server's clock showed, by the `Date` of its answers.

        Args:
            moment: When, on the monotonic clock.

        Returns:
            The time, at the earliest; None if no answer carried a date.
        """
        with self._lock:
            if not self._clock.is_known:
                return None
            return datetime.fromtimestamp(self._clock.at(moment), UTC)

    def seconds_for(self, requests: int) -> float:
        """Tell the least time in which so many more requests can be sent.

        Args:
            requests: How many.

        Returns:
            Seconds from now until the last of them may go, by both windows with
            what is used already, and by the server's order if there is one.
        """
        with self._lock:
            server = self._server_wait(time.monotonic())
            future = _copy(self._bucket) if self._bucket is not None else None
        if requests <= 0:
            return 0.0
        start = now = _now_ms()
        if server is not None and server.firm:
            start += math.ceil(server.seconds * 1000)
        if future is not None:
            start, _ = _fill(future, requests, start)
        return (start - now) / 1000

    def _rates(self) -> list[Rate]:
        """Describe our windows to pyrate-limiter.

        They are a little longer than the server's. The server counts a request
        some time after we let it go, and the first of a burst (new connection,
        cold start) takes longer than the one that follows a window later: by up to
        the longest latency, they are closer together there than here.

        pyrate-limiter refuses a list whose longer window doesn't have the greater
        limit, or allows the faster pace. So a window that the other one makes
        needless is left out, or cut down to the other's pace.

        Returns:
            The rates; none if we have no limit of our own.
        """
        minute, hour = (
            math.ceil((window * (1 + _CLOCK_DRIFT) + self._latency) * 1000)
            for window in (self._minute, self._hour)
        )
        if not self._per_hour:
            return [Rate(self._per_minute, minute)] if self._per_minute else []
        if not self._per_minute:
            return [Rate(self._per_hour, hour)]
        per_hour = min(self._per_hour, self._per_minute * hour // minute)
        if per_hour <= self._per_minute:
            return [Rate(per_hour, hour)]
        return [Rate(self._per_minute, minute), Rate(per_hour, hour)]

    def _allow_for(self, latency: float) -> None:
        """Lengthen our windows to the longest latency seen, within bounds.

        They never shrink again: that costs a twentieth of the pace at most.

        Args:
            latency: Seconds from letting a request go to seeing its response.
        """
        latency = min(latency, self._minute * _LATENCY_SHARE)
        if self._bucket is not None and latency > self._latency:
            self._latency = latency
            self._bucket.rates = self._rates()

    def _try(self) -> _Wait | None:
        """Let one request go if it may.

        Returns:
            None if it may, else what it has to wait for.

        Raises:
            BudgetExhaustedError: If the server's order is too long.
            StoppedError: If `stop` is set.
        """
        if self._stop.is_set():
            msg = "The run is to stop: no further request is sent."
            raise StoppedError(msg)
        with self._lock:
            now = time.monotonic()
            server = self._server_wait(now)
            if server is not None or not self._count():
                return self._longer(server, self._own_wait())
            self.used += 1
            self._in_flight[threading.current_thread()] = now
            notice = self._take_notice()
        _send_metric(notice, metrics.Status.SUCCEEDED)
        return None

    def _take_notice(self) -> _Notice | None:
        """End the announced wait.

        Returns:
            It; None if there is none.
        """
        notice, self._notice = self._notice, None
        if notice is not None:
            self._notice_ended = time.monotonic()
        return notice

    def _longer(self, server: _Wait | None, own: _Wait | None) -> _Wait:
        """Choose the wait that decides.

        Args:
            server: The server's order, if any.
            own: Our own pacing, if any.

        Returns:
            The longer one.

        Raises:
            BudgetExhaustedError: If the server's order is too long.
        """
        if server is not None:
            self._check_patience(server)
        waits = [wait for wait in (server, own) if wait is not None]
        return max(waits, key=lambda wait: wait.seconds)

    def _count(self) -> bool:
        """Count one request in our windows.

        Returns:
            Whether it fits; if not, it isn't counted.
        """
        if self._bucket is None:
            return True
        now = _now_ms()
        self._bucket.leak(now)
        return self._bucket.put(RateItem("request", now))

    def _own_wait(self) -> _Wait | None:
        """Tell how long our own windows leave no room.

        Returns:
            The wait, of 0 seconds if there is room; None without windows.
        """
        if self._bucket is None:
            return None
        now = _now_ms()
        slot, full = _fill(_copy(self._bucket), 1, now)
        name = "hour" if full and full.interval > self._hour * 1000 else "minute"
        why = f"the requests_per_{name} of the settings are used up"
        return _Wait((slot - now) / 1000, why)

    def _server_wait(self, now: float) -> _Wait | None:
        """Tell how long the server wants no request.

        When a pause ends, one request goes ahead and the others wait for its
        response: that the server has room for one says nothing about more.

        Args:
            now: The present, on the monotonic clock.

        Returns:
            The wait; None if a request may be sent.
        """
        if now < self._refused_until:
            why = f"the server refused a request (429{self._refused_why})"
            refused = _Wait(self._refused_until - now, why, by_server=True)
        elif self._refusals and self._in_flight:
            why = "the server refused a request (429), one tries ahead"
            refused = _Wait(_POLL, why, by_server=True, firm=False)
        else:
            refused = None
        waits = [wait for wait in (refused, self._room_wait(now)) if wait is not None]
        return max(waits, key=lambda wait: (wait.firm, wait.seconds), default=None)

    def _room_wait(self, now: float) -> _Wait | None:
        """Tell how long the server has no room by its X-RateLimit headers.

        It is open how many of the requests in flight are in Remaining already, so
        each is taken for one more.

        Args:
            now: The present, on the monotonic clock.

        Returns:
            The wait; None if there is room.
        """
        room = self._room
        if room is None:
            return None
        left = room.left if now < room.until else max(1, room.left)
        if left > len(self._in_flight):
            return None
        why = f"the server has {room.left} requests left (X-RateLimit-Remaining)"
        seconds = max(_POLL, room.until - now)
        return _Wait(seconds, why, by_server=True, firm=left <= 0)

    def _check_patience(self, wait: _Wait) -> None:
        """Give up if the server holds the tap up for too long.

        Args:
            wait: The server's order.

        Raises:
            BudgetExhaustedError: If so.
        """
        more = wait.seconds if wait.firm else 0.0
        if self._limited + more <= self._max_wait:
            return
        msg = (
            f"Stopped by the rate limit: waited {self._limited:.0f} s without an "
            f"answer in between, {more:.0f} s more are due ({wait.why}), and "
            f"rate_limit_max_wait is {self._max_wait:g} s. Run again later; or raise "
            "rate_limit_max_wait; or ask Better Data for a higher rate limit and "
            "raise requests_per_minute and requests_per_hour to it; or lower these "
            "two if something else uses the same key."
        )
        raise BudgetExhaustedError(msg)

    def _sleep(self, wait: _Wait, entered: float) -> None:
        """Wait for a moment, and say so when it is time to.

        Args:
            wait: What is waited for.
            entered: When this thread began to wait, on the monotonic clock.
        """
        with self._lock:
            line = self._line_due(wait, entered)
        if line:
            self._logger.info(line)
        start = time.monotonic()
        # Not `self._stop.wait`: a signal's handler, which sets it, may run in the midst
        # of that, and would wait for its lock for ever.
        time.sleep(min(wait.seconds, _POLL))
        with self._lock:
            end = time.monotonic()
            seconds = max(0.0, end - max(start, self._counted_until))
            self._counted_until = end
            self.waited += seconds
            if wait.by_server:
                self._limited += seconds

    def _line_due(self, wait: _Wait, entered: float) -> str | None:
        """Say something about a wait if it is time to, once for all threads.

        Args:
            wait: What is waited for.
            entered: When the asking thread began to wait, on the monotonic clock.

        Returns:
            The line for the log, if any.
        """
        now = time.monotonic()
        until = now + wait.seconds
        notice = self._notice
        clock = datetime.now(UTC) + timedelta(seconds=wait.seconds)
        longer = notice and wait.firm and until > notice.until + ANNOUNCE_FROM
        if notice is None or longer:
            planned = wait.seconds if wait.firm else 0.0
            # What an earlier line covers was not silent.
            silent = now - max(entered, self._notice_ended)
            if max(planned, silent) <= ANNOUNCE_FROM:
                return None
            since = notice.since if notice else entered
            self._notice = _Notice(wait.why, since, until, now + PROGRESS_EVERY)
            word = "" if wait.firm else "up to "
            return (
                f"Rate limit: {wait.why}. Waiting {word}{wait.seconds:.0f} s, until "
                f"{clock:%H:%M:%S} UTC."
            )
        if now < notice.next_line:
            return None
        notice.next_line = now + PROGRESS_EVERY
        return (
            f"Rate limit: still waiting, {now - notice.since:.0f} s so far, "
            f"{wait.seconds:.0f} s left, until {clock:%H:%M:%S} UTC."
        )

    def _read(self, fields: Mapping[str, str]) -> _Reading:
        """Read a response's headers.

        Args:
            fields: The headers, with names in lower case.

        Returns:
            What they say.
        """
        seen = time.monotonic()
        with self._lock:
            sent = self._in_flight.get(threading.current_thread(), seen)
            self._clock.heed(fields.get("date"), sent, seen)
            server_now = self._clock.at(seen)
        reset = self._sensible("X-RateLimit-Reset", fields, server_now)
        return _Reading(
            sent=sent,
            seen=seen,
            remaining=_parse_remaining(fields.get("x-ratelimit-remaining")),
            reset=reset,
            retry_after=self._sensible("Retry-After", fields, server_now),
        )

    def _sensible(
        self, name: str, fields: Mapping[str, str], server_now: float
    ) -> float | None:
        """Read a header that says when to come back.

        Sensible is a Reset within two hour windows ahead, and any Retry-After that
        isn't over: it is an order, and not about a window. What has passed within
        the last minute window is due: a response may take that long.

        Args:
            name: The header's name.
            fields: The headers, with names in lower case.
            server_now: The server's time, in epoch seconds.

        Returns:
            Seconds from now; None if it isn't there or set aside.
        """
        text = fields.get(name.lower())
        if text is None:
            return None
        is_reset = name == "X-RateLimit-Reset"
        seconds = (seconds_until if is_reset else _parse_retry_after)(text, server_now)
        latest = 2 * self._hour if is_reset else _EPOCH_FROM
        if seconds is not None and -self._minute <= seconds <= latest:
            return max(0.0, seconds)
        if name not in self._warned:
            self._warned.add(name)
            self._logger.warning(
                "The server's %s makes no sense and is set aside: %.40r", name, text
            )
        return None

    def _refused(self, reading: _Reading) -> None:
        """Hold all threads after a 429.

        Args:
            reading: What the response says.
        """
        told = self._told(reading)
        if reading.sent > self._refused_at:
            self._refusals += 1
            self._refused_at = reading.seen
            told = told or (self._backoff(), "")
        # Else it was sent before the pause began: one of the same burst, which
        # counts once, and has a say only if it names a later time.
        if told and reading.seen + told[0] > self._refused_until:
            self._refused_until = reading.seen + told[0]
            self._refused_why = told[1]

    def _told(self, reading: _Reading) -> tuple[float, str] | None:
        """Tell how long a 429 says to wait.

        Reset stands on all responses and seems to speak of the hour. If Remaining
        says that there is room in it, it was the minute's limit that refused: a
        minute is enough then.

        Args:
            reading: What the response says.

        Returns:
            Seconds, above zero, and which header says so; None if none does.
        """
        if reading.retry_after:
            return reading.retry_after, " and Retry-After"
        if not reading.reset:
            return None
        if reading.remaining is not None and reading.remaining > 0:
            return min(reading.reset, self._minute), " with X-RateLimit-Remaining left"
        return reading.reset, " and X-RateLimit-Reset"

    def _backoff(self) -> float:
        """Draw a wait for a 429 that doesn't say how long.

        Returns:
            Seconds: at random up to a ceiling that doubles with each refusal in
            a row, from a 60th of the minute window to the whole of it.
        """
        ceiling = self._minute * min(1.0, 2.0 ** (self._refusals - 1) / 60)
        return random.uniform(0.0, ceiling)  # noqa: S311 - no secret

    def _keep_room(self, reading: _Reading) -> None:
        """Remember how much room the server says it has left.

        Responses may come out of order. One whose request was already on its way
        when the last was seen may be older than that, so it counts only if it is
        the stricter one.

        Args:
            reading: What the response says.
        """
        old = self._room
        if reading.remaining is None or not reading.reset:
            if old is not None and reading.sent >= old.until:
                self._room = None
            return
        if old is not None and reading.remaining > old.left:
            overlap = reading.sent < old.seen and reading.seen < old.until
            if overlap:
                return
        self._room = _Room(
            reading.remaining, reading.seen + reading.reset, reading.seen
        )
