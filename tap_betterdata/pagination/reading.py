"""One reading of a sorted list: its first page, and what came below that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True)
class Reading:
    """A reading of the newest end, to hold pages and the next reading against.

    Attributes:
        keys: Of the rows on its first page, newest first.
        stamps: Of the same rows.
        total: How many rows the list had then.
        settled: What changes after that is stamped later.
        until: What it goes down to; None for the whole list.
    """

    keys: list[str]
    stamps: list[datetime]
    total: int
    settled: datetime
    until: datetime | None = None
    # Sums over the rows that came and are newer than `until`, and than `settled`.
    _wanted: int = 0
    _unsettled: int = 0

    @property
    def oldest(self) -> datetime:
        """The time stamp of the first page's last row."""
        return self.stamps[-1]

    @property
    def is_whole(self) -> bool:
        """Whether the first page holds the whole list."""
        return len(self.keys) >= self.total

    @property
    def is_one_answer(self) -> bool:
        """Whether all of it is on the first page, so that nothing moved meanwhile."""
        return self.is_whole or (self.until is not None and self.oldest <= self.until)

    def newer_than(self, moment: datetime) -> int:
        """Count the rows on the first page that are newer."""
        return sum(stamp > moment for stamp in self.stamps)

    def contradicts(self, keys: list[str], stamps: list[datetime]) -> bool:
        """Say whether rows that came since ought to have stood on the first page.

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

    def see(self, keys: list[str], stamps: list[datetime]) -> None:
        """Take note of rows that came."""
        for version in zip(keys, stamps, strict=True):
            if self.until is None or version[1] > self.until:
                self._wanted += hash(version)
            if version[1] > self.settled:
                self._unsettled += hash(version)

    def repeats(self, before: Reading) -> bool:
        """Say whether the same rows came as in the reading before, with these stamps.

        A row that was pushed past the reader, by one that came in below it, makes a
        difference.
        """
        return self._wanted == before._unsettled
