"""Which keys a sweep has seen, in about ten bytes each."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

_BITS = 64
_MASK = (1 << _BITS) - 1
# Multiplying by an odd number loses nothing and spreads what `hash` leaves close
# together (the hash of a small integer is the integer) over the leading bits.
_SPREAD = 0x9E3779B97F4A7C15
_SHELF_BITS = 12
_SHIFT = _BITS - _SHELF_BITS


def fingerprint(key: Hashable) -> int:
    """Return 64 bits that stand for a key within this process.

    Two of a million different strings share a fingerprint with a chance of about
    3 in 100 million.

    Args:
        key: A string, or a tuple of strings. (Numbers work, but for -1 and -2, which
            Python hashes alike.)

    Returns:
        An integer from 0 up to 2**64.
    """
    return hash(key) * _SPREAD & _MASK


def _new_shelves() -> defaultdict[int, array[int]]:
    return defaultdict(partial(array, "Q"))


class Seen:
    """A set of fingerprints that only grows.

    A `set` of integers takes about 70 bytes for each. Here they lie side by side in
    sorted arrays, one for each combination of their leading bits, which keeps every
    array so short that inserting in its middle costs next to nothing.
    """

    __slots__ = ("_count", "_shelves")

    def __init__(self) -> None:
        """Make an empty set."""
        self._shelves = _new_shelves()
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def __iter__(self) -> Iterator[int]:
        """Return them, in any order."""
        return chain.from_iterable(self._shelves.values())

    def __contains__(self, mark: object) -> bool:
        """Say whether a fingerprint is in the set."""
        if not isinstance(mark, int):
            return False
        shelf = self._shelves.get(mark >> _SHIFT)
        if shelf is None:
            return False
        place = bisect_left(shelf, mark)
        return place < len(shelf) and shelf[place] == mark

    def fill(self, other: Seen) -> None:
        """Put all fingerprints of another set into this one, which must be empty.

        Args:
            other: The other set.
        """
        self._shelves = _new_shelves()
        self._shelves.update((name, shelf[:]) for name, shelf in other._shelves.items())
        self._count = other._count

    def add(self, mark: int) -> bool:
        """Put a fingerprint in.

        Args:
            mark: The fingerprint.

        Returns:
            Whether it is new.
        """
        shelf = self._shelves[mark >> _SHIFT]
        place = bisect_left(shelf, mark)
        if place < len(shelf) and shelf[place] == mark:
            return False
        shelf.insert(place, mark)
        self._count += 1
        return True
