"""Streams read period by period: closed periods once, the running one each time."""

from __future__ import annotations

from abc import abstractmethod
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_betterdata.compat import override
from tap_betterdata.state.bookmarks import GRANULARITY, START, as_date
from tap_betterdata.state.periods import is_whole, last_day, periods
from tap_betterdata.streams.located import LocatedStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tap_betterdata.streams.base import Partition, RowsPage


class PeriodicStream(LocatedStream):
    """A stream of an endpoint that is asked for a location and a period at a time.

    The bookmark of a location is the first day of the last closed period that was
    read: closed means that its last day is over, and that no setting cut it short.
    """

    # Rows outside the stretch of time must not be dropped.
    is_part = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream."""
        super().__init__(*args, **kwargs)
        # What this run reads, by location and first day.
        self._wanted: dict[tuple[str, str], Partition] = {}
        # The first days of the periods that it moves bookmarks to.
        self._closed: set[str] = set()

    @abstractmethod
    @override
    def begin(self, partition: Partition, *, is_ahead: bool) -> RowsPage:
        """Ask for one period: `locationId`, `fromDate` and `toDate`."""

    @override
    def pages_from(self, partition: Partition, begun: RowsPage) -> Iterator[RowsPage]:
        """Return the period's one answer."""
        del partition
        yield begun

    @override
    def pages(self) -> Iterator[RowsPage]:
        """Ask for each period that this stream or one that shares it wants."""
        locations = self.location_ids()
        wanted: dict[tuple[str, str], Partition] = {}
        for stream in (self, *self.siblings()):
            if isinstance(stream, PeriodicStream):
                wanted |= stream.plan(locations)
        partitions = [wanted[key] for key in sorted(wanted)]
        total = len(partitions)
        self.least_requests += total
        self.run.progress.announce(self.name, total)
        for done, page in enumerate(self.pages_of(partitions), 1):
            self.run.progress.step(self.name, done=done, of=total, total=total)
            yield page

    @override
    def wants(self, page: RowsPage) -> bool:
        """Tell whether an answer is this stream's, and not only its sibling's."""
        partition = page["partition"]
        return (partition["locationId"], partition["fromDate"]) in self._wanted

    @override
    def bookmark_page(self, page: RowsPage) -> None:
        """Move the location's bookmark when a closed period has been read."""
        location, first = (page["partition"][k] for k in ("locationId", "fromDate"))
        if first in self._closed:
            self.bookmarks.advance(location, self.replication_key or "", first)

    def plan(self, locations: Iterable[str]) -> dict[tuple[str, str], Partition]:
        """Choose what this run reads, by location and first day.

        Those are the periods that are new, running, or closed not long ago. A
        backfill and a full table have all that lies within the dates.
        """
        granularity = self.config["analytics_granularity"]
        start, end = self._window()
        today = datetime.now(tz=UTC).date()
        chosen = list(periods(start, end, granularity))
        closed = [p for p in chosen if p.last < today and is_whole(p, granularity)]
        again = set(chosen)
        if self._is_backfill(end):
            self.logger.info(
                "The end_date lies before what was read: a backfill, which moves no "
                "bookmark, and leaves out a period that the date cuts short."
            )
            if granularity != "range":
                chosen = closed
        elif self.replication_method == REPLICATION_INCREMENTAL:
            self._begin_anew_if_changed(granularity, start)
            self._closed = {period.first.isoformat() for period in closed}
            lookback = self.config["analytics_lookback_periods"]
            again = set(closed[max(len(closed) - lookback, 0) :])
        for location in locations:
            read_until = as_date(self.bookmarks.get(location))
            for period in chosen:
                if read_until is None or period.first > read_until or period in again:
                    first = period.first.isoformat()
                    self._wanted[location, first] = {
                        "locationId": location,
                        "fromDate": first,
                        "toDate": period.last.isoformat(),
                    }
        return self._wanted

    def _is_backfill(self, end: date) -> bool:
        """Whether the setting end_date keeps the run to what lies behind it."""
        latest = as_date(max(self.bookmarks.values(), default=None))
        if latest is None or not self.config.get("end_date"):
            return False
        granularity = self.bookmarks.noted(None, GRANULARITY)
        return end < last_day(latest, granularity or "day")

    def _window(self) -> tuple[date, date]:
        """Return the first and last day; unless set, the first stays what it was.

        The default start moves with the calendar; periods that it cut anew would
        overlap those of earlier runs.
        """
        start, end = self.run.window
        begun = as_date(self.bookmarks.noted(None, START))
        if begun and begun < start and not self.config.get("start_date"):
            start = begun
        return start, end

    def _begin_anew_if_changed(self, granularity: str, start: date) -> None:
        """Note what bookmarks are made with; drop those made with other settings."""
        for name, now in ((GRANULARITY, granularity), (START, start.isoformat())):
            before = self.bookmarks.noted(None, name)
            if before not in {None, now}:
                self.logger.info(
                    "The %s was %s and is %s: all periods are read again.",
                    name,
                    before,
                    now,
                )
                self.bookmarks.forget()
            self.bookmarks.note(None, name, now)
