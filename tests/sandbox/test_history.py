"""The clock and the past: what is said of a day is what the company had that day."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_betterdata.sandbox import Company, Options, Sandbox
from tap_betterdata.sandbox.catalogue import Catalogue
from tap_betterdata.sandbox.options import read_query

if TYPE_CHECKING:
    from .client import Record, Run

TODAY = dt.date(2026, 3, 15)
DAY = dt.timedelta(days=1)
MONTHS = [
    (first, (first + 31 * DAY).replace(day=1) - DAY)
    for first in [dt.date(2025, month, 1) for month in range(3, 13)]
    + [dt.date(2026, month, 1) for month in (1, 2)]
]
days = st.dates(dt.date(2019, 1, 1), dt.date(2027, 12, 31))


def company(today: dt.date = TODAY, **choices: Any) -> Company:
    return Company(Options(**{"items": 300, "locations": 3, **choices}, today=today))


def worth(items: list[Record]) -> Decimal:
    return sum((item["totalValue"] or Decimal(0) for item in items), Decimal(0))


@given(day=days, seed=st.integers(-9, 9), place=st.sampled_from([None, "loc_002"]))
@settings(max_examples=25, deadline=None)
def test_the_past_is_told_as_it_was(day: dt.date, seed: int, place: str | None) -> None:
    told = company(dt.date(2028, 1, 1), seed=seed).analytics(place, day, day)
    then = company(day + DAY, seed=seed)
    items = list(then.items(place))
    assert told["totalValue"] == worth(items)
    assert told["totalUnits"] == sum(item["quantityOnHand"] for item in items)
    assert told["slowMovingItems"] == sum(
        item["updatedAt"] < str(day - 90 * DAY) for item in items
    )
    assert told["expiringItems"] == sum(
        item["expiryDate"] == str(day) for item in items
    )
    of_today = then.analytics(place, day + DAY, day + DAY)
    assert told["byCategory"] == of_today["byCategory"]


@given(first=days, length=st.integers(0, 400), seed=st.integers(-9, 9))
@settings(max_examples=25, deadline=None)
def test_movements_lead_from_one_stock_to_the_next(
    first: dt.date, length: int, seed: int
) -> None:
    last = first + length * DAY
    before, after = company(first, seed=seed), company(last + DAY, seed=seed)
    later = company(dt.date(2030, 1, 1), seed=seed)
    for place in before.location_ids:
        units: Counter[str] = Counter()
        for item in before.items(place):
            units[item["id"]] += item["quantityOnHand"]
        for movement in later.movements(first, last, place):
            assert movement.location_id == place
            assert str(first) <= movement.at[:10] <= str(last)
            units[movement.item_id] += movement.quantity
        there = {item["id"]: item["quantityOnHand"] for item in after.items(place)}
        assert {key: number for key, number in units.items() if number} == {
            key: number for key, number in there.items() if number
        }


def test_stock_is_bought_sold_counted_and_moved() -> None:
    shop = company()
    found: dict[str, list[int]] = {}
    moved: Counter[str] = Counter()
    for movement in shop.movements(TODAY - 365 * DAY, TODAY):
        found.setdefault(movement.kind, []).append(movement.quantity)
        if movement.kind == "moved":
            moved[movement.item_id] += movement.quantity
    assert set(found) == {"bought", "sold", "counted", "moved"}
    assert min(found["bought"]) > 0 > max(found["sold"])
    assert 0 not in found["counted"]
    assert max(map(abs, found["counted"])) < 10
    assert len(moved) > 10
    assert set(moved.values()) == {0}


def test_nothing_is_moved_today_yet() -> None:
    shop = company(items=3000)
    assert not list(shop.movements(TODAY, TODAY + 9 * DAY))
    assert list(shop.movements(TODAY - DAY, TODAY + 9 * DAY))
    assert max(item["updatedAt"] for item in shop.items()) < str(TODAY)


def test_an_item_changes_only_when_it_is_moved() -> None:
    yesterday, today = company(TODAY - DAY), company(TODAY)
    moved = {m.item_id for m in today.movements(TODAY - DAY, TODAY - DAY)}
    assert moved
    for before, after in zip(yesterday.items(), today.items(), strict=True):
        assert (before != after) == (before["id"] in moved)
        assert (before["updatedAt"] < str(TODAY - DAY) <= after["updatedAt"]) == (
            before["id"] in moved
        )


def test_value_and_turnover_move_from_month_to_month() -> None:
    shop = company()
    told = [shop.analytics("loc_001", *month) for month in MONTHS]
    for name in ("totalValue", "totalUnits", "turnoverRate", "averageDaysOnHand"):
        assert len({row[name] for row in told}) > 6, name
    values = [row["totalValue"] for row in told]
    assert max(values) > min(values) * Decimal("1.2")
    for row in told:
        assert Decimal("0.1") < row["turnoverRate"] < 1
        assert 20 < row["averageDaysOnHand"] < 200


def test_items_are_not_all_bought_at_once() -> None:
    shop = company(items=2000)
    rates = [shop.analytics(None, *month)["turnoverRate"] for month in MONTHS]
    assert Decimal("0.35") < min(rates) < max(rates) < Decimal("0.6")
    assert len(set(rates)) == len(rates)


@pytest.mark.parametrize("place", [None, "loc_003"])
def test_the_turnover_is_what_was_sold_over_the_mean_value(place: str | None) -> None:
    shop = company()
    for first, last in MONTHS[-2:]:
        stocks = [worth(list(company(day).items(place))) for day in (first, last + DAY)]
        sold = sum(
            (
                -movement.quantity * (movement.unit_cost or Decimal(0))
                for movement in shop.movements(first, last, place)
                if movement.kind == "sold"
            ),
            Decimal(0),
        )
        rate = sold / (sum(stocks, Decimal(0)) / 2)
        told = shop.analytics(place, first, last)
        assert abs(told["turnoverRate"] - rate) < Decimal("0.0001")
        length = (last - first).days + 1
        assert abs(told["averageDaysOnHand"] - length / rate) <= Decimal("0.5")


def test_where_nothing_was_sold_no_number_of_days_is_right() -> None:
    told = company().analytics(None, TODAY, TODAY + DAY)
    assert told["turnoverRate"] == 0
    assert told["averageDaysOnHand"] is None


def test_the_last_period_ends_with_todays_stock() -> None:
    shop = company()
    for last in (TODAY, TODAY + 16 * DAY):
        told = shop.analytics(None, TODAY.replace(day=1), last)
        assert told["totalValue"] == worth(list(shop.items()))
        assert told["turnoverRate"] > 0


def test_what_is_changed_now_leaves_the_past_as_it_was() -> None:
    shop = company()
    before = [shop.analytics(None, *month) for month in MONTHS]
    shop.update("item_0000001", quantityOnHand=10**6, updatedAt="2025-01-01T00:00:00Z")
    shop.delete("item_0000002")
    shop.insert(quantityOnHand=10**6)
    assert [shop.analytics(None, *month) for month in MONTHS] == before
    assert shop.analytics(None, TODAY, TODAY)["totalUnits"] > 2 * 10**6


def test_times_are_in_step() -> None:
    lots = 0
    for item in company(items=2000).items():
        assert (item["lastCountedAt"] or "") <= item["updatedAt"]
        if item["lotId"]:
            bought = dt.date.fromisoformat(item["lotNumber"].removeprefix("LOT-"))
            assert bought < TODAY
            lots += 1
        if item["expiryDate"]:
            expires = dt.date.fromisoformat(item["expiryDate"])
            assert 60 <= (expires - bought).days < 3 * 365
    assert lots > 1000


def test_lists_tell_what_was_so_when_it_happened() -> None:
    shop = company()
    rows = [*shop.plain_list("adjustments"), *shop.plain_list("alerts")]
    assert len(rows) == 250
    for row in rows:
        at = dt.date.fromisoformat(row["createdAt"][:10])
        assert at < TODAY
        number = int(row["id"].split("_")[1])
        then = company(at + DAY).item(f"item_{number:07}")
        assert then["updatedAt"][:19] == row["createdAt"][:19]
        assert then["quantityOnHand"] == row.get("qtyAfter", row.get("quantity"))
        assert then["locationId"] == row.get("locationId", then["locationId"])
        if row.get("type") == "expiry":
            assert then["expiryDate"] <= str(at + 60 * DAY)
        if row.get("type") == "lowAtp":
            assert then["quantityOnHand"] < 100


def test_recommendations_are_of_stock_that_is_there() -> None:
    shop = company()
    stocks: dict[tuple[str, str], list[int]] = {}
    for item in shop.items():
        key = (item["productMasterId"], item["locationId"])
        stocks.setdefault(key, []).append(item["quantityAvailable"])
    for row in shop.plain_list("recommendations"):
        key = (row["productMasterId"], row["sourceLocationId"])
        assert row["quantity"] <= max(stocks[key])
        assert row["createdAt"] < str(TODAY)


def test_many_items_have_seconds_of_their_own() -> None:
    catalogue = Catalogue(Options(items=1), TODAY)
    seconds = {catalogue.updated_at(number)[:19] for number in range(1, 60_001)}
    assert len(seconds) == 60_000


def test_items_of_a_location_keep_their_order() -> None:
    shop = company(items=4000, locations=7)
    found = {
        place: [item["id"] for item in shop.items(place)] for place in shop.location_ids
    }
    assert sorted(key for keys in found.values() for key in keys) == [
        item["id"] for item in shop.items()
    ]
    strangers = 0
    for number, keys in enumerate(found.values(), start=1):
        assert keys == sorted(keys)
        strangers += sum((int(key[5:]) - number) % 7 != 0 for key in keys)
    assert 100 < strangers < 250


def test_the_clock_can_be_set(run: Run) -> None:
    query = "items=100&today=2026-03-15"
    one, two = run(query), run(query)
    params = {"fromDate": "2026-02-01", "toDate": "2026-02-28"}
    for path in ("/inventory", "/inventory/analytics", "/admin/alerts/history"):
        assert one.get(path, **params).content == two.get(path, **params).content
    assert one.sandbox.company.today == TODAY
    assert Sandbox(items=1, today="2026-03-15").company.today == TODAY
    assert Sandbox(items=1, today=TODAY).company.today == TODAY


def test_the_clock_is_todays() -> None:
    with time_machine.travel(dt.datetime(2027, 5, 6, 23, 59, tzinfo=dt.UTC)):
        shop = Company(Options(items=3000))
    assert shop.today == dt.date(2027, 5, 6)
    newest = max(item["updatedAt"] for item in shop.items())
    assert "2027-05-05" <= newest < "2027-05-06"


@pytest.mark.parametrize("today", ["2000-01-01", "2024-02-29", "2999-12-31"])
def test_the_clock_goes_as_far_as_it_can_be_set(today: str) -> None:
    shop = company(dt.date.fromisoformat(today), items=60)
    for name in ("recommendations", "alerts", "adjustments"):
        assert shop.plain_list(name)
    stock = worth(list(shop.items("loc_001")))
    for period in (("0001-01-01", "9999-12-31"), (today, today)):
        assert shop.analytics("loc_001", *period)["totalValue"] == stock
    # Before the first day it is told as of that day.
    first = shop.analytics("loc_001", "0001-01-01", "0001-01-01")
    assert first == shop.analytics("loc_001", "2000-01-01", "2000-01-01")


@pytest.mark.parametrize(
    "today",
    [
        *("", "soon", "2026-02-30", "20260315", "tomorrow"),
        *("0001-01-01", "1999-12-31", "3000-01-01", "9999-12-31"),
    ],
)
def test_a_day_that_is_none(today: str) -> None:
    with pytest.raises(ValueError, match="today"):
        read_query(f"today={today}")
