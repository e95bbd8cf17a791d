"""What the tap does where the API is not as it is taken to be.

The page assumptions.md names these tests, and those elsewhere, one by one.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_betterdata.api.client import answered_at
from tap_betterdata.sandbox import Sandbox
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ITEMS = 250
INVENTORY = catalog_of("inventory")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=ITEMS, locations=2) as sandbox:
        yield sandbox


def last_state(outcome: Outcome) -> Any:
    return outcome.of("STATE")[-1]["value"]


def ids(outcome: Outcome) -> list[str]:
    return sorted(row["id"] for row in outcome.records("inventory"))


def ago(minutes: float) -> str:
    """Write the time of so many minutes ago."""
    return (datetime.now(tz=UTC) - timedelta(minutes=minutes)).isoformat()


def whole_table() -> dict[str, Any]:
    """Return a catalog that asks for all of the inventory."""
    catalog = catalog_of("inventory")
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    return catalog


def change_requests(sandbox: Sandbox, name: str, change: Any) -> None:
    """Have the server answer for other parameters than it was asked for."""

    def answer_otherwise(request: Any) -> None:
        if name in request.params:
            request.params[name] = change(request.params[name])

    sandbox.before_request = answer_otherwise


def test_a_change_without_a_newer_time_stamp_takes_a_full_read(
    tap: Runner, sandbox: Sandbox
) -> None:
    state = last_state(tap(config_for(sandbox), catalog=INVENTORY).check())
    oldest = min(sandbox.company.items(), key=lambda item: item["updatedAt"])
    changed = {"quantityOnHand": 4711, "updatedAt": oldest["updatedAt"]}
    sandbox.company.update(oldest["id"], **changed)
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    assert oldest["id"] not in ids(outcome)
    outcome = tap(config_for(sandbox), catalog=whole_table(), state=state).check()
    rows = {row["id"]: row for row in outcome.records("inventory")}
    assert len(rows) == ITEMS
    assert rows[oldest["id"]]["quantityOnHand"] == 4711


def test_what_comes_in_without_a_time_stamp_takes_a_full_read(
    tap: Runner, sandbox: Sandbox
) -> None:
    state = last_state(tap(config_for(sandbox), catalog=INVENTORY).check())
    new = sandbox.company.insert("loc_001", updatedAt=None)["id"]
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    assert new not in ids(outcome)
    outcome = tap(config_for(sandbox), catalog=whole_table(), state=state).check()
    assert new in ids(outcome)
    # A change gives it a stamp.
    sandbox.company.update(new, quantityOnHand=1)
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    assert new in ids(outcome)


@pytest.mark.parametrize(("late", "lookback", "comes"), [(5, 10, 1), (15, 10, 0)])
def test_a_change_may_become_visible_as_late_as_the_lookback(
    tap: Runner, sandbox: Sandbox, late: int, lookback: int, comes: int
) -> None:
    config = config_for(sandbox, lookback_minutes=lookback)
    sandbox.company.update("item_0000001", updatedAt=ago(0))
    state = last_state(tap(config, catalog=INVENTORY).check())
    sandbox.company.update("item_0000002", updatedAt=ago(late))
    outcome = tap(config, catalog=INVENTORY, state=state).check()
    assert ids(outcome).count("item_0000002") == comes


@pytest.mark.parametrize(("minutes", "warnings"), [(5, 1), (15, 0)])
def test_a_clock_that_was_put_back_is_said(
    tap: Runner, sandbox: Sandbox, minutes: int, warnings: int
) -> None:
    place = {
        "replication_key": "updatedAt",
        "replication_key_value": ago(minutes),
        "order": "sorted",
    }
    state = {"bookmarks": {"inventory": place}}
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    said = [line for line in outcome.lines("WARNING") if "clock was put back" in line]
    assert len(said) == warnings


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}])
def test_without_a_date_the_machines_clock_is_taken(headers: dict[str, str]) -> None:
    response = requests.Response()
    response.headers.update(headers)
    before = datetime.now(tz=UTC)
    assert before <= answered_at(response) <= datetime.now(tz=UTC)
    response.headers["Date"] = "Wed, 21 Jan 2026 07:28:00 GMT"
    assert answered_at(response) == datetime(2026, 1, 21, 7, 28, tzinfo=UTC)


def test_an_item_that_moves_to_a_list_that_was_read_comes_with_the_next_run(
    tap: Runner, sandbox: Sandbox
) -> None:
    locations = ["loc_001", "loc_002"]
    config = config_for(sandbox, location_ids=locations, concurrency=1)
    moved = next(sandbox.company.items("loc_002"))["id"]

    def move(request: Any) -> None:
        if request.params.get("locationId") == "loc_002":
            sandbox.before_request = None
            sandbox.company.update(moved, locationId="loc_001")

    sandbox.before_request = move
    first = tap(config, catalog=INVENTORY).check()
    assert moved not in ids(first)
    second = tap(config, catalog=INVENTORY, state=last_state(first)).check()
    assert moved in ids(second)


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
