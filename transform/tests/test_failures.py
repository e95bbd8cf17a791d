"""What is wrong with the rows fails the test that is named for it, and shows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from transform.tests.warehouse import AS_OF, SCHEMA

if TYPE_CHECKING:
    from transform.tests.warehouse import Warehouse

OLD = dt.date.fromisoformat(AS_OF) - dt.timedelta(days=2)
# The targets' tables have keys, which forbid that; those of others may have none.
COPY = (
    f"CREATE TABLE {SCHEMA}.copy AS SELECT * FROM {SCHEMA}.@",
    f"DROP TABLE {SCHEMA}.@",
    f"ALTER TABLE {SCHEMA}.copy RENAME TO @",
)
TWICE = (*COPY, f"INSERT INTO {SCHEMA}.@ SELECT * FROM {SCHEMA}.@ LIMIT 1")
# The table, what is done to it, and which test finds it.
ERRORS = {
    "a duplicated key": ("inventory", TWICE, "key_stg_inventory_item_id"),
    "a stale load": (
        "inventory_atp",
        (f"""UPDATE {SCHEMA}.@ SET "_sdc_extracted_at" = '{OLD} 23:59:59'""",),
        "load_is_recent",
    ),
    "a total that disagrees": (
        "inventory_atp",
        (
            f"""UPDATE {SCHEMA}.@ SET "totalOnHand" = "totalOnHand" + 1
            WHERE "productMasterId" =
                (SELECT min("productMasterId") FROM {SCHEMA}.@)""",
        ),
        "nothing_disagrees",
    ),
    "another value": (
        "inventory_analytics",
        (
            f"""UPDATE {SCHEMA}.@ SET "totalValue" = "totalValue" - 0.02
            WHERE "locationId" = 'loc_001'""",
        ),
        "nothing_disagrees",
    ),
    "a channel without its product": (
        "inventory_atp",
        (f"""DELETE FROM {SCHEMA}.@ WHERE "locationId" = 'loc_001'""",),
        "belongs_to_stg_inventory_atp_channels",
    ),
    "a category without its period": (
        "inventory_analytics",
        (f"""DELETE FROM {SCHEMA}.@ WHERE "locationId" = 'loc_001'""",),
        "belongs_to_stg_inventory_analytics_categories",
    ),
    "an unknown severity": (
        "inventory_atp_channels",
        (f"""UPDATE {SCHEMA}.@ SET "severity" = 'ODD' WHERE "severity" = 'OK'""",),
        "accepted_values_stg_inventory_atp_channels_severity",
    ),
    "no location": (
        "inventory",
        (f"""UPDATE {SCHEMA}.@ SET "locationId" = NULL WHERE "id" LIKE '%7'""",),
        "not_null_stg_inventory_location_id",
    ),
}


def status_of(statuses: dict[str, str], name: str) -> tuple[str, str]:
    """Find a test by the beginning of its name."""
    ((full, status),) = [x for x in statuses.items() if x[0].startswith(name)]
    return full, status


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_fails_its_test_and_shows(own: Warehouse, case: str) -> None:
    table, statements, name = ERRORS[case]
    own.ask(*(s.replace("@", table) for s in statements), "SELECT 1")
    code, statuses = own.build()
    full, status = status_of(statuses, name)
    assert (code, status) == (1, "fail")
    assert f"<td>{full}</td><td>fail</td>" in own.report()


def test_what_is_doubtful_warns(own: Warehouse) -> None:
    own.ask(
        f"""UPDATE {SCHEMA}.inventory SET "quantityAvailable" = -1,
        "updatedAt" = '2025-01-01 00:00:00'""",
        "SELECT 1",
    )
    code, statuses = own.build()
    assert code == 0
    names = ("not_negative_stock_available", "stock_is_recent")
    html = own.report()
    for name in names:
        assert statuses[name] == "warn"
        assert f"<td>{name}</td><td>warn</td>" in html
    assert "All is well" not in html


def test_what_was_not_built_is_said(own: Warehouse) -> None:
    own.ask(*(s.replace("@", "inventory") for s in TWICE), "SELECT 1")
    own.ask(f"DROP SCHEMA {SCHEMA}_marts CASCADE", "SELECT 1")
    assert own.build()[0] == 1
    html = own.report()
    assert "Not built: stock." in html
    assert "Failed tests: key_stg_inventory_item_id." in html


def test_a_date_that_is_none_is_refused(own: Warehouse) -> None:
    with pytest.raises(AssertionError, match="BETTERDATA_AS_OF is no date"):
        own.build(BETTERDATA_AS_OF="17 June")
