"""Streams read period by period: closed periods once, the running one each time."""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_betterdata.compat import override
from tap_betterdata.state.bookmarks import GRANULARITY, START, Bookmarks, as_date
from tap_betterdata.state.periods import Period, is_whole, last_day, periods
from tap_betterdata.streams.located import LocatedStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_betterdata.streams.base import Partition, RowsPage


@dataclass(frozen=True)
class Plan:
    """Which periods a run reads.

    Attributes:
        periods: All of them, in order of time.
        closed: The first days of those that are over and not cut short: read once.
        again: From which first day on they are read again, closed or not.
        bookmark: Tells until which first day a location was read before.
        is_known: Tells whether a location's period was read when it was over: one that
            is cut short now must not take its place.
        keeps: Whether the run moves bookmarks.
    """

    periods: list[Period]
    closed: frozenset[date]
    again: date
    bookmark: Callable[[str], date | None]
    is_known: Callable[[str, Period], bool]
    keeps: bool

    def wanted(self, location: str) -> list[dict[str, str]]:
        """Return what to ask for of a location.

        Args:
            location: The location.

        Returns:
            Its periods that are new, running, or closed not long ago.
        """
        read_until = self.bookmark(location)
        return [
            {
                "locationId": location,
                "fromDate": period.first.isoformat(),
                "toDate": period.last.isoformat(),
            }
            for period in self.periods
            if (
                read_until is None
                or period.first > read_until
                or period.first >= self.again
            )
            and (period.first in self.closed or not self.is_known(location, period))
        ]


class PeriodicStream(LocatedStream):
    """A stream of an endpoint that is asked for a location and a period at a time.

    The bookmark of a location is the first day of the last closed period that was
    read: closed means that its last day is over, and that no setting cut it short.
    """

    @abstractmethod
    def read_period(self, partition: Partition) -> RowsPage:
        """Ask for one period: `locationId`, `fromDate` and `toDate`."""

    @override
    def begin(self, partition: Partition, *, is_ahead: bool) -> RowsPage:
        """Ask for the period: there is no more to it."""
        del is_ahead
        return self.read_period(partition)

    @override
    def pages_from(self, partition: Partition, begun: RowsPage) -> Iterator[RowsPage]:
        """Return its one answer."""
        del partition
        return iter([begun])

    @property
    @override
    def is_part(self) -> bool:
        """A stretch of time is a part, always: rows outside it must not be dropped."""
        return True

    @override
    def pages(self) -> Iterator[RowsPage]:
        """Ask for each period that this stream or one that shares it wants."""
        plans = [
            stream.plan
            for stream in (self, *self.siblings())
            if isinstance(stream, PeriodicStream)
        ]
        partitions = {
            (location, partition["fromDate"]): partition
            for location in self.location_ids()
            for plan in plans
            for partition in plan.wanted(location)
        }
        ordered = [partitions[key] for key in sorted(partitions)]
        self.least_requests += len(ordered)
        self.run.progress.begin(self.name, len(ordered))
        total = len(ordered)
        for done, page in enumerate(self.pages_of(ordered), 1):
            self.run.progress.step(self.name, done=done, of=total, total=total)
            yield page

    @override
    def wants(self, page: RowsPage) -> bool:
        """Tell whether an answer is this stream's, and not only its sibling's."""
        partition = page["partition"]
        return partition in self.plan.wanted(partition["locationId"])

    @override
    def bookmark_page(self, page: RowsPage) -> None:
        """Move the location's bookmark when a closed period has been read."""
        location, first = (page["partition"][k] for k in ("locationId", "fromDate"))
        if self.plan.keeps and date.fromisoformat(first) in self.plan.closed:
            self.bookmarks.advance(location, self.replication_key or "", first)

    @cached_property
    def plan(self) -> Plan:
        """What this run reads; starting over, if settings say so, begins here."""
        granularity = self.config["analytics_granularity"]
        is_backfill = self._is_backfill()
        keeps = self.replication_method == REPLICATION_INCREMENTAL and not is_backfill
        if keeps:
            self._start_over_if_changed(granularity)
        start, end = self._window()
        cut = list(periods(start, end, granularity))
        today = datetime.now(tz=UTC).date()
        closed = [p for p in cut if p.last < today and is_whole(p, granularity)]
        lookback = self.config["analytics_lookback_periods"]
        again = closed[max(len(closed) - lookback, 0) :]
        before = Bookmarks(deepcopy(self.bookmarks.state))
        is_same = before.noted(None, GRANULARITY) == granularity
        if is_backfill:
            self.logger.info(
                "The end_date lies before what was read: a backfill, which moves no "
                "bookmark. What it cuts short, and was read whole, is left out."
            )
        if keeps:
            self.bookmarks.note(None, GRANULARITY, granularity)
            self.bookmarks.note(None, START, start.isoformat())

        def read_until(location: str) -> date | None:
            return as_date(before.get(location))

        def is_known(location: str, period: Period) -> bool:
            begun, until = as_date(before.noted(None, START)), read_until(location)
            if not is_same or begun is None or until is None:
                return False
            return begun <= period.first <= until

        return Plan(
            periods=cut,
            closed=frozenset(period.first for period in closed),
            again=again[0].first if again else end,
            bookmark=read_until if keeps else lambda _: None,
            is_known=is_known,
            keeps=keeps,
        )

    def _is_backfill(self) -> bool:
        """Whether the setting end_date keeps the run to what lies behind it."""
        latest = as_date(max(self.bookmarks.values(), default=None))
        if latest is None or not self.config.get("end_date"):
            return False
        granularity = self.bookmarks.noted(None, GRANULARITY)
        return self.run.window[1] < last_day(latest, granularity or "day")

    def _window(self) -> tuple[date, date]:
        """Return the first and last day; unless set, the first stays what it was.

        The default start moves with the calendar; periods that it cut anew would
        overlap those of earlier runs.
        """
        start, end = self.run.window
        begun = as_date(self.bookmarks.noted(None, START))
        if self.config.get("start_date") or not begun or begun > start:
            return start, end
        return begun, end

    def _start_over_if_changed(self, granularity: str) -> None:
        """Drop the bookmarks if they were made with other settings."""
        start = self._window()[0].isoformat()
        for name, now in ((GRANULARITY, granularity), (START, start)):
            before = self.bookmarks.noted(None, name)
            if None not in {before, now} and before != now:
                self.logger.info(
                    "The %s was %s and is %s: all periods are read again.",
                    name,
                    before,
                    now,
                )
                self.bookmarks.forget()
