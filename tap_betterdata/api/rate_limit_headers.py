"""What the server's headers say of its rate limit, and what time it has.

Documented: `X-RateLimit-Limit`, `-Remaining` and `-Reset` on all responses, and
`Retry-After` on a 429; not their forms. The sample of Reset is in epoch seconds. Other
usual forms cost a line each, so they are understood. Nothing in a header raises.
"""

from __future__ import annotations

import math
import re
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from tap_betterdata.api.redaction import quote

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping

# A number from the first on (year 1973) is no span of seconds but an epoch time; from
# the second on (year 5138, read as seconds) one in milliseconds.
_EPOCH_FROM, _EPOCH_MS_FROM = 1e8, 1e11

_NUMBER = re.compile(r"\d{1,15}(?:\.\d*)?", re.ASCII)


class RateHeaders(NamedTuple):
    """What one response says. None: it isn't there, or is set aside.

    `sent` (the request) and `seen` (the response) are moments on the monotonic clock,
    `reset` and `retry_after` seconds from `seen`, the others numbers of requests.
    """

    sent: float
    seen: float
    limit: float | None = None
    remaining: float | None = None
    reset: float | None = None
    retry_after: float | None = None


def parse_number(text: str) -> float | None:
    """Read digits, with decimals or without."""
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_date(text: str) -> float | None:
    """Read an HTTP or ISO-8601 date as epoch seconds, in UTC if it names no zone."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, TypeError, IndexError, OverflowError):
            moment = parse(text)
            return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return None


def parse_reset(text: str, server_now: float) -> float | None:
    """Read epoch seconds or milliseconds, seconds from now, or a date.

    Returns:
        Seconds from now, below zero if in the past. They are rounded up by the last
        place that is written: the server may have cut off the rest, and would refuse a
        request in it.
    """
    value, decimals = parse_number(text), text.partition(".")[2]
    if value is None:
        date = parse_date(text)
        return date and date + (0.001 if decimals else 1.0) - server_now
    value += 10.0 ** -len(decimals)
    if value >= _EPOCH_MS_FROM:
        value /= 1000
    return value if value < _EPOCH_FROM else value - server_now


def parse_retry_after(text: str, server_now: float) -> float | None:
    """Read seconds from now, taken at their word (RFC 9110), or a date."""
    value = parse_number(text)
    return parse_reset(text, server_now) if value is None else value


class ServerClock:
    """The server's time, which epoch forms of Reset are written in.

    `Date` has whole seconds, so one response gives a range of a second for how far the
    clocks are apart, and several narrow it. Our own clock is believed while it is in
    the range. Where it isn't, the server's earliest possible time is taken: late is
    safe, early is a 429.
    """

    def __init__(self) -> None:
        """Begin without knowing how far apart the clocks are."""
        self.low, self.high = -math.inf, math.inf

    def heed(self, date: float, sent: float, seen: float) -> None:
        """Take note of a response's `Date`, in epoch seconds."""
        low, high = date - seen, date + 1 - sent
        if low > self.high or high < self.low:
            # One of the clocks was set, or the two have drifted apart.
            self.low, self.high = low, high
        self.low, self.high = max(self.low, low), min(self.high, high)

    def at(self, moment: float) -> float:
        """Tell the server's epoch seconds at a moment of the monotonic clock."""
        ours = time.time() - time.monotonic()
        return moment + (ours if self.low <= ours <= self.high else self.low)


class HeaderReader:
    """Reads the headers of one server's responses, from any thread.

    A time that passed up to a `minute` ago is due: a response may take that long. No
    Reset lies more than two `hour`s ahead. A Retry-After may: it is an order, and not
    about a window.
    """

    def __init__(self, *, minute: float, hour: float, logger: logging.Logger) -> None:
        """Begin without a response; `minute` and `hour` are in seconds."""
        self._minute, self._hour = minute, hour
        self._logger = logger
        self._lock = threading.Lock()
        self._clock = ServerClock()
        self._warned: set[str] = set()

    def read(
        self, headers: Mapping[str, str], *, sent: float, seen: float
    ) -> RateHeaders:
        """Read a response's headers; the case of their names is free."""
        take = partial(self._take, {name.lower(): headers[name] for name in headers})
        date = take("Date", parse_date, _EPOCH_FROM, _EPOCH_MS_FROM)
        with self._lock:
            if date is not None:
                self._clock.heed(date, sent, seen)
            now = self._clock.at(seen)
        reset = partial(parse_reset, server_now=now)
        retry_after = partial(parse_retry_after, server_now=now)
        return RateHeaders(
            sent,
            seen,
            take("X-RateLimit-Limit", parse_number, 0, math.inf),
            take("X-RateLimit-Remaining", parse_number, 0, math.inf),
            take("X-RateLimit-Reset", reset, -self._minute, 2 * self._hour),
            take("Retry-After", retry_after, -self._minute, _EPOCH_FROM),
        )

    def server_time(self, moment: float) -> datetime | None:
        """Tell what the server's clock showed, at the earliest; None if unknown."""
        with self._lock:
            if self._clock.low == -math.inf:
                return None
            return datetime.fromtimestamp(self._clock.at(moment), UTC)

    def _take(
        self,
        fields: Mapping[str, str],
        name: str,
        parse: Callable[[str], float | None],
        *sensible: float,
    ) -> float | None:
        """Read one header, if it is there and lies within what is sensible."""
        text = fields.get(name.lower())
        if text is None:
            return None
        # Only these blanks may stand around a value; `strip()` takes others too.
        value = parse(text.strip(" \t"))
        if value is not None and sensible[0] <= value <= sensible[1]:
            return max(0.0, value)
        with self._lock:
            is_news = name not in self._warned
            self._warned.add(name)
        if is_news:
            words = "The server's %s makes no sense and is set aside: %s"
            self._logger.warning(words, name, quote(text))
        return None
