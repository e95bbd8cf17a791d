"""The configuration of the alerts: one object, which nobody gets without asking."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.running import Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = "/admin/alerts/config"
ALERTS = catalog_of("alerts_config")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=40, locations=2) as sandbox:
        yield sandbox


def test_it_takes_one_request_and_is_one_record(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, emit_activate_version_messages=True)
    outcome = tap(config, catalog=ALERTS).check()
    assert outcome.records("alerts_config") == [sandbox.company.alerts_config]
    assert [request.path for request in sandbox.requests] == [CONFIG]
    assert len(outcome.of("ACTIVATE_VERSION")) == 1
    (schema,) = outcome.of("SCHEMA")
    assert schema["key_properties"] == []
    assert not outcome.lines("WARNING")
    assert any(
        "1 rows, 1 requests (the least possible: 1)" in x for x in outcome.lines("INFO")
    )


def test_nobody_gets_it_unless_it_is_selected(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox)).check()
    asked = {request.path for request in sandbox.requests}
    assert asked == {
        "/inventory",
        "/inventory/analytics",
        "/inventory/channel-location",
    }
    assert "example.com" not in outcome.stdout


def test_its_permission_is_named_and_costs_no_other_stream(tap: Runner) -> None:
    with Sandbox(items=40, missing_permissions="admin.alerts.read") as sandbox:
        catalog = catalog_of("alerts_config", "inventory")
        outcome = tap(config_for(sandbox), catalog=catalog)
    assert "alerts_config: the API answered 403" in outcome.failure
    assert "give the key the permission admin.alerts.read" in outcome.failure
    assert "location_ids" not in outcome.failure
    assert len(outcome.records("inventory")) == 40


def test_what_is_deselected_within_it_stays_away(tap: Runner, sandbox: Sandbox) -> None:
    catalog = catalog_of("alerts_config")
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == "alerts_config")
    entry["metadata"] += [
        {"breadcrumb": ["properties", *path], "metadata": {"selected": False}}
        for path in (["destinations"], ["alertTypes", "properties", "expiry"])
    ]
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    (record,) = outcome.records("alerts_config")
    assert "destinations" not in record
    assert record["alertTypes"].keys() == {
        name for name in sandbox.company.alerts_config["alertTypes"] if name != "expiry"
    }
    assert not outcome.lines("WARNING")


def test_a_field_that_is_not_known_is_named(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.company.alerts_config["alertTypes"]["theft"] = True
    outcome = tap(config_for(sandbox), catalog=ALERTS).check()
    (record,) = outcome.records("alerts_config")
    assert "theft" not in record["alertTypes"]
    (warning,) = outcome.lines("WARNING")
    assert "alertTypes.theft" in warning


@pytest.mark.parametrize(
    ("value", "field"),
    [("all", "alertTypes"), ([], "alertTypes"), ({"expiry": 1}, "alertTypes.expiry")],
)
def test_what_cannot_be_read_ends_in_one_line(
    tap: Runner, sandbox: Sandbox, value: object, field: str
) -> None:
    sandbox.company.alerts_config["alertTypes"] = value
    outcome = tap(config_for(sandbox), catalog=ALERTS)
    assert f"in the field {field}, which is not" in outcome.failure
    assert not outcome.of("RECORD")


@pytest.mark.usefixtures("no_waits")
def test_an_answer_without_it_is_asked_for_again(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.faults.add("raw", body='{"config": []}', path=CONFIG)
    outcome = tap(config_for(sandbox), catalog=ALERTS).check()
    assert len(outcome.records("alerts_config")) == 1
    assert len(outcome.lines("WARNING")) == 1
