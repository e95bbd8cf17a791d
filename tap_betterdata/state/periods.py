"""Calendar periods: the pieces of time that analytics are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GRANULARITIES = ("day", "week", "month", "quarter", "year", "range")

_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of whole days, both ends included."""

    first: date
    last: date


def periods(start: date, end: date, granularity: str) -> Iterator[Period]:
    """Cut a stretch of days into calendar periods.

    The first and the last period are cut to the dates. Weeks begin on Monday
    (ISO 8601).

    Args:
        start: The first day.
        end: The last day; nothing is yielded if it lies before `start`.
        granularity: One of `GRANULARITIES`; `range` is one period over it all.

    Yields:
        The periods in order of time, without gaps or overlaps.
    """
    first = start
    while first <= end:
        last = end if granularity == "range" else last_day(first, granularity)
        yield Period(first, min(last, end))
        first = last + timedelta(days=1)


def is_whole(period: Period, granularity: str) -> bool:
    """Tell whether a period ends where the calendar ends it.

    Args:
        period: The period.
        granularity: What it was cut by.

    Returns:
        Whether nothing cut it short; a range never ends by the calendar.
    """
    return granularity != "range" and period.last == last_day(period.first, granularity)


def default_start(today: date) -> date:
    """Return the first day of the month twelve months before a day.

    Args:
        today: The day.

    Returns:
        A first of a month.
    """
    return date(today.year - 1, today.month, 1)


def last_day(day: date, granularity: str) -> date:
    """Return the last day of the calendar period that a day lies in.

    Args:
        day: The day.
        granularity: One of `GRANULARITIES`, but `range`.

    Returns:
        The day, or one after it.
    """
    if granularity == "day":
        return day
    if granularity == "week":
        return day + timedelta(days=6 - day.weekday())
    months = _MONTHS[granularity]
    months_before_next = (day.month - 1) // months * months + months
    year, month = divmod(day.year * 12 + months_before_next, 12)
    return date(year, month + 1, 1) - timedelta(days=1)
