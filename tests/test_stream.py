"""From records to Singer messages: selection, maps, batches, table versions."""

from __future__ import annotations

import gzip
import inspect
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from singer_sdk import Stream, Tap

from tap_betterdata.sandbox import Sandbox
from tests.e2e.truth import KEYS, expected_keys, keys_of
from tests.running import PERIODS, Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

INCREMENTAL = {"inventory"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=250, locations=2) as sandbox:
        yield sandbox


@pytest.mark.parametrize("stream", KEYS)
def test_a_selected_stream_comes_alone_and_whole(
    tap: Runner, sandbox: Sandbox, stream: str
) -> None:
    outcome = tap(config_for(sandbox), catalog=catalog_of(stream)).check()
    for kind in ("RECORD", "SCHEMA"):
        assert {message["stream"] for message in outcome.of(kind)} == {stream}
    keys = expected_keys(sandbox.company, PERIODS)[stream]
    assert keys_of(stream, outcome.records(stream)) == keys


def test_no_stream_selected_costs_nothing(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox), catalog=catalog_of()).check()
    assert not outcome.of("RECORD")
    assert not sandbox.requests


def test_fields_that_are_not_selected_stay_away(tap: Runner, sandbox: Sandbox) -> None:
    without = ("unitCost", "productName")
    catalog = catalog_of("inventory", "inventory_atp", without=without)
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    for stream in ("inventory", "inventory_atp"):
        (schema,) = outcome.of("SCHEMA", stream)
        records = outcome.records(stream)
        assert records
        for fields in (schema["schema"]["properties"], *records):
            assert not fields.keys() & set(without)
    assert all("locationName" in row for row in outcome.records("inventory"))


def test_a_key_cannot_be_deselected(tap: Runner, sandbox: Sandbox) -> None:
    catalog = catalog_of("inventory", without=("id", "unitCost"))
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    keys = expected_keys(sandbox.company, PERIODS)["inventory"]
    assert keys_of("inventory", outcome.records("inventory")) == keys


def test_a_field_that_cannot_be_read_can_be_deselected(
    tap: Runner, sandbox: Sandbox
) -> None:
    sandbox.faults.add("bad_number", times=None, path="/inventory")
    catalog = catalog_of("inventory", without=("quantityOnHand",))
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    assert len(outcome.records("inventory")) == 250


def test_records_fit_their_schemas(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox)).check()
    for stream in KEYS:
        (schema,) = outcome.of("SCHEMA", stream)
        known = schema["schema"]["properties"].keys()
        assert all(row.keys() <= known for row in outcome.records(stream))


def test_every_message_is_a_singer_message(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox)).check()
    described = set()
    for message in outcome.messages:
        if message["type"] == "SCHEMA":
            described.add(message["stream"])
        elif message["type"] == "RECORD":
            assert message["stream"] in described
            assert message["time_extracted"]
        else:
            assert message["type"] == "STATE"
    assert outcome.messages[-1]["type"] == "STATE"


def test_records_are_as_the_company_has_them(tap: Runner, sandbox: Sandbox) -> None:
    cost = Decimal("10.50")
    sandbox.company.update("item_0000001", unitCost=cost)
    outcome = tap(config_for(sandbox)).check()
    assert '"unitCost":10.50,' in outcome.stdout
    items = sorted(outcome.records("inventory"), key=lambda row: row["id"])
    assert items == list(sandbox.company.items())
    for row in outcome.records("inventory_analytics"):
        location = row.pop("locationId")
        first, last = row.pop("periodFrom"), row.pop("periodTo")
        assert row.pop("granularity") == "month"
        assert row == sandbox.company.analytics(location, first, last)
    for row in outcome.records("inventory_atp"):
        location = row.pop("locationId")
        assert row.pop("locationName") == sandbox.company.location_name(location)
        assert row in sandbox.company.atp_products(location)


def test_channels_are_those_of_their_products(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox)).check()
    products = {
        (row["locationId"], row["productMasterId"]): row
        for row in outcome.records("inventory_atp")
    }
    for row in outcome.records("inventory_atp_channels"):
        product = products[row["locationId"], row["productMasterId"]]
        (channel,) = (
            c for c in product["channels"] if c["channelId"] == row["channelId"]
        )
        assert row.items() >= channel.items()
        assert row["productName"] == product["productName"]
        assert row["locationName"] == product["locationName"]
        assert row["channelType"]
        assert row["lowAtpThreshold"] is not None


# Maps and flattening


def test_stream_maps_shape_the_records(tap: Runner, sandbox: Sandbox) -> None:
    maps = {
        "inventory": {
            "__alias__": "stock",
            "__filter__": "locationId == 'loc_001'",
            "id": "id",
            "label": "globalSku + '/' + locationId",
            "__else__": None,
        },
        "inventory_atp": None,
    }
    outcome = tap(config_for(sandbox, stream_maps=maps)).check()
    assert not outcome.of("RECORD", "inventory")
    assert not outcome.of("RECORD", "inventory_atp")
    expected = [
        {"id": item["id"], "label": f"{item['globalSku']}/loc_001"}
        for item in sandbox.company.items("loc_001")
    ]
    stock = sorted(outcome.records("stock"), key=lambda row: row["id"])
    assert stock == expected


def test_mapped_decimals_keep_their_digits(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.company.update("item_0000001", unitCost=Decimal("10.50"))
    maps = {"inventory": {"id": "id", "unitCost": "unitCost", "__else__": None}}
    config = config_for(sandbox, stream_maps=maps)
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    assert '"unitCost":10.50}' in outcome.stdout


def test_flattening(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, flattening_enabled=True, flattening_max_depth=1)
    outcome = tap(config, catalog=catalog_of("inventory_atp")).check()
    keys = expected_keys(sandbox.company, PERIODS)["inventory_atp"]
    rows = outcome.records("inventory_atp")
    assert keys_of("inventory_atp", rows) == keys
    assert all(not isinstance(v, dict) for row in rows for v in row.values())


# Batches


def rows_of_batches(outcome: Outcome, stream: str) -> list[dict[str, Any]]:
    rows = []
    for message in outcome.of("BATCH", stream):
        for url in message["manifest"]:
            path = Path(url2pathname(urlsplit(url).path))
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                rows += [json.loads(line, parse_float=Decimal) for line in lines]
    return rows


@pytest.mark.parametrize("stream", KEYS)
def test_batch_files_hold_all_rows(
    tap: Runner, sandbox: Sandbox, tmp_path: Path, stream: str
) -> None:
    batches = {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": tmp_path.as_uri(), "prefix": "batch-"},
    }
    config = config_for(sandbox, batch_config=batches)
    outcome = tap(config, catalog=catalog_of(stream)).check()
    assert not outcome.of("RECORD")
    keys = expected_keys(sandbox.company, PERIODS)[stream]
    assert keys_of(stream, rows_of_batches(outcome, stream)) == keys


# Table versions


def versions(outcome: Outcome, stream: str) -> list[Any]:
    return [message["version"] for message in outcome.of("ACTIVATE_VERSION", stream)]


def test_no_version_is_activated_unasked(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox)).check()
    assert not outcome.of("ACTIVATE_VERSION")
    assert all("version" not in message for message in outcome.of("RECORD"))


def test_a_version_is_activated_after_the_last_record(
    tap: Runner, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, emit_activate_version_messages=True)
    outcome = tap(config).check()
    for stream in ("inventory_atp", "inventory_atp_channels"):
        messages = [m for m in outcome.messages if m.get("stream") == stream]
        (version,) = versions(outcome, stream)
        assert messages[-1]["type"] == "ACTIVATE_VERSION"
        assert {m["version"] for m in outcome.of("RECORD", stream)} == {version}
    for stream in INCREMENTAL:
        assert not versions(outcome, stream)
        assert all("version" not in m for m in outcome.of("RECORD", stream))


@pytest.mark.parametrize("kind", [403, 404, 400, "bad_number"])
def test_no_version_of_an_incomplete_table_is_activated(
    tap: Runner, sandbox: Sandbox, kind: str | int
) -> None:
    path = "/inventory/channel-location"
    sandbox.faults.add(kind, times=None, path=path, location="loc_002")
    config = config_for(
        sandbox,
        emit_activate_version_messages=True,
        location_ids=["loc_001", "loc_002"],
    )
    outcome = tap(config)
    assert "inventory_atp" in outcome.failure
    assert not versions(outcome, "inventory_atp")
    if kind != "bad_number":
        assert not versions(outcome, "inventory_atp_channels")
        rows = outcome.records("inventory_atp_channels")
        assert {row["locationId"] for row in rows} == {"loc_001"}


def test_the_version_goes_with_a_streams_alias(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(
        sandbox,
        emit_activate_version_messages=True,
        stream_maps={"inventory_atp": {"__alias__": "promises"}},
    )
    outcome = tap(config, catalog=catalog_of("inventory_atp")).check()
    (version,) = versions(outcome, "promises")
    assert {m["version"] for m in outcome.of("RECORD", "promises")} == {version}
    assert not versions(outcome, "inventory_atp")


# The SDK's side


SYNC_RECORDS = (
    "(self, context: 'types.Context | None' = None, *, write_messages: 'bool' = True)"
    " -> 't.Generator[dict, t.Any, t.Any]'"
)
TERMINATION = "(self, signum: 'int', frame: 'FrameType | None') -> 'None'"


@pytest.mark.parametrize(
    ("owner", "name", "signature"),
    [
        (Stream, "_sync_records", SYNC_RECORDS),
        (Tap, "_handle_termination", TERMINATION),
    ],
)
def test_the_sdk_still_has_the_private_methods_that_are_overridden(
    owner: type, name: str, signature: str
) -> None:
    assert str(inspect.signature(getattr(owner, name))) == signature
