"""How far a run is, and what it cost: a live line on a terminal, else plain lines."""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable

    from tap_betterdata.api.rate_limit import RateLimiter
    from tap_betterdata.output.terminal import Terminal

LINE_EVERY = 30.0
WORTH_SAYING = 60.0
_MINUTE = 60.0
COLUMNS = ("stream", "rows", "requests", "retries", "waited", "time", "exact")


class Tally(Protocol):
    """What a stream counts while it is read."""

    name: str
    # Whether its rows are parts of those that the API counts.
    is_flat: bool
    rows: int
    requests: int
    least_requests: int
    retries: int
    # Seconds: for the budget, and all in all.
    waited: float
    seconds: float
    complete: bool


class _List(NamedTuple):
    """How far a list is: requests done, how many are to come, and all of its rows."""

    done: int
    to_do: int
    total: int | None


class Progress:
    """Says how far the run is: all the time on a terminal, else now and then.

    It is told of each step from the threads that make them.
    """

    def __init__(
        self, *, logger: logging.Logger, rate_limiter: Callable[[], RateLimiter]
    ) -> None:
        """Begin; nothing is said yet."""
        self._logger = logger
        self._rate_limiter = rate_limiter
        self._lock = threading.Lock()
        self._started, self._said = time.monotonic(), -math.inf
        self._terminal: Terminal | None = None
        self._tally: Tally | None = None
        self._began = self._waited = 0.0
        self._expected = 0
        self._lists: dict[str, _List] = {}

    # Stream by stream

    def begin_stream(self, tally: Tally) -> None:
        """Begin with a stream."""
        with self._lock:
            self._expected, self._lists = 0, {}
            self._began, self._waited = time.monotonic(), self._rate_limiter().waited
            self._tally = tally
        if self._terminal is None:
            self._terminal = _open_terminal(self.line)

    def end_stream(self) -> None:
        """End the stream that was begun with, and note what it took."""
        tally = self._tally
        if tally is not None:
            tally.seconds = time.monotonic() - self._began
            tally.waited = self._rate_limiter().waited - self._waited
            self._tally = None
            if self._terminal:
                did = f"{tally.rows:,} rows · {tally.requests:,} requests"
                self._terminal.keep(f"{tally.name}: {did} · {duration(tally.seconds)}")

    def expect(self, lists: int) -> None:
        """Say of how many lists the stream consists; none of them is begun."""
        with self._lock:
            # Others may have been read to find that out.
            self._expected, self._lists = lists, {}

    def announce(self, what: str, requests: int) -> None:
        """Say how long so many requests must take, if that is worth a line."""
        seconds = self._rate_limiter().seconds_for(requests)
        if seconds >= WORTH_SAYING and self._is_due(self._said):
            self._logger.info(
                "%s: %d requests to make; the budget allows that in %s at the least.",
                what,
                requests,
                duration(seconds),
            )

    def step(self, what: str, *, done: int, of: int | None, total: int | None) -> None:
        """Note how far a list is, and say so unless something was said just now.

        So many requests are done `of` all, for so many rows, as far as these are known.
        """
        with self._lock:
            before = self._lists.get(what)
            # Those that were asked for ahead may come in any order.
            most = max(done, before.done if before else 0)
            to_do = 0 if of is None else max(of - most, 0)
            self._lists[what] = _List(most, to_do, total)
        if self._tally and self._is_due(max(self._said, self._started)):
            _, _, where = what.partition(", ")
            self._logger.info("%s%s.", self.line(), where and f" · now at {where}")

    def sum_up(self, tallies: Iterable[Tally]) -> None:
        """Say what each stream cost."""
        if self._terminal:
            self._terminal.print_table(COLUMNS, map(_cells, tallies))
            return
        for tally in tallies:
            self._logger.info(
                "%s: %d rows, %d requests (the least possible: %d), %d of them "
                "retries, %.0f s waited for the budget.",
                tally.name,
                tally.rows,
                tally.requests,
                tally.least_requests,
                tally.retries,
                tally.waited,
            )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._terminal:
            self._terminal.close()

    def _is_due(self, said: float) -> bool:
        """Tell whether a plain line is due, which then is said."""
        if self._terminal:
            return False
        with self._lock:
            now = time.monotonic()
            if now - said < LINE_EVERY:
                return False
            self._said = now
        return True

    def line(self) -> str:
        """Say how far the stream is."""
        tally = self._tally
        if tally is None:
            return ""
        with self._lock:
            lists = list(self._lists.values())
            # A list that nothing is known of takes a request at least.
            unknown = max(self._expected - len(lists), 0)
        # Not the stream's count: it has those that wait to be sent, too.
        done = sum(one.done for one in lists) if lists else tally.requests
        to_do = unknown + sum(one.to_do for one in lists)
        totals = [one.total for one in lists if one.total is not None]
        rows = f"{tally.rows:,}"
        if totals and len(totals) == len(lists) and not tally.is_flat:
            rows += f" of {'at least ' if unknown else ''}{sum(totals):,}"
        parts = [f"{tally.name}: {rows} rows"]
        requests = f"{done:,}"
        if to_do:
            parts.append(f"{duration(self._seconds_for(to_do, done))} to go")
            requests += f"/{done + to_do:,}"
        parts.append(f"{requests} requests")
        names = ("min", "h")
        room = zip(self._rate_limiter().room(), names, strict=True)
        if left := [f"{n:,}/{name}" for n, name in room if n is not None]:
            parts.append(f"left {' '.join(left)}")
        return " · ".join(parts)

    def _seconds_for(self, to_do: int, done: int) -> float:
        """Estimate how long requests take: by the budget, and by those before them."""
        limiter = self._rate_limiter()
        busy = time.monotonic() - self._began - (limiter.waited - self._waited)
        return max(limiter.seconds_for(to_do), to_do * busy / max(done, 1))


def _open_terminal(line: Callable[[], str]) -> Terminal | None:
    """Open the terminal that standard error is; None if it is none.

    What draws on it is an extra, and only imported where there is something to draw on.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    try:
        from tap_betterdata.output.terminal import Terminal  # noqa: PLC0415
    except ImportError:
        return None
    return Terminal.open(line)


def _cells(tally: Tally) -> tuple[str, ...]:
    return (
        tally.name,
        f"{tally.rows:,}",
        f"{tally.requests:,}",
        f"{tally.retries:,}",
        duration(tally.waited),
        duration(tally.seconds),
        "yes" if tally.complete else "no",
    )


def duration(seconds: float) -> str:
    """Say a length of time as people do: `40 s`, `25 min` or `1 h 20 min`."""
    if round(seconds) < _MINUTE:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / _MINUTE), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
