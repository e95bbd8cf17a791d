"""The data: deterministic, believable, changeable."""

from __future__ import annotations

import datetime as dt
import threading
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_betterdata.sandbox import Company, Options, sorting
from tap_betterdata.sandbox.options import read_query
from tap_betterdata.sandbox.replies import encode

if TYPE_CHECKING:
    from .client import Client, Record, Run


def company(query: str) -> Company:
    return Company(read_query(query))


def test_equal_options_give_equal_bytes(run: Run) -> None:
    paths: list[tuple[str, dict[str, object]]] = [
        ("/inventory", {"limit": 100, "page": 2}),
        ("/inventory/channel-location", {"locationId": "loc_001"}),
        ("/inventory/analytics", {"fromDate": "2025-01-01", "toDate": "2025-01-09"}),
    ]
    one, two, other = run("items=300"), run("items=300"), run("items=300&seed=2")
    for path, params in paths:
        assert one.get(path, **params).content == two.get(path, **params).content
        assert one.get(path, **params).content != other.get(path, **params).content


def test_items_are_believable() -> None:
    items = list(company("items=5000").items())
    for nullable in (
        "lotId",
        "lotNumber",
        "expiryDate",
        "binId",
        "binName",
        "unitCost",
        "totalValue",
        "lastCountedAt",
    ):
        absent = sum(item[nullable] is None for item in items)
        assert 0 < absent < 3000, nullable
    for item in items:
        assert 0 <= item["quantityReserved"] <= item["quantityOnHand"]
        available = item["quantityOnHand"] - item["quantityReserved"]
        assert item["quantityAvailable"] == available
        assert (item["lotId"] is None) == (item["lotNumber"] is None)
        assert (item["binId"] is None) == (item["binName"] is None)
        assert item["expiryDate"] is None or item["lotId"] is not None
    changes = {dt.datetime.fromisoformat(item["updatedAt"]) for item in items}
    assert len(changes) == len(items)
    assert max(changes) < dt.datetime.now(dt.UTC)
    assert 500 < sum("." in item["updatedAt"] for item in items) < 2500


def test_names_come_in_several_scripts() -> None:
    items = list(company("items=2000&locations=20").items())
    for field in ("productName", "locationName"):
        letters = {letter for item in items for letter in item[field]}
        names = {unicodedata.name(letter, "").split()[0] for letter in letters}
        assert {"LATIN", "CYRILLIC", "ARABIC", "GREEK", "HANGUL"} <= names


def test_products_keep_their_attributes() -> None:
    seen: dict[str, tuple[str, str]] = {}
    for item in company("items=2000&products=50").items():
        attributes = (item["productName"], item["globalSku"])
        assert seen.setdefault(item["productMasterId"], attributes) == attributes
    assert len(seen) == 50
    assert len(set(seen.values())) == 50


def test_products_per_location() -> None:
    shop = company("locations=5&products_per_location=200")
    assert shop.total == 1000
    assert [len(shop.atp_products(place)) for place in shop.location_ids] == [200] * 5


def test_a_hundred_thousand_items() -> None:
    shop = company("items=100000&locations=8")
    assert shop.total == 100_000
    assert shop.page(slice(99_999, 100_099))[0][0]["id"] == "item_0100000"


def test_sorting_happens_once_for_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    ranked = []

    def rank(field: str, record: Record) -> tuple[int, str]:
        ranked.append(field)
        return 0, record["id"]

    monkeypatch.setattr(sorting, "_rank", rank)
    shop = company("items=300")
    for page in range(3):
        shop.page(slice(page * 100, page * 100 + 100), sort_by="updatedAt")
    assert ranked == ["updatedAt"] * 300


def test_update() -> None:
    shop = company("items=10")
    before = shop.item("item_0000003")
    after = shop.update("item_0000003", quantityOnHand=1000, unitCost=Decimal("2.50"))
    assert shop.item("item_0000003") == after
    assert after["totalValue"] == Decimal("2500.00")
    assert str(after["totalValue"]) == "2500.00"
    assert after["quantityAvailable"] == 1000 - before["quantityReserved"]
    now = dt.datetime.now(dt.UTC)
    changed = dt.datetime.fromisoformat(after["updatedAt"])
    assert dt.timedelta() <= now - changed < dt.timedelta(seconds=5)
    given = shop.update("item_0000003", updatedAt="2024-01-01T00:00:00Z", binId=None)
    assert given["updatedAt"] == "2024-01-01T00:00:00Z"
    assert given["binId"] is None
    assert shop.total == 10


def test_update_moves_an_item_to_another_location() -> None:
    shop = company("items=12&locations=3")
    shop.update("item_0000001", locationId="loc_002")
    assert len(list(shop.items("loc_001"))) == 3
    moved = next(shop.items("loc_002"))
    assert (moved["id"], moved["locationName"]) == (
        "item_0000001",
        shop.location_name("loc_002"),
    )


def test_delete() -> None:
    shop = company("items=10&locations=2")
    shop.delete("item_0000003")
    assert shop.total == 9
    assert "item_0000003" not in {item["id"] for item in shop.items()}
    assert len(list(shop.items("loc_001"))) == 4
    for lost in (shop.item, shop.delete, shop.update):
        with pytest.raises(KeyError):
            lost("item_0000003")


def test_insert_at_the_end() -> None:
    shop = company("items=10&locations=2")
    added = shop.insert("loc_002", productName="Neu", quantityOnHand=4)
    assert added["id"] == "item_0000011"
    assert (added["locationId"], added["productName"]) == ("loc_002", "Neu")
    assert list(shop.items())[-1] == added
    assert list(shop.items("loc_002"))[-1] == added
    assert shop.insert()["id"] == "item_0000012"
    with pytest.raises(KeyError):
        shop.insert("loc_999")
    with pytest.raises(ValueError, match="already"):
        shop.insert(id="item_0000001")
    assert shop.total == 12


@given(st.lists(st.integers(min_value=0, max_value=40), max_size=30))
@example([0] * 4)
@example([3, 3, 4, 3, 5, 4])
@settings(max_examples=50, deadline=None)
def test_insert_at_a_position(positions: list[int]) -> None:
    shop = company("items=6")
    expected = [item["id"] for item in shop.items()]
    for position in positions:
        expected.insert(position, shop.insert(at=position)["id"])
    assert [item["id"] for item in shop.items()] == expected
    assert expected == sorted(set(expected))


def test_changes_reach_the_next_answer(client: Client) -> None:
    shop = client.sandbox.company
    client.read("/inventory")
    shop.insert("loc_001", at=0, productName="Ganz vorn")
    shop.delete("item_0000001")
    payload = client.read("/inventory", limit=100)
    assert payload["items"][0]["productName"] == "Ganz vorn"
    assert payload["items"] == list(shop.items())[:100]
    params = {"fromDate": "2025-12-01", "toDate": "2025-12-31"}
    before = client.read("/inventory/analytics", **params)["analytics"]
    shop.update("item_0000002", quantityOnHand=10**6)
    after = client.read("/inventory/analytics", **params)["analytics"]
    assert after["totalUnits"] > before["totalUnits"] + 10**5
    row = shop.atp_products(shop.item("item_0000002")["locationId"])
    assert max(r["totalOnHand"] for r in row) >= 10**6


def test_what_is_returned_can_be_changed_without_harm() -> None:
    shop = company("items=3")
    shop.update("item_0000001", binId="x")
    for record in (shop.item("item_0000001"), *shop.items(), shop.insert()):
        record["binId"] = "changed"
    assert "changed" not in {item["binId"] for item in shop.items()}


def test_new_products_have_no_category() -> None:
    shop = company("items=0")
    shop.insert(productMasterId="something-new", quantityOnHand=3)
    analytics = shop.analytics(None, shop.today, shop.today)
    assert [row["categoryId"] for row in analytics["byCategory"]] == ["cat_000"]


def test_changes_from_several_threads() -> None:
    shop = company("items=100")

    def change() -> None:
        for _ in range(50):
            shop.delete(shop.insert(at=10)["id"])
            shop.insert()
            shop.page(slice(0, 20), sort_by="updatedAt")

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [item["id"] for item in shop.items()]
    assert len(ids) == shop.total == 300
    assert ids == sorted(set(ids))
    assert shop.version == 4 * 50 * 3


def test_a_company_can_be_made_without_a_server() -> None:
    assert encode(next(Company(Options(items=1)).items())).startswith(b'{"id":"item_')
