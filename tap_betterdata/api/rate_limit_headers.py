"""What the server's headers say of its rate limit, and what time it has.

Documented: `X-RateLimit-Remaining` and `-Reset` on all responses, and `Retry-After` on
a 429; not their forms. The sample of Reset is in epoch seconds; other
APIs send seconds from now. Nothing in a header raises.
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

# A number from here on (year 1973) is no span of seconds but an epoch time.
_EPOCH_FROM = 1e8
# A time that passed so many seconds ago is due: a response may take that long.
_DUE = 60.0
# No Reset lies further ahead than two of the server's windows. A Retry-After may: it is
# an order, and not about a window.
_FURTHEST_RESET = 7200.0

_NUMBER = re.compile(r"\d{1,15}(?:\.\d*)?", re.ASCII)


class RateHeaders(NamedTuple):
    """What one response says. None: it isn't there, or is set aside.

    `sent` (the request) and `seen` (the response) are moments on the monotonic clock,
    `reset` and `retry_after` seconds from `seen`, `remaining` a number of requests.
    """

    sent: float
    seen: float
    remaining: float | None = None
    reset: float | None = None
    retry_after: float | None = None


def parse_number(text: str) -> float | None:
    """Read digits, with decimals or without."""
    return float(text) if _NUMBER.fullmatch(text) else None


def parse_date(text: str) -> datetime | None:
    """Read an HTTP date, in UTC if it names no zone."""
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC)
    return None


def parse_reset(text: str, server_now: float) -> float | None:
    """Read epoch seconds, or seconds from now, as seconds from now.

    They are rounded up by the last place that is written: the server may have cut off
    the rest, and would refuse a request in it.
    """
    value = parse_number(text)
    if value is None:
        return None
    value += 10.0 ** -len(text.partition(".")[2])
    return value if value < _EPOCH_FROM else value - server_now


def parse_retry_after(text: str, server_now: float) -> float | None:
    """Read seconds from now, taken at their word, or a date (RFC 9110)."""
    date = parse_date(text)
    return parse_number(text) if date is None else date.timestamp() + 1 - server_now


class HeaderReader:
    """Reads the headers of one server's responses, from any thread."""

    def __init__(self, logger: logging.Logger) -> None:
        """Begin without a response."""
        self._logger = logger
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    def read(
        self, headers: Mapping[str, str], *, sent: float, seen: float
    ) -> RateHeaders:
        """Read a response's headers; the case of names is the mapping's affair."""
        # The server's clock may differ from ours. `Date` is its earliest possible time,
        # less than a second and the latency ago: late is safe, early is a 429.
        date = parse_date(headers.get("Date", ""))
        now = time.time() if date is None else date.timestamp()
        take = partial(self._take, headers)
        reset = partial(parse_reset, server_now=now)
        retry_after = partial(parse_retry_after, server_now=now)
        return RateHeaders(
            sent,
            seen,
            take("X-RateLimit-Remaining", parse_number, 0, math.inf),
            take("X-RateLimit-Reset", reset, -_DUE, _FURTHEST_RESET),
            take("Retry-After", retry_after, -_DUE, _EPOCH_FROM),
        )

    def _take(
        self,
        headers: Mapping[str, str],
        name: str,
        parse: Callable[[str], float | None],
        *sensible: float,
    ) -> float | None:
        """Read one header, if it is there and lies within what is sensible."""
        text = headers.get(name)
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
