"""Which locations a run covers."""

from __future__ import annotations

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
