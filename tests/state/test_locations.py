"""Which locations a run covers."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tap_betterdata.api.redaction import quote
from tap_betterdata.state.locations import Locations


def never() -> None:
    msg = "the inventory was read for nothing"
    raise AssertionError(msg)


def test_the_set_ones_are_asked_for_once_each_in_their_order() -> None:
    locations = Locations(["loc_2", "loc_1", "loc_2"])
    locations.learn = never
    locations.see([{"locationId": "loc_3", "locationName": "Three"}])
    assert locations.ids() == ["loc_2", "loc_1"]


def test_without_a_setting_those_that_are_seen_count() -> None:
    locations = Locations(None)
    locations.learn = never
    locations.see([{"locationId": "loc_2"}, {"locationId": None}, {}])
    locations.see([{"locationId": "loc_1"}, {"locationId": "loc_2"}])
    locations.learned = True
    assert locations.ids() == ["loc_1", "loc_2"]


def test_ids_are_read_as_records_do() -> None:
    locations = Locations(None)
    ids = [7, Decimal("7.50"), 2**70, "loc_1", "tab\t", "\u200dé", None]
    locations.see([{"locationId": value} for value in ids])
    known = {"7", "7.50", str(2**70), "loc_1", "tab\t", "\u200dé"}
    assert locations.known == known
    assert not locations.unusable


@pytest.mark.parametrize(
    "value", ["\ud800x", "\udc00\ud800", [], {}, ["loc_1"], True, "x" * 9999 + "\udfff"]
)
def test_what_cannot_be_sent_is_no_location(value: object) -> None:
    locations = Locations(None)
    locations.learned = True
    locations.see([{"locationId": value}, {"locationId": "loc_1"}])
    assert locations.ids() == ["loc_1"]
    (named,) = locations.unusable
    assert named == quote(value)


def test_what_cannot_be_sent_is_not_recalled() -> None:
    locations = Locations(None)
    locations.recall(["loc_1", "\ud800x"])
    assert locations.known == {"loc_1"}
    assert locations.unusable == {r"'\ud800x'"}


def test_an_empty_setting_is_none() -> None:
    locations = Locations([])
    locations.learned = True
    assert locations.ids() == []


def test_they_are_learned_when_they_are_needed() -> None:
    locations = Locations(None)
    begun = []

    def learn() -> None:
        begun.append(True)
        locations.see([{"locationId": 7}])

    locations.learn = learn
    assert not begun
    assert locations.ids() == ["7"]
