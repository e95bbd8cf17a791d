"""How time is cut into calendar periods."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.state.periods import GRANULARITIES, Period, default_start, periods

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = timedelta(days=1)
# What two days of the same calendar period have in common.
SAME: dict[str, Callable[[date], object]] = {
    "day": lambda day: day,
    "week": lambda day: day.isocalendar()[:2],
    "month": lambda day: (day.year, day.month),
    "quarter": lambda day: (day.year, (day.month + 2) // 3),
    "year": lambda day: day.year,
    "range": lambda day: None,  # noqa: ARG005 - they are all the same
}

days = st.dates(date(1990, 1, 1), date(2090, 1, 1))
spans = st.tuples(days, st.integers(0, 1200)).map(
    lambda pair: (pair[0], pair[0] + pair[1] * DAY)
)


@given(spans, st.sampled_from(GRANULARITIES))
def test_periods_cover_the_days_without_gap_or_overlap(
    span: tuple[date, date], granularity: str
) -> None:
    cut = list(periods(*span, granularity))
    assert (cut[0].first, cut[-1].last) == span
    assert all(period.first <= period.last for period in cut)
    assert all(one.last + DAY == next_.first for one, next_ in pairwise(cut))


@given(spans, st.sampled_from(GRANULARITIES))
def test_periods_are_those_of_the_calendar(
    span: tuple[date, date], granularity: str
) -> None:
    same = SAME[granularity]
    cut = list(periods(*span, granularity))
    assert all(same(period.first) == same(period.last) for period in cut)
    if granularity != "range":
        assert all(same(one.last) != same(next_.first) for one, next_ in pairwise(cut))


@pytest.mark.parametrize(
    ("granularity", "starts"),
    [
        ("week", ["2024-02-28", "2024-03-04"]),
        ("month", ["2024-02-28", "2024-03-01"]),
        ("quarter", ["2024-02-28"]),
        ("range", ["2024-02-28"]),
    ],
)
def test_examples(granularity: str, starts: list[str]) -> None:
    cut = periods(date(2024, 2, 28), date(2024, 3, 10), granularity)
    assert [str(period.first) for period in cut] == starts


def test_the_leap_day_ends_its_month() -> None:
    cut = list(periods(date(2024, 2, 1), date(2024, 3, 1), "month"))
    assert cut[0] == Period(date(2024, 2, 1), date(2024, 2, 29))


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_an_end_before_the_start_gives_none(granularity: str) -> None:
    assert not list(periods(date(2024, 3, 1), date(2024, 2, 29), granularity))


@pytest.mark.parametrize(
    ("today", "start"),
    [
        ("2024-02-29", "2023-02-01"),
        ("2025-02-28", "2024-02-01"),
        ("2025-03-31", "2024-03-01"),
        ("2025-01-01", "2024-01-01"),
        ("2025-12-31", "2024-12-01"),
    ],
)
def test_the_default_start_is_a_first_of_a_month(today: str, start: str) -> None:
    assert default_start(date.fromisoformat(today)) == date.fromisoformat(start)


@given(days)
def test_the_default_start_lies_twelve_months_back(today: date) -> None:
    cut = list(periods(default_start(today), today, "month"))
    assert len(cut) == 13
    assert cut[0].first.day == 1
