"""How far a list has been sent, by runs before and by this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_betterdata.pagination.page import Checkpoint, earlier
from tap_betterdata.state.bookmarks import (
    CHECKPOINT,
    OLD_CHECKPOINT,
    SORTED,
    UNSORTED,
    UNSTAMPED,
)
from tap_betterdata.state.stamps import read_stamp, write_stamp

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tap_betterdata.state.bookmarks import Bookmarks


class ListState:
    """One list's part of a stream's bookmarks: read at once, and noted as it is sent.

    Attributes:
        sorted_until: What is read down to if the server sorts; None: the whole list.
        plain_until: What is newer is sent if it doesn't; None: all.
        checkpoint: How far a run came that was cut short.
        is_cut_by_older: Whether an older version was cut short; that starts over.
        reached: Up to when this run has sent all of it, exactly.
    """

    def __init__(
        self,
        bookmarks: Bookmarks,
        location: str | None,
        replication_key: str,
        lookback: timedelta,
    ) -> None:
        """Read what runs before have left."""
        self._bookmarks, self._location = bookmarks, location
        self._replication_key = replication_key
        self.sorted_until = self._until(SORTED, lookback)
        self.plain_until = self._until(UNSORTED, lookback)
        self.checkpoint: Checkpoint | None = None
        noted = bookmarks.noted(location, CHECKPOINT)
        if noted and (settled := read_stamp(noted["settled"])):
            self.checkpoint = Checkpoint(settled, noted["left"])
        self.is_cut_by_older = bookmarks.noted(location, OLD_CHECKPOINT) is not None
        self.reached: datetime | None = None

    def _until(self, order: str, lookback: timedelta) -> datetime | None:
        bookmark, is_old = self._bookmarks.get_in_order(self._location, order)
        # Older versions noted the newest time stamp that they had seen.
        return earlier(bookmark, lookback) if bookmark and is_old else bookmark

    def note(
        self, order: str, bookmark: datetime | None, checkpoint: Checkpoint | None
    ) -> None:
        """Note how far the list has been sent; a bookmark of None stays as it is."""
        note = checkpoint and {
            "settled": write_stamp(checkpoint.settled),
            "left": checkpoint.left,
        }
        self._bookmarks.note(self._location, CHECKPOINT, note)
        for old in (OLD_CHECKPOINT, UNSTAMPED):
            self._bookmarks.note(self._location, old, None)
        if bookmark is not None:
            value = write_stamp(bookmark)
            self._bookmarks.advance(self._location, self._replication_key, value, order)
