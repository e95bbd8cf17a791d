"""Every mart's numbers are those of the sandbox, whatever happens to its stock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

import yaml

import dev
from tap_betterdata.sandbox import Sandbox
from transform.tests import truth
from transform.tests.warehouse import AS_OF, MONTHS, SCHEMA

if TYPE_CHECKING:
    from tap_betterdata.sandbox import Company
    from transform.tests.truth import Mart
    from transform.tests.warehouse import Warehouse

NewWarehouse = Callable[[], "Warehouse"]
STAGING, MARTS = f"{SCHEMA}_staging", f"{SCHEMA}_marts"
COLUMNS = """SELECT table_schema AS schema, table_name AS name, column_name AS column,
    data_type AS type FROM information_schema.columns ORDER BY ordinal_position"""
# The first and last days of what expires within 30, 60 and 90 days.
EDGES = (-1, 0, 30, 31, 60, 61, 90, 91)
KEYS = {
    "stock": ("location_id", "product_id"),
    "expiring_lots": ("item_id",),
    "availability": ("location_id", "product_id", "channel_id"),
    "turnover": ("location_id", "month"),
}


def read(warehouse: Warehouse) -> dict[str, Mart]:
    return {
        name: truth.by_key(warehouse.mart(name), *key) for name, key in KEYS.items()
    }


def expected(company: Company, months: Mart) -> dict[str, Mart]:
    return {
        "stock": truth.stock(company),
        "expiring_lots": truth.expiring_lots(company),
        "availability": truth.availability(company),
        "turnover": truth.turnover(months),
    }


def has_company(company: Company, name: str) -> bool:
    """Tell whether there is more of an item's product where it is."""
    item = company.item(name)
    here = [x["productMasterId"] for x in company.items(item["locationId"])]
    return here.count(item["productMasterId"]) > 1


def change(company: Company) -> None:
    """Make 20 updates: sales, moves, dates and costs; and have items come in."""
    ids = [x["id"] for x in company.items() if has_company(company, x["id"])]
    for number, name in enumerate(ids[:: len(ids) // 20][:20]):
        item = company.item(name)
        places = [x for x in company.location_ids if x != item["locationId"]]
        fields: list[dict[str, object]] = [
            {"quantityOnHand": item["quantityOnHand"] + 7},
            {"quantityOnHand": 0, "quantityReserved": 0},
            {"locationId": places[number % 3]},
            {"expiryDate": f"2025-0{6 + number % 3}-20", "lotId": f"lot_{number}"},
            {"unitCost": None, "totalValue": None},
            {"expiryDate": None},
        ]
        company.update(name, **fields[number % len(fields)])
    company.insert("loc_001", quantityOnHand=31, quantityReserved=1)
    for days in EDGES:
        day = truth.TODAY + dt.timedelta(days)
        company.insert("loc_003", expiryDate=str(day), quantityOnHand=9)


def take_away(company: Company) -> list[str]:
    """Delete some items, and move one that was all there was of its product there.

    Returns:
        The items that are gone.
    """
    alone = [x["id"] for x in company.items() if not has_company(company, x["id"])]
    moved, first, *_ = alone
    gone = [first, *[x["id"] for x in company.items()][3:500:100]]
    for name in gone:
        company.delete(name)
    place = company.item(moved)["locationId"]
    company.update(
        moved, locationId=next(x for x in company.location_ids if x != place)
    )
    return gone


def test_the_numbers_are_the_sandboxs(
    own: Warehouse, new_warehouse: NewWarehouse
) -> None:
    warehouse = own
    # The same stock as in the sandbox that was loaded.
    with Sandbox(today=AS_OF) as sandbox:
        company = sandbox.company
        months = truth.analytics(company, MONTHS)
        assert read(warehouse) == expected(company, months)
        assert not warehouse.mart("disagreements")

        change(company)
        # A run that reads what changed asks for these months again, for no others.
        months |= truth.analytics(company, MONTHS[-2:])
        warehouse.load(sandbox)
        code, statuses = warehouse.build()
        assert code == 0, statuses
        assert read(warehouse) == expected(company, months)

        gone = take_away(company)
        warehouse.load(sandbox)
        code, statuses = warehouse.build()
        # Such a run can't see what is gone; that it is in the table still is told.
        assert (code, statuses["nothing_disagrees"]) == (1, "fail")
        items = warehouse.ask("SELECT item_id FROM stg_inventory")
        assert {*gone} < {row["item_id"] for row in items}
        assert "<td>nothing_disagrees</td><td>fail</td>" in warehouse.report()

        if warehouse.target == "duckdb":
            # The target doesn't heed ACTIVATE_VERSION: it takes a new file.
            warehouse.load(sandbox, whole=True, emit_activate_version_messages=True)
            items = warehouse.ask('SELECT "id" FROM inventory')
            assert {*gone} < {row["id"] for row in items}
            warehouse = new_warehouse()
        warehouse.load(sandbox, whole=True, emit_activate_version_messages=True)
        code, statuses = warehouse.build()
        assert code == 0, statuses
        months = truth.analytics(company, MONTHS)
        assert read(warehouse) == expected(company, months)


def test_every_column_of_the_marts_is_described(built: Warehouse) -> None:
    path = dev.ROOT / "transform" / "models" / "marts" / "marts.yml"
    marts = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    described = {
        mart["name"]: [column["name"] for column in mart["columns"]] for mart in marts
    }
    assert all(c["description"] for mart in marts for c in mart["columns"])
    columns = [row for row in built.ask(COLUMNS) if row["schema"] == MARTS]
    found: dict[str, list[str]] = {}
    for row in columns:
        found.setdefault(row["name"], []).append(row["column"])
    assert found == described


def test_the_types_are_the_same_in_all_databases(built: Warehouse) -> None:
    types = {
        row["type"].lower().split("(")[0].replace("decimal", "numeric")
        for row in built.ask(COLUMNS)
        if row["schema"] == STAGING
    }
    texts = {"varchar", "character varying", "text"}
    times = {"timestamp", "timestamp without time zone"}
    assert types - texts - times == {"boolean", "date", "numeric"}
