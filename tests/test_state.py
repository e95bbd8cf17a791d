"""What runs hand on: bookmarks and locations, and how they are read back."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from tap_betterdata.sandbox import Sandbox, company
from tap_betterdata.sandbox.sorting import sort_records
from tap_betterdata.state import pace
from tap_betterdata.state.stamps import read_stamp
from tests.e2e.truth import KEYS, expected_keys, keys_of
from tests.running import PERIODS, Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tap_betterdata.sandbox import Request

INVENTORY = catalog_of("inventory")
PATHS = ("/inventory", "/inventory/analytics", "/inventory/channel-location")


# What the tests do to their clocks comes after all that the sandbox tells.
TODAY = "2026-01-01"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(locations=3, products_per_location=200, today=TODAY) as sandbox:
        yield sandbox


def state_of(outcome: Outcome) -> dict[str, Any]:
    """Return the last state that a run wrote."""
    state: dict[str, Any] = outcome.of("STATE")[-1]["value"]
    return state


def inventory_of(outcome: Outcome) -> dict[str, Any]:
    """Return the inventory's part of the last state."""
    part: dict[str, Any] = state_of(outcome)["bookmarks"]["inventory"]
    return part


def ids(outcome: Outcome) -> list[str]:
    return sorted(row["id"] for row in outcome.records("inventory"))


def costs(sandbox: Sandbox) -> list[int]:
    """Count the requests for inventory, analytics and ATP, and forget them."""
    counts = Counter(request.path for request in sandbox.requests)
    sandbox.requests.clear()
    return [counts[path] for path in PATHS]


# Bookmarks


def test_the_second_run_brings_what_changed(tap: Runner, sandbox: Sandbox) -> None:
    first = tap(config_for(sandbox), catalog=INVENTORY).check()
    # One request more: the list ends with a full page.
    assert costs(sandbox) == [7, 0, 0]
    newest = max(item["updatedAt"] for item in sandbox.company.items())
    assert read_stamp(inventory_of(first)["replication_key_value"]) == read_stamp(
        newest
    )
    sandbox.company.update("item_0000300", quantityOnHand=1)
    second = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(first))
    assert ids(second.check()) == ["item_0000300"]
    # The newest ones, and whether the server turns the order if asked to.
    assert costs(sandbox) == [2, 0, 0]
    # It changed a moment ago: others with older time stamps may still come to light.
    third = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(second))
    assert ids(third.check()) == ["item_0000300"]
    assert costs(sandbox) == [2, 0, 0]


def test_the_start_date_hides_no_stock(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, start_date="2025-02-01")
    assert len(ids(tap(config, catalog=INVENTORY).check())) == 600


@pytest.mark.parametrize(
    ("minutes", "expected"), [(0, 0), (5, 0), (6, 1), (35, 2), (66, 3)]
)
def test_the_lookback(
    tap: Runner, sandbox: Sandbox, minutes: int, expected: int
) -> None:
    # The bookmark stays so far behind the server's time; nothing is taken off later.
    for number, stamp in enumerate(["12:00:00Z", "11:30:00.5+00:00", "13:00:00+02:00"]):
        sandbox.company.update(
            f"item_000000{number + 1}", updatedAt=f"2026-01-01T{stamp}"
        )
    with time_machine.travel(datetime(2026, 1, 1, 12, 5, tzinfo=UTC), tick=False):
        config = config_for(sandbox, lookback_minutes=minutes)
        first = tap(config, catalog=INVENTORY).check()
        reached = read_stamp(inventory_of(first)["replication_key_value"])
        assert reached == datetime(2026, 1, 1, 12, 5, tzinfo=UTC) - timedelta(
            minutes=max(minutes, 5)
        )
        later = config_for(sandbox, lookback_minutes=0)
        second = tap(later, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(second)) == expected


@pytest.mark.parametrize(("late", "comes"), [(9, True), (11, False)])
def test_what_comes_to_light_late_is_sent_within_the_lookback(
    tap: Runner, sandbox: Sandbox, late: int, *, comes: bool
) -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with time_machine.travel(noon) as clock:
        sandbox.company.update("item_0000001", quantityOnHand=1)
        config = config_for(sandbox, lookback_minutes=10)
        first = tap(config, catalog=INVENTORY).check()
        clock.shift(timedelta(seconds=1))
        stamp = (noon - timedelta(minutes=late)).isoformat()
        sandbox.company.update("item_0000300", updatedAt=stamp)
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert ("item_0000300" in ids(second)) == comes


def test_a_bookmark_does_not_go_beyond_the_runs_start(
    tap: Runner, sandbox: Sandbox
) -> None:
    sandbox.company.update("item_0000007", updatedAt="2999-01-01T00:00:00Z")
    first = tap(config_for(sandbox), catalog=INVENTORY).check()
    reached = read_stamp(inventory_of(first)["replication_key_value"])
    assert reached is not None
    assert reached < datetime.now(tz=UTC) - timedelta(minutes=10)
    sandbox.company.update("item_0000300", quantityOnHand=1)
    second = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(first))
    assert ids(second.check()) == ["item_0000007", "item_0000300"]


def test_a_bookmark_does_not_go_back(tap: Runner, sandbox: Sandbox) -> None:
    first = tap(config_for(sandbox), catalog=INVENTORY).check()
    newest = max(sandbox.company.items(), key=lambda item: item["updatedAt"])
    sandbox.company.delete(newest["id"])
    for _ in range(2):
        later = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(first))
        assert inventory_of(later.check()) == {
            **inventory_of(first),
            "locations_as_of": inventory_of(later)["locations_as_of"],
        }


def test_what_changes_while_it_is_read_is_not_lost(
    tap: Runner, sandbox: Sandbox
) -> None:
    oldest = min(sandbox.company.items(), key=lambda item: item["updatedAt"])

    def interfere(request: Request) -> None:
        if request.number == 4:
            sandbox.company.update(oldest["id"], quantityOnHand=4711)

    sandbox.before_request = interfere
    outcome = tap(config_for(sandbox, concurrency=1), catalog=INVENTORY).check()
    rows = {row["id"]: row for row in outcome.records("inventory")}
    assert len(rows) == len(outcome.records("inventory")) == 600
    assert rows[oldest["id"]]["quantityOnHand"] == 4711


@pytest.mark.parametrize("stamp", [None, "soon", ""])
def test_items_without_a_time_stamp_come_each_time(
    tap: Runner, sandbox: Sandbox, stamp: str | None
) -> None:
    # The sandbox puts them last in both orders: there is no order to rely on then.
    undated = ["item_0000100", "item_0000200"]
    for item_id in undated:
        sandbox.company.update(item_id, updatedAt=stamp)
    places = ["loc_001", "loc_002", "loc_003"]
    # A list has its pages, and the last one is full; two more find out.
    for location_ids, requests in ((None, 6 + 1 + 2), (places, 3 * (2 + 1) + 2)):
        state = None
        config = config_for(sandbox, location_ids=location_ids)
        for run in range(3):
            costs(sandbox)
            outcome = tap(config, catalog=INVENTORY, state=state).check()
            assert set(undated) < set(ids(outcome))
            # The newest page had been sent when the server was found out.
            assert len(ids(outcome)) == (600 if run == 0 else 102)
            assert costs(sandbox)[0] <= requests
            (said, *unread) = outcome.lines("WARNING")
            assert "does not sort" in said
            assert len(unread) == (1 if stamp is not None else 0)
            state = state_of(outcome)


def oldest_if_undated(
    field: str, records: Iterable[tuple[dict[str, Any], Any]], *, descending: bool
) -> list[Any]:
    """Sort as many databases do: what has no value comes before all that has one."""
    pairs = [(record, (record, beside)) for record, beside in records]
    ordered = sort_records(field, pairs, descending=descending)
    with_none = [beside for record, beside in ordered if record[field] is None]
    others = [beside for record, beside in ordered if record[field] is not None]
    return [*others, *with_none] if descending else [*with_none, *others]


def test_items_without_a_time_stamp_count_as_the_oldest(
    tap: Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(company, "sort_records", oldest_if_undated)
    undated = ["item_0000100", "item_0000200"]
    for item_id in undated:
        sandbox.company.update(item_id, updatedAt=None)
    first = tap(config_for(sandbox), catalog=INVENTORY).check()
    assert len(ids(first)) == 600
    assert costs(sandbox)[0] == 7
    # A new one is not seen before the list is read whole again.
    undated.append(sandbox.company.insert("loc_002", updatedAt=None)["id"])
    sandbox.company.update("item_0000300", quantityOnHand=1)
    second = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(first)).check()
    assert ids(second) == ["item_0000300"]
    assert costs(sandbox)[0] == 2
    # A change gives it a time stamp.
    sandbox.company.update(undated[0], quantityOnHand=1)
    third = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(second)).check()
    assert ids(third) == [undated[0], "item_0000300"]
    whole = tap(config_for(sandbox), catalog=INVENTORY).check()
    assert set(undated) < set(ids(whole))
    for outcome in (first, second, third, whole):
        assert not outcome.lines("WARNING")


@pytest.mark.parametrize("sort", ["ignore", "reject"])
def test_a_server_that_does_not_sort_is_found_out_once(tap: Runner, sort: str) -> None:
    with Sandbox(items=900, locations=3, sort=sort) as sandbox:
        places = sandbox.company.location_ids
        config = config_for(sandbox, location_ids=places, concurrency=1)
        outcome = tap(config, catalog=INVENTORY).check()
        (warning,) = outcome.lines("WARNING")
        assert "sort" in warning
        sorted_ = [r for r in sandbox.requests if "sortBy" in r.params]
        assert {r.params["locationId"] for r in sorted_} == {"loc_001"}


@pytest.mark.parametrize("sort", ["honour", "ignore"])
def test_one_time_stamp_for_almost_all(tap: Runner, sort: str) -> None:
    # As after an import: pages of equal time stamps are in any order.
    with Sandbox(items=500, locations=1, sort=sort, today=TODAY) as sandbox:
        for item in list(sandbox.company.items()):
            sandbox.company.update(item["id"], updatedAt="2026-01-01T00:00:00Z")
        sandbox.company.update("item_0000450", updatedAt="2026-01-02T00:00:00Z")
        first = tap(config_for(sandbox), catalog=INVENTORY).check()
        sandbox.company.update("item_0000350", updatedAt="2026-01-03T00:00:00Z")
        second = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(first))
        changed = [i for i in ids(second.check()) if i > "item_0000100"]
        assert changed == ["item_0000350"]
        # Before the server was found out the page with the newest was sent.
        assert len(ids(second)) == 1 if sort == "honour" else 101


# The whole table


def full_table(*streams: str) -> dict[str, Any]:
    catalog = catalog_of(*streams)
    for entry in catalog["streams"]:
        if entry["tap_stream_id"] == "inventory":
            entry["replication_method"] = "FULL_TABLE"
            for item in entry["metadata"]:
                if not item["breadcrumb"]:
                    item["metadata"]["forced-replication-method"] = "FULL_TABLE"
    return catalog


def test_the_catalog_can_ask_for_the_whole_table(tap: Runner, sandbox: Sandbox) -> None:
    first = tap(config_for(sandbox), catalog=INVENTORY).check()
    reached = inventory_of(first)["replication_key_value"]
    rest = {"top": reached, "reached": "2024-01-01T00:00:00Z", "rows": 550}
    state: dict[str, Any] = {
        "bookmarks": {"inventory": {**inventory_of(first), "rest": rest}}
    }
    outcome = tap(
        config_for(sandbox), catalog=full_table("inventory"), state=state
    ).check()
    assert len(ids(outcome)) == 600
    assert inventory_of(outcome)["replication_key_value"] == reached


# Locations


def test_one_bookmark_for_each_location_that_is_set(
    tap: Runner, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, location_ids=["loc_001", "loc_003"])
    part = inventory_of(tap(config, catalog=INVENTORY).check())
    assert set(part) == {"partitions"}
    for partition in part["partitions"]:
        place = partition["context"]["locationId"]
        newest = max(i["updatedAt"] for i in sandbox.company.items(place))
        assert read_stamp(partition["replication_key_value"]) == read_stamp(newest)
    assert len(part["partitions"]) == 2


def test_a_location_that_is_added_is_read_whole(tap: Runner, sandbox: Sandbox) -> None:
    items = {
        place: sorted(item["id"] for item in sandbox.company.items(place))
        for place in sandbox.company.location_ids
    }

    def run(places: list[str] | None, state: dict[str, Any] | None) -> Outcome:
        config = config_for(sandbox, location_ids=places, lookback_minutes=0)
        return tap(config, catalog=INVENTORY, state=state).check()

    one = run(["loc_001"], None)
    assert ids(one) == items["loc_001"]
    two = run(["loc_001", "loc_002"], state_of(one))
    assert ids(two) == items["loc_002"]
    # One that is removed keeps its bookmark.
    three = run(["loc_002"], state_of(two))
    assert not ids(three)
    four = run(["loc_001", "loc_002"], state_of(three))
    assert not ids(four)
    # Without a list there is no bookmark for all: everything comes, and then there is.
    five = run(None, state_of(four))
    assert len(ids(five)) == 600
    six = run(["loc_003"], state_of(five))
    assert not ids(six)
    assert not ids(run(None, state_of(six)))


def test_the_state_does_not_grow_with_rows_and_periods(tap: Runner) -> None:
    sizes = []
    for items, start in ((60, "2025-01-01"), (1200, "2023-01-01")):
        with Sandbox(items=items, locations=3, today=TODAY) as sandbox:
            # The newest stamp shall be as long here as there, without a fraction.
            sandbox.company.update("item_0000001", updatedAt=f"{TODAY}T00:00:00Z")
            state = None
            for _ in range(3):
                outcome = tap(config_for(sandbox, start_date=start), state=state)
                state = state_of(outcome.check())
            sizes.append(len(json.dumps(state)))
    assert abs(sizes[0] - sizes[1]) < 20
    assert max(sizes) < 3000


def test_a_run_that_reads_what_changed_covers_all_locations(
    tap: Runner, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, analytics_lookback_periods=9)
    first = tap(config).check()
    costs(sandbox)
    second = tap(config, state=state_of(first)).check()
    assert costs(sandbox) == [2, 6, 3]
    expected = expected_keys(sandbox.company, PERIODS)
    for stream in KEYS.keys() - {"inventory"}:
        assert keys_of(stream, second.records(stream)) == expected[stream]


@pytest.mark.parametrize("make_catalog", [catalog_of, full_table])
@pytest.mark.parametrize("stream", ["inventory_atp", "inventory_analytics"])
def test_locations_are_learned_once(
    tap: Runner,
    sandbox: Sandbox,
    stream: str,
    make_catalog: Callable[[str], dict[str, Any]],
) -> None:
    catalog = make_catalog(stream)
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC)) as clock:
        first = tap(config_for(sandbox), catalog=catalog).check()
        assert costs(sandbox)[0] == 7
        clock.shift(timedelta(days=1))
        second = tap(config_for(sandbox), catalog=catalog, state=state_of(first))
        # The newest, and whether they are.
        assert costs(sandbox)[0] == 2
        assert {row["locationId"] for row in second.check().records(stream)} == set(
            sandbox.company.location_ids
        )


def test_a_new_location_is_found(tap: Runner) -> None:
    catalog = catalog_of("inventory_atp")
    with Sandbox(items=250, locations=2) as sandbox:
        for item in list(sandbox.company.items("loc_002")):
            sandbox.company.delete(item["id"])
        first = tap(config_for(sandbox), catalog=catalog).check()
        assert {r["locationId"] for r in first.records("inventory_atp")} == {"loc_001"}
        sandbox.company.insert("loc_002")
        second = tap(config_for(sandbox), catalog=catalog, state=state_of(first))
        places = {r["locationId"] for r in second.check().records("inventory_atp")}
        assert places == {"loc_001", "loc_002"}


def test_a_location_that_is_gone_is_dropped(tap: Runner, sandbox: Sandbox) -> None:
    state = state_of(tap(config_for(sandbox)).check())
    for part in state["bookmarks"].values():
        part["locations"].append("loc_gone")
    first = tap(config_for(sandbox), state=state).check()
    assert any("loc_gone" in line for line in first.lines("WARNING"))
    second = tap(config_for(sandbox), state=state_of(first)).check()
    assert not second.lines("WARNING")
    assert "loc_gone" not in json.dumps(state_of(second))


def test_a_location_that_is_set_and_gone_is_a_failure(
    tap: Runner, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, location_ids=["loc_001", "loc_gone"])
    outcome = tap(config, catalog=INVENTORY)
    assert "loc_gone" in outcome.failure
    (partition,) = inventory_of(outcome)["partitions"]
    assert partition["context"] == {"locationId": "loc_001"}


@pytest.mark.parametrize("emit", [True, False])
@pytest.mark.parametrize("nth", [1, 3])
def test_an_inventory_that_is_not_found_is_no_empty_one(
    tap: Runner, sandbox: Sandbox, nth: int, *, emit: bool
) -> None:
    sandbox.faults.add(404, nth=nth, times=None, path="/inventory")
    config = config_for(sandbox, emit_activate_version_messages=emit)
    outcome = tap(config, catalog=full_table(*KEYS))
    for stream in KEYS:
        assert stream in outcome.failure
    assert "set location_ids" in outcome.failure.lower()
    assert not outcome.of("ACTIVATE_VERSION")
    locations = inventory_of(outcome).get("locations_as_of")
    assert locations is None


@pytest.mark.parametrize("path", PATHS[1:])
def test_a_location_that_one_endpoint_denies_once_is_not_forgotten(
    tap: Runner, sandbox: Sandbox, path: str
) -> None:
    state = state_of(tap(config_for(sandbox)).check())
    sandbox.faults.add(404, path=path, location="loc_002")
    config = config_for(sandbox, emit_activate_version_messages=True)
    first = tap(config, state=state)
    assert "loc_002" in first.failure
    rows = first.records("inventory_atp")
    if path != "/inventory/channel-location":
        assert "loc_002" in {row["locationId"] for row in rows}
    second = tap(config, state=state_of(first)).check()
    assert {row["locationId"] for row in second.records("inventory_atp")} == set(
        sandbox.company.location_ids
    )


def test_a_value_that_cannot_be_read_is_read_when_it_is_mended(tap: Runner) -> None:
    with Sandbox(items=1000, locations=1) as sandbox:
        sandbox.faults.add("bad_number", nth=10)
        config = config_for(sandbox, page_size=20)
        first = tap(config, catalog=INVENTORY)
        assert "which is not a number" in first.failure
        # Nor is it read anew for other streams' sake.
        assert len(sandbox.requests) < 30
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
        assert set(ids(first)) | set(ids(second)) == {
            item["id"] for item in sandbox.company.items()
        }


@pytest.mark.parametrize("places", [None, ["loc_001", "loc_002", "loc_003"]])
def test_a_new_item_without_a_time_stamp_is_seen_when_all_are_read(
    tap: Runner, sandbox: Sandbox, places: list[str] | None
) -> None:
    config = config_for(sandbox, location_ids=places, page_size=50)
    first = tap(config, catalog=INVENTORY).check()
    new = sandbox.company.insert("loc_002", updatedAt=None)["id"]
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert not ids(second)
    whole = tap(config, catalog=INVENTORY).check()
    assert new in ids(whole)
    assert len(ids(whole)) == 601


@pytest.mark.parametrize("kind", ["no_total", "no_pagination"])
def test_what_changed_is_not_exact_without_a_total(
    tap: Runner, sandbox: Sandbox, kind: str
) -> None:
    state = state_of(tap(config_for(sandbox), catalog=INVENTORY).check())
    for number in range(1, 41):
        sandbox.company.update(f"item_{number:07}", quantityOnHand=1)
    sandbox.faults.add(kind, times=None)
    config = config_for(sandbox, page_size=20, lookback_minutes=0)
    outcome = tap(config, catalog=INVENTORY, state=state)
    assert "not exact" in outcome.failure
    assert "no total" in outcome.failure
    assert len(set(ids(outcome))) == 600
    assert inventory_of(outcome) == state["bookmarks"]["inventory"]


def test_a_bookmark_stays_behind_where_the_clocks_are_unknown(
    tap: Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No answer has a Date: what counts is our clock when the request was sent.
    monkeypatch.setattr(
        BaseHTTPRequestHandler,
        "send_response",
        BaseHTTPRequestHandler.send_response_only,
    )
    arrived: list[datetime] = []

    def take_time(request: Request) -> None:
        arrived.append(datetime.now(tz=UTC))
        if request.number == 1:
            sandbox.company.update("item_0000007", quantityOnHand=1)
            time.sleep(0.3)

    sandbox.before_request = take_time
    began = datetime.now(tz=UTC)
    outcome = tap(config_for(sandbox, lookback_minutes=1), catalog=INVENTORY).check()
    reached = read_stamp(inventory_of(outcome)["replication_key_value"])
    assert reached is not None
    # The request had been sent before it arrived; rounding is a part of a second.
    behind = timedelta(minutes=1)
    assert began - behind <= reached < arrived[0] - behind + timedelta(seconds=0.1)


# What is handed to the tap


@pytest.mark.parametrize(
    "state",
    [
        {"inventory": "2024-03-15T00:00:00Z"},
        {"bookmarks": {"inventory": "2024-03-15T00:00:00Z"}},
        {"bookmarks": {"inventory": {"replication_key_value": "2024-03-15"}}},
        {
            "bookmarks": {
                "inventory": {
                    "replication_key": "updatedAt",
                    "replication_key_value": "soon",
                }
            }
        },
        {"bookmarks": {"inventory": {"partitions": [{"context": {"page": 3}}]}}},
        {"bookmarks": {"inventory_atp": {"locations": "loc_001"}}},
        {"bookmarks": {"inventory_analytics": {"start_date": "soon"}}},
        {"bookmarks": {"inventory_analytics": {"start_date": 5}}},
        {"bookmarks": {"inventory_analytics": {"granularity": ["month"]}}},
        {
            "bookmarks": {
                "inventory": {
                    "replication_key": "updatedAt",
                    "replication_key_value": "2999-01-01T00:00:00Z",
                }
            }
        },
        ["bookmarks"],
    ],
)
def test_a_state_of_another_shape_is_refused(
    tap: Runner, sandbox: Sandbox, state: object
) -> None:
    outcome = tap(config_for(sandbox), state=state)
    assert "state" in outcome.failure.lower()
    assert not outcome.stdout
    assert not sandbox.requests


@pytest.mark.parametrize("content", ["", "{", "bookmarks: 3", '"x"', "3"])
def test_a_state_file_that_holds_no_state(
    tap: Runner, sandbox: Sandbox, content: str
) -> None:
    (tap.folder / "mine.json").write_text(content, encoding="utf-8")
    line = tap(config_for(sandbox), "--state", str(tap.folder / "mine.json")).failure
    assert "state" in line.lower() or "JSON" in line
    assert not sandbox.requests


@pytest.mark.parametrize(
    "bookmarks",
    [
        {"inventory": {"cursor": "4711"}},
        {"inventory": {"partitions": [{"context": {"locationId": "x"}, "cursor": 1}]}},
        {"cursor": {"replication_key_value": "2024-03-15T00:00:00Z"}},
    ],
)
def test_an_unknown_field_is_named(
    tap: Runner, sandbox: Sandbox, bookmarks: dict[str, Any]
) -> None:
    state = {"bookmarks": bookmarks}
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    assert any("cursor" in line for line in outcome.lines("WARNING"))
    assert len(ids(outcome)) == 600
    assert "cursor" in json.dumps(state_of(outcome))


# State of older versions


def old_state(**fields: object) -> dict[str, Any]:
    """Return the state of a version that noted the newest time stamp it had seen."""
    place = {
        "replication_key": "updatedAt",
        "replication_key_value": "2026-01-01T12:00:00Z",
        **fields,
    }
    return {"bookmarks": {"inventory": place}}


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_an_old_bookmark_is_taken_less_the_lookback_once(
    tap: Runner, sandbox: Sandbox
) -> None:
    # One came to light late, after the old version had bookmarked a later one.
    for number, minute in enumerate((9, 11), start=1):
        stamp = (NOON - timedelta(minutes=minute)).isoformat()
        sandbox.company.update(f"item_000000{number}", updatedAt=stamp)
    sandbox.company.update("item_0000003", updatedAt=NOON.isoformat())
    with time_machine.travel(NOON + timedelta(minutes=1)) as clock:
        state = old_state(unstamped=["item_0000009"])
        first = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
        assert ids(first) == ["item_0000001", "item_0000003"]
        assert not first.lines("WARNING")
        assert "unstamped" not in inventory_of(first)
        assert inventory_of(first)["order"] == "sorted"
        clock.shift(timedelta(hours=1))
        second = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(first))
        # Its own bookmark is the server's time less the lookback.
        assert ids(second.check()) == ["item_0000003"]
        third = tap(config_for(sandbox), catalog=INVENTORY, state=state_of(second))
        assert not ids(third.check())
        for outcome in (second, third):
            assert not outcome.lines("WARNING")


@pytest.mark.parametrize("is_first", [True, False])
def test_an_old_note_of_a_cut_run_starts_over(
    tap: Runner, sandbox: Sandbox, *, is_first: bool
) -> None:
    sandbox.company.update("item_0000003", updatedAt=NOON.isoformat())
    rest = {"top": "2026-01-01T12:00:00Z", "reached": "2025-01-01T00:00:00Z", "rows": 9}
    state = {"bookmarks": {"inventory": {"rest": rest}}}
    if not is_first:
        state = old_state(rest=rest)
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    assert len(ids(outcome)) == (600 if is_first else 1)
    said = [line for line in outcome.lines("INFO") if "starting over" in line]
    assert len(said) == 1
    assert not outcome.lines("WARNING")
    assert "rest" not in inventory_of(outcome)


@pytest.mark.parametrize(
    "fields",
    [
        {"order": "up"},
        {"order": ["sorted"]},
        {"order": 3},
        {"checkpoint": "2026-01-01T12:00:00Z"},
        {"checkpoint": {"settled": "2026-01-01T12:00:00Z"}},
        {"checkpoint": {"settled": "soon", "left": 3}},
        {"checkpoint": {"settled": "2999-01-01T00:00:00Z", "left": 3}},
        {"checkpoint": {"settled": "2026-01-01T12:00:00Z", "left": -1}},
        {"checkpoint": {"settled": "2026-01-01T12:00:00Z", "left": True}},
        {"checkpoint": {"settled": "2026-01-01T12:00:00Z", "left": "3"}},
        {"checkpoint": {"settled": "2026-01-01T12:00:00Z", "left": 3, "rows": 3}},
        {"checkpoint": [3]},
    ],
)
@pytest.mark.parametrize("location", [None, "loc_001"])
def test_another_way_to_say_how_far_a_list_came_is_refused(
    tap: Runner, sandbox: Sandbox, fields: dict[str, Any], location: str | None
) -> None:
    state = old_state(**fields)
    if location:
        place = {"context": {"locationId": location}, **state["bookmarks"]["inventory"]}
        state = {"bookmarks": {"inventory": {"partitions": [place]}}}
    outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state)
    assert "can't read" in outcome.failure
    assert "inventory" in outcome.failure
    assert not outcome.stdout
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("fields", "minutes", "warnings"),
    [
        ({"order": "sorted"}, 9, 1),
        ({"order": "sorted"}, 11, 0),
        # Older versions noted the newest time stamp, which says nothing of the clock.
        ({}, 9, 0),
    ],
)
def test_a_clock_that_was_put_back_is_warned_of(
    tap: Runner, sandbox: Sandbox, fields: dict[str, str], minutes: int, warnings: int
) -> None:
    with time_machine.travel(NOON + timedelta(minutes=minutes)):
        state = old_state(**fields)
        outcome = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
    assert len(outcome.lines("WARNING")) == warnings
    assert all("clock" in line for line in outcome.lines("WARNING"))
    # What was reached is never taken back; an old bookmark counts less the lookback.
    reached = read_stamp(inventory_of(outcome)["replication_key_value"])
    assert reached == (NOON if fields else NOON - timedelta(minutes=10))


# When it is written


def batches_between(outcome: Outcome) -> list[int]:
    """Count the pages of records before each state."""
    counts, seen = [], set()
    for message in outcome.messages:
        if message["type"] == "RECORD":
            seen.add(message["time_extracted"])
        elif message["type"] == "STATE":
            counts.append(len(seen))
            seen.clear()
    return counts


def test_the_state_comes_every_ten_pages(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, page_size=2)
    outcome = tap(config, catalog=INVENTORY).check()
    assert max(batches_between(outcome)) <= 10


def test_the_state_comes_with_time(
    tap: Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "STATE_EVERY_SECONDS", 0.0)
    outcome = tap(config_for(sandbox), catalog=INVENTORY).check()
    assert max(batches_between(outcome)) <= 1


@pytest.mark.parametrize("places", [None, ["loc_002", "loc_001"]])
def test_no_state_covers_what_was_not_written(
    tap: Runner,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    places: list[str] | None,
) -> None:
    monkeypatch.setattr(pace, "STATE_EVERY_PAGES", 1)
    config = config_for(sandbox, location_ids=places, page_size=20)
    outcome = tap(config, catalog=INVENTORY).check()
    items = list(sandbox.company.items())
    written: set[str] = set()
    states = 0
    for message in outcome.messages:
        if message["type"] == "RECORD":
            written.add(message["record"]["id"])
        elif message["type"] == "STATE":
            states += 1
            part = message["value"].get("bookmarks", {}).get("inventory", {})
            for place in (part, *part.get("partitions", ())):
                location = place.get("context", {}).get("locationId")
                covered = covered_by(place, location, items)
                assert covered <= written
    assert states > 20


def covered_by(
    place: dict[str, Any], location: str | None, items: list[dict[str, Any]]
) -> set[str]:
    """Return the items that a bookmark or a checkpoint says were sent."""
    listed = [item for item in items if location in {None, item["locationId"]}]
    checkpoint = place.get("checkpoint")
    if place.get("replication_key_value"):
        assert checkpoint is None
        return {item["id"] for item in listed}
    if checkpoint is None:
        return set()
    listed.sort(key=lambda item: datetime.fromisoformat(item["updatedAt"]))
    return {item["id"] for item in listed[checkpoint["left"] :]}
