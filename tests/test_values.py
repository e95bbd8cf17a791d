"""Values that nobody expects: one line for each, and what is right gets through."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.api.errors import (
    IncompleteRunError,
    InexactError,
    KeyRefusedError,
)
from tap_betterdata.output.writer import LineWriter
from tap_betterdata.sandbox import Sandbox
from tap_betterdata.streams.run_context import RunContext
from tests.e2e.truth import KEYS
from tests.running import Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

INVENTORY, ATP = "/inventory", "/inventory/channel-location"
STAMP = "2025-01-01T00:00:00Z"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=250, locations=2) as sandbox:
        yield sandbox


def answer(sandbox: Sandbox, rows: list[Any], path: str = INVENTORY) -> None:
    """Let an endpoint answer with these rows, whatever it is asked for."""
    body = {
        "items" if path == INVENTORY else "products": rows,
        "pagination": {"page": 1, "total": len(rows), "totalPages": 1},
    }
    sandbox.faults.add("raw", body=json.dumps(body), path=path, times=None)


def item(number: int, **fields: object) -> dict[str, Any]:
    return {
        "id": f"item_{number}",
        "locationId": "loc_001",
        "updatedAt": STAMP,
        **fields,
    }


# Locations


@pytest.mark.parametrize("value", ["\ud800x", [], {}, True])
def test_a_location_that_cannot_be_asked_for_costs_no_other(
    tap: Runner, sandbox: Sandbox, value: object
) -> None:
    answer(sandbox, [item(1), item(2, locationId=value), item(3)])
    catalog = catalog_of("inventory_analytics", "inventory_atp")
    first = tap(config_for(sandbox), catalog=catalog)
    for stream in ("inventory_analytics", "inventory_atp"):
        said = f"{stream}: no text that can be sent, so not asked for: the inventory "
        assert f"{said}shows items of location {value!r}" in first.failure
        rows = first.records(stream)
        assert {row["locationId"] for row in rows} == {"loc_001"}
    state = first.of("STATE")[-1]["value"]
    assert "\\ud" not in json.dumps(state)
    # Later runs live with it, and with a state that holds it already.
    if isinstance(value, str):
        for part in state["bookmarks"].values():
            part.setdefault("locations", []).append(value)
    sandbox.faults.clear()
    second = tap(config_for(sandbox), catalog=catalog, state=state)
    assert second.code == int(isinstance(value, str))
    rows = second.records("inventory_atp")
    assert {row["locationId"] for row in rows} == {"loc_001", "loc_002"}
    assert "\\ud" not in json.dumps(second.of("STATE")[-1]["value"])


def test_an_item_of_a_location_that_cannot_be_asked_for_is_sent(
    tap: Runner, sandbox: Sandbox
) -> None:
    answer(sandbox, [item(1), item(2, locationId="\ud800x")])
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
    rows = outcome.records("inventory")
    assert {row["locationId"] for row in rows} == {"loc_001", "\ud800x"}
    assert "\\ud" not in json.dumps(outcome.of("STATE")[-1]["value"])


def test_a_location_that_is_no_text_names_its_item(
    tap: Runner, sandbox: Sandbox
) -> None:
    answer(sandbox, [item(1), item(2, locationId=[])])
    outcome = tap(config_for(sandbox))
    assert "id 'item_2' holds [] in the field locationId" in outcome.failure
    rows = outcome.records("inventory_atp")
    assert {row["locationId"] for row in rows} == {"loc_001"}


@pytest.mark.parametrize("location_ids", [None, ["1"]])
def test_ids_may_be_numbers(
    tap: Runner, sandbox: Sandbox, location_ids: list[str] | None
) -> None:
    answer(sandbox, [{"id": 7, "locationId": 1, "updatedAt": STAMP}])
    product = {"productMasterId": 9, "locationId": 1, "channels": [{"channelId": 3}]}
    body = {"products": [product], "location": {"id": 1}, "pagination": {"total": 1}}
    sandbox.faults.add("raw", body=json.dumps(body), path=ATP, times=None)
    catalog = catalog_of("inventory", "inventory_atp", "inventory_atp_channels")
    settings = {} if location_ids is None else {"location_ids": location_ids}
    outcome = tap(config_for(sandbox, **settings), catalog=catalog).check()
    (row,) = outcome.records("inventory")
    assert (row["id"], row["locationId"]) == ("7", "1")
    (row,) = outcome.records("inventory_atp_channels")
    key = ("locationId", "productMasterId", "channelId")
    assert [row[name] for name in key] == ["1", "9", "3"]


@pytest.mark.parametrize("answered", [2, "\ud800", [1], True])
def test_another_location_is_another_one_in_any_form(
    tap: Runner, sandbox: Sandbox, answered: object
) -> None:
    answer(sandbox, [item(1, locationId=answered)])
    answer(sandbox, [{"productMasterId": "p", "locationId": answered}], ATP)
    catalog = catalog_of("inventory", "inventory_atp")
    outcome = tap(config_for(sandbox, location_ids=["1"]), catalog=catalog)
    shown = str(answered).replace("\ud800", r"\ud800")
    said = f"location 1: the API answered for location {shown}. It does not filter"
    for stream in ("inventory", "inventory_atp"):
        assert f"{stream}, {said}" in outcome.failure


# Numbers and dates


@pytest.mark.parametrize("number", ["1e99999999999999999999", "9" * 5000])
def test_a_number_out_of_bounds_costs_no_other_stream(
    tap: Runner, sandbox: Sandbox, number: str
) -> None:
    body = json.dumps({"items": [item(1), item(2, quantityOnHand=0)]})
    body = body.replace('"quantityOnHand": 0', f'"quantityOnHand": {number}')
    sandbox.faults.add("raw", body=body, path=INVENTORY, times=None)
    outcome = tap(config_for(sandbox))
    assert f"inventory: the record with id 'item_2' holds '{number[:50]}" in (
        outcome.failure
    )
    assert "the field quantityOnHand, which is not a number" in outcome.failure
    assert {row["locationId"] for row in outcome.records("inventory_atp")} == {
        "loc_001"
    }


def test_a_stamp_that_is_none_is_null_and_moves_no_bookmark(
    tap: Runner, sandbox: Sandbox
) -> None:
    rows = [item(1, updatedAt="2025-W11-5"), item(2, expiryDate="2025-W11-5"), item(3)]
    answer(sandbox, rows)
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
    sent = {row["id"]: row for row in outcome.records("inventory")}
    assert sent["item_1"]["updatedAt"] is None
    assert sent["item_2"]["expiryDate"] is None
    bookmark = outcome.of("STATE")[-1]["value"]["bookmarks"]["inventory"]
    assert bookmark.get("replication_key_value") in {None, STAMP}
    said = "holds '2025-W11-5', which is no date or time by RFC 3339"
    for field in ("updatedAt", "expiryDate"):
        (warning,) = (w for w in outcome.lines("WARNING") if f"field {field} " in w)
        assert said in warning


# Many of them


def test_many_unknown_fields_are_one_warning(tap: Runner, sandbox: Sandbox) -> None:
    fields = {f"f{number}": 1 for number in range(2000)} | {"n" * 10**6: 1}
    answer(sandbox, [item(number, **fields) for number in range(10)])
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
    assert len(outcome.records("inventory")) == 10
    assert ", and 1981 more" in outcome.stderr
    assert len(outcome.stderr) < 10_000


def test_many_refusals_make_no_long_line(tap: Runner, sandbox: Sandbox) -> None:
    known = [f"loc_{number:04}" for number in range(300)]
    answer(sandbox, [item(n, locationId=name) for n, name in enumerate(known)])
    sandbox.faults.add(403, path=ATP, times=None)
    body = json.dumps({"analytics": {"totalUnits": "many"}})
    sandbox.faults.add("raw", body=body, path="/inventory/analytics", times=None)
    outcome = tap(config_for(sandbox), catalog=catalog_of(*KEYS))
    line = outcome.failure
    assert "; " in line
    assert line.endswith("; and 293 more")
    assert line.count("inventory_atp, location") == 7
    assert len(line) < 3000
    # What ended a stream is not hidden behind what was refused.
    assert "inventory_analytics: the record" in line


def test_what_ends_the_run_is_named_before_all_else() -> None:
    run = RunContext({"concurrency": 1}, logging.getLogger("values"), LineWriter())
    for number in range(20):
        run.fail(InexactError(f"not exact {number}"))
    run.fail(KeyRefusedError("the key is refused"))
    with pytest.raises(IncompleteRunError) as caught:
        run.finish()
    first, *others, last = str(caught.value).split("; ")
    assert first == "the key is refused"
    assert others == [f"not exact {number}" for number in range(9)]
    assert last == "and 11 more"
