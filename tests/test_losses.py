"""Rows that could be lost without a word, and what a list costs in requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox, company
from tap_betterdata.sandbox.sorting import sort_records
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_betterdata.sandbox import Request

INVENTORY = catalog_of("inventory")
Rows = dict[str, dict[str, Any]]


def state_of(outcome: Outcome) -> dict[str, Any]:
    """Return the last state that a run wrote."""
    state: dict[str, Any] = outcome.of("STATE")[-1]["value"]
    return state


def rows_of(*outcomes: Outcome) -> Rows:
    """Return what a target holds after some runs."""
    return {
        row["id"]: row for outcome in outcomes for row in outcome.records("inventory")
    }


def items_of(sandbox: Sandbox) -> Rows:
    return {item["id"]: item for item in sandbox.company.items()}


# Losses


@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_changes_after_it_was_sent_comes_with_the_next_run(
    tap: Runner, concurrency: int
) -> None:
    # The time stamps lie far behind the server's clock, and go up an hour a change.
    with Sandbox(items=2000, locations=1) as sandbox:
        begin = datetime(2025, 1, 1, tzinfo=UTC)
        every = list(items_of(sandbox))
        for number, item_id in enumerate(every):
            stamp = begin - timedelta(hours=len(every) - number)
            sandbox.company.update(item_id, updatedAt=stamp.isoformat())
        random = Random(1)  # noqa: S311 - no secret
        changed: list[str] = []

        def change(request: Request) -> None:
            if request.number % 20:
                return
            # Some were sent already, and some were not. The bookmark must not learn
            # from the ones of a time after the others' change.
            for item_id in random.sample(every, 5):
                changed.append(item_id)
                stamp = begin + timedelta(hours=len(changed))
                sandbox.company.update(
                    item_id, updatedAt=stamp.isoformat(), quantityOnHand=4711
                )

        sandbox.before_request = change
        config = config_for(sandbox, page_size=10, concurrency=concurrency)
        first = tap(config, catalog=INVENTORY).check()
        sandbox.before_request = None
        assert len(changed) >= 50
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
        assert rows_of(first, second) == items_of(sandbox)


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("seed", range(8))
def test_a_list_without_an_order_that_churns_is_whole_or_not_exact(
    tap: Runner, seed: int, concurrency: int
) -> None:
    with Sandbox(items=3000, locations=1, sort="ignore") as sandbox:
        random = Random(seed)  # noqa: S311 - no secret
        throughout = set(items_of(sandbox))
        stamps = datetime(2026, 1, 1, tzinfo=UTC)

        def churn(request: Request) -> None:
            if request.number % 5:
                return
            # Stamped behind the server's time, so that the stamps give nothing away.
            stamp = (stamps + timedelta(hours=request.number)).isoformat()
            place = random.randrange(3000)
            sandbox.company.insert("loc_001", at=place, updatedAt=stamp)
            gone, *changed = random.sample(sorted(throughout), 3)
            throughout.discard(gone)
            sandbox.company.delete(gone)
            for item_id in changed:
                sandbox.company.update(item_id, updatedAt=stamp)

        sandbox.before_request = churn
        config = config_for(sandbox, page_size=10, concurrency=concurrency)
        outcome = tap(config, catalog=INVENTORY)
        assert len(sandbox.requests) > 300
        if throughout <= rows_of(outcome).keys():
            return
        assert "not exact" in outcome.failure
        assert (
            "replication_key_value" not in state_of(outcome)["bookmarks"]["inventory"]
        )


def test_what_came_before_the_server_was_found_out_is_sent(tap: Runner) -> None:
    # A server that puts the newest first whatever it is asked for. While there was one
    # page only, that could not be seen.
    with Sandbox(items=80, locations=1, sort="down") as sandbox:
        config = config_for(sandbox)
        first = tap(config, catalog=INVENTORY).check()
        for _ in range(70):
            sandbox.company.insert("loc_001")
        second = tap(config, catalog=INVENTORY, state=state_of(first))
        if second.code:
            # They came in within the second in which the run began.
            assert "not exact" in second.failure
        assert rows_of(second) == items_of(sandbox)
        assert any("does not sort" in line for line in second.lines("WARNING"))


def test_a_page_that_proves_that_there_is_no_order_is_sent(
    tap: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each page is in order, but the newest rows stand before the oldest.
    def turned(
        field: str, records: Iterable[tuple[dict[str, Any], Any]], *, descending: bool
    ) -> list[Any]:
        ordered = sort_records(field, records, descending=descending)
        return ordered if descending else [*ordered[-150:], *ordered[:-150]]

    monkeypatch.setattr(company, "sort_records", turned)
    with Sandbox(items=500, locations=1) as sandbox:
        config = config_for(sandbox, page_size=50)
        outcome = tap(config, catalog=INVENTORY).check()
        assert rows_of(outcome) == items_of(sandbox)
        assert any("does not sort" in line for line in outcome.lines("WARNING"))


# Requests


def pages(items: int, size: int) -> int:
    """Return what a list costs: one more where its last page is full."""
    return items // size + 1


@pytest.mark.parametrize("items", [1990, 2000])
@pytest.mark.parametrize("concurrency", range(1, 9))
def test_a_list_that_stands_still_costs_its_pages(
    tap: Runner, items: int, concurrency: int
) -> None:
    with Sandbox(items=items, locations=1) as sandbox:
        config = config_for(sandbox, page_size=20, concurrency=concurrency)
        outcome = tap(config, catalog=INVENTORY).check()
        assert len(rows_of(outcome)) == items
        assert len(sandbox.requests) == pages(items, 20)
        sandbox.requests.clear()
        again = tap(config, catalog=INVENTORY, state=state_of(outcome)).check()
        assert not rows_of(again)
        # The newest ones, and whether the server turns the order if asked to.
        assert len(sandbox.requests) == 2


def test_several_locations_cost_their_pages(tap: Runner) -> None:
    with Sandbox(items=1990, locations=3) as sandbox:
        places = sandbox.company.location_ids
        config = config_for(sandbox, page_size=20, location_ids=places)
        outcome = tap(config, catalog=INVENTORY).check()
        assert len(rows_of(outcome)) == 1990
        sizes = [len(list(sandbox.company.items(place))) for place in places]
        assert len(sandbox.requests) == sum(pages(size, 20) for size in sizes)
        sandbox.requests.clear()
        again = tap(config, catalog=INVENTORY, state=state_of(outcome)).check()
        assert not rows_of(again)
        # That the order is turned is looked at once.
        assert len(sandbox.requests) == len(places) + 1


@pytest.mark.parametrize("kind", ["update", "delete"])
@pytest.mark.parametrize(("concurrency", "more"), [(1, 1), (8, 8)])
@pytest.mark.parametrize("seed", range(4))
def test_one_change_costs_little(
    tap: Runner, kind: str, concurrency: int, more: int, seed: int
) -> None:
    with Sandbox(items=1990, locations=1) as sandbox:
        random = Random(seed)  # noqa: S311 - no secret
        moment = random.randrange(2, 90)
        concerned = f"item_{random.randrange(1, 1991):07}"

        def change(request: Request) -> None:
            if request.number == moment and kind == "delete":
                sandbox.company.delete(concerned)
            elif request.number == moment:
                sandbox.company.update(concerned, quantityOnHand=4711)

        sandbox.before_request = change
        config = config_for(sandbox, page_size=20, concurrency=concurrency)
        outcome = tap(config, catalog=INVENTORY).check()
        assert items_of(sandbox).keys() <= rows_of(outcome).keys()
        assert len(sandbox.requests) <= pages(1990, 20) + more


def test_a_hundred_thousand_items_cost_what_changed(tap: Runner) -> None:
    with Sandbox(items=100_000, locations=3) as sandbox:
        every = sorted(items_of(sandbox))
        newest = max(item["updatedAt"] for item in items_of(sandbox).values())
        place = {
            "replication_key": "updatedAt",
            "replication_key_value": newest,
            "order": "sorted",
        }
        state = {"bookmarks": {"inventory": place}}
        still = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
        assert not rows_of(still)
        assert len(sandbox.requests) == 2
        sandbox.requests.clear()
        for item_id in every[::400]:
            sandbox.company.update(item_id, quantityOnHand=4711)
        moved = tap(config_for(sandbox), catalog=INVENTORY, state=state).check()
        assert sorted(rows_of(moved)) == every[::400]
        assert len(sandbox.requests) <= 5
