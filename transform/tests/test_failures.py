"""What is wrong with the rows fails the test that is named for it, and shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transform.tests.warehouse import SCHEMA

if TYPE_CHECKING:
    from transform.tests.warehouse import Warehouse

# The targets' tables have keys, which forbid a second row of one; others have none.
TWICE = (
    "CREATE TABLE again AS SELECT * FROM inventory",
    "DROP TABLE inventory",
    "ALTER TABLE again RENAME TO inventory",
    "INSERT INTO inventory SELECT * FROM inventory LIMIT 1",
)
# What is wrong with loaded rows, and the beginning of the name of the test that finds
# it. Each is found although the others are there.
ROWS = {
    "key_stg_inventory_item_id": TWICE,
    "not_null_stg_inventory_location_id": (
        """UPDATE inventory SET "locationId" = NULL WHERE "id" LIKE '%7'""",
    ),
    "load_is_recent": (
        """UPDATE inventory_atp
        SET "_sdc_extracted_at" = '2025-06-15 23:59:59'""",
    ),
    "belongs_to_stg_inventory_atp_channels": (
        """DELETE FROM inventory_atp WHERE "locationId" = 'loc_001'""",
    ),
    "accepted_values_stg_inventory_atp_channels_severity": (
        """UPDATE inventory_atp_channels
        SET "severity" = 'ODD' WHERE "severity" = 'OK'""",
    ),
    "belongs_to_stg_inventory_analytics_categories": (
        """DELETE FROM inventory_analytics WHERE "locationId" = 'loc_001'""",
    ),
}


NASTY = """</text><script>alert("1")</script>&"""


def status_of(statuses: dict[str, str], name: str) -> tuple[str, str]:
    """Find a test by the beginning of its name."""
    (found,) = [item for item in statuses.items() if item[0].startswith(name)]
    return found


def test_wrong_rows_fail_their_tests_and_show(own: Warehouse) -> None:
    own.change(*(statement for case in ROWS.values() for statement in case))
    own.change(f"DROP SCHEMA {SCHEMA}_marts CASCADE")
    code, statuses = own.build()
    html = own.report()
    assert code == 1
    failed = {status_of(statuses, name) for name in ROWS}
    assert {status for _, status in failed} == {"fail"}
    assert failed == {item for item in statuses.items() if item[1] == "fail"}
    for name, _ in failed:
        assert f"<td>{name}</td><td>fail</td>" in html
        assert name in html.split("<section>")[0]
    # What would be made of them is not made, and the report says so.
    assert statuses["stock"] == "skipped"
    assert "Not built: stock." in html


def test_totals_that_disagree_fail_their_test_and_show(own: Warehouse) -> None:
    own.change(
        """UPDATE inventory_atp SET "totalReserved" = "totalReserved" + 5
        WHERE "locationId" = 'loc_001' AND "productMasterId" =
            (SELECT min("productMasterId") FROM inventory_atp
            WHERE "locationId" = 'loc_001')""",
        """UPDATE inventory_analytics SET "totalValue" = "totalValue" - 0.02
        WHERE "locationId" = 'loc_002'""",
    )
    # Long ago, when May was running: June's numbers are today's all the same.
    code, statuses = own.build(BETTERDATA_AS_OF="2025-05-31")
    html = own.report()
    assert (code, statuses["nothing_disagrees"]) == (1, "fail")
    assert "<td>nothing_disagrees</td><td>fail</td>" in html
    told = {
        (row["source"], row["measure"], row["location_id"], float(row["difference"]))
        for row in own.mart("disagreements")
    }
    assert told == {
        ("ATP", "units reserved", "loc_001", 5),
        ("analytics", "value", "loc_002", -0.02),
    }
    assert "<td>units reserved</td><td>loc_001</td>" in html


def test_what_is_doubtful_warns_and_shows(own: Warehouse) -> None:
    own.change(
        f"""UPDATE inventory SET "quantityAvailable" = -1, "productName" = '{NASTY}',
        "locationName" = CASE WHEN "locationId" = 'loc_001' THEN '{NASTY}' END,
        "updatedAt" = '2025-01-01 00:00:00'""",  # noqa: S608 - ours
        f"""UPDATE inventory_atp_channels SET "channelName" = '{NASTY}'
        WHERE "channelId" = (SELECT min("channelId") FROM inventory_atp_channels)""",  # noqa: S608 - ours
        # The load was the day before.
        """UPDATE inventory_analytics SET "periodTo" = '2025-06-16'
        WHERE "periodFrom" = '2025-06-01'""",
        """UPDATE inventory_atp SET "_sdc_extracted_at" = '2025-06-16 00:00:00'""",
    )
    code, statuses = own.build()
    html = own.report()
    assert code == 0
    running = {x["month"] for x in own.mart("turnover") if x["is_running"]}
    assert running == {"2025-06-01"}
    # Foreign text stays text, in tables and in charts; what has no name has its id.
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10
    assert ">loc_002</text>" in html
    for name in ("not_negative_stock_available", "stock_is_recent"):
        assert statuses[name] == "warn"
        assert f"<td>{name}</td><td>warn</td>" in html
