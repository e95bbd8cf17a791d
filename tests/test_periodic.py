"""Analytics over several runs: closed periods once, the running one each time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from tap_betterdata.sandbox import Sandbox
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

ANALYTICS, CATEGORIES = "inventory_analytics", "inventory_analytics_categories"
PLACES = ["loc_001", "loc_002"]
# The first days of the months from the default start to the day that the tests have.
MONTHS = [f"2025-{month:02}-01" for month in range(3, 13)] + [
    f"2026-{month:02}-01" for month in range(1, 4)
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=40, locations=3) as sandbox:
        yield sandbox


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(datetime(2026, 3, 15, 12, tzinfo=UTC)) as clock:
        yield clock


class History:
    """Runs of the analytics, one after the other, with the state of the one before."""

    def __init__(self, tap: Runner, sandbox: Sandbox) -> None:
        self.tap = tap
        self.sandbox = sandbox
        self.state: dict[str, Any] | None = None
        self.outcome: Outcome
        self.catalog = catalog_of(ANALYTICS)

    def run(self, *streams: str, **settings: Any) -> list[str]:
        """Run the tap; returns which periods of the first location were asked for."""
        self.sandbox.requests.clear()
        config = {
            **config_for(self.sandbox, location_ids=PLACES),
            "start_date": None,
            "end_date": None,
            **settings,
        }
        config = {name: value for name, value in config.items() if value is not None}
        catalog = catalog_of(*streams) if streams else self.catalog
        self.outcome = self.tap(config, catalog=catalog, state=self.state)
        self.state = self.outcome.of("STATE")[-1]["value"]
        return self.asked(config["location_ids"][0])

    def asked(self, place: str) -> list[str]:
        return sorted(
            request.params["fromDate"]
            for request in self.sandbox.requests
            if request.params["locationId"] == place
        )

    def starts(self, stream: str, place: str = PLACES[0]) -> list[str]:
        rows = self.outcome.check().records(stream)
        return sorted({row["periodFrom"] for row in rows if row["locationId"] == place})

    @property
    def starts_over(self) -> bool:
        lines = self.outcome.check().lines("INFO")
        return any("read again" in line for line in lines)


@pytest.fixture
def history(
    tap: Runner,
    sandbox: Sandbox,
    clock: time_machine.Traveller,  # noqa: ARG001 - it stops
) -> History:
    return History(tap, sandbox)


@pytest.mark.parametrize(("lookback", "again"), [(0, 1), (1, 2), (2, 3), (99, 13)])
def test_closed_periods_are_read_once(
    history: History, lookback: int, again: int
) -> None:
    assert history.run() == MONTHS
    assert history.starts(ANALYTICS) == MONTHS
    for _ in range(2):
        assert history.run(analytics_lookback_periods=lookback) == MONTHS[-again:]
        assert history.starts(ANALYTICS) == MONTHS[-again:]
        assert not history.starts_over


def test_a_period_that_ran_is_read_when_it_is_over(
    history: History, clock: time_machine.Traveller
) -> None:
    history.run()
    clock.move_to(datetime(2026, 4, 1, tzinfo=UTC))
    assert history.run(analytics_lookback_periods=0) == ["2026-03-01", "2026-04-01"]
    assert history.run(analytics_lookback_periods=0) == ["2026-04-01"]


def test_the_default_start_that_moves_does_not_start_over(
    history: History, clock: time_machine.Traveller
) -> None:
    weekly = {"analytics_granularity": "week"}
    first = history.run(**weekly)
    clock.move_to(datetime(2026, 5, 20, tzinfo=UTC))
    second = history.run(**weekly)
    assert not history.starts_over
    # Not cut anew where the default start would cut them now.
    assert second[0] == first[-1]
    assert all(datetime.fromisoformat(day).weekday() == 0 for day in second)


@pytest.mark.parametrize("granularity", ["year", "range"])
def test_no_period_is_cut_anew(
    history: History, clock: time_machine.Traveller, granularity: str
) -> None:
    first = history.run(analytics_granularity=granularity)
    clock.move_to(datetime(2026, 5, 20, tzinfo=UTC))
    assert history.run(analytics_granularity=granularity) == first


@pytest.mark.parametrize(
    "changed",
    [
        {"analytics_granularity": "quarter"},
        {"start_date": "2025-02-01"},
        {"start_date": "2025-11-01"},
    ],
)
def test_changed_settings_start_over(history: History, changed: dict[str, str]) -> None:
    history.run(start_date="2025-06-01")
    fresh = History(history.tap, history.sandbox)
    settings = {"start_date": "2025-06-01", **changed}
    assert history.run(**settings) == fresh.run(**settings)
    assert history.starts_over
    assert not fresh.starts_over
    history.run(**settings)
    assert not history.starts_over


def test_an_end_in_the_past_is_a_backfill(history: History) -> None:
    history.run()
    state = history.state
    days = {"start_date": "2024-01-01", "end_date": "2024-03-10"}
    # March is cut short.
    assert history.run(**days) == ["2024-01-01", "2024-02-01"]
    assert history.run(**days, analytics_granularity="range") == ["2024-01-01"]
    assert not history.starts_over
    assert history.state == state
    assert history.run() == MONTHS[-2:]


def test_a_backfill_cuts_no_period_that_was_read_whole(history: History) -> None:
    history.run()
    state = history.state
    # February is the last one that is over; its end lies before the bookmark's.
    for end, asked in (("2025-07-10", MONTHS[:4]), ("2026-02-10", MONTHS[:11])):
        assert history.run(end_date=end) == asked
        rows = history.outcome.check().records(ANALYTICS)
        assert all(row["periodTo"] > f"{row['periodFrom'][:8]}27" for row in rows)
        assert history.state == state
    assert history.run(analytics_lookback_periods=0) == MONTHS[-1:]


def test_a_start_that_is_no_longer_set_is_the_default_again(history: History) -> None:
    assert history.run(start_date="2026-01-01") == MONTHS[-3:]
    assert history.run() == MONTHS
    assert history.starts_over
    assert history.run() == MONTHS[-2:]


@pytest.mark.parametrize("kind", [403, 404, "bad_number"])
def test_no_bookmark_passes_a_period_that_failed_among_others(
    history: History, kind: str | int
) -> None:
    # With several requests in flight, those behind it have been answered.
    history.sandbox.faults.add(kind, nth=5, location="loc_002")
    history.run()
    assert "loc_002" in history.outcome.failure
    first = {
        row["periodFrom"]
        for row in history.outcome.records(ANALYTICS)
        if row["locationId"] == "loc_002"
    }
    history.run()
    assert first | set(history.starts(ANALYTICS, "loc_002")) == set(MONTHS)


def test_a_period_that_is_cut_is_not_closed(history: History) -> None:
    config = {"start_date": "2026-01-01", "end_date": "2026-02-10"}
    assert history.run(**config) == MONTHS[-3:-1]
    assert history.run(start_date="2026-01-01", analytics_lookback_periods=0) == [
        "2026-02-01",
        "2026-03-01",
    ]


def test_a_range_is_read_each_time(history: History) -> None:
    for _ in range(2):
        assert history.run(analytics_granularity="range") == MONTHS[:1]


def test_both_streams_have_their_history(history: History) -> None:
    history.run(ANALYTICS)
    # The one that is new needs all; the other one gets only what it needs.
    assert history.run(ANALYTICS, CATEGORIES) == MONTHS
    assert history.starts(ANALYTICS) == MONTHS[-2:]
    assert history.starts(CATEGORIES) == MONTHS
    assert len(history.sandbox.requests) == 2 * len(MONTHS)
    assert history.run(ANALYTICS, CATEGORIES) == MONTHS[-2:]
    assert history.starts(CATEGORIES) == MONTHS[-2:]


def test_a_location_that_is_added_has_its_history(history: History) -> None:
    history.run()
    assert history.run(location_ids=[*PLACES, "loc_003"]) == MONTHS[-2:]
    assert history.asked("loc_003") == MONTHS
    assert history.run(location_ids=["loc_003"]) == MONTHS[-2:]
    # Those that were left out keep what they had.
    assert history.run() == MONTHS[-2:]


def test_a_location_that_fails_is_read_again(history: History) -> None:
    history.sandbox.faults.add(403, times=None, location="loc_001")
    history.run()
    assert "loc_001" in history.outcome.failure
    history.sandbox.faults.clear()
    assert history.run() == MONTHS
    assert history.asked("loc_002") == MONTHS[-2:]


@pytest.mark.parametrize("kind", [400, "list", 403])
def test_a_period_that_fails_is_read_again(history: History, kind: str | int) -> None:
    history.sandbox.faults.add(kind, nth=5, times=None, location="loc_002")
    history.run(max_retries=0, concurrency=1)
    assert "loc_002" in history.outcome.failure
    history.sandbox.faults.clear()
    history.run()
    assert history.starts(ANALYTICS, "loc_002") == MONTHS[4:]


def test_the_catalog_can_ask_for_the_whole_table(history: History) -> None:
    history.run()
    state = history.state
    (entry,) = (
        entry
        for entry in history.catalog["streams"]
        if entry["tap_stream_id"] == ANALYTICS
    )
    (item,) = (item for item in entry["metadata"] if not item["breadcrumb"])
    item["metadata"]["forced-replication-method"] = "FULL_TABLE"
    entry["replication_method"] = "FULL_TABLE"
    assert history.run() == MONTHS
    assert history.state == state
