"""Going on where a sweep was cut short: newest first, what was left keeps its order.

A sweep that reads the newest rows first has, at any time, sent all rows between the
newest one when it began (`top`) and the oldest one that it has reached. What changes
later stands at the front; what was not reached keeps its order behind `reached`. So a
later run reads the front down to `top`, looks for the page where `reached` stands now,
and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_betterdata.bookmarks import read_stamp, write_stamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_betterdata.pages import Page, Row

# The place is known but for what went away since: steps that double, and then halve,
# find it. Where they don't, more is read than needed.
MOST_PROBES = 26


@dataclass(frozen=True, slots=True)
class Rest:
    """What a sweep that was cut short has sent.

    Attributes:
        top: The newest version when it began.
        reached: The oldest version that it has sent.
        rows: How many rows it has sent.
    """

    top: datetime
    reached: datetime
    rows: int

    def as_note(self) -> dict[str, Any]:
        """Return it as it stands in the state."""
        return {
            "top": write_stamp(self.top),
            "reached": write_stamp(self.reached),
            "rows": self.rows,
        }

    def covers(self, version: datetime | None) -> bool:
        """Tell whether rows of a version were sent.

        Args:
            version: The version.

        Returns:
            Whether it lies between what was reached and the top; rows of the very
            version that was reached may have been left.
        """
        return version is not None and self.reached < version <= self.top


def read_rest(note: object) -> Rest | None:
    """Read what an earlier run left in the state.

    Args:
        note: What stands there.

    Returns:
        What was sent, or None if it can't be read.
    """
    if not isinstance(note, dict):
        return None
    top, reached = read_stamp(note.get("top")), read_stamp(note.get("reached"))
    rows = note.get("rows")
    if top is None or reached is None or type(rows) is not int or rows < 0:
        return None
    return Rest(top, reached, rows)


def find_page(
    rest: Rest,
    *,
    came: int,
    first: Page,
    read: Callable[[int], Page],
    version: Callable[[Row], datetime | None],
) -> Page:
    """Find the page where what was reached stands now.

    Args:
        rest: What was sent.
        came: How many rows have come to the front since.
        first: The first page, which tells the size.
        read: Reads a page.
        version: Returns the version of a row.

    Returns:
        A page that begins with a row newer than `reached`, if it isn't the first one:
        all that was not sent stands on it or behind it.
    """
    found, low, high = first, 2, max(first.total_pages or 1, 1)
    above = below = False
    number, step = (rest.rows + came) // max(first.size, 1), 1
    for _ in range(MOST_PROBES):
        if low > high:
            break
        number = min(max(number, low), high)
        page = read(number)
        versions = [version(row) for row in page.rows]
        if _is_newer(versions[:1], rest.reached):
            if not _is_newer(versions[-1:], rest.reached):
                return page
            found, low, above = page, number + 1, True
        else:
            high, below = number - 1, True
        if above and below:
            number = (low + high) // 2
        else:
            number, step = number + (step if above else -step), step * 2
    return found


def _is_newer(versions: list[datetime | None], than: datetime) -> bool:
    return bool(versions) and versions[0] is not None and versions[0] > than
