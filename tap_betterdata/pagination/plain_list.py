"""A list without an order to rely on, read from its first page to its last.

Nothing is guessed: what moved shows in the totals, in keys that come again, in short
pages and in time stamps. A move is explained where the numbers fit exactly; what is
not explained makes the reading inexact, and it says so. What can't be seen: opposite
changes between two answers (one row in, one row out) where rows have no time stamps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_betterdata.pagination.key_set import KeySet
from tap_betterdata.pagination.page import NEVER, Batch, count_pages, earlier

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import datetime, timedelta

    from tap_betterdata.pagination.key_set import SentRows
    from tap_betterdata.pagination.page import Fields, Page, Row

# What a list may cost beyond its pages where nothing else is said: a tenth of them.
LEAST_EXTRA = 10
EXTRA_SHARE = 10
# So many pages in a row that bring nothing new are the end of a list, whatever it says.
MOST_BARREN = 2


@dataclass
class PlainList:
    """Reads a whole list; sends what is newer than the bookmark.

    Attributes:
        request: Asks for a page: its number, its size.
        fields: How to look into rows.
        sent: The rows of the list that were sent already.
        size: How many rows a page has: those asked for, or what the server gives.
        lookback: How late a change may become visible with its time stamp.
        bookmark: Rows at or before it are not sent; at the end, what was reached.
        max_extra: How many extra requests are allowed; None for a tenth of its pages.
        requests: How many requests were made.
        extra: How many of them a list that stands still would not have cost.
        doubts: Why it is not certain that all rows came; none if it is.
    """

    request: Callable[[int, int], Page]
    fields: Fields
    sent: SentRows
    size: int
    lookback: timedelta
    bookmark: datetime | None = None
    max_extra: int | None = None
    requests: int = field(default=0, init=False)
    extra: int = field(default=0, init=False)
    doubts: list[str] = field(default_factory=list, init=False)
    _keys: KeySet = field(default_factory=KeySet, init=False)
    _newest: datetime = field(default=NEVER, init=False)
    # By how much the total fell, less by how much it rose, as far as it is explained.
    _explained: int = field(default=0, init=False)

    def batches(self, first: Page | None = None) -> Iterator[Batch]:
        """Read the list, of which the first page may have been asked for already."""
        self.requests += first is not None
        first = first or self._request(1)
        self.sent.settle(earlier(first.date, self.lookback))
        if 0 < len(first.rows) < min(self.size, first.total or 0):
            self.size = len(first.rows)
        rows, _, _ = self._take(first)
        yield Batch(rows)
        last = yield from self._read_on(first)
        self._judge(last)
        if last is not first and self._newest >= first.date:
            # It may have come in where something else went away.
            self._doubt("rows changed while it was read")
        if self._newest > NEVER and not self.doubts:
            self.bookmark = min(self._newest, earlier(first.date, self.lookback))

    def _read_on(self, page: Page) -> Generator[Batch, None, Page]:
        """Read the pages behind the first one, and return the last answer."""
        barren = 0
        while barren < MOST_BARREN and not self._is_end(page):
            before, page = page, self._request(page.number + 1)
            rows, new, again = self._take(page)
            yield Batch(rows)
            barren = 0 if new else barren + 1
            yield from self._explain(before, page, again)
        if barren == MOST_BARREN:
            self._doubt("pages bring nothing new before the list's end")
        return page

    def _is_end(self, page: Page) -> bool:
        """Say whether there is nothing behind a page."""
        count, number = len(page.rows), page.number
        is_full = count >= self.size
        if page.total is None:
            return not is_full
        # After a full page at the end of several, the next one must be empty.
        return number * self.size >= page.total and not (number > 1 and is_full)

    def _explain(self, before: Page, page: Page, again: int) -> Iterator[Batch]:
        """Find out what moved between two answers, if anything did."""
        if before.total is None or page.total is None:
            return
        fell = before.total - page.total
        if fell > 0 and not again:
            found = yield from self._read_back(page)
            if found == fell:
                self._explained += fell
            else:
                self._doubt("rows went away while it was read")
        elif fell < 0 and again == -fell:
            self._explained += fell
        elif fell or again:
            self._doubt("rows moved while it was read")

    def _read_back(self, page: Page) -> Generator[Batch, None, int]:
        """Read the pages before one again, back to one that brings nothing new.

        Returns:
            How many new rows were found.
        """
        found = 0
        for number in range(page.number - 1, 0, -1):
            if not self._may_read_again(page.total or 0):
                self._doubt("more pages would have to be read again than is allowed")
                break
            self.extra += 1
            other = self._request(number)
            rows, new, _ = self._take(other)
            yield Batch(rows)
            if other.total != page.total or len(other.rows) < self.size:
                self._doubt("rows moved while it was read again")
            found += new
            if not new:
                break
        return found

    def _may_read_again(self, total: int) -> bool:
        if self.max_extra is not None:
            return self.extra < self.max_extra
        pages = count_pages(total, self.size)
        return self.extra < max(LEAST_EXTRA, pages // EXTRA_SHARE)

    def _request(self, number: int) -> Page:
        self.requests += 1
        return self.request(number, self.size)

    def _take(self, page: Page) -> tuple[list[Row], int, int]:
        """Return a page's rows to send; count those that are new, and came before."""
        rows, new = [], 0
        stamps, keys = self.fields.stamps(page), self.fields.keys(page)
        for row, key, stamp in zip(page.rows, keys, stamps, strict=True):
            new += self._keys.add(key)
            is_wanted = self.bookmark is None or stamp is NEVER or stamp > self.bookmark
            if self.sent.add(key, stamp, row) and is_wanted:
                rows.append(row)
        self._newest = max([self._newest, *stamps])
        return rows, new, len(keys) - new

    def _judge(self, last: Page) -> None:
        """Say whether as many rows came as there must be."""
        if last.total is None:
            self._doubt("the API gives no total to hold the rows against")
            return
        came = len(self._keys)
        missing = last.total + self._explained - came
        if missing > 0:
            self._doubt(f"at least {missing} of {last.total} rows are missing")
        elif missing < 0:
            self._doubt(f"{came} rows came, and its total is {last.total}")

    def _doubt(self, why: str) -> None:
        if why not in self.doubts:
            self.doubts.append(why)
