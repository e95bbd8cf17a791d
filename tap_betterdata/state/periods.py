"""Calendar periods: the pieces of time that analytics are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator

Granularity = Literal["day", "week", "month", "quarter", "year", "range"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)

_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of whole days, both ends included."""

    first: date
    last: date


def periods(start: date, end: date, granularity: str) -> Iterator[Period]:
    """Cut a stretch of days into calendar periods, in order and without gaps.

    The first and the last one are cut to the dates. Weeks begin on Monday (ISO 8601);
    `range` is one period over it all.
    """
    first = start
    while first <= end:
        last = end if granularity == "range" else last_day(first, granularity)
        yield Period(first, min(last, end))
        first = last + timedelta(days=1)


def is_whole(period: Period, granularity: str) -> bool:
    """Tell whether a period ends where the calendar ends it; a range never does."""
    return granularity != "range" and period.last == last_day(period.first, granularity)


def default_start(today: date) -> date:
    """Return the first day of the month twelve months before a day."""
    return date(today.year - 1, today.month, 1)


def last_day(day: date, granularity: str) -> date:
    """Return the last day of the calendar period that a day lies in; of no range."""
    if granularity == "day":
        return day
    if granularity == "week":
        return day + timedelta(days=6 - day.weekday())
    months = _MONTHS[granularity]
    months_before_next = (day.month - 1) // months * months + months
    year, month = divmod(day.year * 12 + months_before_next, 12)
    return date(year, month + 1, 1) - timedelta(days=1)
