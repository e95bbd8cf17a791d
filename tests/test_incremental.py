"""Runs that cost what changed: the inventory, over and over, while it changes."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_betterdata.sandbox import Sandbox
from tap_betterdata.state import pace
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_betterdata.sandbox import Request

EXAMPLES = int(os.environ.get("HISTORY_EXAMPLES", "60"))
SORTS = ["honour", "ignore", "reject"]
INVENTORY = catalog_of("inventory")
Rows = dict[str, dict[str, Any]]
# What the tap can't read as a time is sent as null.
UNREADABLE: dict[str | None, dict[str, Any]] = {"soon": {"updatedAt": None}}


def bookmark(stamp: str) -> dict[str, Any]:
    """Return the state of a run that has read the inventory up to a time."""
    place = {"replication_key": "updatedAt", "replication_key_value": stamp}
    return {"bookmarks": {"inventory": place}}


def ids(outcome: Outcome) -> list[str]:
    """Return the items that came; one that changed meanwhile may come as it was too."""
    rows = {json.dumps(r, default=str): r["id"] for r in outcome.records("inventory")}
    assert len(rows) == len(outcome.records("inventory")), "an item came twice"
    return sorted(set(rows.values()))


# What it costs


@pytest.mark.parametrize("sort", SORTS)
def test_of_a_hundred_thousand_items_those_that_changed_come(
    tap: Runner, sort: str
) -> None:
    with Sandbox(items=100_000, locations=3, sort=sort) as sandbox:
        stamps = {item["id"]: item["updatedAt"] for item in sandbox.company.items()}
        newest = max(stamps.values())
        since = datetime.fromisoformat(newest) - timedelta(minutes=10)
        expected = {
            item_id
            for item_id, stamp in stamps.items()
            if datetime.fromisoformat(stamp) >= since
        }
        # A while ago: what changes in the very second of a beginning makes a list
        # without an order inexact.
        changed = datetime.now(tz=UTC) - timedelta(minutes=1)
        for item_id in sorted(stamps)[::400]:
            sandbox.company.update(item_id, updatedAt=changed.isoformat())
            expected.add(item_id)
        outcome = tap(config_for(sandbox), catalog=INVENTORY, state=bookmark(newest))
        assert ids(outcome.check()) == sorted(expected)
        requests = len(sandbox.requests)
    if sort == "honour":
        assert requests <= 5
        assert not outcome.lines("WARNING")
    else:
        # One that finds out, and one behind the last page, which is full.
        assert requests == 1000 + 2
        (warning,) = outcome.lines("WARNING")
        assert "sort" in warning


# Whatever happens


def upsert(rows: Rows, outcome: Outcome) -> None:
    for message in outcome.of("RECORD", "inventory"):
        rows[message["record"]["id"]] = message["record"]


@dataclass(frozen=True)
class Step:
    """A run, and what happens before and while it goes on.

    Attributes:
        before: Changes before it: what, and where in the list (0 up to 1).
        during: Changes right before its n-th request.
        cut: How much of its output is kept, 0 up to 1; None if it isn't cut short.
        locations: The setting `location_ids`.
    """

    before: list[tuple[str, float]]
    during: dict[int, tuple[str, float]]
    cut: float | None
    locations: list[str] | None


@dataclass
class World:
    """A company that changes, the tap, and a target.

    Attributes:
        tap: The tap.
        sandbox: The company and its API.
        clock: Tells the time.
        settings: The tap's.
        rows: What the target holds.
        state: What the target has kept.
        touched: What has changed since the run began.
        unstamped: What came in without a time stamp, and has not changed since.
    """

    tap: Runner
    sandbox: Sandbox
    clock: time_machine.Traveller
    settings: dict[str, Any]
    rows: Rows = field(default_factory=dict)
    state: dict[str, Any] | None = None
    touched: set[str] = field(default_factory=set)
    unstamped: set[str] = field(default_factory=set)

    def change(self, kind: str, where: float) -> None:
        """Change the company; each change is newer than all before."""
        self.clock.shift(0.01)
        company = self.sandbox.company
        place = self.sandbox.company.location_ids[int(where * 100) % 3]
        there = [item["id"] for item in company.items()]
        if kind == "delete":
            # What changes and goes within a moment can't be seen by anyone.
            there = [item_id for item_id in there if item_id not in self.touched]
        if kind == "undated":
            changed = company.insert(place, updatedAt=None)["id"]
            self.unstamped.add(changed)
        elif kind == "insert":
            changed = company.insert(place, at=int(where * len(there)))["id"]
        elif not there:
            return
        else:
            changed = there[int(where * len(there))]
            if kind == "delete":
                company.delete(changed)
            elif kind == "move":
                company.update(changed, locationId=place)
            else:
                old = company.item(changed)["quantityOnHand"]
                company.update(changed, quantityOnHand=old + 1)
        self.touched.add(changed)
        if kind in {"move", "update"}:
            self.unstamped.discard(changed)

    def run(self, step: Step) -> Outcome:
        """Run the tap, and let the target keep what it gets."""
        self.clock.shift(timedelta(hours=1))
        for kind, where in step.before:
            self.change(kind, where)
        self.clock.shift(timedelta(hours=1))
        self.touched.clear()
        begun = len(self.sandbox.requests)

        def interfere(request: Request) -> None:
            if change := step.during.get(request.number - begun):
                self.change(*change)

        self.sandbox.before_request = interfere
        config = config_for(self.sandbox, location_ids=step.locations, **self.settings)
        whole = self.tap(config, catalog=INVENTORY, state=self.state)
        assert whole.code == 0 or whole.failure
        lines = whole.stdout.splitlines(keepends=True)
        kept = lines[: None if step.cut is None else int(step.cut * len(lines))]
        outcome = Outcome(whole.code, "".join(kept), whole.stderr)
        if step.cut is None:
            ids(outcome)
        upsert(self.rows, outcome)
        for message in outcome.of("STATE"):
            self.state = message["value"]
        if step.cut is None and whole.code == 0:
            self.check(step.locations)
        return outcome

    def looks_sorted(self, location: str | None) -> bool:
        """Say whether a list was read the sorted way."""
        assert self.state is not None
        part = self.state["bookmarks"]["inventory"]
        places = [part] if location is None else part.get("partitions", [])
        return any(
            place.get("order") == "sorted"
            and place.get("context", {}).get("locationId") == location
            for place in places
        )

    def check(self, locations: list[str] | None) -> None:
        """Check that the target has what the company has.

        Where a list looks sorted, what comes in without a time stamp is not seen before
        it is read whole again.
        """
        for item in self.sandbox.company.items():
            is_new = item["id"] in self.unstamped - self.rows.keys()
            place = item["locationId"] if locations else None
            if item["id"] in self.touched or (is_new and self.looks_sorted(place)):
                continue
            if locations is None or item["locationId"] in locations:
                assert self.rows.get(item["id"]) == {**item, **UNREADABLE.get(
                    item["updatedAt"], {}
                )}  # fmt: skip


@contextmanager
def world(items: int, sort: str, undated: int, **settings: Any) -> Iterator[World]:
    """Make a company whose items are partly undated."""
    with (
        TemporaryDirectory() as folder,
        time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC)) as clock,
        Sandbox(items=items, locations=3, sort=sort) as sandbox,
    ):
        every = [item["id"] for item in sandbox.company.items()]
        for number, item_id in enumerate(every[::undated] if undated else ()):
            stamp = (None, "soon")[number % 2]
            sandbox.company.update(item_id, updatedAt=stamp)
        yield World(Runner(Path(folder)), sandbox, clock, settings)


kinds = ["insert", "update", "update", "move", "delete", "undated"]
changes = st.tuples(st.sampled_from(kinds), st.integers(0, 999).map(lambda n: n / 1000))
places = st.none() | st.lists(
    st.sampled_from(["loc_001", "loc_002", "loc_003"]), min_size=1, unique=True
)


@st.composite
def histories(draw: st.DrawFn, most: int) -> list[Step]:
    """Runs with so many changes during each at most."""
    steps = st.builds(
        Step,
        before=st.lists(changes, max_size=6),
        during=st.dictionaries(st.integers(2, 12), changes, max_size=most),
        cut=st.none() | st.integers(0, 100).map(lambda n: n / 100),
        locations=places,
    )
    calm = Step([], {}, None, draw(places))
    return [*draw(st.lists(steps, max_size=6)), calm]


def follow(world: World, steps: list[Step], state_every: int) -> None:
    """Let a history happen."""
    with patch.object(pace, "STATE_EVERY_PAGES", state_every):
        for step in steps:
            outcome = world.run(step)
    assert outcome.code == 0, outcome.stderr


thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
worlds = {
    "items": st.integers(0, 30),
    "undated": st.sampled_from([0, 0, 7]),
    "concurrency": st.sampled_from([1, 4]),
    "page_size": st.integers(2, 6),
}


@thorough
@given(st.fixed_dictionaries(worlds), histories(most=8), st.integers(1, 3))
def test_the_target_is_as_the_source_where_the_order_is_honoured(
    options: dict[str, Any], steps: list[Step], state_every: int
) -> None:
    with world(sort="honour", **options) as made:
        follow(made, steps, state_every)


@thorough
@given(
    st.fixed_dictionaries(worlds),
    histories(most=1),
    st.integers(1, 3),
    st.sampled_from(["ignore", "reject"]),
)
def test_the_target_is_as_the_source_where_it_is_not(
    options: dict[str, Any], steps: list[Step], state_every: int, sort: str
) -> None:
    with world(sort=sort, **options) as made:
        follow(made, steps, state_every)


@pytest.mark.parametrize("sort", ["ignore", "reject"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_moves_in_a_list_without_an_order_is_found_or_said(
    tap: Runner, sort: str, concurrency: int
) -> None:
    # Each time one goes away and another one comes in: the totals don't show it.
    with Sandbox(items=3000, locations=1, sort=sort) as sandbox:
        before = {item["id"] for item in sandbox.company.items()}
        moves = {8: "item_0000150", 14: "item_0000350", 20: "item_0000550"}

        def move(request: Request) -> None:
            if request.number in moves:
                sandbox.company.delete(moves[request.number])
                sandbox.company.insert("loc_001")

        sandbox.before_request = move
        config = config_for(sandbox, concurrency=concurrency)
        outcome = tap(config, catalog=INVENTORY)
        missing = before - set(ids(outcome)) - set(moves.values())
        assert not missing or "not exact" in outcome.failure


def test_undated_items_are_not_lost_with_a_run_that_is_cut_short() -> None:
    # The sandbox puts them last in both orders. Where the run that goes on can't count
    # what came, nothing else shows that the oldest end is not where it should be.
    with world(items=11, sort="honour", undated=12, concurrency=1, page_size=2) as made:
        follow(made, [Step([], {}, 0.24, None), Step([], {}, None, None)], 1)


def test_an_item_that_moves_between_two_lists_is_where_it_went(tap: Runner) -> None:
    with Sandbox(items=40, locations=2) as sandbox:
        moved = next(sandbox.company.items("loc_001"))["id"]

        def move(request: Request) -> None:
            if request.number == 2:
                sandbox.company.update(moved, locationId="loc_002")

        sandbox.before_request = move
        both = config_for(sandbox, location_ids=["loc_001", "loc_002"], concurrency=1)
        outcome = tap(both, catalog=INVENTORY).check()
        rows: Rows = {}
        upsert(rows, outcome)
        assert rows.keys() == {item["id"] for item in sandbox.company.items()}
        assert rows[moved]["locationId"] == "loc_002"
        # It changed while it was read: it comes as it was, and as it is.
        assert len(ids(outcome)) == len(outcome.records("inventory")) - 1
