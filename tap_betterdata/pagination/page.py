"""What readers of lists take, pages, and hand out: rows, and how far the list is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Only `Fields` looks into one.
Row = Any

# What a row without a time stamp counts as; it is the oldest of all.
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a list endpoint.

    Attributes:
        number: The page that was asked for, from 1.
        total: How many rows the list had when it was answered; None if it doesn't say.
        date: When it was answered, by the server's clock where it says so.
        envelope: The whole answer, for what stands beside the rows.
    """

    number: int
    rows: list[Row]
    total: int | None
    date: datetime
    envelope: Mapping[str, Any] = field(default_factory=dict)


class Checkpoint(NamedTuple):
    """How far a list was sent that could not be read to its end.

    Attributes:
        settled: Whatever changes after the reading began has a later time stamp.
        left: How many rows, counted from the oldest on, may not have been sent.
    """

    settled: datetime
    left: int


class Batch(NamedTuple):
    """Rows to send; once they are written, bookmark and checkpoint hold.

    Attributes:
        checkpoint: Where another run can go on; None if it must begin again.
        bookmark: Up to which time stamp all rows have been sent; None if not known.
    """

    rows: list[Row]
    checkpoint: Checkpoint | None = None
    bookmark: datetime | None = None


class NotSortedError(Exception):
    """The server doesn't sort the list as it was asked to; the message says how."""


@dataclass(frozen=True, slots=True)
class Fields:
    """How a reader looks into rows.

    Attributes:
        key: Returns what tells the rows of a list apart.
        stamp: Returns when a row last changed; None where it doesn't say.
    """

    key: Callable[[Row], str]
    stamp: Callable[[Row], datetime | None] = lambda _: None

    def keys(self, page: Page) -> list[str]:
        """Return the keys of a page's rows, in order."""
        return [self.key(row) for row in page.rows]

    def stamps(self, page: Page) -> list[datetime]:
        """Return the time stamps of a page's rows, in order."""
        return [self.stamp(row) or NEVER for row in page.rows]


def count_pages(rows: int, size: int) -> int:
    """Return how many pages so many rows take; the last one may not be full."""
    return -(-rows // size)


def earlier(moment: datetime, by: timedelta) -> datetime:
    """Go back in time, but not beyond its beginning.

    Some systems date what was never changed to the first of January of the year 1.
    """
    try:
        return moment - by
    except OverflowError:
        return NEVER
