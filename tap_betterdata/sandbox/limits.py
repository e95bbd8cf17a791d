"""The simulated rate limit.

Documented: 100 requests a minute and 1,000 an hour, three `X-RateLimit-` headers on
every response, and 429 with `Retry-After` beyond the limit. The sample headers
describe the hour and give the reset in epoch seconds. Whether the windows are fixed
or sliding, and the form of `Retry-After`, is not documented: these are options.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections import deque
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_betterdata.sandbox.options import Options

# Windows shorter than this (scaled-down tests) get decimals in their times.
_SCALED = 10.0

# The counts that the headers pretend when the sandbox is unlimited.
_PRETENDED = {"minute": 100, "hour": 1000}


class Verdict(NamedTuple):
    """Whether a request is let through, and the headers that tell about it."""

    refused: bool
    headers: dict[str, str]


class Limiter:
    """Counts requests in a short and a long window."""

    def __init__(
        self, options: Options, clock: Callable[[], float] = time.time
    ) -> None:
        """Start with empty windows."""
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        kind = _Sliding if options.window == "sliding" else _Fixed
        self._windows: dict[str, _Fixed | _Sliding] = {
            "minute": kind(options.per_minute, options.window_s, _PRETENDED["minute"]),
            "hour": kind(options.per_hour, options.hour_s, _PRETENDED["hour"]),
        }

    def admit(self) -> Verdict:
        """Count a request that arrived and judge it."""
        with self._lock:
            now = self._clock()
            windows = self._windows.values()
            full = [window for window in windows if window.is_full(now)]
            if not full or self._options.count_refused:
                for window in windows:
                    window.count(now)
            headers = self._describe(now) if self._options.rate_headers else {}
            if full:
                headers |= self._retry_after(now, max(w.reset(now) for w in full))
            return Verdict(bool(full), headers)

    def _describe(self, now: float) -> dict[str, str]:
        """Return the three documented headers."""
        described = self._options.headers_describe
        if described == "tightest":
            window = min(self._windows.values(), key=lambda w: w.remaining(now))
        else:
            window = self._windows[described]
        return {
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(window.remaining(now)),
            "X-RateLimit-Reset": self._reset(now, window),
        }

    def _reset(self, now: float, window: _Fixed | _Sliding) -> str:
        end = window.reset(now)
        scaled = window.length < _SCALED
        match self._options.reset:
            case "epoch":
                return _number(end, scaled=scaled)
            case "epoch_ms":
                return str(math.ceil(end * 1000))
            case "seconds":
                return _number(max(0.0, end - now), scaled=scaled)
            case "iso":
                instant = dt.datetime.fromtimestamp(
                    _round_up(end, scaled=scaled), dt.UTC
                )
                timespec = "milliseconds" if scaled else "seconds"
                return instant.isoformat(timespec=timespec).replace("+00:00", "Z")
            case "http_date":
                return formatdate(math.ceil(end), usegmt=True)
            case "garbage":
                return "soon"

    def _retry_after(self, now: float, end: float) -> dict[str, str]:
        wait = max(0.0, end - now)
        match self._options.retry_after:
            case "seconds":
                return {"Retry-After": str(math.ceil(wait))}
            case "fraction":
                return {"Retry-After": _number(wait, scaled=True)}
            case "date":
                return {"Retry-After": formatdate(math.ceil(end), usegmt=True)}
            case "none":
                return {}


class _Fixed:
    """A window that begins with the first request after the one before it."""

    def __init__(self, limit: int, length: float, pretended: int) -> None:
        self.limit = limit or pretended
        self.length = length
        self._unlimited = limit == 0
        self._counted = 0
        self._end = 0.0

    def is_full(self, now: float) -> bool:
        self._advance(now)
        return not self._unlimited and self._counted >= self.limit

    def count(self, now: float) -> None:
        self._advance(now)
        if not self._counted:
            self._end = now + self.length
        self._counted += 1

    def remaining(self, now: float) -> int:
        self._advance(now)
        if self._unlimited:
            # A client that heeds the header must not hold back for a limit that isn't.
            return self.limit - 1
        return max(0, self.limit - self._counted)

    def reset(self, now: float) -> float:
        """Return when the count starts anew."""
        self._advance(now)
        return self._end if self._counted else now + self.length

    def _advance(self, now: float) -> None:
        if now >= self._end:
            self._counted = 0


class _Sliding:
    """A window that always reaches back by its length from now."""

    def __init__(self, limit: int, length: float, pretended: int) -> None:
        self.limit = limit or pretended
        self.length = length
        self._unlimited = limit == 0
        self._times: deque[float] = deque()

    def is_full(self, now: float) -> bool:
        return not self._unlimited and self._counted(now) >= self.limit

    def count(self, now: float) -> None:
        self._times.append(now)

    def remaining(self, now: float) -> int:
        if self._unlimited:
            return self.limit - 1
        return max(0, self.limit - self._counted(now))

    def reset(self, now: float) -> float:
        """Return when the next request leaves the window that frees a place."""
        counted = self._counted(now)
        if not counted:
            return now + self.length
        return self._times[max(0, counted - self.limit)] + self.length

    def _counted(self, now: float) -> int:
        while self._times and now >= self._times[0] + self.length:
            self._times.popleft()
        return len(self._times)


def _round_up(seconds: float, *, scaled: bool) -> float:
    """Round up, to the millisecond when scaled: waiting that long is enough."""
    return math.ceil(seconds * 1000) / 1000 if scaled else math.ceil(seconds)


def _number(seconds: float, *, scaled: bool) -> str:
    rounded = _round_up(seconds, scaled=scaled)
    return f"{rounded:.3f}" if scaled else str(rounded)
