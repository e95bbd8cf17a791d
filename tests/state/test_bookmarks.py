"""What a run remembers: bookmarks that only go forward."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.errors import StateError
from tap_betterdata.state.bookmarks import (
    SORTED,
    UNSORTED,
    Bookmarks,
    as_date,
    check_state,
    read_bookmarks,
)
from tap_betterdata.state.stamps import read_stamp, write_stamp
from tests.state.test_stamps import moments, zones

if TYPE_CHECKING:
    from datetime import timezone

KEY = "updatedAt"


def test_a_fraction_comes_after_the_whole_second() -> None:
    # As strings they compare the other way round.
    whole, later = "2024-03-15T00:00:00Z", "2024-03-15T00:00:00.250Z"
    assert later < whole
    bookmarks = Bookmarks({})
    bookmarks.advance(None, KEY, whole)
    bookmarks.advance(None, KEY, later)
    bookmarks.advance("loc_001", KEY, whole)
    assert bookmarks.get(None) == bookmarks.get("loc_001") == later


@given(st.lists(moments, min_size=1), zones)
def test_a_bookmark_only_goes_forward(stamps: list[datetime], zone: timezone) -> None:
    bookmarks = Bookmarks({})
    for stamp in stamps:
        bookmarks.advance("loc_001", KEY, stamp.astimezone(zone).isoformat())
    assert read_stamp(bookmarks.get("loc_001")) == max(stamps)
    assert bookmarks.get("loc_002") is None
    assert bookmarks.get(None) is None


def test_a_location_without_a_bookmark_has_that_of_all() -> None:
    bookmarks = Bookmarks({})
    bookmarks.advance(None, KEY, "2024-03-15T00:00:00Z")
    assert bookmarks.get("loc_001") == "2024-03-15T00:00:00Z"
    bookmarks.advance("loc_001", KEY, "2024-03-16T00:00:00Z")
    assert bookmarks.get("loc_001") == "2024-03-16T00:00:00Z"
    assert bookmarks.get(None) == "2024-03-15T00:00:00Z"
    bookmarks.advance(None, KEY, "2024-03-17T00:00:00Z")
    assert bookmarks.get("loc_001") == "2024-03-17T00:00:00Z"


def test_starting_over_keeps_the_rest() -> None:
    bookmarks = Bookmarks({"locations": ["loc_001"]})
    bookmarks.advance(None, KEY, "2024-03-15")
    bookmarks.advance("loc_001", KEY, "2024-03-15")
    assert bookmarks.values() == ["2024-03-15", "2024-03-15"]
    bookmarks.forget()
    assert bookmarks.state == {"locations": ["loc_001"]}


def test_notes_come_and_go() -> None:
    bookmarks = Bookmarks({})
    bookmarks.note("loc_001", "unstamped", None)
    assert bookmarks.state == {}
    bookmarks.note("loc_001", "unstamped", value=True)
    assert bookmarks.noted("loc_001", "unstamped")
    assert not bookmarks.noted("loc_002", "unstamped")
    assert not bookmarks.noted(None, "unstamped")


def test_a_list_is_reached_in_one_order_alone() -> None:
    bookmarks = Bookmarks({})
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    bookmarks.advance("loc_001", KEY, write_stamp(late), SORTED)
    bookmarks.advance("loc_001", KEY, write_stamp(early), SORTED)
    assert bookmarks.get_in_order("loc_001", SORTED) == (late, False)
    assert bookmarks.get_in_order("loc_001", UNSORTED) == (None, False)
    bookmarks.advance("loc_001", KEY, write_stamp(early), UNSORTED)
    assert bookmarks.get_in_order("loc_001", UNSORTED) == (early, False)
    assert bookmarks.get_in_order("loc_001", SORTED) == (None, False)
    assert bookmarks.get_in_order("loc_002", SORTED) == (None, False)
    bookmarks.advance(None, KEY, write_stamp(late), SORTED)
    assert bookmarks.get_in_order("loc_002", SORTED) == (late, False)


def test_a_bookmark_of_an_older_version_says_no_order() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    state = {"replication_key": KEY, "replication_key_value": write_stamp(moment)}
    for order in (SORTED, UNSORTED):
        assert Bookmarks(dict(state)).get_in_order(None, order) == (moment, True)


def test_a_date_is_a_bookmark_of_lists_too() -> None:
    # Older versions kept what the API had sent.
    bookmarks = Bookmarks(
        {"replication_key": KEY, "replication_key_value": "2024-03-15"}
    )
    day = datetime(2024, 3, 15, tzinfo=UTC)
    assert bookmarks.get_in_order(None, SORTED) == (day, True)
    later = day + timedelta(1)
    bookmarks.advance(None, KEY, write_stamp(later), SORTED)
    assert bookmarks.get_in_order(None, SORTED) == (later, False)


def test_a_bookmark_as_a_date() -> None:
    assert as_date(None) is None
    assert as_date("2024-03-15") == date(2024, 3, 15)
    assert as_date("2024-03-15T23:59:59Z") == date(2024, 3, 15)


# What is handed to the tap


@pytest.mark.parametrize("state", [{}, {"bookmarks": {}}])
def test_no_state(state: dict[str, Any]) -> None:
    assert not read_bookmarks(state)


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        "2024-03-15",
        {"bookmarks": []},
        {"bookmarks": None},
        {"inventory": "2024-03-15T00:00:00Z"},
        {"type": "STATE", "value": {"bookmarks": {}}},
        {"bookmarks": {}, "inventory": {"updatedAt": "2024-03-15T00:00:00Z"}},
    ],
)
def test_a_state_of_another_shape(state: object) -> None:
    with pytest.raises(StateError, match="can't read"):
        read_bookmarks(state)


def place(value: object, key: object = KEY, **more: object) -> dict[str, object]:
    return {"replication_key": key, "replication_key_value": value, **more}


@pytest.mark.parametrize(
    "state",
    [
        {},
        place("2024-03-15T00:00:00Z"),
        {"partitions": [place("2024-03-15", context={"locationId": "loc_001"})]},
        {"locations": ["loc_001"], "locations_as_of": "2024-03-15T00:00:00Z"},
    ],
)
def test_bookmarks_that_can_be_read(state: dict[str, Any]) -> None:
    assert check_state("inventory", state, KEY) == []


@pytest.mark.parametrize(
    "state",
    [
        "2024-03-15T00:00:00Z",
        None,
        place("soon"),
        place("2025-W11-5"),
        place("20240315"),
        place(1710460800),
        place({"value": "2024-03-15T00:00:00Z"}),
        place("2024-03-15T00:00:00Z", key="lastCountedAt"),
        place("2024-03-15T00:00:00Z", key=None),
        {"replication_key_value": "2024-03-15T00:00:00Z"},
        {"partitions": {}},
        {"partitions": None},
        {"partitions": ["loc_001"]},
        {"partitions": [place("2024-03-15")]},
        {"partitions": [place("2024-03-15", context={"locationId": 1})]},
        {"partitions": [place("2024-03-15", context={"location": "loc_001"})]},
        {"partitions": [place("2024-03-15", context={"locationId": "x", "page": 3})]},
        {"partitions": [place("soon", context={"locationId": "loc_001"})]},
        {"locations": "loc_001"},
        {"locations": None},
        {"locations": [1]},
        {"locations_as_of": "soon"},
        {"order": "\ud800"},
    ],
)
def test_bookmarks_of_another_shape(state: object) -> None:
    with pytest.raises(StateError, match="inventory"):
        check_state("inventory", state, KEY)


def test_fields_that_mean_nothing_are_named() -> None:
    partition = place("2024-03-15", context={"locationId": "loc_001"}, cursor=7)
    state = place("2024-03-15", colour="blue", partitions=[partition])
    assert check_state("inventory", state, KEY) == ["colour", "cursor"]
