"""One list, read once in a run: whole, what changed, or what a run before left."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

from tap_betterdata.bookmarks import earlier
from tap_betterdata.resume import Rest, find_page
from tap_betterdata.seen import Seen, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from datetime import datetime, timedelta

    from tap_betterdata.backward import BackwardSweep
    from tap_betterdata.pages import Page, Row
    from tap_betterdata.sweep import Sweep


@dataclass
class Reading:
    """Reads a list once; what the order by version saves is saved while it holds.

    Attributes:
        read: Reads a page.
        sweep: Makes a sweep that begins with a page in hand.
        backward: Makes one from the newest rows to the oldest, if the list suits it.
        key: Returns the key of a row.
        version: Returns when a row was changed, if it says so.
        since: Only rows changed at or after this are given, and those that don't say;
            None for all.
        stops_early: Whether a page that ends with an older row may end the sweep.
        sorts: Tells from the first page whether the server sorts at all: a few pages
            can come newest first by chance.
        say: Says why more is read than what changed.
        lookback: How far changes may lag behind their time stamps.
        started: When the run began.
        rest: What a run that was cut short has sent.
        given: The keys that were given. Several sweeps may come by the same row, and so
            may the readings of several lists, if it moves from one to the other.
        newest: When the newest row that was given was changed.
        unstamped: How many rows that were given don't say when.
        left: What a later run needs to go on from here; None if it can't.
        ordered: Whether the rows came newest first, as far as that was relied on.
        sweeps: The sweeps that count.
    """

    read: Callable[[int], Page]
    sweep: Callable[..., Sweep]
    backward: Callable[[Page], BackwardSweep | None]
    key: Callable[[Row], Hashable]
    version: Callable[[Row], datetime | None]
    since: datetime | None
    stops_early: bool
    sorts: Callable[[Page], bool]
    say: Callable[[str], None]
    lookback: timedelta
    started: datetime
    rest: Rest | None = None
    given: Seen = field(default_factory=Seen)
    newest: datetime | None = field(default=None, init=False)
    unstamped: int = field(default=0, init=False)
    left: Rest | None = field(default=None, init=False)
    ordered: bool = field(default=True, init=False)
    sweeps: list[Sweep | BackwardSweep] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Prepare what is kept while the reading goes on."""
        self._stop = self.since if self.stops_early else None

    def rows(self, first: Page) -> Iterator[list[Row]]:
        """Read the list.

        Args:
            first: Its first page.

        Yields:
            Rows to be sent, page by page; no key twice.
        """
        self.left = self.rest
        if self.rest:
            yield from self._go_on(first, self.rest)
        else:
            yield from self._begin(first)
        self.ordered = all(sweep.ordered is not False for sweep in self.sweeps)
        if self._is_partial and self.ordered:
            self.ordered = self.sorts(first)
        if self._is_partial and self.ordered and not self._is_end_dated():
            self.say("items without a time stamp stand at its end: all pages are read")
            yield from self._give(self.sweep(self.read(1)))
        if not self.ordered and (self._is_partial or self._is_doubtful):
            # It rests on an order that isn't there.
            self.sweeps.clear()
            yield from self._give(self.sweep(self.read(1), newest_first=False))

    @property
    def _is_partial(self) -> bool:
        """Whether anything was left out, which rests on the order."""
        return any(
            sweep.start_page > 1 or (sweep.stopped and sweep.distinct != sweep.total)
            for sweep in self.sweeps
        )

    def _is_end_dated(self) -> bool:
        """Look whether rows that don't say when they changed stand at the end.

        Nothing shows on the first pages that such a row has come in. Where they stand
        at the front, or the oldest first would begin with them, it was seen already.
        """
        number = self.sweeps[-1].last_page
        if number is None or not all(sweep.stopped for sweep in self.sweeps):
            return True
        versions = [self.version(row) for row in self.read(number).rows]
        return bool(versions) and None not in versions

    @property
    def _is_doubtful(self) -> bool:
        """Whether there are doubts that reading without an order may not leave."""
        return any(sweep.doubts and sweep.total is not None for sweep in self.sweeps)

    @property
    def is_exact(self) -> bool:
        """Whether all sweeps were."""
        return all(sweep.exact for sweep in self.sweeps)

    def _begin(self, first: Page) -> Iterator[list[Row]]:
        """Read the list from its first page on."""
        back = self._backward(first)
        if back is None:
            yield from self._give(self.sweep(first, stop_before=self._stop))
            return
        yield from self._give(back)
        again = None
        if back.ordered and not back.settled:
            # Rows may have gone to the front before they were read.
            again = self.sweep(self.read(1), stop_before=back.newest)
            yield from self._give(again, instead_of=self.left)
        back.agree(again)
        if back.doubts:
            self.left = None

    def _backward(self, first: Page) -> BackwardSweep | None:
        return None if self.since else self.backward(first)

    def _go_on(self, first: Page, rest: Rest) -> Iterator[list[Row]]:
        """Read what came to the front since, what was left, and the front again."""
        front = self.sweep(first, stop_before=earlier(rest.top, self.lookback))
        yield from self._give(front, instead_of=rest)
        if not front.stopped or front.newest is None:
            return
        page = find_page(
            rest,
            came=front.distinct,
            first=first,
            read=self.read,
            version=self.version,
        )
        if page.number == 1:
            yield from self._begin(page)
            return
        back = self._backward(page) or self.sweep(
            page, start_page=page.number, front=front.newest, stop_before=self._stop
        )
        top = max(rest.top, self._cap(front.newest))
        known = Rest(top, rest.reached, rest.rows + front.distinct)
        yield from self._give(back, known, skip=rest)
        # Rows that changed between the first page and the one where it went on.
        again = self.sweep(self.read(1), stop_before=front.newest)
        yield from self._give(again, instead_of=self.left)

    def _give(
        self,
        sweep: Sweep | BackwardSweep,
        known: Rest | None = None,
        *,
        skip: Rest | None = None,
        instead_of: Rest | None = None,
    ) -> Iterator[list[Row]]:
        """Give a sweep's rows that are wanted.

        Args:
            sweep: The sweep.
            known: What has been sent before it.
            skip: What was sent by an earlier run.
            instead_of: What a later run can go on from, as long as it has sent more.
        """
        self.sweeps.append(sweep)
        # A sweep gives no key twice. Where all its rows are wanted and none were given
        # before, they need not be compared one by one.
        is_first = self.since is None and skip is None and not self.given
        try:
            for rows in sweep:
                wanted, versions = rows, sweep.versions
                self.left = known = self._note(sweep, known, versions)
                if instead_of and (known is None or known.rows <= instead_of.rows):
                    self.left = instead_of
                if not is_first:
                    pairs = zip(rows, versions, strict=True)
                    are = [self._is_wanted(*pair, skip) for pair in pairs]
                    wanted = [*compress(rows, are)]
                    versions = [*compress(versions, are)]
                self._date(versions)
                yield wanted
        finally:
            if is_first:
                self.given.fill(sweep.seen)
        if sweep.doubts:
            self.left = None

    def _is_wanted(self, row: Row, version: datetime | None, skip: Rest | None) -> bool:
        """Say whether a row is to be given, and note that it was."""
        if version is not None and self.since is not None and version < self.since:
            return False
        if skip is not None and skip.covers(version):
            return False
        return self.given.add(fingerprint(self.key(row)))

    def _date(self, versions: list[datetime | None]) -> None:
        """Take note of when rows that are given were changed."""
        dated = [version for version in versions if version is not None]
        self.unstamped += len(versions) - len(dated)
        if dated:
            newest = max(dated)
            self.newest = newest if self.newest is None else max(newest, self.newest)

    def _note(
        self,
        sweep: Sweep | BackwardSweep,
        known: Rest | None,
        versions: list[datetime | None],
    ) -> Rest | None:
        """Return what will have been sent with these rows, if order and total tell."""
        if not sweep.ordered or sweep.doubts or sweep.total is None:
            return None
        if sweep.newest is None:
            return None
        top = known.top if known else self._cap(sweep.newest)
        dated = [version for version in versions if version is not None]
        reached = known.reached if known else top
        if sweep.passed_all:
            reached = min([reached, *dated])
        return Rest(top, reached, (known.rows if known else 0) + len(versions))

    def _cap(self, newest: datetime) -> datetime:
        """A row that is dated ahead must not hide what changes after the start."""
        return min(newest, self.started)


def is_turned(
    newest: Page,
    oldest: Page,
    key: Callable[[Row], Hashable],
    version: Callable[[Row], datetime | None],
) -> bool:
    """Say whether a server that was asked for both ends of a list sorts it.

    Args:
        newest: The first page, newest first.
        oldest: The first page, oldest first.
        key: Returns the key of a row.
        version: Returns when a row was changed, if it says so.

    Returns:
        Whether both pages can't but come of sorting.
    """
    if not newest.rows or not oldest.rows:
        return False
    last = version(newest.rows[-1])
    versions = map(version, oldest.rows)
    dated = [known for known in versions if known is not None]
    return (
        bool(dated)
        and dated == sorted(dated)
        and last is not None
        and dated[0] <= last
        and key(newest.rows[0]) != key(oldest.rows[0])
    )
