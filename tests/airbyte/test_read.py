"""What the source reads: the tap's records and states, in Airbyte's messages."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.airbyte.running import configured
from tests.e2e.truth import ALL_KEYS, keys_of
from tests.running import InstalledRunner, catalog_of, config_for

if TYPE_CHECKING:
    from tests.airbyte.running import Json, Said, Source

STREAMS = tuple(sorted(ALL_KEYS))
DEFAULT = tuple(set(STREAMS) - {"alerts_config", "transfer_recommendations"})


def status(stream: str, status: str) -> Json:
    """Return a stream's status as it is told."""
    said = {"stream_descriptor": {"name": stream}, "status": status}
    trace = {"type": "STREAM_STATUS", "stream_status": said}
    return {"type": "TRACE", "trace": trace}


def state(stream: str, value: Any, covers: int) -> Json:
    """Return a stream's state as it is told."""
    said = {"stream_descriptor": {"name": stream}, "stream_state": value}
    return {
        "type": "STATE",
        "state": {
            "type": "STREAM",
            "stream": said,
            "sourceStats": {"recordCount": covers},
        },
    }


def test_the_messages(source: Source) -> None:
    with Sandbox(items=2, locations=1) as sandbox:
        config = config_for(sandbox, location_ids=["loc_001"], end_date="2025-01-31")
        streams = ("inventory", "inventory_analytics", "transfer_recommendations")
        catalog = configured(*streams)
        said = source("read", config=config, catalog=catalog).check()
        items = sorted(sandbox.company.items(), key=lambda item: item["updatedAt"])
        analytics = sandbox.company.analytics("loc_001", "2025-01-01", "2025-01-31")
    period = {
        "locationId": "loc_001",
        "granularity": "month",
        "periodFrom": "2025-01-01",
        "periodTo": "2025-01-31",
    }
    # What a Singer target would be handed: nothing is added, nothing left out.
    place = {
        "context": {"locationId": "loc_001"},
        "replication_key": "updatedAt",
        "replication_key_value": said.state[0]["stream"]["stream_state"]["partitions"][
            0
        ]["replication_key_value"],
        "order": "sorted",
    }
    begun = {"granularity": "month", "start_date": "2025-01-01"}
    month = {
        "context": {"locationId": "loc_001"},
        "replication_key": "periodFrom",
        "replication_key_value": "2025-01-01",
    }
    assert said.timeless == [
        status("inventory", "STARTED"),
        status("inventory", "RUNNING"),
        *(
            {"type": "RECORD", "record": {"stream": "inventory", "data": item}}
            for item in reversed(items)
        ),
        state("inventory", {"partitions": [place]}, 2),
        status("inventory", "COMPLETE"),
        status("inventory_analytics", "STARTED"),
        status("inventory_analytics", "RUNNING"),
        {
            "type": "RECORD",
            "record": {
                "stream": "inventory_analytics",
                "data": {**analytics, **period},
            },
        },
        state("inventory_analytics", {**begun, "partitions": [month]}, 1),
        status("inventory_analytics", "COMPLETE"),
        status("transfer_recommendations", "STARTED"),
        status("transfer_recommendations", "COMPLETE"),
    ]


def test_the_values_are_the_taps_byte_for_byte(
    source: Source, sandbox: Sandbox, command: InstalledRunner
) -> None:
    config = config_for(sandbox)
    tap = command(config, catalog=catalog_of(*STREAMS)).check()
    catalog = configured(*STREAMS)
    said = source("read", config=config, catalog=catalog).check()
    singer = re.findall(
        r'^\{"type":"RECORD","stream":"(\w+)","record":(.*),"time_extracted":"[^"]*"\}$',
        tap.stdout,
        re.MULTILINE,
    )
    ours = re.findall(
        r'^\{"type":"RECORD","record":\{"stream":"(\w+)","data":(.*),'
        r'"emitted_at":\d{13}\}\}$',
        said.stdout.decode(),
        re.MULTILINE,
    )
    assert {stream for stream, _ in ours} == {*STREAMS}
    assert len(ours) == len(said.of("RECORD"))
    assert ours == singer


def test_states_are_singers(
    source: Source, sandbox: Sandbox, command: InstalledRunner
) -> None:
    config = config_for(sandbox)
    tap = command(config, catalog=catalog_of(*DEFAULT)).check()
    catalog = configured(*DEFAULT)
    said = source("read", config=config, catalog=catalog).check()
    ours = {
        kept["stream"]["stream_descriptor"]["name"]: kept["stream"]["stream_state"]
        for kept in said.state
    }
    assert ours == tap.of("STATE")[-1]["value"]["bookmarks"]


def covered(said: Said, stream: str) -> list[int]:
    """Return how many records each state of a stream covers."""
    states = said.of("STATE")
    of_stream = [
        s for s in states if s["stream"]["stream_descriptor"]["name"] == stream
    ]
    return [s["sourceStats"]["recordCount"] for s in of_stream]


def test_states_come_between_records_and_cover_them_all(source: Source) -> None:
    with Sandbox(items=3000, locations=1) as sandbox:
        config = config_for(sandbox, page_size=20)
        catalog = configured("inventory", "inventory_atp")
        said = source("read", config=config, catalog=catalog).check()
    for stream in ("inventory", "inventory_atp"):
        counts = covered(said, stream)
        assert sum(counts) == len(said.records(stream))
    assert len(covered(said, "inventory")) > 10
    is_open: dict[str, bool] = {}
    for message in said.timeless:
        if message["type"] == "TRACE":
            told = message["trace"]["stream_status"]
            name = told["stream_descriptor"]["name"]
            is_open[name] = told["status"] != "COMPLETE"
        elif message["type"] == "STATE":
            # Only of the stream that is read, and the last one before it is complete.
            stream = message["state"]["stream"]
            assert is_open[stream["stream_descriptor"]["name"]]
            assert stream["stream_state"]


def test_the_next_read_brings_what_changed(source: Source, sandbox: Sandbox) -> None:
    config = config_for(sandbox, lookback_minutes=0, analytics_lookback_periods=0)
    periods = "inventory_analytics"
    catalog = configured("inventory", periods)
    first = source("read", config=config, catalog=catalog).check()
    changed = sorted(item["id"] for item in sandbox.company.items())[::50]
    for number in changed:
        sandbox.company.update(number, quantityOnHand=Decimal("4711.50"))
    second = source("read", config=config, catalog=catalog, state=first.state).check()
    records = second.records("inventory")
    assert sorted(record["id"] for record in records) == changed
    assert {str(record["quantityOnHand"]) for record in records} == {"4711.50"}
    # Of the periods, the one that was cut short.
    months = [
        {r["periodFrom"] for r in said.records(periods)} for said in (first, second)
    ]
    assert months == [{"2025-01-01", "2025-02-01"}, {"2025-02-01"}]


def test_what_has_not_changed_is_not_read_again(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory")
    first = source("read", config=config, catalog=catalog).check()
    again = source("read", config=config, catalog=catalog, state=first.state).check()
    assert again.statuses == [("inventory", "STARTED"), ("inventory", "COMPLETE")]
    assert covered(again, "inventory") == [0]
    assert len(again.of("STATE")) == 1


@pytest.mark.parametrize("stateless", [{}, []])
def test_no_state_is_none(source: Source, sandbox: Sandbox, stateless: object) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory")
    said = source("read", config=config, catalog=catalog, state=stateless).check()
    assert len(said.records("inventory")) == 250


def test_a_full_refresh_leaves_its_state_out(source: Source, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    names = ("inventory", "inventory_analytics")
    catalog = configured(*names)
    first = source("read", config=config, catalog=catalog).check()
    whole = configured(*names, mode="full_refresh")
    again = source("read", config=config, catalog=whole, state=first.state).check()
    for name in names:
        rows = again.records(name)
        assert keys_of(name, rows) == keys_of(name, first.records(name)), name
        assert rows
    # A key comes once, and there is no bookmark that the next read would go on from.
    assert "replication_key_value" not in json.dumps(again.state)
    assert all(kept["stream"]["stream_state"] for kept in again.state)


def test_what_is_not_configured_is_not_read(source: Source, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory_atp_channels")
    said = source("read", config=config, catalog=catalog).check()
    assert {record["stream"] for record in said.of("RECORD")} == {
        "inventory_atp_channels"
    }
    nothing = source("read", config=config, catalog={"streams": []}).check()
    assert nothing.timeless == []


def test_deselected_fields_stay_out(source: Source, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory", "inventory_atp")
    inventory, atp = (entry["stream"]["json_schema"] for entry in catalog["streams"])
    # Keys and the cursor are not to be had without.
    for name in ("unitCost", "id", "updatedAt"):
        del inventory["properties"][name]
    del atp["properties"]["channels"]["items"]["properties"]["onHand"]
    said = source("read", config=config, catalog=catalog).check()
    fields = {name for record in said.records("inventory") for name in record}
    assert {"id", "updatedAt", "quantityOnHand"} <= fields
    assert "unitCost" not in fields
    channels = [c for r in said.records("inventory_atp") for c in r["channels"]]
    assert channels
    assert all("onHand" not in channel and "atp" in channel for channel in channels)


@pytest.mark.parametrize("declared", [True, {}, {"items": True}, {"items": []}])
def test_a_field_whose_parts_are_not_declared_comes_whole(
    source: Source, sandbox: Sandbox, declared: object
) -> None:
    catalog = configured("inventory_atp")
    schema = catalog["streams"][0]["stream"]["json_schema"]
    schema["properties"]["channels"] = declared
    said = source("read", config=config_for(sandbox), catalog=catalog).check()
    channels = [c for r in said.records("inventory_atp") for c in r["channels"]]
    assert channels
    assert all("onHand" in channel and "atp" in channel for channel in channels)


def test_what_can_only_be_read_whole_is(source: Source, sandbox: Sandbox) -> None:
    """PyAirbyte asks for all streams incrementally."""
    config = config_for(sandbox)
    catalog = configured("inventory_atp")
    catalog["streams"][0]["sync_mode"] = "incremental"
    first = source("read", config=config, catalog=catalog).check()
    again = source("read", config=config, catalog=catalog, state=first.state).check()
    assert first.records("inventory_atp") == again.records("inventory_atp") != []
