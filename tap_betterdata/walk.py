"""What a way down a paged list shows of how the list moves meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container
    from datetime import datetime

    from tap_betterdata.pages import Page


@dataclass(slots=True)
class View:
    """A page, with what is compared of it.

    Attributes:
        page: The page.
        marks: The fingerprints of its rows' keys.
        versions: The versions of its rows; empty where they don't matter.
    """

    page: Page
    marks: list[int]
    versions: list[datetime | None]


@dataclass(slots=True)
class Lost:
    """Rows that had slipped away between two pages.

    Attributes:
        found: How many rows were found that had not come before.
        sure: How many of them can't have come after those of the second page, which
            may all have gone away.
        between: How many rows there are below the last one of the first page, known
            or not; None if that one is gone.
    """

    found: int = 0
    sure: int = 0
    between: int | None = None


@dataclass(slots=True, kw_only=True)
class Walk:
    """A way down the list, page by page.

    Attributes:
        known: The marks of the rows that it has come by.
        gone_up: The marks of those that it first came by at the front; a page in flight
            may still show them in their old places.
        by_version: Whether the rows come newest first; found out on the way.
        main: Whether it is the walk over the whole list, not one at its front.
        until: It ends at a row older than this,
        sealed: or just as old, as what is new can only be newer.
        newest: The newest version when it began.
        top: Where it began further down: the newest version there.
        first: Its first page.
        last: The page it is at.
        moved: By how many places what was unread has moved back, in all.
        settled: Whether it is sure that no unread row has gone to the front.
        doubtful_till: Requests that began before this may have been answered before
            a row went to the front, while pages above them were answered after it.
        grew: By how many rows the total grew, where it did.
        calmed_till: What `doubtful_till` was when the front turned out to be calm.
        came_in: How many rows came in above, unseen.
        went_away: How many rows that had been seen went away.
        stopped: Whether it ended at older rows, not at the end of the list.
        fresh_page: The last page that began with a row that had changed meanwhile, as
            if there were so many of them.
        muddled: Whether `came_in` and `went_away` rest on the order by version.
    """

    known: Container[int]
    by_version: bool
    gone_up: set[int] = field(default_factory=set)
    main: bool = False
    until: datetime | None = None
    sealed: bool = False
    newest: datetime | None = None
    top: datetime | None = None
    first: View | None = None
    last: View | None = None
    moved: int = 0
    settled: bool = True
    doubtful_till: float = -math.inf
    calmed_till: float = -math.inf
    grew: int = 0
    came_in: int = 0
    went_away: int = 0
    stopped: bool = False
    fresh_page: int = 0
    muddled: bool = False
    # Since unread rows were last come by: the move, the total's growth, and whether
    # no two requests overlapped.
    _move: int = 0
    _grown: int = 0
    _in_turn: bool = True
    _undated: bool = False

    def begin(self, view: View, newest: datetime | None = None) -> None:
        """Note the first page.

        Args:
            view: The page.
            newest: The newest version of the list, if it doesn't stand on that page.
        """
        self.first = view
        first = view.versions[0] if view.versions else None
        self.newest = newest or first
        if self.main and view.page.number > 1:
            self.top = first
        if view.page.rows and first is None:
            self.by_version = False
        self._check_order(view)

    def overlap(self, view: View) -> int:
        """Count the rows at the top of the next page that belong above it.

        Args:
            view: The page.

        Returns:
            How many there are; where there are any, no row has slipped away.
        """
        if not self.by_version:
            return self._repeated(view)
        for count, mark in enumerate(view.marks):
            if not self.is_above(mark, view.versions[count]):
                return count
        return len(view.marks)

    def _repeated(self, view: View) -> int:
        """Count the rows down to the last one of the page before, if it comes again.

        Any other row that comes again may have moved here by itself.
        """
        end = self.last.marks[-1:] if self.last else []
        return view.marks.index(end[0]) + 1 if end and end[0] in view.marks else 0

    def is_fresh(self, version: datetime | None) -> bool:
        """Say whether a row has changed since the walk began.

        Args:
            version: The row's version.

        Returns:
            Whether it has, for certain.
        """
        return (
            self.by_version
            and version is not None
            and self.newest is not None
            and version > self.newest
        )

    def is_above(self, mark: int, version: datetime | None) -> bool:
        """Say whether a row belongs above those that the walk hasn't come by.

        Args:
            mark: The row's fingerprint.
            version: The row's version.

        Returns:
            Whether it has been come by, or is newer than what the walk looks for.
        """
        if self.is_fresh(version):
            return True
        if mark in self.known:
            return mark not in self.gone_up
        return self.top is not None and version is not None and version > self.top

    def go_on(self, view: View, *, overlap: int, lost: Lost, grown: int) -> None:
        """Take the next page into account.

        Args:
            view: The page.
            overlap: How many rows at its top belong above it.
            lost: The rows that had slipped to the page above.
            grown: By how many rows the total has grown between the two.
        """
        if grown > 0:
            self.grew += grown
            self.came_in += min(max(overlap, 0), grown)
        elif grown < 0:
            # If the last row of the page before is gone, it was among those.
            self.went_away += -grown if lost.between is None else lost.between
        if self.by_version:
            self.muddled |= grown != 0 and overlap != self._repeated(view)
            self._follow(view, overlap, overlap - lost.sure, grown)
            self._check_order(view, max(overlap, 0))

    def calm(self, started: float) -> None:
        """Take into account that nothing has come to the front since the walk began.

        Args:
            started: When the request of the page that the walk comes to began.
        """
        self.calmed_till = self.doubtful_till
        self.doubtful_till = started
        self.settled = True
        # Nothing came in above: rows that came again had not moved back, whatever the
        # server gave.
        self.moved, self._move = min(self.moved, 0), min(self._move, 0)

    def end(self) -> None:
        """Take into account that no page follows."""
        self.moved += self._move
        if self._move > self._grown:
            self.settled = False

    def is_past(self, view: View) -> bool:
        """Say whether a page shows that all that follows is older than `until`.

        Args:
            view: The page.

        Returns:
            Whether the walk can end there.
        """
        if self.until is None or not self.by_version or not view.versions:
            return False
        last = view.versions[-1]
        if self.main:
            return last is not None and last < self.until
        return self.is_old(last, self.until)

    def is_old(self, version: datetime | None, mark: datetime) -> bool:
        """Say whether a row, and all below it, can't have changed since a mark.

        Args:
            version: The row's version.
            mark: The newest version there was.

        Returns:
            Whether that is certain.
        """
        return version is None or version < mark or (self.sealed and version == mark)

    def _follow(self, view: View, overlap: int, move: int, grown: int) -> None:
        last = self.last
        if last is not None and last.page.ended > view.page.started:
            self._in_turn = False
        if view.versions and self.is_fresh(view.versions[0]):
            self.settled = False
            self.fresh_page = view.page.number
        self._move += move
        self._grown += grown
        gone_up = self._move - self._grown
        if overlap or grown > 0:
            # What has come in since the front was calm may hide what had gone away.
            self.doubtful_till = max(self.doubtful_till, self.calmed_till)
        whole = bool(view.marks) and overlap >= len(view.marks)
        if gone_up > 0 or whole:
            self.doubtful_till = max(self.doubtful_till, view.page.ended)
        if whole:
            # How far the unread rows have moved shows on a later page.
            return
        if gone_up > 0:
            self.settled = False
        elif gone_up < 0 and self._in_turn:
            # Rows came in elsewhere than at the front.
            self.by_version = False
        self.moved += self._move
        self._move = self._grown = 0
        self._in_turn = True

    def _check_order(self, view: View, overlap: int = 0) -> None:
        """Check the rows below those that come again, against what is above them."""
        above = [*(self.last.versions[-1:] if self.last else ()), *view.versions]
        rest = view.versions[overlap:]
        before = above[-len(rest) - 1] if len(above) > len(rest) else None
        for version in rest:
            if version is None:
                # At the end they do no harm: an update takes them to the front.
                self._undated = True
            elif self._undated or (before is not None and version > before):
                self.by_version = False
                return
            before = version
