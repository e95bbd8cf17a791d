"""Lines that show that long work moves."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from tap_betterdata.api.rate_limit import RateLimiter

LINE_EVERY = 10.0
WORTH_SAYING = 60.0
_MINUTE = 60.0


class Progress:
    """Says how far the run is, at most every few seconds.

    It is told of each step from the threads that make them.
    """

    def __init__(
        self,
        *,
        logger: logging.Logger,
        rate_limiter: Callable[[], RateLimiter],
    ) -> None:
        """Begin; nothing is said yet.

        Args:
            logger: Where the lines go.
            rate_limiter: Returns the run's rate limiter.
        """
        self._logger = logger
        self._rate_limiter = rate_limiter
        self._lock = threading.Lock()
        self._said = time.monotonic()

    def begin(self, what: str, requests: int) -> None:
        """Say how long a piece of work must take, if that is worth a line.

        Args:
            what: What is read.
            requests: How many requests it takes.
        """
        seconds = self._rate_limiter().seconds_for(requests)
        if seconds >= WORTH_SAYING:
            self._logger.info(
                "%s: %d requests to make; the budget allows that in %s at the least.",
                what,
                requests,
                duration(seconds),
            )

    def step(
        self, what: str, *, done: int, of: int, rows: int, total: int | None
    ) -> None:
        """Say how far a piece of work is, unless something was said just now.

        Args:
            what: What is read.
            done: How many requests are done.
            of: How many requests it takes.
            rows: How many rows have come.
            total: How many rows there are, if that is known.
        """
        with self._lock:
            now = time.monotonic()
            if now - self._said < LINE_EVERY:
                return
            self._said = now
        self._logger.info(
            "%s: %d of %d requests done, %d%s rows; %d requests used in this run; at "
            "least %s to go as the budget allows.",
            what,
            done,
            of,
            rows,
            "" if total is None else f" of {total}",
            self._rate_limiter().used,
            duration(self._rate_limiter().seconds_for(max(of - done, 0))),
        )


def duration(seconds: float) -> str:
    """Say a length of time as people do.

    Args:
        seconds: The time.

    Returns:
        Such as `40 s`, `25 min` or `1 h 20 min`.
    """
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / _MINUTE), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
