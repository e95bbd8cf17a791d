"""One more list endpoint takes declarations alone, and gets all that others have."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import typing as th

from tap_betterdata.compat import override
from tap_betterdata.sandbox import Sandbox
from tap_betterdata.streams.paged import PagedStream
from tap_betterdata.streams.transfers import TransferRecommendationsStream
from tap_betterdata.tap import TapBetterData
from tests.running import Outcome, Runner, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tap_betterdata.streams.base import BetterDataStream

# What one more list takes, once the vendor has said what is assumed of it here, is its
# class and a line in `STREAMS`. The other list is one that the tap has.


class AlertsStream(PagedStream):
    """`GET /admin/alerts/history`: one record is one alert that was sent."""

    name = "alerts"
    path = "/admin/alerts/history"
    permission = "admin.alerts.read"
    records_key = "items"
    primary_keys = ("id",)
    replication_key = "createdAt"

    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True, description="The alert."),
        th.Property("type", th.StringType, description="What it warns of."),
        th.Property("productMasterId", th.StringType, description="The product."),
        th.Property("locationId", th.StringType, description="Where that is."),
        th.Property("quantity", th.NumberType, description="Units on hand."),
        th.Property("message", th.StringType, description="What it says."),
        th.Property("createdAt", th.DateTimeType, description="When it was made."),
    ).to_dict()


class LargerTap(TapBetterData):
    """The tap with one more stream."""

    @override
    def discover_streams(self) -> list[BetterDataStream]:
        return [*super().discover_streams(), AlertsStream(self, self.run)]


ALERTS, PENDING = AlertsStream.path, TransferRecommendationsStream.path
SERVED = {"alerts": "alerts", "transfer_recommendations": "recommendations"}
PATHS = {"alerts": ALERTS, "transfer_recommendations": PENDING}
streams = pytest.mark.parametrize("stream", SERVED)


@pytest.fixture
def larger(tmp_path: Path) -> Runner:
    """The larger tap, within this process."""
    return Runner(tmp_path, LargerTap)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """260 alerts and 130 recommendations."""
    with Sandbox(items=520, locations=2) as sandbox:
        yield sandbox


def catalog_of(*streams: str, method: str | None = None) -> dict[str, Any]:
    """Return the larger tap's catalog with these streams selected."""
    catalog: dict[str, Any] = LargerTap(validate_config=False).catalog_dict
    for entry in catalog["streams"]:
        (top,) = (m for m in entry["metadata"] if not m["breadcrumb"])
        top["metadata"]["selected"] = entry["tap_stream_id"] in streams
        if method:
            top["metadata"]["forced-replication-method"] = method
            entry["replication_method"] = method
    return catalog


def check_rows(outcome: Outcome, sandbox: Sandbox, stream: str) -> None:
    """Check that each row was written once, as the company has it."""
    rows = sorted(outcome.records(stream), key=lambda row: row["id"])
    served = sandbox.company.plain_list(SERVED[stream])
    assert rows
    assert rows == sorted(served, key=lambda row: row["id"])


@streams
def test_a_stream_comes_whole_with_the_fewest_requests(
    larger: Runner, sandbox: Sandbox, stream: str
) -> None:
    catalog = catalog_of(stream, method="FULL_TABLE")
    config = config_for(sandbox, emit_activate_version_messages=True)
    outcome = larger(config, catalog=catalog).check()
    check_rows(outcome, sandbox, stream)
    assert len(sandbox.requests) == {"alerts": 3, "transfer_recommendations": 2}[stream]
    (activated,) = outcome.of("ACTIVATE_VERSION")
    assert outcome.of("RECORD")[-1]["version"] == activated["version"]
    last = [m["type"] for m in outcome.messages if m["type"] != "STATE"][-1]
    assert last == "ACTIVATE_VERSION"
    assert not outcome.lines("WARNING")


def test_the_requests_are_of_their_styles(larger: Runner, sandbox: Sandbox) -> None:
    larger(config_for(sandbox), catalog=catalog_of(*SERVED)).check()
    params = [(request.path, dict(request.params)) for request in sandbox.requests]
    assert [asked for path, asked in params if path == PENDING] == [
        {"limit": "100", "offset": "0"},
        {"limit": "100", "offset": "100"},
    ]
    pages = [asked for path, asked in params if path == ALERTS]
    assert {
        "sortBy": "createdAt",
        "sortOrder": "desc",
        "limit": "100",
        "page": "1",
    } in (pages)
    assert all(asked.keys() == pages[0].keys() for asked in pages)


@streams
def test_a_missing_permission_costs_that_stream_alone(
    larger: Runner, stream: str
) -> None:
    permission = {"alerts": "admin.alerts.read"}.get(stream, "transfers.read")
    other = next(name for name in SERVED if name != stream)
    with Sandbox(items=520, missing_permissions=permission) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        catalog = catalog_of("inventory", *SERVED, method="FULL_TABLE")
        outcome = larger(config, catalog=catalog)
        assert f"{stream}, page 1: the API answered 403" in outcome.failure
        assert f"give the key the permission {permission}" in outcome.failure
        assert "location_ids" not in outcome.failure
        assert not outcome.records(stream)
        check_rows(outcome, sandbox, other)
    assert len(outcome.records("inventory")) == 520
    activated = {m["stream"] for m in outcome.of("ACTIVATE_VERSION")}
    assert activated == {"inventory", other}


@streams
@pytest.mark.parametrize("status", [403, 404])
def test_no_advice_on_locations_where_there_are_none(
    larger: Runner, sandbox: Sandbox, stream: str, status: int
) -> None:
    sandbox.faults.add(status, times=None, path=PATHS[stream])
    outcome = larger(config_for(sandbox), catalog=catalog_of(stream))
    assert f"{stream}, page 1: the API answered {status}" in outcome.failure
    assert "location_ids" not in outcome.failure


@streams
def test_a_smaller_limit_is_learned(
    larger: Runner, sandbox: Sandbox, stream: str
) -> None:
    def clamp(request: Any) -> None:
        request.params["limit"] = str(min(int(request.params["limit"]), 40))

    sandbox.before_request = clamp
    outcome = larger(config_for(sandbox), catalog=catalog_of(stream)).check()
    check_rows(outcome, sandbox, stream)
    assert len(sandbox.requests) == {"alerts": 7, "transfer_recommendations": 4}[stream]


def test_only_what_is_new_is_asked_for_again(larger: Runner, sandbox: Sandbox) -> None:
    catalog = catalog_of("alerts")
    first = larger(config_for(sandbox), catalog=catalog).check()
    check_rows(first, sandbox, "alerts")
    alerts = sandbox.company.plain_list("alerts")
    newest = datetime.fromisoformat(alerts[-1]["createdAt"])
    later = (newest + timedelta(seconds=1)).isoformat()
    alerts.append({**alerts[-1], "id": "alert_new", "createdAt": later})
    asked = len(sandbox.requests)
    state = first.of("STATE")[-1]["value"]
    second = larger(config_for(sandbox), catalog=catalog, state=state).check()
    assert [row["id"] for row in second.records("alerts")] == ["alert_new"]
    assert len(sandbox.requests) - asked <= 2


@streams
@pytest.mark.usefixtures("no_waits")
def test_a_total_that_is_no_count_is_asked_for_again(
    larger: Runner, sandbox: Sandbox, stream: str
) -> None:
    total = '"total": "many"'
    name = {"alerts": "items"}.get(stream, "recommendations")
    body = f'{{"{name}": [], {total}, "pagination": {{{total}}}}}'
    sandbox.faults.add("raw", body=body, path=PATHS[stream])
    outcome = larger(config_for(sandbox), catalog=catalog_of(stream)).check()
    check_rows(outcome, sandbox, stream)
    assert len(outcome.lines("WARNING")) == 1
