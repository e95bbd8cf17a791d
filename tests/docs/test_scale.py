"""The figures in docs/scale.md are the simulation's, and its keys are independent."""

from __future__ import annotations

from benchmarks import scale
from tests.docs.pages import DOCS


def test_the_pages_tables_are_the_simulations() -> None:
    text = (DOCS / "scale.md").read_text(encoding="utf-8")
    for table in scale.tables():
        assert table in text


def test_the_pages_numbers_are_the_simulations() -> None:
    text = " ".join((DOCS / "scale.md").read_text(encoding="utf-8").split())
    first, night = scale.whole(1).requests, scale.nightly(1).requests
    assert f"{first} requests in the first run, {night} a night" in text
    assert (
        f"{scale.ITEMS:,} items of {scale.PRODUCTS} products, {scale.CHANGED}" in text
    )
    assert f"room for {scale.MEMORY // scale.TASK_MEMORY} tasks" in text
    assert f"| {scale.TASK_MEMORY} MB for each key" in text
    assert f"{scale.ROW_CPU * 1000:.2f} ms a row" in text
    assert f"{scale.TASK_CPU:.0f} s a task" in text
    shards = len(scale.shards_of(scale.nightly(500), 500))
    assert f"with 500 locations are {1000 * shards:,} tasks a night" in text
    assert f"a shard of {scale.SHARD}" in text


def test_the_budget_decides_over_a_keys_night() -> None:
    hour = scale.replay([scale.PER_HOUR])
    more = scale.replay([scale.PER_HOUR + 1])
    assert (hour.refused, more.refused) == (0, 0)
    assert hour.seconds < 600
    assert 3600 < more.seconds < 3700


def test_a_shard_learns_of_the_hour_that_the_one_before_it_has_used() -> None:
    found = scale.replay([scale.PER_HOUR, 1])
    assert found.refused == 1
    assert 3600 < found.seconds < 3700


def test_a_machine_has_room_for_some_keys_at_a_time() -> None:
    slots = scale.MEMORY // scale.TASK_MEMORY
    nights = [scale.makespan(keys, 60.0, 1.0, 1) for keys in (slots, slots + 1)]
    assert nights == [60.0, 120.0]
    assert scale.makespan(slots, 60.0, 400.0, 2) == slots * 400 / (2 * scale.CORES)
