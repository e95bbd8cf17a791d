"""Time stamps: what is one, and that they compare as times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.pagination.page import earlier
from tap_betterdata.state.stamps import read_stamp, write_stamp

moments = st.integers(0, 10**15).map(
    lambda n: datetime(1995, 1, 1, tzinfo=UTC) + timedelta(microseconds=n)
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda n: timezone(timedelta(minutes=n)))


@given(moments, zones)
def test_offsets_and_fractions_make_no_difference(
    moment: datetime, zone: timezone
) -> None:
    assert read_stamp(write_stamp(moment)) == moment
    assert read_stamp(moment.astimezone(zone).isoformat()) == moment
    assert read_stamp(moment.replace(tzinfo=None).isoformat()) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-15T00:00:00Z",
        "2024-03-15T00:00:00.000Z",
        "2024-03-15T00:00:00.000000000Z",
        "2024-03-15T01:30:00+01:30",
        "2024-03-14T19:00:00-05:00",
        "2024-03-15T00:00:00",
        "2024-03-15 00:00:00+00:00",
        "2024-03-15t00:00:00z",
    ],
)
def test_the_same_moment(text: str) -> None:
    assert read_stamp(text) == datetime(2024, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "soon",
        1710460800,
        datetime(2024, 3, 15, tzinfo=UTC),
        "2024-02-30",
        "2024-03-15",
        "2025-W11-5",
        "20240315T000000Z",
        "2024-03-15T00:00Z",
        "2024-03-15T00:00:00+0530",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_time_stamp(text: object) -> None:
    assert read_stamp(text) is None


def test_nothing_comes_before_the_beginning_of_time() -> None:
    stamp = read_stamp("0001-01-01T00:00:00Z")
    assert stamp is not None
    assert earlier(stamp, timedelta(minutes=10)) == stamp
    assert earlier(stamp + timedelta(hours=1), timedelta(hours=1)) == stamp
