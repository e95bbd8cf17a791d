"""The lists that are nothing but lists: paging in both styles, sorting, flaws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Company
from tap_betterdata.sandbox.catalogue import ALERTS_CONFIG
from tap_betterdata.sandbox.options import read_query

if TYPE_CHECKING:
    from .client import Client, Record, Run

PENDING = "/transfers/recommendations/pending"
ALERTS = "/admin/alerts/history"
NAMES = {PENDING: "recommendations", ALERTS: "items"}
LISTS = {PENDING: "recommendations", ALERTS: "alerts"}
BOTH = pytest.mark.parametrize("path", [PENDING, ALERTS])


def rows(client: Client, path: str, **params: object) -> list[Record]:
    found: list[Record] = client.read(path, **params)[NAMES[path]]
    return found


def ids(client: Client, path: str, **params: object) -> list[str]:
    return [row["id"] for row in rows(client, path, **params)]


@pytest.fixture
def client(run: Run) -> Client:
    """A sandbox with 130 recommendations and 260 alerts."""
    return run("items=520&locations=3")


def test_limit_and_offset(client: Client) -> None:
    seen: list[Record] = []
    for offset in (0, 50, 100):
        payload = client.read(PENDING, offset=offset)
        seen += payload.pop("recommendations")
        assert payload == {"total": 130, "limit": 50, "offset": offset}
    assert seen == client.sandbox.company.plain_list("recommendations")
    assert ids(client, PENDING, offset=7, limit=3) == [row["id"] for row in seen[7:10]]
    assert ids(client, PENDING, offset=130) == []


def test_page_and_limit(client: Client) -> None:
    seen: list[Record] = []
    for page in (1, 2, 3):
        payload = client.read(ALERTS, page=page, limit=100)
        seen += payload.pop("items")
        numbers = {"page": page, "pageSize": 100, "total": 260, "totalPages": 3}
        assert payload == {"pagination": numbers}
    assert seen == client.sandbox.company.plain_list("alerts")
    assert len(seen) == 260


@BOTH
def test_the_largest_limit(run: Run, path: str) -> None:
    assert len(rows(run("items=520"), path, limit=5000)) == 100
    refusing = run("items=520&over_max=reject")
    assert len(rows(refusing, path, limit=100)) == 100
    assert refusing.code(path, limit=101) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize("name", ["offset", "limit"])
@pytest.mark.parametrize("value", ["-1", "x", "", "1.5", "9" * 5000])
def test_bad_limit_and_offset(client: Client, name: str, value: str) -> None:
    assert client.code(PENDING, **{name: value}) == (400, "VALIDATION_ERROR")


def test_rows_agree_with_the_company(client: Client) -> None:
    company = client.sandbox.company
    items = {item["productMasterId"]: item for item in company.items()}
    for row in company.plain_list("recommendations"):
        assert row["productMasterId"] in items
        places = {row["sourceLocationId"], row["destLocationId"]}
        assert len(places & set(company.location_ids)) == 2
        assert row["quantity"] > 0
        assert row["status"] == "PENDING"
    alerts = company.plain_list("alerts")
    for row in alerts:
        assert row["productMasterId"] in items
        assert row["locationId"] in company.location_ids
        assert (row["type"] == "stockout") == (row["quantity"] == 0)
    assert len({row["type"] for row in alerts}) == 4
    for row in company.plain_list("adjustments"):
        assert company.item(row["inventoryItemId"])
        assert row["qtyAfter"] - row["deltaQty"] == row["qtyBefore"] >= 0
        assert row["deltaQty"] != 0
    for name in (*LISTS.values(), "adjustments"):
        created = [row["createdAt"] for row in company.plain_list(name)]
        assert created == sorted(set(created))


def test_equal_options_give_equal_rows() -> None:
    def made(query: str) -> list[list[Record]]:
        company = Company(read_query(query))
        return [company.plain_list(name) for name in LISTS.values()]

    assert made("items=80") == made("items=80")
    assert all(a != b for a, b in zip(made("items=80"), made("seed=2"), strict=True))


def test_adjustments(client: Client) -> None:
    entries = client.sandbox.company.plain_list("adjustments")
    payload = client.read("/inventory/adjustments", limit=2, offset=1)
    assert payload == {"entries": entries[1:3], "total": 173, "limit": 2, "offset": 1}
    assert len(client.read("/inventory/adjustments")["entries"]) == 50
    wanted = {"inventoryItemId": entries[7]["inventoryItemId"]}
    payload = client.read("/inventory/adjustments", **wanted)
    assert payload["entries"] == [entries[7]]
    assert payload["total"] == 1


def test_the_configuration_of_the_alerts(client: Client) -> None:
    (config,) = client.read("/admin/alerts/config").values()
    assert config == ALERTS_CONFIG
    alerts = client.sandbox.company.plain_list("alerts")
    assert {row["type"] for row in alerts} < config["alertTypes"].keys()
    client.sandbox.company.alerts_config["enabled"] = False
    assert client.read("/admin/alerts/config")["config"]["enabled"] is False
    assert ALERTS_CONFIG["enabled"] is True


def test_one_location_has_nowhere_to_send_to(run: Run) -> None:
    assert rows(run("items=80&locations=1"), PENDING) == []


@BOTH
def test_changes_reach_the_next_answer(client: Client, path: str) -> None:
    before = ids(client, path)
    served = client.sandbox.company.plain_list(LISTS[path])
    served.insert(0, {"id": "new"})
    del served[2]
    assert ids(client, path) == ["new", before[0], *before[2:]]
    served[0]["id"] = "changed"
    assert ids(client, path, limit=1) == ["changed"]


@pytest.mark.parametrize(("order", "is_down"), [("asc", False), ("desc", True)])
def test_alerts_are_sorted(client: Client, order: str, *, is_down: bool) -> None:
    alerts = client.sandbox.company.plain_list("alerts")
    # Sorted as texts, the half second would come before the whole one.
    stamps = ("2024-05-02T00:00:00.5Z", "2024-05-02T00:00:00Z", "2024-05-01T00:00:00Z")
    first = [row["id"] for row in alerts[:3]]
    for row, stamp in zip(alerts, stamps, strict=False):
        row["createdAt"] = stamp
    expected = [*reversed(first), *(row["id"] for row in alerts[3:])]
    if is_down:
        expected.reverse()
    found = ids(client, ALERTS, sortBy="createdAt", sortOrder=order, limit=100)
    found += ids(client, ALERTS, sortBy="createdAt", sortOrder=order, limit=100, page=2)
    found += ids(client, ALERTS, sortBy="createdAt", sortOrder=order, limit=100, page=3)
    assert found == expected
    assert client.code(ALERTS, sortBy="colour") == (400, "VALIDATION_ERROR")


def test_recommendations_are_not_sorted(client: Client) -> None:
    assert ids(client, PENDING, sortOrder="desc") == ids(client, PENDING)


PERMISSIONS = {
    "inventory.read": ["/inventory", "/inventory/channel-location"],
    "transfers.read": [PENDING],
    "inventory.adjust": ["/inventory/adjustments"],
    "admin.alerts.read": [ALERTS, "/admin/alerts/config"],
}


@pytest.mark.parametrize("lacking", PERMISSIONS)
def test_permissions(run: Run, lacking: str) -> None:
    client = run(f"items=4&missing_permissions=products.read,{lacking}")
    for permission, paths in PERMISSIONS.items():
        for path in paths:
            response = client.get(path, locationId="loc_001")
            if permission != lacking:
                assert response.status_code == 200
                continue
            assert response.status_code == 403
            assert response.json()["code"] == "INSUFFICIENT_SCOPE"
            assert lacking in response.json()["error"]


def flawed(client: Client, kind: str, **details: Any) -> tuple[Record, Record]:
    """Return both payloads with a fault."""
    client.sandbox.faults.add(kind, times=2, **details)
    return client.read(PENDING, limit=10, offset=20), client.read(ALERTS, limit=10)


def test_flaws_of_lists(client: Client) -> None:
    pending, alerts = flawed(client, "no_list")
    assert set(pending) == {"total", "limit", "offset"}
    assert set(alerts) == {"pagination"}
    pending, alerts = flawed(client, "bad_number")
    for number, (row, other) in enumerate(
        zip(pending["recommendations"], alerts["items"], strict=True)
    ):
        assert (row["quantity"] == "many") == (other["quantity"] == "many")
        assert (row["quantity"] == "many") == (number == 0)
    pending, alerts = flawed(client, "extra_field", field="odd", value=1)
    found = [*pending["recommendations"], *alerts["items"]]
    assert [row["odd"] for row in found] == [1] * 20
    assert "odd" not in client.read(PENDING)["recommendations"][20]


def test_flaws_of_numbers(client: Client) -> None:
    assert [set(payload) for payload in flawed(client, "no_pagination")] == [
        {"recommendations"},
        {"items"},
    ]
    pending, alerts = flawed(client, "no_total")
    assert set(pending) == {"recommendations", "limit", "offset"}
    assert set(alerts["pagination"]) == {"page", "pageSize", "totalPages"}
    pending, alerts = flawed(client, "string_numbers")
    assert [pending[name] for name in ("total", "limit", "offset")] == [
        *("130", "10", "20")
    ]
    assert alerts["pagination"]["total"] == "260"
    pending, alerts = flawed(client, "total_pages", delta=-2)
    assert pending["total"] == 110
    assert alerts["pagination"]["totalPages"] == 24


def test_flaws_of_pages(client: Client) -> None:
    before = client.read(PENDING, limit=10, offset=10)
    assert flawed(client, "stale_page")[0] == before
    client.sandbox.faults.add("stale_page")
    assert client.read(PENDING)["offset"] == 0
    for payload, name in zip(flawed(client, "page_size"), NAMES.values(), strict=True):
        assert len(payload[name]) == 5


@BOTH
def test_faults_limits_and_refusals(run: Run, path: str) -> None:
    client = run("items=40&per_minute=3&fault=500@2")
    statuses = [client.get(path).status_code for _ in range(4)]
    assert statuses == [200, 500, 200, 429]
    client = run("api_key=k")
    client.session.headers["Authorization"] = "Bearer bdk_live_revoked"
    assert client.code(path) == (401, "REVOKED_API_KEY")
    response = client.session.post(client.sandbox.url + path, timeout=5)
    assert response.status_code == 405
