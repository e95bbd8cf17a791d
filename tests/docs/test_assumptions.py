"""What the tap does where the API is not as it is taken to be.

The page assumptions.md names these tests, and those elsewhere, one by one.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ITEMS = 250


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=ITEMS, locations=2) as sandbox:
        yield sandbox


def last_state(outcome: Outcome) -> Any:
    return outcome.of("STATE")[-1]["value"]


def ids(outcome: Outcome) -> list[str]:
    return sorted(row["id"] for row in outcome.records("inventory"))


def change_requests(sandbox: Sandbox, name: str, change: Any) -> None:
    """Have the server answer for other parameters than it was asked for."""

    def answer_otherwise(request: Any) -> None:
        if name in request.params:
            request.params[name] = change(request.params[name])

    sandbox.before_request = answer_otherwise


def test_a_change_without_a_newer_time_stamp_takes_a_full_read(
    tap: Runner, sandbox: Sandbox
) -> None:
    catalog = catalog_of("inventory")
    state = last_state(tap(config_for(sandbox), catalog=catalog).check())
    oldest = min(sandbox.company.items(), key=lambda item: item["updatedAt"])
    changed = {"quantityOnHand": 4711, "updatedAt": oldest["updatedAt"]}
    sandbox.company.update(oldest["id"], **changed)
    outcome = tap(config_for(sandbox), catalog=catalog, state=state).check()
    assert oldest["id"] not in ids(outcome)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    outcome = tap(config_for(sandbox), catalog=catalog, state=state).check()
    rows = {row["id"]: row for row in outcome.records("inventory")}
    assert len(rows) == ITEMS
    assert rows[oldest["id"]]["quantityOnHand"] == 4711


def test_analytics_of_another_period_are_not_kept(
    tap: Runner, sandbox: Sandbox
) -> None:
    change_requests(sandbox, "fromDate", lambda _: "2020-01-01")
    config = config_for(sandbox, location_ids=["loc_001"])
    outcome = tap(config, catalog=catalog_of("inventory_analytics"))
    assert "does not honour the dates" in outcome.failure
    assert not outcome.of("RECORD")


def test_a_days_difference_is_said_once(tap: Runner, sandbox: Sandbox) -> None:
    change_requests(
        sandbox,
        "fromDate",
        lambda day: (date.fromisoformat(day) - timedelta(days=1)).isoformat(),
    )
    config = config_for(sandbox, location_ids=["loc_001"])
    outcome = tap(config, catalog=catalog_of("inventory_analytics")).check()
    days = [row["periodFrom"] for row in outcome.records("inventory_analytics")]
    assert days == ["2025-01-01", "2025-02-01"]
    warnings = [x for x in outcome.lines("WARNING") if "what was asked for" in x]
    assert len(warnings) == 1


def test_atp_of_another_location_is_not_kept(tap: Runner, sandbox: Sandbox) -> None:
    change_requests(sandbox, "locationId", lambda _: "loc_002")
    config = config_for(sandbox, location_ids=["loc_001"])
    outcome = tap(config, catalog=catalog_of("inventory_atp"))
    assert "answered for location loc_002" in outcome.failure
    assert not outcome.of("RECORD")
