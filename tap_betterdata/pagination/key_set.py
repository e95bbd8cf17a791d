"""Which rows have been sent, in about ten bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from datetime import datetime

    from tap_betterdata.pagination.page import Row

_BITS = 64
_MASK = (1 << _BITS) - 1
_SHELF_BITS = 12
_SHIFT = _BITS - _SHELF_BITS


class KeySet:
    """A set of texts that only grows and keeps their fingerprints alone.

    A `set` of integers takes about 70 bytes for each. Here they lie side by side in
    sorted arrays, one for each combination of their leading bits, which keeps every
    array so short that inserting in its middle costs next to nothing. Two of a million
    different keys share a fingerprint with a chance of about 3 in 100 million.
    """

    __slots__ = ("_count", "_shelves")

    def __init__(self) -> None:
        """Make an empty set."""
        self._shelves: defaultdict[int, array[int]] = defaultdict(partial(array, "Q"))
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def add(self, key: str | tuple[object, ...]) -> bool:
        """Put a key in, and say whether it is new.

        Not for integers: their hashes lie close together.
        """
        fingerprint = hash(key) & _MASK
        shelf = self._shelves[fingerprint >> _SHIFT]
        index = bisect_left(shelf, fingerprint)
        if index < len(shelf) and shelf[index] == fingerprint:
            return False
        shelf.insert(index, fingerprint)
        self._count += 1
        return True


class SentRows:
    """The rows of one list that a run has sent, so that none is sent twice.

    A row that changes is sent again, where changes are wanted. Only what rows hold that
    were stamped after `settled` is kept for that; others can't have changed.

    Attributes:
        keys: The keys of all rows that came.
        settled_keys: How many of them came first with a time stamp of before `settled`.
    """

    def __init__(
        self, *, once: bool, content: Callable[[Row], Hashable] = lambda row: row
    ) -> None:
        """Begin with none.

        Args:
            once: Whether a row that changed is not sent again.
            content: Returns what a row holds: it may change twice within a time stamp.
        """
        self.keys = KeySet()
        self.settled_keys = 0
        self._once = once
        self._content = content
        self._settled: datetime | None = None
        self._versions = KeySet()

    def settle(self, settled: datetime) -> None:
        """Say from when on rows may change; the first moment counts."""
        self._settled = self._settled or settled

    def add(self, key: str, stamp: datetime, row: Row) -> bool:
        """Note that a row has come, and say whether it is to be sent."""
        is_new = self.keys.add(key)
        if self._settled is None or stamp <= self._settled:
            self.settled_keys += is_new
            return is_new
        return is_new if self._once else self._versions.add((key, self._content(row)))
