"""What one reading of a sorted list came by: its newest page, and what came below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Newest:
    """What the page with the newest rows said, at its moment.

    Attributes:
        keys: Of its rows.
        stamps: Of its rows, newest first.
        total: How many rows the list had.
        settled: What changes later is stamped later.
    """

    keys: list[str]
    stamps: list[datetime]
    total: int
    settled: datetime

    @property
    def oldest(self) -> datetime:
        """The time stamp of its last row."""
        return self.stamps[-1]

    @property
    def ahead(self) -> int:
        """How many of its rows are newer than its last one, so need no other page."""
        return sum(stamp > self.oldest for stamp in self.stamps)

    @property
    def is_empty(self) -> bool:
        """Whether the list has no rows."""
        return not self.keys

    @property
    def is_whole(self) -> bool:
        """Whether it holds the whole list."""
        return len(self.keys) >= self.total

    @property
    def unsettled(self) -> int:
        """How many of its rows are newer than `settled`."""
        return sum(stamp > self.settled for stamp in self.stamps)

    def contradicts(self, keys: list[str], stamps: list[datetime]) -> bool:
        """Say whether rows that came since ought to have stood on this page.

        Args:
            keys: Of the rows.
            stamps: Of the rows, oldest first.
        """
        if not stamps or stamps[-1] <= self.oldest:
            return False
        return any(
            self.oldest < stamp <= self.settled and key not in self.keys
            for key, stamp in zip(keys, stamps, strict=True)
        )


@dataclass(slots=True)
class Reading:
    """What one reading of the newest end came by, to hold the next one against it.

    Attributes:
        newest: Its first page.
        until: What it goes down to; None for the whole list.
        wanted: Stands for its rows that are newer than `until`.
        unsettled: Stands for its rows that are newer than its `settled`.
    """

    newest: Newest
    until: datetime | None
    wanted: int = 0
    unsettled: int = 0

    def see(self, keys: list[str], stamps: list[datetime]) -> None:
        """Take note of a page of the oldest rows."""
        for version in zip(keys, stamps, strict=True):
            if self.until is None or version[1] > self.until:
                self.wanted += hash(version)
            if version[1] > self.newest.settled:
                self.unsettled += hash(version)

    @property
    def is_one_answer(self) -> bool:
        """Whether all of it was on the first page, so that nothing moved meanwhile."""
        return self.newest.is_whole or (
            self.until is not None and self.newest.oldest <= self.until
        )

    def repeats(self, before: Reading) -> bool:
        """Say whether the same rows came as in the reading before, with these stamps.

        A row that was pushed past the reader, by one that came in below it, makes a
        difference.
        """
        return self.wanted == before.unsettled
