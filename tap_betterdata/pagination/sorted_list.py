"""A list that the server sorts by a time stamp, read while it moves.

Pages are counted from the oldest row on and read from the last to the first. What is
new or changes goes to the newest end, behind the reader; all that a deletion or a
change does to the rows not yet read is to draw them nearer to the beginning, towards
the pages that come next. They may be met twice; none can slip past. Only rows that went
to the newest end before they were reached are missed, and that end is read again for
them.

    oldest                                            newest
    | page 1 | page 2 |  …  | page n-1 | page n | desc page |
                      <- read in this direction <-

`settled` is a moment of which it is certain that whatever changes after the first
answer is stamped later: the bookmark that a reading leaves. A reading goes down to
`until`, the bookmark of the one before; rows at or before it have been sent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from tap_betterdata.pagination.page import (
    NEVER,
    Batch,
    Checkpoint,
    NotSortedError,
    count_pages,
    earlier,
)
from tap_betterdata.pagination.prefetch import Prefetch, Prefetcher
from tap_betterdata.pagination.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import datetime, timedelta

    from tap_betterdata.pagination.key_set import SentRows
    from tap_betterdata.pagination.page import Fields, Page, Row

MOST_READINGS = 20
# What a list may cost beyond its pages where nothing else is said: as much again, for
# one that was imported a moment ago must be read twice, and some for a small one.
LEAST_EXTRA = 10
# Rows that came before are met again after a large move, but no more pages of them
# than were read, and some.
MOST_BARREN = 20


_SORTS_A_PART = "does not sort the whole list"


class PageSizeError(Exception):
    """The server gives pages of another size than it gave before, or a wrong total."""

    def __init__(self, rows: int, expected: int) -> None:
        """Say how many rows came instead of how many."""
        super().__init__(f"a page had {rows} rows where its total says {expected}")
        self.rows = rows


class ExtraSpentError(Exception):
    """The list moves so much that the requests it may cost are spent."""


@dataclass
class SortedList:
    """Reads a list that the server sorts: whole, what changed, or what is left of it.

    Attributes:
        request: Asks for a page: the order (`asc` or `desc`), its number, its size.
        fields: How to look into rows.
        sent: The rows of the list that were sent already.
        size: How many rows a page has: those asked for, or what the server gives.
        lookback: How late a change may become visible with its time stamp.
        bookmark: What the reading goes down to, and then what it has reached.
        checkpoint: How far a run came that was cut short.
        is_full_table: Whether a target may delete what does not come.
        max_extra: How many extra requests are allowed; None for as many as its pages.
        prefetcher: Makes requests ahead, if it can.
        proof: Set once the server was seen to turn the order when it is asked to: what
            one list has found out holds for the others.
        requests: How many requests were made.
        extra: How many of them a list that stands still would not have cost.
        doubts: Why it is not certain that all rows came; none if it is.
    """

    request: Callable[[str, int, int], Page]
    fields: Fields
    sent: SentRows
    size: int
    lookback: timedelta
    bookmark: datetime | None = None
    checkpoint: Checkpoint | None = None
    is_full_table: bool = False
    max_extra: int | None = None
    prefetcher: Prefetcher = field(default_factory=Prefetcher)
    proof: Event = field(default_factory=Event)
    requests: int = field(default=0, init=False)
    extra: int = field(default=0, init=False)
    doubts: list[str] = field(default_factory=list, init=False)
    _readings: list[Reading] = field(default_factory=list, init=False)
    # While extra requests are made: how many of them are left.
    _allowance: int | None = field(default=None, init=False)

    def batches(self, first: Page | None = None) -> Iterator[Batch]:
        """Read the list, of which the newest page may have been asked for already.

        Yields:
            Rows to send, each version of a row once.

        Raises:
            NotSortedError: If the server doesn't sort the list.
        """
        try:
            yield from self._read(first)
        except PageSizeError as error:
            # The server takes no such pages any more: begin again with what it gives.
            self.extra = self.requests
            self.size = error.rows or self.size
            try:
                yield from self._read(None)
            except PageSizeError as again:
                self.doubts.append(
                    f"{str(again).capitalize()}: the API changes the size of its pages "
                    "while the list is read, or its totals are wrong."
                )

    # What a run reads

    def _read(self, first: Page | None) -> Iterator[Batch]:
        """Finish what was cut short, and read what is newer."""
        self.requests += first is not None
        if self.checkpoint is not None:
            settled, left = self.checkpoint
            self.sent.settle(settled)
            # What came can't be counted, and no page of the newest rows is met below.
            newest = self._check_newest(first or self._request("desc", 1))
            self._check_newest_end(newest)
            yield from self._go_down(left, settled, self.bookmark)
            # `first` is old by now: the newest page is asked for anew, for what moved.
            self.bookmark, self.checkpoint, first = settled, None, None
        is_whole = self.bookmark is None
        is_first = not self.sent.keys
        reading = yield from self._read_newest_end(self.bookmark, first)
        # What came in since is newer than `settled` and not on the first page.
        came = self.sent.settled_keys + reading.newer_than(reading.settled)
        is_counted = is_first and (reading.is_whole or came == reading.total)
        if self.is_full_table:
            yield from self._read_until_exact(reading, is_exact=is_counted)
        elif is_whole and not is_counted:
            # Rows may have gone to the newest end before they were reached.
            with suppress(ExtraSpentError):
                yield from self._read_again(reading)

    def _read_until_exact(self, reading: Reading, *, is_exact: bool) -> Iterator[Batch]:
        """Read the newest end over and over, until all rows of one moment have come."""
        for _ in range(MOST_READINGS - 1):
            if is_exact:
                return
            before = reading
            try:
                reading = yield from self._read_again(before)
            except ExtraSpentError:
                break
            is_exact = reading.is_one_answer or (
                reading.repeats(before) and len(self.sent.keys) == reading.total
            )
        if not is_exact:
            self.doubts.append(
                f"The list moves faster than it can be read: {self.extra} requests "
                "more than it has pages were not enough."
            )

    def _read_again(self, before: Reading) -> Generator[Batch, None, Reading]:
        """Read what came to the newest end since a reading began."""
        pages = count_pages(before.total, self.size)
        allowed = pages + LEAST_EXTRA if self.max_extra is None else self.max_extra
        begun = self.requests
        self._allowance = allowed - self.extra
        try:
            reading = yield from self._read_newest_end(before.settled)
        finally:
            self._allowance = None
            self.extra += self.requests - begun
        missing = reading.total - len(self.sent.keys)
        if missing > 0 and reading.is_one_answer:
            msg = f"leaves out at least {missing} of {reading.total} rows when it sorts"
            raise NotSortedError(msg)
        if missing > 0:
            # Some may have changed twice, and will come; or they are not where they
            # should be.
            self._check_newest_end(reading)
        return reading

    def _read_newest_end(
        self, until: datetime | None, first: Page | None = None
    ) -> Generator[Batch, None, Reading]:
        """Read down to a bookmark, or the whole list if there is none."""
        first = first or self._request("desc", 1)
        reading = self._check_newest(first, until)
        if not reading.keys:
            yield Batch([], bookmark=self.bookmark)
            return reading
        if self.is_full_table:
            reading.see(reading.keys, reading.stamps)
        self.sent.settle(reading.settled)
        self._readings.append(reading)
        rows = self._unsent(first, reading.keys, reading.stamps, until)
        if reading.is_one_answer:
            # Before anything can go wrong: they count as sent from now on.
            yield Batch(rows, bookmark=self.bookmark)
            if not (reading.is_whole or self.proof.is_set()):
                # One look in a run whether the order is turned if that is asked for.
                self._check_oldest(self._request("asc", 1), None)
        else:
            # Rows of one stamp may stand on both sides of the page's end.
            left = reading.total - reading.newer_than(reading.oldest)
            checkpoint = Checkpoint(reading.settled, left)
            yield Batch(rows, checkpoint, self.bookmark)
            yield from self._go_down(left, reading.settled, until, reading)
        if not reading.is_whole:
            self.proof.set()
        self.bookmark = reading.settled
        return reading

    # One way down

    def _go_down(
        self,
        left: int,
        settled: datetime,
        until: datetime | None,
        reading: Reading | None = None,
    ) -> Iterator[Batch]:
        """Read the pages that hold the oldest `left` rows, from the last to the first.

        One by one, moves do no harm. With several in flight there are signs that
        something moved: those below may have been answered before the move and lack a
        row that this page lacks too. They are thrown away then, and the rest is read
        one by one. (Say a deletion draws row 201 from page 3 to page 2. Page 2 was
        answered before it, page 3 after it, and page 4, answered before, showed row
        301, as page 3 does now: it comes again.)

        There is no `reading` to note them in where an earlier run began.
        """
        checkpoint = Checkpoint(settled, left)
        number = count_pages(left, self.size)
        # Those that came on the page with the newest rows may come once more.
        expected = set(reading.keys) if reading else set()
        sequential = until is not None or self.prefetcher.executor is None
        ahead: Prefetch[int, Page] | None = None
        first_newest = previous = None
        barren = total = 0
        try:
            while number > 0:
                page = self._request("asc", number, ahead)
                keys, stamps = self._check_oldest(page, reading)
                total_before, total = total, page.total or 0
                is_filled = total >= number * self.size
                if reading and number == count_pages(left, self.size):
                    self._check_last(stamps, reading, is_filled=is_filled)
                known = len(self.sent.keys)
                rows = self._unsent(page, keys, stamps, until)
                again = len(keys) - (len(self.sent.keys) - known)
                has_moved = previous is not None and (
                    len(keys) < self.size
                    or stamps[-1] > min(previous, settled)
                    or again > len(expected.intersection(keys))
                )
                expected.difference_update(keys)
                if has_moved:
                    sequential = True
                    self._throw_away(ahead)
                    ahead = None
                if not keys:
                    # The list is much shorter now.
                    number = min(number - 1, count_pages(total, self.size))
                    continue
                is_safe = is_filled or number == 1
                if is_safe:
                    checkpoint = Checkpoint(settled, (number - 1) * self.size)
                yield Batch(rows[::-1], checkpoint, self.bookmark)
                if is_safe and until is not None and stamps[0] <= until:
                    return
                # What goes away meanwhile draws rows that came before nearer.
                is_fruitful = again < len(keys) or total < total_before
                barren = 0 if is_fruitful else barren + 1
                self._check_repetition(barren)
                number -= 1
                previous = stamps[0]
                first_newest = first_newest or stamps[-1]
                # A run that goes on can't tell at first what moved since it was cut.
                is_clear = reading is not None or previous < first_newest
                if not (sequential or ahead) and is_clear:
                    ahead = self.prefetcher.ahead(
                        lambda number: self.request("asc", number, self.size),
                        range(number, 0, -1),
                    )
        finally:
            self._throw_away(ahead)

    def _throw_away(self, ahead: Prefetch[int, Page] | None) -> None:
        if ahead is not None:
            begun = ahead.discard()
            self.requests += begun
            self.extra += begun

    def _request(
        self, order: str, number: int, ahead: Prefetch[int, Page] | None = None
    ) -> Page:
        """Ask for a page, or take it from those that are under way."""
        if self._allowance is not None:
            if self._allowance <= 0:
                raise ExtraSpentError
            self._allowance -= 1
        self.requests += 1
        if ahead is not None:
            return next(ahead)
        return self.request(order, number, self.size)

    def _unsent(
        self,
        page: Page,
        keys: list[str],
        stamps: list[datetime],
        until: datetime | None,
    ) -> list[Row]:
        """Return the rows of a page that are to be sent, and note that they came.

        Those that an earlier run has sent are not noted: if the list turns out not to
        be sorted, they are sent again.
        """
        add = self.sent.add
        return [
            row
            for row, key, stamp in zip(page.rows, keys, stamps, strict=True)
            if (until is None or stamp > until) and add(key, stamp, row)
        ]

    # The server is checked, not believed

    def _check_newest(self, page: Page, until: datetime | None = None) -> Reading:
        """Begin a reading with the page that has the newest rows."""
        stamps, keys = self.fields.stamps(page), self.fields.keys(page)
        total = self._total(page)
        if stamps != sorted(stamps, reverse=True):
            msg = "does not sort the newest rows first"
            raise NotSortedError(msg)
        if len(keys) < total and stamps[:1] in ([], [NEVER]):
            msg = "gives no rows, or none with a time stamp, where the newest should be"
            raise NotSortedError(msg)
        if len(keys) < min(self.size, total):
            self.size = len(keys)
        before = earlier(page.date, self.lookback)
        return Reading(keys, stamps, total, min([before, *stamps[:1]]), until)

    def _check_oldest(
        self, page: Page, reading: Reading | None
    ) -> tuple[list[str], list[datetime]]:
        """Return keys and stamps of a page of the oldest rows, if it is in order."""
        stamps, keys = self.fields.stamps(page), self.fields.keys(page)
        before = (page.number - 1) * self.size
        expected = min(self.size, max(self._total(page) - before, 0))
        if len(keys) != expected:
            raise PageSizeError(len(keys), expected)
        if stamps != sorted(stamps):
            msg = "does not sort the oldest rows first"
            raise NotSortedError(msg)
        if any(other.contradicts(keys, stamps) for other in self._readings):
            raise NotSortedError(_SORTS_A_PART)
        if reading is not None and self.is_full_table:
            reading.see(keys, stamps)
        return keys, stamps

    def _total(self, page: Page) -> int:
        if page.total is None:
            msg = "gives no total"
            raise NotSortedError(msg)
        return page.total

    def _check_last(
        self, stamps: list[datetime], reading: Reading, *, is_filled: bool
    ) -> None:
        """Check that the last page of the oldest rows meets the page of the newest.

        Moves explain that older rows end it, but not that rows without a time stamp do:
        these come last in both orders then, before what is to be read.
        """
        is_still = is_filled and reading.oldest <= reading.settled
        if stamps and stamps[-1] < reading.oldest and (is_still or stamps[-1] == NEVER):
            raise NotSortedError(_SORTS_A_PART)

    def _check_newest_end(self, newest: Reading) -> None:
        """Check that the newest rows are the last ones if the oldest come first.

        Rows without a time stamp that come last in both orders would be left out.
        """
        for _ in range(2):
            if not newest.keys:
                return
            last = self._request("asc", count_pages(newest.total, self.size))
            _, stamps = self._check_oldest(last, None)
            if not last.total or stamps[-1:] >= [newest.oldest]:
                self.proof.set()
                return
            # Unless something went away since, or came in with a late stamp.
            is_late = newest.oldest > newest.settled and stamps[-1:] > [NEVER]
            if last.total >= newest.total and not is_late:
                msg = "does not put the newest rows last when the oldest come first"
                raise NotSortedError(msg)
            newest = self._check_newest(self._request("desc", 1))

    def _check_repetition(self, barren: int) -> None:
        """Check that pages in a row that bring nothing new come to an end."""
        most = count_pages(len(self.sent.keys), self.size) + MOST_BARREN
        # What is read again came before, and has a bound of its own.
        if self._allowance is None and barren > most:
            msg = "gives the same rows on page after page"
            raise NotSortedError(msg)
