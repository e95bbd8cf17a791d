"""One exact pass over a long sorted list, from its newest rows to its oldest.

Asked for the oldest rows first, a list keeps what is old at its place: new and changed
rows go to the end, and what is deleted or goes to the end only draws what stands behind
it nearer to the beginning. A way from the last page to the first so meets every row
that it has not come by: what moves comes towards it. It may meet rows twice, but none
slips by, however many changes there are, and nothing needs to be read again but
two things:

- The first page. It was read before the others, to see that the server does sort either
  way, and counts if nothing has moved until the way ends there.
- The end of the list, for rows that went there before they were read. Whether that is
  ruled out is what `settled` says; reading them is left to a sweep that begins with the
  newest rows and stops at `newest`.

What has moved shows where two pages meet: so many rows come again. With pages in flight
the later one may be older than the move, and lack rows that the earlier one lacks too.
But then a pair of pages before has shown the move. So when rows come again, the pages
in flight are thrown away and asked for again, one by one until it is calm; unless the
total fell by as many. If it then turns out that the front of the list is what it was,
there were only deletions, and the totals tell which pages are older than they.

This needs of the server that rows with equal versions keep their order, and that what
comes in or changes gets a version newer than all that has not been read. With pages in
flight one thing more: no row is inserted or updated, and then deleted, all within the
few seconds that the pages in flight take.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

from tap_betterdata.ahead import fly
from tap_betterdata.pages import count_pages
from tap_betterdata.seen import Seen, fingerprint
from tap_betterdata.sweep import allowance

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from datetime import datetime

    from tap_betterdata.pages import Page, Row
    from tap_betterdata.sweep import Sweep

# A shorter list is read newest first: what its pages may cost at most is allowed.
LEAST_PAGES = 20
# After pages in flight had to be thrown away, so many must come without a move; twice
# as many each time that it happens again.
CALM_PAGES = 20


def suits(newest: Page, version: Callable[[Row], datetime | None]) -> bool:
    """Say whether a list can be read from a page's rows to its oldest.

    Args:
        newest: The page, newest first; the first one for the whole list.
        version: Returns when a row was changed, if it says so.

    Returns:
        Whether enough pages follow, by a total that agrees with the number of pages,
        and rows as old as the last one of this page can't share a page with newer
        rows only when the oldest come first: which of several rows of one age come
        first may depend on the end that was asked for.
    """
    total, size = newest.total, len(newest.rows)
    if total is None or size != newest.size:
        return False
    left = total - newest.number * size
    pages = count_pages(total, size)
    if left <= size * (LEAST_PAGES - 2) or newest.total_pages not in {None, pages}:
        return False
    versions = [version(row) for row in newest.rows]
    dated = [known for known in versions if known is not None]
    if len(dated) < size or dated != sorted(dated, reverse=True):
        return False
    due = left - (count_pages(left, size) - 1) * size
    return dated.index(dated[-1]) >= min(due, size - 1)


@dataclass(eq=False)
class BackwardSweep:
    """A pass over a list that `suits`, for one use. The module says what it promises.

    Attributes:
        top: The page to begin with, newest first: the first one, for the whole list.
        bottom: The first page, oldest first, read after that.
        read_front: Reads the first page, newest first; what it raises is let through.
        read: Reads a page, oldest first.
        read_ahead: Reads such pages, several in flight, and gives them in the order
            asked for. It takes numbers only as it begins requests; closing it cancels.
        key: Returns the key of a row: a string, or a tuple of strings.
        version: Returns when a row was updated, as an aware time.
        extra: How many requests more than the pages of one pass may be made; by
            default a tenth of the pages, at least 10.
        requests: How many requests were made, those for `top` and `bottom` among them.
        extra_requests: How many of them a list that stands still would not need.
        total: The number of rows, as the newest answer has it.
        ordered: Whether the rows come sorted.
        newest: The newest version on `top`.
        moved: By how many places unread rows have moved.
        settled: Whether it is sure that none of them have gone to the end of the list.
        doubts: What is uncertain so far, in sentences.
        seen: The fingerprints of the keys of the rows that have come.
        versions: Those of the rows that came last.
        stopped: Whether it ended early, as other sweeps do; never.
        start_page: The number of `top`.
    """

    top: Page
    bottom: Page
    read_front: Callable[[], Page]
    read: Callable[[int], Page]
    read_ahead: Callable[[Iterable[int]], Iterator[Page]]
    key: Callable[[Row], Hashable]
    version: Callable[[Row], datetime | None]
    extra: int | None = None
    requests: int = field(default=2, init=False)
    extra_requests: int = field(default=0, init=False)
    total: int = field(init=False)
    ordered: bool = field(default=True, init=False)
    newest: datetime | None = field(default=None, init=False)
    moved: int = field(default=0, init=False)
    settled: bool = field(default=True, init=False)
    doubts: list[str] = field(default_factory=list, init=False)
    seen: Seen = field(default_factory=Seen, init=False)
    versions: list[datetime | None] = field(default_factory=list, init=False)
    stopped: bool = field(default=False, init=False)
    start_page: int = field(init=False)

    def __post_init__(self) -> None:
        """Prepare what is kept while it goes on."""
        self._size = len(self.top.rows)
        self.total = self.top.total or self._size
        self.start_page = self.top.number
        left = self.total - self.start_page * self._size
        self._begin = count_pages(left, self._size)
        # So many rows the next page must add, if nothing moves.
        self._due = left - (self._begin - 1) * self._size
        self._bottom = self._marks(self.bottom)
        versions = self._versions(self.top)
        self.newest = versions[0]
        self._floor = versions[-1]  # the oldest version that has come
        marks = self._marks(self.top)
        # Those of one age with the oldest row on `top`.
        self._ties = set(compress(marks, [v == self._floor for v in versions]))
        self._lacking = 0
        self._next = self._begin  # the page that comes next
        self._last_total = self.total
        self._front: set[tuple[int, datetime | None]] = set()
        if self.start_page == 1:
            self._front.update(zip(marks, versions, strict=True))
        # Requests that began before this may be older than a move.
        self._doubtful_till = -math.inf
        self._is_searching = False
        self._stale: list[int] = []
        self._suspects: list[int] = []
        self._most = 0  # rows by the totals, since pages may be stale
        self._ended = False
        self._one_by_one = 0  # so many pages are read without others in flight
        self._calm_pages = CALM_PAGES
        self._thrown_away = 0  # the last time

    @property
    def exact(self) -> bool:
        """Whether it has ended and all rows that didn't move to the end have come."""
        return self._ended and not self.doubts

    @property
    def passed_all(self) -> bool:
        """Whether no row newer than the last that came may still come."""
        return not self._stale and not self._is_searching

    @property
    def distinct(self) -> int:
        """How many rows have come."""
        return len(self.seen)

    @property
    def least_requests(self) -> int:
        """How many requests it takes at least."""
        return self._begin + 1

    @property
    def last_page(self) -> int:
        """The number of the list's last page."""
        return count_pages(self.total, self._size)

    @property
    def allowance(self) -> int:
        """How many extra requests may be made."""
        return allowance(self._begin) if self.extra is None else self.extra

    def __iter__(self) -> Iterator[list[Row]]:
        """Read the list.

        Yields:
            Rows whose keys have not come before, newest first, a list for each page
            that has any.
        """
        new = [*map(self.seen.add, self._marks(self.top))]
        self.versions = [*compress(self._versions(self.top), new)]
        yield [*compress(self.top.rows, new)]
        for page in self._pages():
            marks = self._marks(page)
            # Of two rows with one key on a page, the newer one counts.
            new = [*map(self.seen.add, reversed(marks))][::-1]
            versions = self._versions(page)
            if not self._follow(page, marks, versions, new):
                self.ordered = False
                self.doubts.append("The list was not sorted while it was read.")
            if any(new):
                self.versions = [*compress(versions, new)][::-1]
                yield [*compress(page.rows, new)][::-1]
            if not self.ordered:
                return
        if self._lacking:
            self.doubts.append(
                f"Pages had {self._lacking} rows fewer than the total promises."
            )
        self._ended = True

    def agree(self, front: Sweep | None = None) -> None:
        """Compare what came with the total, where rows have moved.

        Args:
            front: The sweep over the front that followed, ended.
        """
        came, total = self.distinct, self.total
        if front is not None:
            came += sum(mark not in self.seen for mark in front.seen)
            if front.total is None:
                self.doubts.append("The front of the list came without a total.")
                return
            total = front.total
        if self.moved and self.start_page == 1 and came < total:
            self.doubts.append(
                f"By the total {total} rows should have come, but {came} did."
            )

    # Requests

    def _pages(self) -> Iterator[Page]:
        while self._next > 1:
            for page in self._read_from(self._next):
                if page.number == self._begin:
                    self._is_searching = self._hides_rows(page)
                yield page
                if self._is_searching:
                    yield from self._search(page.number)
                if self._stale and self._is_time(page):
                    yield from self._resolve(page)
                if self._one_by_one:
                    break
        if not self.moved:
            yield self.bottom
        if self.moved:
            yield from self._look_again([1])

    def _search(self, number: int) -> Iterator[Page]:
        """Read the pages where `top` and the first one read meet, in turn."""
        seam = self.version(self.top.rows[-1])
        versions: list[datetime | None] = []
        for again in self._look_again([number + 1, number]):
            versions = self._versions(again)
            yield again
        self._is_searching = False
        if not versions or not _is_newer(seam, versions[0]):
            self._land()

    def _look_again(self, numbers: Iterable[int]) -> Iterator[Page]:
        for number in numbers:
            if self.extra_requests >= self.allowance:
                self.doubts.append(
                    f"Rows moved, and page {number} of the oldest could not be read "
                    f"again within {self.allowance} extra requests."
                )
                return
            yield self._ask(self.read, number)

    def _read_from(self, number: int) -> Iterator[Page]:
        if not self._one_by_one:
            return self._fly(number)
        self.requests += 1
        return iter([self._note(self.read(number))])

    def _fly(self, number: int) -> Iterator[Page]:
        """Read pages, several in flight."""
        numbers = range(number, 1, -1)
        with closing(fly(self.read_ahead, numbers, self._throw_away)) as pages:
            for page in pages:
                self.requests += 1
                yield self._note(page)

    def _throw_away(self, requests: int) -> None:
        self._thrown_away = requests
        self._waste(requests)

    def _waste(self, requests: int) -> None:
        self.requests += requests
        self.extra_requests += requests

    def _ask(self, read: Callable[..., Page], *number: int) -> Page:
        """Read a page that a list that stands still would not need."""
        self._waste(1)
        return self._note(read(*number))

    def _note(self, page: Page) -> Page:
        if page.total is not None:
            self.total = page.total
        return page

    # What moves

    def _hides_rows(self, page: Page) -> bool:
        """Say whether rows may stand between the first page read and `top`.

        Where the two only seem to meet: at rows of one age.
        """
        fills = self._due == self._size
        return fills and self._versions(page)[-1:] == [self._floor]

    def _follow(
        self,
        page: Page,
        marks: list[int],
        stamps: list[datetime | None],
        new: list[bool],
    ) -> bool:
        """Take a page into account.

        Args:
            page: The page.
            marks: The fingerprints of its keys.
            stamps: The versions of its rows.
            new: Which of its rows have not come before.

        Returns:
            Whether it can follow the pages before, in a sorted list.
        """
        if page.size != self._size or (page.number > 1 and marks == self._bottom):
            return False
        versions = [known for known in stamps if known is not None]
        if len(versions) < len(new) or versions != sorted(versions):
            return False
        # Rows that have not come, and are not newer than those that have.
        below = [*compress(versions, new)]
        if below and _is_newer(below[-1], self._floor):
            below = [known for known in below if not _is_newer(known, self._floor)]
        if not all(new[: len(below)]):
            # Those that come again stand behind them, but for rows of one age.
            again = new.index(False)
            behind = [*compress(versions[again:], new[again:])]
            if behind and _is_newer(self._floor, behind[0]):
                return False
        if page.number != self._next:
            return True
        lacking = self._lacks(page)
        moved = self._due - len(below) - lacking
        is_tied = self._due < self._size and versions[:1] == [self._floor]
        if is_tied and (moved < 0 or not self._ties.issubset(marks)):
            # Rows of one age fill the page, those that have come not among them: they
            # don't show how far it has moved.
            moved = max(moved, 1)
        self._heed(page, moved)
        self._lacking += lacking
        self._due = self._size
        self._next -= 1
        if below:
            self._floor = versions[0]
        return moved >= 0

    def _lacks(self, page: Page) -> int:
        """Return how many rows too few a page has by its own total."""
        before = (page.number - 1) * self._size
        due = self._size if page.total is None else page.total - before
        return max(0, min(due, self._size) - len(page.rows))

    def _heed(self, page: Page, moved: int) -> None:
        """Take a move into account: read one by one, or look out for stale pages."""
        fell = self._last_total - self.total
        self.moved += moved
        self.settled = self.settled and not moved
        if self._one_by_one:
            self._calm_down(moved)
        else:
            if page.started < self._doubtful_till:
                self._stale.append(page.number)
                if fell < 0 or page.total is None:
                    self._suspects.append(page.number)
            most = self._most if self._stale else 0
            self._most = max(most, self._last_total)
            if moved and moved == fell:
                self._doubtful_till = max(self._doubtful_till, page.ended)
            elif moved:
                self._land()
        self._last_total = self.total

    def _land(self) -> None:
        self._one_by_one = self._calm_pages
        self._calm_pages *= 2

    def _calm_down(self, moved: int) -> None:
        if moved:
            self._one_by_one = self._calm_pages
        elif self._one_by_one > 1 or self._can_fly_again:
            self._one_by_one -= 1

    def _is_time(self, page: Page) -> bool:
        """Say whether no page that is stale can follow this one."""
        is_late = page.started >= self._doubtful_till
        return is_late or bool(self._one_by_one) or self._next == 1

    def _resolve(self, page: Page) -> Iterator[Page]:
        """Read again what stale pages may have missed, down to the page at hand."""
        again: Iterable[int] = range(self._stale[0], page.number - 1, -1)
        if not self._one_by_one:
            yield from self._look_again(self._suspects)
            # Only now: a row that was missed may have gone to the front meanwhile.
            if self._is_calm() and self._most - self.total < self._size:
                self.settled = True
                again = ()
            else:
                self._land()
        yield from self._look_again(again)
        self._stale, self._suspects, self._most = [], [], 0

    def _is_calm(self) -> bool:
        """Look whether nothing has come to the front."""
        if not self._front or self.extra_requests >= self.allowance:
            return False
        page = self._ask(self.read_front)
        now = zip(self._marks(page), self._versions(page), strict=True)
        new = [pair for pair in now if not _is_newer(self.newest, pair[1])]
        return len(new) < len(page.rows) and self._front.issuperset(new)

    @property
    def _can_fly_again(self) -> bool:
        """Whether pages in flight may be thrown away once more."""
        spent = self.extra_requests + self._thrown_away
        return spent < self.allowance

    def _marks(self, page: Page) -> list[int]:
        return [fingerprint(self.key(row)) for row in page.rows]

    def _versions(self, page: Page) -> list[datetime | None]:
        return [self.version(row) for row in page.rows]


def _is_newer(version: datetime | None, other: datetime | None) -> bool:
    return version is not None and other is not None and version > other
