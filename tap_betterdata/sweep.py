"""One exact pass over a paged list whose rows move while it is read.

Page k holds what stands at the places (k-1)*size to k*size *when it is read*. A change
between two reads moves all that stands behind it: if more rows went away before the
next page than came in, rows slip over to a page that has been read already, and a
plain loop never sees them. If more came in than went, rows are seen twice.

What is promised
----------------

Rows that exist from the first request to the last are yielded exactly once each, or
`exact` is False and `doubts` says with numbers what is uncertain. No key is ever
yielded twice. Two cases differ in what "exact" rests on.

**Newest first.** The list was asked for by version, newest first, the rows that come
are in that order, and so every insert and every update goes to the very front. Then,
between the reading of two neighbouring pages, what has not been read keeps its order
and moves as one block, by

    inserts + updates of unread rows - deletes of read rows,

while the total changes by `inserts - deletes`. The move is never less than the change
of the total. So rows can only slip away where the total fell, however many changes of
whichever kind there were; and how far the total fell says how many at most. These
places are read again, and nothing else. The difference of the two, the move less the
change of the total, is `updates of unread rows + deletes of unread rows`: only where
it isn't zero can an unread row have gone to the front. The front is then read again at
the end, down to rows older than the newest one of the beginning, as a small pass of
its own that is held to the same standard, and so on until one leaves no question.

This needs of the server that each answer's total and rows belong to one moment, that
rows with equal versions keep their order, and that a change's version is newer than
all before. With pages in flight one thing more: no row is inserted or updated, and
then deleted, all within the few seconds that the pages in flight take.

**Any other order.** Exact as long as there was at most one change from one page to
the next, counting the time that looking again took (with pages in flight: the time
that these took), and, if an update can move a row, no row changed twice. A fallen
total shows where to look again, rows seen twice show what came in, and the number of
distinct keys must be what the last total says once both are allowed for. Where it
isn't, what is missing is searched for within the budget of extra requests. What can't
be seen without reading everything twice: that from one page to the next as many rows
went away (or moved down) above their border as came in (or moved up) below it. Where
rows carry a version newer than `started_at`, and so have changed, a few pages are
looked at again; if their rows have moved, the sweep is not called exact.

A list without a total that takes more than one page is never called exact: nothing
would show that a row slipped.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import timedelta
from itertools import count, pairwise, takewhile
from typing import TYPE_CHECKING

from tap_betterdata.ahead import fly
from tap_betterdata.pages import count_pages
from tap_betterdata.seen import Seen, fingerprint
from tap_betterdata.walk import Lost, View, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from datetime import datetime

    from tap_betterdata.pages import Page, Row

LEAST_EXTRA = 10
EXTRA_SHARE = 10  # by default a tenth of the pages may be asked for again
# A sweep that may end early asks for single pages at first: pages in flight beyond
# its end would be requests for nothing.
PAGES_BEFORE_FLIGHT = 8
# After pages in flight had to be thrown away, so many must come without a change; twice
# as many each time that it happens again.
CALM_PAGES = 20
# The server's answers and its rows may be stamped by clocks that differ so much.
CLOCK_SKEW = timedelta(minutes=1)
# Where rows changed and nothing shows whether others moved: so many looks.
SAMPLE_PAGES = 5
# Where the server says neither how many rows nor how many pages there are.
MOST_PAGES = 100_000


class PagesRepeatError(RuntimeError):
    """The server gives the same rows whichever page is asked for."""


@dataclass(eq=False)
class Sweep:
    """One pass over a paged list, for one use. The module says what it promises.

    Attributes:
        read: Reads a page; what it raises is let through.
        read_ahead: Reads pages, several in flight, and gives them in the order asked
            for. It takes numbers only as it begins requests; closing it cancels.
        key: Returns the key of a row: a string, or a tuple of strings.
        version: Returns when a row was updated, as an aware time, or None where it
            doesn't say; None if rows never do.
        newest_first: Whether the list was asked for by version, newest first.
        extra: How many requests more than the pages of one pass may be made; by
            default a tenth of the pages, at least 10.
        stop_before: With the newest first: end at a page that ends with an older row.
            Not done where the order doesn't hold or rows without a version turn up.
        start_page: The page to begin at, for a list whose front is read elsewhere.
        front: With `start_page`: the newest version known from there.
        started_at: When the sweep began by the server's clock, if that is known.
        requests: How many requests were made.
        extra_requests: How many of them a list that stands still would not need.
        total: The number of rows, as the newest answer has it.
        ordered: Whether the rows come newest first; None before the first page, or
            if it wasn't asked for.
        newest: With the newest first: the newest version when the sweep began.
        stopped: Whether it ended early, by `stop_before`.
    """

    read: Callable[[int], Page]
    read_ahead: Callable[[Iterable[int]], Iterator[Page]]
    key: Callable[[Row], Hashable]
    version: Callable[[Row], datetime | None] | None = None
    _: KW_ONLY
    newest_first: bool = False
    extra: int | None = None
    stop_before: datetime | None = None
    start_page: int = 1
    front: datetime | None = None
    started_at: datetime | None = None
    requests: int = field(default=0, init=False)
    extra_requests: int = field(default=0, init=False)
    total: int | None = field(default=None, init=False)
    ordered: bool | None = field(default=None, init=False)
    newest: datetime | None = field(default=None, init=False)
    stopped: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Prepare what is kept while the sweep goes on."""
        self._by_version = self.newest_first and self.version is not None
        self._seen = Seen()
        self._came: list[Row] = []
        self._ended = False
        self._size = 0
        self._said_size = 0
        self._expected: int | None = None  # pages, as the main walk's last one says
        self._pages = 0  # that the main walk has gone over
        self._jump: int | None = None  # where the main walk goes on, if elsewhere
        self._grounded = 0  # so many pages are read one by one
        self._calm_pages = CALM_PAGES
        self._edges: dict[int, int] = {}  # where pages began and ended
        self._unsure_gaps = 0
        self._unsure_rows = 0
        self._unsure_front = False
        self._other_doubts: list[str] = []
        self._blind = False  # there were pages without a total
        self._late = 0  # rows that changed meanwhile, where the order doesn't show it

    # What it found

    @property
    def exact(self) -> bool:
        """Whether it has ended and all rows that were there throughout have come."""
        return self._ended and not self.doubts

    @property
    def doubts(self) -> list[str]:
        """What is uncertain so far, in sentences."""
        found = []
        if self._unsure_gaps:
            found.append(
                f"Rows moved between pages at {self._unsure_gaps} places that could "
                f"not be read again within {self.allowance} extra requests: up to "
                f"{self._unsure_rows} rows may be missing."
            )
        if self._unsure_front:
            found.append(
                "Rows that were updated meanwhile may be missing: the front of the "
                f"list could not be read again within {self.allowance} extra requests."
            )
        return found + self._other_doubts

    @property
    def versions(self) -> list[datetime | None]:
        """Those of the rows that came last."""
        if self.version is None:
            return [None] * len(self._came)
        return [self.version(row) for row in self._came]

    @property
    def passed_all(self) -> bool:
        """Whether no row newer than the last that came may still come unchanged."""
        return True

    @property
    def seen(self) -> Seen:
        """The fingerprints of the keys of the rows that have come."""
        return self._seen

    @property
    def distinct(self) -> int:
        """How many rows have come."""
        return len(self._seen)

    @property
    def least_requests(self) -> int:
        """How many requests the list takes at least."""
        if self.total is None or self.stopped or self.start_page > 1:
            return self._pages
        return max(1, count_pages(self.total, self._size or 1))

    @property
    def last_page(self) -> int | None:
        """The number of the list's last page, by the newest answer that tells."""
        return None if self.total is None else count_pages(self.total, self._size or 1)

    @property
    def allowance(self) -> int:
        """How many extra requests may be made."""
        if self.extra is not None:
            return self.extra
        return allowance(max(self._expected or 0, self._pages))

    # The sweep

    def __iter__(self) -> Iterator[list[Row]]:
        """Return the rows, like `rows`."""
        return self.rows()

    def rows(self) -> Iterator[list[Row]]:
        """Read the list.

        Yields:
            Rows whose keys have not come before, a list for each page that has any.

        Raises:
            PagesRepeatError: If pages are the same whatever number is asked for.
        """
        main = walk = self._walk(main=True, until=self.stop_before)
        yield from self._go(main, self.start_page)
        self.stopped = main.stopped
        while self.ordered and not walk.settled and not self._unsure_front:
            before, walk = walk, self._walk(until=walk.newest)
            walk.sealed = self._is_sealed(before)
            yield from self._go(walk, 1)
            if self._unsure_front or walk.last is None:
                break
            if walk.last.page.number < before.fresh_page:
                # Rows that had changed stood below others that had not.
                self.ordered = self._by_version = False
                main.muddled = True
        if not self.stopped and self.start_page == 1:
            yield from self._settle(main, walk)
        elif not self.ordered:
            # Without the order, only the count of the whole list proves anything.
            self._other_doubts.append(
                "Only a part of the list was read, and it turned out not to be sorted "
                "by version: rows may be missing."
            )
        elif self._blind:
            self._doubt_blindly()
        self._ended = True

    def _walk(self, *, main: bool = False, until: datetime | None) -> Walk:
        known: Seen | set[int] = self._seen if main else set()
        return Walk(known=known, by_version=self._by_version, main=main, until=until)

    def _is_sealed(self, walk: Walk) -> bool:
        """Say whether rows that change from now on get versions yet unused."""
        if self.started_at is None or walk.newest is None:
            return False
        return walk.newest < self.started_at - CLOCK_SKEW

    def _go(self, walk: Walk, number: int) -> Iterator[list[Row]]:
        for page in self._pages_from(number, walk):
            view = self._view(page)
            batch: dict[int, Row] = {}
            if walk.last is None:
                self._begin(walk, view)
            else:
                view = self._join(walk, walk.last, view, batch)
            if walk.by_version != self._by_version:
                self._by_version = False
            if self._by_version or self.newest_first:
                self.ordered = self._by_version
            new = self._take(walk, view, batch)
            walk.last = view
            if walk.main:
                self._expected = self._expect(view.page)
                self._keep_edges(view)
            if batch:
                if not self._by_version:
                    self._late += sum(map(self._is_late, batch.values()))
                yield self._hand_out(batch)
            if self._ends(walk, view, new):
                break
        walk.end()

    def _begin(self, walk: Walk, view: View) -> None:
        walk.begin(view, self.front if walk.main and self.start_page > 1 else None)
        if not walk.main:
            return
        self.newest = walk.newest
        page = view.page
        # A page that isn't the last one shows how many rows a page really has.
        full = page.rows and (page.total is None or page.total > len(page.rows))
        self._size = len(page.rows) if full else max(page.size, len(page.rows), 1)
        self._said_size = page.size

    def _take(self, walk: Walk, view: View, batch: dict[int, Row]) -> int:
        """Put the rows that are new into a batch; of two with one key the newer."""
        before = len(self._seen)
        if walk.main and view.versions and walk.is_fresh(view.versions[0]):
            walk.gone_up.update(
                mark
                for mark, version in zip(view.marks, view.versions, strict=True)
                if walk.is_fresh(version) and mark not in self._seen
            )
        add = self._seen.add
        for row, mark in zip(view.page.rows, view.marks, strict=True):
            if add(mark) or (mark in batch and self._is_newer(row, batch[mark])):
                batch[mark] = row
        if isinstance(walk.known, set):
            walk.known.update(view.marks)
        return len(self._seen) - before

    def _hand_out(self, batch: dict[int, Row]) -> list[Row]:
        self._came = list(batch.values())
        return self._came

    def _is_newer(self, row: Row, other: Row) -> bool:
        if self.version is None:
            return False
        version, known = self.version(row), self.version(other)
        return version is not None and (known is None or version > known)

    def _is_late(self, row: Row) -> bool:
        if self.version is None or self.started_at is None:
            return False
        version = self.version(row)
        return version is not None and version > self.started_at

    def _ends(self, walk: Walk, view: View, new: int) -> bool:
        """Say whether a page is the walk's last."""
        if walk.is_past(view):
            walk.stopped = True
            return True
        page = view.page
        if not page.rows:
            return True
        expected = self._expect(page)
        if expected is None:
            return not new
        if page.number < expected:
            return False
        # The server may have more than it says: it is believed only if nothing speaks
        # against it.
        more = page.total is not None and self._place(view) > page.total
        more = more or (page.total_pages or 0) > page.number
        return not (walk.main and more and new)

    def _place(self, view: View) -> int:
        """Return the place of a page's end in the list."""
        return (view.page.number - 1) * self._size + len(view.marks)

    # Requests

    def _pages_from(self, number: int, walk: Walk) -> Iterator[Page]:
        """Read pages, for a walk, from a number on."""
        self._jump = None
        while True:
            if walk.main and self._may_fly(number):
                pages = self._fly(number)
            elif walk.main and not self._is_beyond(number):
                pages = self._read_next(number)
            elif self._may_ask():
                pages = iter([self._ask(number)])
            else:
                self._break_off(walk, number)
                return
            for page in pages:
                number = page.number + 1
                yield page
                if self._jump is not None:
                    number, self._jump = self._jump, None
                    break

    def _may_fly(self, number: int) -> bool:
        return (
            not self._grounded
            and self._expected is not None
            and number <= self._expected
            and (self.stop_before is None or self._pages >= PAGES_BEFORE_FLIGHT)
        )

    def _fly(self, number: int) -> Iterator[Page]:
        """Read pages up to the last, several in flight."""
        numbers = takewhile(lambda n: n <= (self._expected or 0), count(number))
        with closing(fly(self.read_ahead, numbers, self._waste)) as pages:
            for page in pages:
                self._count(1)
                yield self._note(page)

    def _waste(self, requests: int) -> None:
        self.requests += requests
        self.extra_requests += requests

    def _read_next(self, number: int) -> Iterator[Page]:
        self._count(1)
        yield self._note(self.read(number))

    def _count(self, pages: int) -> None:
        self.requests += pages
        self._pages += pages

    def _ask(self, number: int) -> Page:
        """Read a page that a list that stands still would not need."""
        self._waste(1)
        return self._note(self.read(number))

    def _may_ask(self) -> bool:
        return self.extra_requests < self.allowance

    def _note(self, page: Page) -> Page:
        self.total = page.total
        return page

    def _expect(self, page: Page) -> int | None:
        if page.total is None:
            return page.total_pages
        return count_pages(page.total, self._size)

    def _is_beyond(self, number: int) -> bool:
        """Say whether a page lies behind the last one."""
        if not self._size:
            return False
        if self._expected is None:
            return number - self.start_page >= MOST_PAGES
        return number > self._expected

    def _break_off(self, walk: Walk, number: int) -> None:
        if walk.main:
            self._other_doubts.append(
                f"The server still gives rows on page {number - 1}, more than its "
                f"total of {self.total} would fill."
            )
        else:
            self._unsure_front = True

    def _view(self, page: Page) -> View:
        versions: list[datetime | None] = []
        if self._by_version and self.version is not None:
            versions = [self.version(row) for row in page.rows]
        return View(page, [fingerprint(self.key(row)) for row in page.rows], versions)

    # Where two pages meet

    def _join(self, walk: Walk, last: View, view: View, batch: dict[int, Row]) -> View:
        """See to it that nothing is missing between two pages.

        Args:
            walk: The walk.
            last: The page before.
            view: The page after it.
            batch: Takes the rows that were missing.

        Returns:
            The page after it, which may have been read again.
        """
        ends = [self._expect(page) for page in (last.page, view.page)]
        if all(end is not None and end < view.page.number for end in ends):
            # Nothing was unread by the server's own count: it is asked all the same.
            return view
        if walk.main and view.marks and view.marks == last.marks:
            view = self._look_at_repeats(last, view)
        view, repeated = self._resized(walk, last, view)
        # A page in flight that was answered before the one above it, and before a
        # change that this one knows of: one look now saves several later.
        is_stale = view.page.ended < last.page.ended and _growth(last, view) != 0
        if is_stale and self._may_ask():
            view = self._view(self._ask(view.page.number))
        overlap = walk.overlap(view)
        if walk.by_version and not overlap and self._is_overtaken(walk, view):
            view = self._land(view)
            overlap = walk.overlap(view)
        grown = _growth(last, view)
        self._blind = self._blind or last.page.total is None or view.page.total is None
        lost = Lost()
        if grown < 0 and not overlap:
            lost = self._bridge(walk, last, view, batch, -grown)
        overlap -= repeated
        walk.go_on(view, overlap=overlap, lost=lost, grown=grown)
        if self._grounded:
            moved = overlap or grown
            self._grounded = self._calm_pages if moved else self._grounded - 1
        return view

    def _look_at_repeats(self, last: View, view: View) -> View:
        """Look why two pages have the same rows.

        Returns:
            The second page: as it was, if rows moved by a page; read again, if it was
            out of date.
        """
        number = last.page.number
        if self._may_ask() and self._view(self._ask(number)).marks != last.marks:
            return view
        if not self._may_ask():
            self._other_doubts.append(
                f"The pages {number} and {number + 1} had the same rows, and could not "
                f"be read again within {self.allowance} extra requests."
            )
            return view
        again = self._view(self._ask(number + 1))
        if again.marks != last.marks:
            return again
        msg = (
            f"The server gives the same rows as page {number} and as page "
            f"{number + 1}: its pages can't be read one after the other."
        )
        raise PagesRepeatError(msg)

    def _resized(self, walk: Walk, last: View, view: View) -> tuple[View, int]:
        """Go on at the right place where the server changes the page size.

        Returns:
            The page that follows, and how many of its rows it must repeat.
        """
        page = view.page
        changed = page.size not in {self._said_size, self._size}
        if not (walk.main and changed and len(page.rows) == page.size):
            return view, 0
        done = self._place(last)
        self._size = self._said_size = page.size
        number = done // page.size + 1
        view = self._view(self._ask(number))
        self._jump = number + 1
        return view, done - (number - 1) * page.size

    def _is_overtaken(self, walk: Walk, view: View) -> bool:
        """Say whether a page in flight may lack rows that pages above it lack too."""
        if not walk.main or view.page.started >= walk.doubtful_till:
            return False
        if self._may_ask() and self._is_front_calm(walk):
            walk.calm(view.page.started)
            return False
        return True

    def _is_front_calm(self, walk: Walk) -> bool:
        """Look whether nothing has come to the front since the walk began."""
        view = self._view(self._ask(1))
        known: dict[int, datetime | None] = {}
        if walk.first is not None:
            known.update(zip(walk.first.marks, walk.first.versions, strict=True))
        walk.sealed = self._is_sealed(walk)
        for mark, version in zip(view.marks, view.versions, strict=True):
            if version is None or walk.newest is None:
                return False
            if walk.is_old(version, walk.newest):
                return True
            if known.get(mark) != version:
                return False
        return False

    def _land(self, view: View) -> View:
        """Throw the pages in flight away and read one by one for a while."""
        if not self._may_ask():
            self._unsure_gaps += 1
            self._unsure_rows += self._size
            return view
        self._grounded = self._calm_pages
        self._calm_pages *= 2
        self._jump = view.page.number + 1
        return self._view(self._ask(view.page.number))

    def _bridge(
        self, walk: Walk, last: View, view: View, batch: dict[int, Row], fell: int
    ) -> Lost:
        """Find the rows that slipped away between two pages.

        Args:
            walk: The walk.
            last: The page before.
            view: The page after it.
            batch: Takes the rows.
            fell: By how many rows the total fell, the most that can be missing.

        Returns:
            How many rows were found.
        """
        ahead = set(view.marks)
        lost = Lost()
        number, step = last.page.number, 1
        before: View | None = None
        while self._may_ask():
            again = self._view(self._ask(number))
            if before is None and not _begins_above(walk, last, again):
                number, step = max(1, number - step), step * 2
                continue
            if before is not None and _may_have_lost(before, again):
                number, before = last.page.number, None
                continue
            above = _until(walk, again, ahead)
            _count_lost(walk, last, view, above, lost)
            self._take(walk, above, batch)
            count = lost.found if walk.by_version else lost.between or 0
            if above is not again or count >= fell or self._is_last(again):
                return lost
            number, before = again.page.number + 1, again
        self._unsure_gaps += 1
        self._unsure_rows += max(1, fell - lost.found)
        return lost

    def _is_last(self, view: View) -> bool:
        return not view.marks or view.page.number >= (self._expect(view.page) or 0)

    # Whether it adds up

    def _settle(self, main: Walk, last: Walk) -> Iterator[list[Row]]:
        """Compare what came with the total, and look for what is missing."""
        if main.first is None or main.last is None or last.first is None:
            return
        if main.muddled and not self.ordered:
            self._other_doubts.append(
                "The list changed before it turned out not to be sorted by version."
            )
        if self.doubts:
            return
        first = main.first.page
        if self._blind and not len(self._seen) == len(first.rows) < first.size:
            self._doubt_blindly()
            return
        missing = self._missing(main, main.last, last.first)
        due = len(self._seen) + missing
        if missing > 0:
            goal = (main.last.page.total or 0) + main.went_away
            if goal - len(self._seen) <= self.allowance - self.extra_requests:
                yield from self._search(main, main.last, goal)
            missing = goal - len(self._seen)
        if not missing and self._late > main.grew:
            yield from self._sample(main)
        if missing:
            self._other_doubts.append(
                f"By the totals {due} rows should have come, but {self.distinct} did."
            )

    def _doubt_blindly(self) -> None:
        self._other_doubts.append(
            "The server doesn't say how many rows there are: nothing would show if one "
            f"had slipped between two of the {self._pages} pages."
        )

    def _missing(self, main: Walk, end: View, front: View) -> int:
        """Return how many rows too few have come; below 0, too many."""
        total = end.page.total
        if total is None:
            return 0
        if not self.ordered:
            return total - len(self._seen) - main.came_in + main.went_away
        if front is main.first:
            return total - len(self._seen) - main.moved
        # Rows that have gone since are among those that came: too many prove nothing.
        return max(0, (front.page.total or 0) - len(self._seen))

    def _search(self, main: Walk, end: View, goal: int) -> Iterator[list[Row]]:
        """Look for rows that must be somewhere among the pages read.

        Where pages began and ended when they were read, compared with where these
        rows are now, shows between which of them there are rows that never came.

        Args:
            main: The main walk.
            end: Its last page.
            goal: How many rows there must be, with those that have gone since.

        Yields:
            Rows that had not come.
        """
        read_to = self._place(end)
        total = end.page.total or 0
        moves = [(0, 0), (read_to, total - read_to)]
        looked: set[int] = set()
        while len(self._seen) < goal and self._may_ask():
            number = self._where_to_look(moves, looked)
            if number is None:
                return
            looked.add(number)
            view = self._view(self._ask(number))
            if view.page.total != total:
                return
            batch: dict[int, Row] = {}
            self._take(main, view, batch)
            if batch:
                yield self._hand_out(batch)
            for place, mark in enumerate(view.marks, (number - 1) * self._size):
                if mark in self._edges:
                    moves.append((self._edges[mark], place - self._edges[mark]))
            moves.sort()

    def _sample(self, main: Walk) -> Iterator[list[Row]]:
        """Look whether rows have moved, which the totals and keys don't show.

        Args:
            main: The main walk.

        Yields:
            Rows that had not come.
        """
        looks = min(SAMPLE_PAGES, self._pages, self.allowance - self.extra_requests)
        for look in range(looks):
            number = self._pages * (2 * look + 1) // (2 * looks) + 1
            view = self._view(self._ask(number))
            batch: dict[int, Row] = {}
            self._take(main, view, batch)
            if batch:
                yield self._hand_out(batch)
            places = {m: p for p, m in enumerate(view.marks, (number - 1) * self._size)}
            known = places.keys() & self._edges.keys()
            moved = any(places[mark] != self._edges[mark] for mark in known)
            if batch or moved or not known:
                break
        else:
            if looks:
                return
        self._other_doubts.append(
            f"{self._late} rows changed while a list that is not sorted by version was "
            "read, and rows moved in a way that its totals don't show: some may be "
            "missing."
        )

    def _where_to_look(
        self, moves: list[tuple[int, int]], looked: set[int]
    ) -> int | None:
        """Choose a page in the middle of where rows must have come in, or may have."""
        best: tuple[bool, int] | None = None
        choice = None
        for (above, up), (below, down) in pairwise(moves):
            first = max(above + up, 0) // self._size + 1
            last = max(below + down - 1, 0) // self._size + 1
            left = [n for n in range(first, last + 1) if n not in looked]
            if not left:
                continue
            rank = (down > up, -len(left) if down > up else len(left))
            if best is None or rank > best:
                best, choice = rank, left[len(left) // 2]
        return choice

    def _keep_edges(self, view: View) -> None:
        if view.marks:
            end = self._place(view) - 1
            self._edges.setdefault(view.marks[0], end + 1 - len(view.marks))
            self._edges.setdefault(view.marks[-1], end)


def allowance(pages: int) -> int:
    """Return how many extra requests may be made unless it is said.

    Args:
        pages: How many pages the list has.

    Returns:
        A tenth of them, at least 10.
    """
    return max(LEAST_EXTRA, math.ceil(pages / EXTRA_SHARE))


def _growth(before: View, after: View) -> int:
    """Return by how many rows the total grew between two pages, as far as is known."""
    if before.page.total is None or after.page.total is None:
        return 0
    return after.page.total - before.page.total


def _may_have_lost(before: View, after: View) -> bool:
    """Say whether rows can have slipped away between two requests in turn."""
    overlap = bool(after.marks) and after.marks[0] in before.marks
    return _growth(before, after) < 0 and not overlap


def _until(walk: Walk, view: View, marks: set[int]) -> View:
    """Return a page up to the first of some rows; all of it if there are none."""
    for place, mark in enumerate(view.marks):
        # One of them that has gone to the front meanwhile doesn't count.
        if mark in marks and not (
            view.versions and walk.is_fresh(view.versions[place])
        ):
            page = replace(view.page, rows=view.page.rows[:place])
            return View(page, view.marks[:place], view.versions[:place])
    return view


def _begins_above(walk: Walk, last: View, view: View) -> bool:
    """Say whether a page read again begins with what the walk has come by.

    Args:
        walk: The walk.
        last: The page that the walk is at.
        view: The page read again.

    Returns:
        Whether it does.
    """
    if view.page.number == 1:
        return True
    if not view.marks:
        return False
    first = view.marks[0]
    if walk.by_version:
        return walk.is_above(first, view.versions[0])
    # A row that came before may have moved behind the place by itself.
    return first in last.marks or (
        view.page.number < last.page.number and first in walk.known
    )


def _count_lost(walk: Walk, last: View, view: View, above: View, lost: Lost) -> None:
    """Count the rows between two pages that a page read again shows.

    Args:
        walk: The walk.
        last: The page before.
        view: The page after it.
        above: The page read again, as far as it lies above the page after.
        lost: Takes the counts.
    """
    floor = view.versions[0] if view.versions else None
    versions = above.versions or [None] * len(above.marks)
    for mark, version in zip(above.marks, versions, strict=True):
        if mark == last.marks[-1]:
            lost.between = 0
        elif lost.between is not None:
            lost.between += 1
        if walk.is_fresh(version):
            walk.settled = False
            continue
        if walk.is_above(mark, version):
            continue
        lost.found += 1
        if version is None or floor is None:
            lost.sure += not view.versions
        else:
            lost.sure += version > floor
