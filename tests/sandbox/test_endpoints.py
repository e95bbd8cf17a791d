"""The three endpoints: pagination, filters, sorting, errors."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_betterdata.sandbox.catalogue import INVENTORY_FIELDS

from .client import TIMEOUT_S, decode

if TYPE_CHECKING:
    from .client import Client, Record, Run

INVENTORY = "/inventory"
ATP = "/inventory/channel-location"
ANALYTICS = "/inventory/analytics"
YEAR = {"fromDate": "2025-01-01", "toDate": "2025-12-31"}


def test_inventory_gives_all_items_once_in_order(client: Client) -> None:
    seen: list[Record] = []
    for page in range(1, 4):
        payload = client.read(INVENTORY, page=page, limit=50)
        assert payload["pagination"] == {
            "page": page,
            "pageSize": 50,
            "total": 130,
            "totalPages": 3,
        }
        seen += payload["items"]
    assert seen == list(client.sandbox.company.items())
    assert [item["id"] for item in seen] == sorted({item["id"] for item in seen})
    assert all(tuple(item) == INVENTORY_FIELDS for item in seen)


@pytest.mark.parametrize(
    ("path", "default", "largest"), [(INVENTORY, 20, 100), (ATP, 50, 200)]
)
def test_default_and_largest_limit(
    run: Run, path: str, default: int, largest: int
) -> None:
    client = run("items=800&locations=1&products_per_location=300")
    for sent, size in (({}, default), ({"limit": 5000}, largest)):
        payload = client.read(path, locationId="loc_001", **sent)
        assert payload["pagination"]["pageSize"] == size
        assert len(payload["items" if path == INVENTORY else "products"]) == size


@pytest.mark.parametrize(("path", "largest"), [(INVENTORY, 100), (ATP, 200)])
def test_limit_over_the_largest_can_be_refused(
    run: Run, path: str, largest: int
) -> None:
    client = run("over_max=reject")
    client.read(path, locationId="loc_001", limit=largest)
    answer = client.code(path, locationId="loc_001", limit=largest + 1)
    assert answer == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("path", [INVENTORY, ATP])
@pytest.mark.parametrize("name", ["page", "limit"])
@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.5", "٣", "9" * 5000])
def test_bad_page_and_limit(client: Client, path: str, name: str, value: str) -> None:
    answer = client.code(path, locationId="loc_001", **{name: value})
    assert answer == (400, "VALIDATION_ERROR")


def test_page_past_the_end_is_empty(client: Client) -> None:
    payload = client.read(INVENTORY, page=9, limit=100)
    assert payload["items"] == []
    assert payload["pagination"] == {
        "page": 9,
        "pageSize": 100,
        "total": 130,
        "totalPages": 2,
    }


def test_no_items_are_no_pages(run: Run) -> None:
    payload = run("items=0").read(INVENTORY)
    assert payload["items"] == []
    assert payload["pagination"]["total"] == 0
    assert payload["pagination"]["totalPages"] == 0


def test_location_filter(client: Client) -> None:
    items = client.read(INVENTORY, locationId="loc_002", limit=100)["items"]
    assert items == list(client.sandbox.company.items("loc_002"))
    assert {item["locationId"] for item in items} == {"loc_002"}
    everything = list(client.sandbox.company.items())
    assert items == [item for item in everything if item["locationId"] == "loc_002"]


@pytest.mark.parametrize("path", [INVENTORY, ATP, ANALYTICS])
def test_unknown_and_forbidden_locations(run: Run, path: str) -> None:
    client = run("forbidden_locations=loc_002,loc_004")
    assert client.code(path, locationId="loc_099", **YEAR) == (404, "NOT_FOUND")
    assert client.code(path, locationId="", **YEAR) == (404, "NOT_FOUND")
    assert client.code(path, locationId="loc_004", **YEAR) == (403, "FORBIDDEN")
    client.read(path, locationId="loc_003", **YEAR)


def _value(item: Record, field: str) -> Any:
    value = item[field]
    if field in ("updatedAt", "lastCountedAt"):
        return dt.datetime.fromisoformat(value)
    return value


@pytest.mark.parametrize("field", INVENTORY_FIELDS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_sorting_by_each_field(client: Client, field: str, order: str) -> None:
    items = []
    for page in (1, 2):
        items += client.read(
            INVENTORY, sortBy=field, sortOrder=order, limit=100, page=page
        )["items"]
    everything = list(client.sandbox.company.items())
    # The sort is stable, so equal values stay in the order of their ids.
    expected = sorted(
        (item for item in everything if item[field] is not None),
        key=lambda item: _value(item, field),
        reverse=order == "desc",
    ) + [item for item in everything if item[field] is None]
    assert items == expected


def test_sorting_within_a_location(client: Client) -> None:
    items = client.read(INVENTORY, sortBy="updatedAt", locationId="loc_001", limit=100)[
        "items"
    ]
    changes = [dt.datetime.fromisoformat(item["updatedAt"]) for item in items]
    assert changes == sorted(changes)
    assert {item["locationId"] for item in items} == {"loc_001"}


def test_sorting_follows_changes(client: Client) -> None:
    last = client.read(INVENTORY, sortBy="updatedAt", sortOrder="desc")["items"][0]
    changed = client.sandbox.company.update("item_0000077", quantityOnHand=7)
    first = client.read(INVENTORY, sortBy="updatedAt", sortOrder="desc")["items"][0]
    assert last["id"] != first["id"] == changed["id"]


def test_sorting_by_fractions_of_a_second(client: Client) -> None:
    changes = ["2030-01-01T00:00:00.5Z", "2030-01-01T00:00:00Z", "2029-12-31T23:00:01Z"]
    for number, change in enumerate(changes, start=1):
        client.sandbox.company.update(f"item_{number:07}", updatedAt=change)
    items = client.read(INVENTORY, sortBy="updatedAt", sortOrder="desc")["items"]
    assert [item["updatedAt"] for item in items[:3]] == changes


def test_sorting_of_mixed_values(client: Client) -> None:
    for number, value in enumerate(["5", None, 2.5, True, [1]], start=1):
        client.sandbox.company.update(f"item_{number:07}", quantityOnHand=0)
        client.sandbox.company.update(
            f"item_{number:07}",
            quantityOnHand=value,
            quantityAvailable=0,
            totalValue=None,
            updatedAt="yesterday",
        )
    for field in ("quantityOnHand", "updatedAt"):
        client.read(INVENTORY, sortBy=field)
    client.read(ATP, locationId="loc_001")
    client.read(ANALYTICS, **YEAR)


@pytest.mark.parametrize(
    ("mode", "params", "status"),
    [
        ("honour", {"sortBy": "colour"}, 400),
        ("honour", {"sortBy": "id", "sortOrder": "up"}, 400),
        ("reject", {"sortBy": "updatedAt"}, 400),
        ("reject", {"sortOrder": "desc"}, 400),
        ("reject", {}, 200),
        ("ignore", {"sortBy": "colour", "sortOrder": "desc"}, 200),
    ],
)
def test_sort_modes(run: Run, mode: str, params: dict[str, str], status: int) -> None:
    client = run(f"sort={mode}&items=30")
    response = client.get(INVENTORY, **params)
    assert response.status_code == status
    if status == 200:
        assert response.json() == client.get(INVENTORY).json()
    else:
        assert response.json()["code"] == "VALIDATION_ERROR"


def test_a_server_may_sort_downwards_only(run: Run) -> None:
    client = run("sort=down&items=30")
    orders = [
        [item["id"] for item in client.read(INVENTORY, sortBy="id", **order)["items"]]
        for order in ({"sortOrder": "asc"}, {"sortOrder": "desc"})
    ]
    assert orders[0] == orders[1] == sorted(orders[0], reverse=True)


def test_atp_agrees_with_the_inventory(client: Client) -> None:
    rows = client.read(ATP, locationId="loc_002", limit=200)["products"]
    expected: dict[str, tuple[int, int]] = {}
    for item in client.sandbox.company.items("loc_002"):
        on_hand, reserved = expected.get(item["productMasterId"], (0, 0))
        expected[item["productMasterId"]] = (
            on_hand + item["quantityOnHand"],
            reserved + item["quantityReserved"],
        )
    found = {
        row["productMasterId"]: (row["totalOnHand"], row["totalReserved"])
        for row in rows
    }
    assert found == expected
    assert [row["productMasterId"] for row in rows] == sorted(expected)
    assert rows == client.sandbox.company.atp_products("loc_002")


def _leave_in_stock(client: Client, product_id: str, channel: Record) -> None:
    """Keep of a product just the safety stock of a channel."""
    left = channel["available"] - channel["atp"]
    for item in list(client.sandbox.company.items("loc_001")):
        if item["productMasterId"] == product_id:
            client.sandbox.company.update(
                item["id"], quantityOnHand=left, quantityReserved=0
            )
            left = 0


def test_atp_rows_are_consistent(run: Run) -> None:
    client = run("items=2000")
    first = client.read(ATP, locationId="loc_001", limit=1)["products"][0]
    _leave_in_stock(client, first["productMasterId"], first["channels"][0])
    payload = client.read(ATP, locationId="loc_001", limit=200)
    assert payload["products"][0]["channels"][0]["atp"] == 0
    assert payload["location"] == {"id": "loc_001", "name": "Main Warehouse"}
    assert payload["channels"][0]["channelType"] == "E_COMMERCE"
    known = [channel["channelId"] for channel in payload["channels"]]
    severities, safety_stocks = set(), set()
    for row in payload["products"]:
        channels = row["channels"]
        assert [channel["channelId"] for channel in channels] == known
        promises = [channel["atp"] for channel in channels]
        assert (min(promises), max(promises)) == (row["minAtp"], row["maxAtp"])
        for channel in channels:
            assert channel["onHand"] == row["totalOnHand"]
            assert channel["available"] == row["totalOnHand"] - row["totalReserved"]
            safety_stocks.add(channel["available"] - channel["atp"])
            low = "LOW" if channel["atp"] < channel["threshold"] else "OK"
            severity = "CRITICAL" if channel["atp"] <= 0 else low
            assert channel["severity"] == severity
        found = {channel["severity"] for channel in channels}
        assert row["hasCritical"] == ("CRITICAL" in found)
        severities |= found
    assert severities == {"OK", "LOW", "CRITICAL"}
    assert min(safety_stocks) == 0
    assert len(safety_stocks) > 10


def test_atp_pages(run: Run) -> None:
    client = run("locations=2&products_per_location=30")
    pages = [
        client.read(ATP, locationId="loc_002", limit=20, page=page) for page in (1, 2)
    ]
    assert [len(page["products"]) for page in pages] == [20, 10]
    assert pages[1]["pagination"] == {
        "page": 2,
        "pageSize": 20,
        "total": 30,
        "totalPages": 2,
    }


def test_atp_of_all_locations(run: Run) -> None:
    assert run("").code(ATP) == (400, "VALIDATION_ERROR")
    client = run("atp_all_locations=1&items=40&products=3")
    payload = client.read(ATP)
    assert payload["location"] is None
    assert sum(row["totalOnHand"] for row in payload["products"]) == sum(
        item["quantityOnHand"] for item in client.sandbox.company.items()
    )


@pytest.mark.parametrize("location_id", [None, "loc_001"])
def test_analytics_agree_with_the_inventory(
    client: Client, location_id: str | None
) -> None:
    params = YEAR if location_id is None else {**YEAR, "locationId": location_id}
    payload = client.read(ANALYTICS, **params)
    items = list(client.sandbox.company.items(location_id))
    analytics = payload["analytics"]
    assert analytics["totalValue"] == sum(item["totalValue"] or 0 for item in items)
    assert analytics["totalUnits"] == sum(item["quantityOnHand"] for item in items)
    categories = analytics["byCategory"]
    assert sum(category["value"] for category in categories) == analytics["totalValue"]
    assert sum(category["units"] for category in categories) == analytics["totalUnits"]
    assert analytics["slowMovingItems"] == sum(
        item["updatedAt"] < "2025-09-16" for item in items
    )
    assert analytics["expiringItems"] == sum(
        "2025-01-01" <= (item["expiryDate"] or "") <= "2025-12-31" for item in items
    )
    assert analytics == client.sandbox.company.analytics(
        location_id, YEAR["fromDate"], YEAR["toDate"]
    )
    assert payload["period"] == {
        "from": "2025-01-01T00:00:00Z",
        "to": "2025-12-31T23:59:59Z",
    }


def test_the_period_changes_the_turnover(client: Client) -> None:
    year = client.read(ANALYTICS, **YEAR)["analytics"]
    month = client.read(ANALYTICS, fromDate="2025-01-01", toDate="2025-01-31")
    assert 0 < month["analytics"]["turnoverRate"] < year["turnoverRate"]
    assert month["analytics"]["totalValue"] != year["totalValue"]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"fromDate": "2025-01-01"},
        {"toDate": "2025-01-01"},
        {"fromDate": "2025-02-01", "toDate": "2025-01-01"},
        {"fromDate": "2025-02-30", "toDate": "2025-03-01"},
        {"fromDate": "20250201", "toDate": "2025-03-01"},
        {"fromDate": "2025-W05-6", "toDate": "2025-03-01"},
        {"fromDate": "2025-02-01T00:00:00Z", "toDate": "2025-03-01"},
    ],
)
def test_bad_periods(client: Client, params: dict[str, str]) -> None:
    assert client.code(ANALYTICS, **params) == (400, "VALIDATION_ERROR")


def test_both_ends_of_a_period_belong_to_it(run: Run) -> None:
    client = run("items=4&today=2025-02-15")
    days = ["2025-01-31", "2025-02-01", "2025-02-28", "2025-03-01"]
    for number, day in enumerate(days, start=1):
        client.sandbox.company.update(
            f"item_{number:07}", expiryDate=day, updatedAt=f"{day}T00:00:00Z"
        )
    payload = client.read(ANALYTICS, fromDate="2025-02-01", toDate="2025-02-28")
    assert payload["analytics"]["expiringItems"] == 2


def test_what_lay_for_90_days_moves_slowly(run: Run) -> None:
    client = run("items=2&today=2025-03-31")
    for number, day in enumerate(("2024-12-30", "2024-12-31"), start=1):
        client.sandbox.company.update(f"item_{number:07}", updatedAt=f"{day}T23:59:59Z")
    payload = client.read(ANALYTICS, fromDate="2025-03-01", toDate="2025-04-30")
    assert payload["analytics"]["slowMovingItems"] == 1


def test_analytics_of_an_empty_company(run: Run) -> None:
    response = run("items=0").get(ANALYTICS, **YEAR)
    analytics = decode(response.content)["analytics"]
    assert analytics["totalValue"] == Decimal("0.00")
    assert analytics["byCategory"] == []


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "MISSING_AUTHORIZATION"),
        ("Basic abc", 401, "MISSING_AUTHORIZATION"),
        ("Bearer ", 401, "MISSING_AUTHORIZATION"),
        ("Bearer bdk_live_wrong", 401, "INVALID_API_KEY"),
        ("Bearer bdk_live_expired", 401, "EXPIRED_API_KEY"),
        ("Bearer bdk_live_revoked", 401, "REVOKED_API_KEY"),
        ("Bearer bdk_live_noscope", 403, "INSUFFICIENT_SCOPE"),
        ("Bearer bdk_live_badip", 403, "IP_RESTRICTION"),
        ("Bearer bdk_live_inactive", 403, "INACTIVE_ORGANIZATION"),
    ],
)
@pytest.mark.parametrize("path", [INVENTORY, ATP, ANALYTICS])
def test_refused_keys(
    client: Client, path: str, header: str | None, status: int, code: str
) -> None:
    response = requests.get(
        client.sandbox.url + path,
        headers={} if header is None else {"Authorization": header},
        timeout=TIMEOUT_S,
    )
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert isinstance(response.json()["error"], str)
    assert isinstance(response.json()["details"], dict)


def test_another_key_can_be_chosen(run: Run) -> None:
    client = run("api_key=s3cret")
    assert client.sandbox.api_key == "s3cret"
    client.read(INVENTORY)
    client.session.headers["Authorization"] = "bearer s3cret"
    client.read(INVENTORY)
    client.session.headers["Authorization"] = "Bearer bdk_live_SANDBOX_0000"
    assert client.code(INVENTORY) == (401, "INVALID_API_KEY")


def test_error_object(run: Run) -> None:
    body = run("error_shape=object").get("/nowhere").json()
    assert body["error"]["code"] == "NOT_FOUND"
    assert "/nowhere" in body["error"]["message"]
    assert "code" not in body


def test_unknown_paths_and_methods(client: Client) -> None:
    assert client.code("/products") == (404, "NOT_FOUND")
    outside = client.session.get(
        client.sandbox.url.removesuffix("/api") + "/inventory/x", timeout=TIMEOUT_S
    )
    assert outside.status_code == 404
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS"):
        response = client.session.request(
            method, client.sandbox.url + INVENTORY, data="{}", timeout=TIMEOUT_S
        )
        assert response.status_code == 405
        assert response.headers["Allow"] == "GET"
    # The connection is still of use.
    client.read(INVENTORY)


def test_decimals_keep_their_zeros(run: Run) -> None:
    text = run("items=100").get(INVENTORY, limit=100).text
    items = decode(text.encode())["items"]
    costs = [item["unitCost"] for item in items if item["unitCost"] is not None]
    assert all(cost.as_tuple().exponent == -2 for cost in costs)
    assert any(str(cost).endswith("0") for cost in costs)
    for item in items:
        if item["unitCost"] is None:
            assert item["totalValue"] is None
        else:
            total = item["unitCost"] * item["quantityOnHand"]
            assert str(item["totalValue"]) == str(total)
            assert f'"totalValue":{total},' in text
