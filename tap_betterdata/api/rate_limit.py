"""When the next request may be sent.

Every request, retries included, first asks one `RateLimiter`. It keeps the tap's own
limits, a minute window and an hour window, and the server's, told by its headers and
its 429s. The server's word wins.

Documented: 100 requests a minute and 1,000 an hour for each key. The headers' sample
has the hour's limit, so Remaining promises nothing about the minute.
"""

from __future__ import annotations

import logging
import math
import random
import sys
import threading
import time
from bisect import bisect_right
from collections import deque
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from singer_sdk import metrics

from tap_betterdata.api.errors import LimitedError
from tap_betterdata.api.rate_limit_headers import HeaderReader, RateHeaders

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGGER = logging.getLogger(__name__)
ANNOUNCE_FROM = 1.0  # seconds: longer waits are announced
PROGRESS_EVERY = 30.0  # seconds between two lines about one wait
_POLL = 0.05  # seconds of the longest sleep before the state is looked at again
_CLOCK_DRIFT = 0.0005  # what the server's clock may gain on ours: NTP's 500 ppm
_LATENCY_SHARE = 0.05  # of the minute: how much the windows grow at most


class StoppedError(Exception):
    """The run is to stop, so no further request may be sent."""


class _Wait(NamedTuple):
    """Why no request may be sent now, and for how many seconds."""

    seconds: float
    why: str
    by_server: bool = False  # else it is our own pacing
    firm: bool = True  # else the response to a request in flight may end it sooner


class _Window:
    """One of the tap's own limits: so many requests in any span of its length."""

    def __init__(self, name: str, limit: int, seconds: float) -> None:
        self.name, self.limit = name, limit
        self.why = f"the requests_per_{name} of the settings are used up"
        self.sent: deque[float] = deque(maxlen=min(limit, sys.maxsize))
        self.seconds = self._least = seconds * (1 + _CLOCK_DRIFT)

    def allow_for(self, latency: float) -> None:
        """Be longer than the server's window by the longest latency seen.

        The server counts a request some time after we let it go. The first of a burst
        takes longest, so that two may be closer together there than here.
        """
        self.seconds = max(self.seconds, self._least + latency)

    def free_at(self, index: int = 0) -> float:
        """Tell when the next request but `index` (below the limit) fits in."""
        back = self.limit - index
        return self.sent[-back] + self.seconds if back <= len(self.sent) else -math.inf

    def room(self, now: float) -> int:
        """Tell how many requests are left."""
        gone = bisect_right(self.sent, now - self.seconds)
        return self.limit - len(self.sent) + gone


class _Room(NamedTuple):
    """Requests that the server has left until some moment; as known at `seen`."""

    left: float
    until: float
    seen: float
    why: str


class _Server:
    """What the server's responses say of when the next request may go."""

    def __init__(self, minute: float) -> None:
        self.held = 0.0  # seconds of waiting without an answer in between
        self._minute = minute
        self._room: _Room | None = None
        self._refusals = 0
        self._refused_at = -math.inf

    def wait(self, now: float, in_flight: int) -> _Wait | None:
        room = self._room
        if room is None:
            return None
        # It is open how many of those in flight are in Remaining already: each is taken
        # for one more. When a hold is over, one goes ahead and the others wait for its
        # response: that there is room for one says nothing about more.
        left = room.left if now < room.until else max(1, room.left)
        if left > in_flight:
            return None
        seconds = max(_POLL, room.until - now)
        return _Wait(seconds, room.why, by_server=True, firm=left <= 0)

    def heed(self, status: int, said: RateHeaders) -> None:
        # What was sent before a pause began says nothing about it; if it is a 429, it
        # is one of the same burst, which counts once.
        fresh = said.sent > self._refused_at
        news = self._remaining(said)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            if fresh:
                self._refusals += 1
                self._refused_at = said.seen
            news = self._pause(said, fresh=fresh)
        elif fresh and status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self._refusals, self.held = 0, 0.0
            if self._room and said.sent >= self._room.until:
                self._room = None
        old = self._room
        # A response whose request was on its way when the last one was seen may be
        # older than that, so it counts only if it is the stricter one.
        if news and old and said.sent < old.seen:
            news = min(news, old, key=lambda room: (room.left, -room.until))
        self._room = news or old

    def _pause(self, said: RateHeaders, *, fresh: bool) -> _Room | None:
        """Take a 429 for having no room until it says that there is some."""
        seconds, why = said.retry_after, " and Retry-After"
        if not seconds:
            seconds, why = said.reset, " and X-RateLimit-Reset"
            if seconds and said.remaining:
                # Reset seems to speak of the hour, and that has room: it was the
                # minute's limit that refused.
                seconds = min(seconds, self._minute)
                why = " with X-RateLimit-Remaining left"
        if not seconds and fresh:
            # Draw lots below a ceiling: a second, which doubles with each refusal in a
            # row, a minute at most. Six times reach it; endless ones would overflow.
            ceiling = self._minute * min(1.0, 2.0 ** min(self._refusals - 1, 6) / 60)
            seconds, why = random.uniform(0.0, ceiling), ""  # noqa: S311 - no secret
        if not seconds:
            return None
        why = f"the server refused a request (429{why})"
        return _Room(0, said.seen + seconds, said.seen, why)

    def _remaining(self, said: RateHeaders) -> _Room | None:
        if said.remaining is None or said.reset is None:
            return None
        why = (
            f"the server has {said.remaining:.0f} requests left (X-RateLimit-Remaining)"
        )
        return _Room(said.remaining, said.seen + said.reset, said.seen, why)


class _Announcer:
    """Says what is waited for, once for all threads, and now and then again."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._why = ""
        self._said_until = self._next_line = -math.inf

    def line(self, wait: _Wait, entered: float) -> str | None:
        """Return the line that is due about a wait that a thread entered, if any."""
        now = time.monotonic()
        until = now + wait.seconds
        is_longer = wait.firm and until > self._said_until + ANNOUNCE_FROM
        verb = "Waiting"
        if self._since is not None and not is_longer:
            if now < self._next_line:
                return None
            verb = "Still waiting"
        else:
            # What an earlier line covers was not silent.
            silent = now - max(entered, self._said_until)
            if max(wait.seconds if wait.firm else 0.0, silent) <= ANNOUNCE_FROM:
                return None
            self._since = entered if self._since is None else self._since
            self._why, self._said_until = wait.why, until
        self._next_line = now + PROGRESS_EVERY
        seconds = f"{'' if wait.firm else 'up to '}{wait.seconds:.0f} s"
        end = datetime.now(UTC) + timedelta(seconds=wait.seconds)
        return f"Rate limit: {wait.why}. {verb} {seconds}, until {end:%H:%M:%S} UTC."

    def end(self, status: metrics.Status) -> metrics.Point[float] | None:
        """End what is announced, and return its metric; None if nothing is."""
        if self._since is None:
            return None
        now = self._said_until = time.monotonic()
        seconds, self._since = now - self._since, None
        # The SDK has no metric for a wait. A `job_duration` with a type of its own is
        # taken for no other.
        job = {metrics.Tag.JOB_TYPE: "rate_limit_wait", metrics.Tag.STATUS: status}
        tags = job | {"reason": self._why}
        return metrics.Point("timer", metrics.Metric.JOB_DURATION, seconds, tags)


class RateLimiter:
    """Lets requests go as fast as the tap's own limits and the server's allow.

    Thread safe. Each thread has at most one request in flight: it calls `acquire`,
    sends it and hands the response to `observe`, or calls `release` if there is none.
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

        `per_minute` and `per_hour` are requests in any `minute` and `hour` (seconds); 0
        is no limit of our own. The server may hold the tap up for `max_wait` seconds
        without an answer in between. Setting `stop` ends all waits.
        """
        self.used = 0  # requests acquired
        self.waited = 0.0  # seconds in which at least one thread waited
        self._waited_until = -math.inf
        self._max_wait = max_wait
        self._stop = stop
        self._logger = logger
        self._lock = threading.Lock()
        limits = (("minute", per_minute, minute), ("hour", per_hour, hour))
        self._windows = [_Window(*limit) for limit in limits if limit[1]]
        self._most_latency = minute * _LATENCY_SHARE
        self._server = _Server(minute)
        self._reader = HeaderReader(logger)
        self._announcer = _Announcer()
        self._sent: dict[int, float] = {}  # of the request in flight, by its thread

    def acquire(self) -> None:
        """Wait until one request may be sent, and count it.

        Raises:
            LimitedError: If the server holds the tap up for longer than `max_wait`; as
                soon as that is certain.
            StoppedError: If `stop` is set.
        """
        entered = time.monotonic()
        status = metrics.Status.FAILED
        try:
            while wait := self._try():
                self._sleep(wait, entered)
            status = metrics.Status.SUCCEEDED
        finally:
            with self._lock:
                point = self._announcer.end(status)
            if point:
                metrics.log(metrics.get_metrics_logger(), point)

    def observe(self, status: int, headers: Mapping[str, str]) -> None:
        """Take note of a response, in the thread that acquired its request."""
        thread, seen = threading.get_ident(), time.monotonic()
        sent = self._sent.get(thread, seen)
        said = self._reader.read(headers, sent=sent, seen=seen)
        with self._lock:
            self._sent.pop(thread, None)
            self._server.heed(status, said)
            for window in self._windows:
                window.allow_for(min(seen - sent, self._most_latency))

    def release(self) -> None:
        """Take note that a request brought no response, in the thread that sent it."""
        with self._lock:
            self._sent.pop(threading.get_ident(), None)

    def seconds_for(self, requests: int) -> float:
        """Tell in how many seconds the last of so many more requests may go, at best.

        A window's limit of requests takes its length, whatever came before them: whole
        hours, whole minutes in what is left over, and when the first few may go.
        """
        if requests <= 0:
            return 0.0
        with self._lock:
            now = time.monotonic()
            server = self._server.wait(now, len(self._sent))
            latest = start = now + (server.seconds if server and server.firm else 0.0)
            for outer, inner in product(self._windows, repeat=2):
                whole, rest = divmod(requests - 1, outer.limit)
                more, index = divmod(rest, inner.limit)
                first = max(start, inner.free_at(index))
                steps = whole * outer.seconds + more * inner.seconds
                latest = max(latest, first + steps)
        return latest - now

    def room(self) -> tuple[int | None, int | None]:
        """Tell how many requests are left in our minute and hour; None: no limit."""
        with self._lock:
            now = time.monotonic()
            room = {window.name: window.room(now) for window in self._windows}
        return room.get("minute"), room.get("hour")

    def _try(self) -> _Wait | None:
        """Let one request go, or return the longest of what it has to wait for."""
        if self._stop.is_set():
            msg = "The run is to stop: no further request is sent."
            raise StoppedError(msg)
        with self._lock:
            now = time.monotonic()
            frees = ((window.free_at() - now, window.why) for window in self._windows)
            waits = [_Wait(seconds, why) for seconds, why in frees if seconds > 0]
            if server := self._server.wait(now, len(self._sent)):
                self._check_patience(server)
                waits.append(server)
            if waits:
                return max(waits)
            for window in self._windows:
                window.sent.append(now)
            self.used += 1
            self._sent[threading.get_ident()] = now
        return None

    def _check_patience(self, wait: _Wait) -> None:
        held, more = self._server.held, wait.seconds if wait.firm else 0.0
        if held + more > self._max_wait:
            msg = (
                f"Stopped by the rate limit: waited {held:.0f} s without an answer in "
                f"between, {more:.0f} s more are due ({wait.why}), and "
                f"rate_limit_max_wait is {self._max_wait:g} s. Run again later; or "
                "raise rate_limit_max_wait; or ask Better Data for a higher limit, and "
                "raise requests_per_minute and requests_per_hour to it; or lower these "
                "two if something else uses the same key."
            )
            raise LimitedError(msg)

    def _sleep(self, wait: _Wait, entered: float) -> None:
        """Wait for a moment, and say so when it is time to."""
        with self._lock:
            line = self._announcer.line(wait, entered)
        if line:
            self._logger.info(line)
        start = time.monotonic()
        # Not `self._stop.wait`: a signal's handler, which sets it, may run in the midst
        # of that, and would wait for its lock for ever.
        time.sleep(min(wait.seconds, _POLL))
        with self._lock:
            end = time.monotonic()
            # Several threads wait at the same time, and that counts once.
            seconds = max(0.0, end - max(start, self._waited_until))
            self._waited_until = end
            self.waited += seconds
            if wait.by_server:
                self._server.held += seconds
