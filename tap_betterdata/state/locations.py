"""Which locations a run covers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_betterdata.api.redaction import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_betterdata.api.errors import TapError

# What UTF-8, and so a URL, can't hold.
_UNSENDABLE = re.compile("[\ud800-\udfff]")


class Locations:
    """The locations that are asked for: those that are set, or those that are seen.

    The API has no documented list of locations, so without a setting they are
    learned from the inventory, and remembered.

    Attributes:
        configured: The setting `location_ids`, without repetitions; None if not set.
        known: The locations that are known, from the state and from this run.
        as_of: Until when the known ones are all there are; None if no run has read
            the whole inventory.
        unusable: What stood for locations and can't be asked for, for messages.
        learned: Whether the inventory was read for them in this run.
        certain: Whether it was read whole and exactly, so that all are known.
        failure: Why it could not be read to its end, so that some may be missing.
        learn: Reads the inventory for the locations alone.
        holds_stock: Asks whether the inventory still shows items of a location.
    """

    def __init__(self, configured: Sequence[str] | None) -> None:
        """Begin with what is set."""
        self.configured = list(dict.fromkeys(configured)) if configured else None
        self.known: set[str] = set()
        self.as_of: datetime | None = None
        self.unusable: set[str] = set()
        self.learned = False
        self.certain = False
        self.failure: TapError | None = None
        self.learn: Callable[[], None] = lambda: None
        self.holds_stock: Callable[[str], bool] = lambda _: True
        self._seen: set[str] = set()

    def see(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Learn from rows of the inventory; their `locationId` may be anything."""
        for row in rows:
            location = row.get("locationId")
            if not isinstance(location, str) or location not in self._seen:
                self._seen.update(self._ids_in([location]))
        self.known |= self._seen

    def recall(self, ids: Iterable[str], as_of: datetime | None = None) -> None:
        """Take what an earlier run knew; of several, the latest moment counts."""
        self.known.update(self._ids_in(ids))
        if as_of and (self.as_of is None or self.as_of < as_of):
            self.as_of = as_of

    def _ids_in(self, values: Iterable[object]) -> Iterator[str]:
        """Read ids as records do, and note those that can't be sent in a request."""
        for value in values:
            is_number = type(value) in {int, Decimal}
            text = str(value) if is_number else value
            if isinstance(text, str) and not _UNSENDABLE.search(text):
                yield text
            elif value is not None:
                self.unusable.add(quote(value))

    def forget_if_gone(self, location: str) -> bool:
        """Forget a location that an endpoint denies if it is gone; say whether it is.

        The inventory is asked too. One that is set, or was seen in this run, never is.
        """
        was_known = location in self.known - self._seen
        if self.configured or not was_known or self.holds_stock(location):
            return False
        self.known.discard(location)
        return True

    def ids(self) -> list[str]:
        """Return the locations to ask for: as set, or the known ones, sorted."""
        if self.configured:
            return self.configured
        if not self.learned:
            self.learn()
        return sorted(self.known)
