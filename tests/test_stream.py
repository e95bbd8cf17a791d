"""From records to Singer messages: selection, maps, batches, table versions."""

from __future__ import annotations

import gzip
import inspect
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from singer_sdk import Stream, Tap

from tap_betterdata.sandbox import Sandbox
from tap_betterdata.streams.base import BetterDataStream
from tap_betterdata.tap import TapBetterData
from tests.e2e.truth import KEYS, expected_keys, keys_of
from tests.running import PERIODS, Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CAPABILITIES = Path(__file__).parents[1] / "docs" / "capabilities.md"
INCREMENTAL = {"inventory"}
ATP, ANALYTICS = "/inventory/channel-location", "/inventory/analytics"
STREAMS = {ATP: "inventory_atp", ANALYTICS: "inventory_analytics"}
TWO = {"channelId": "DTC", "atp": 1}
TWICE = {"totalUnits": 2, "byCategory": [{"categoryId": "c", "units": 1}] * 2}


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


@pytest.mark.parametrize("stream", KEYS)
def test_records_can_be_had_without_messages(
    sandbox: Sandbox, stream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tap = TapBetterData(config=config_for(sandbox))
    read = tap.streams[stream]
    assert isinstance(read, BetterDataStream)
    records = list(read.get_records(None))
    tap.run.finish()
    keys = expected_keys(sandbox.company, PERIODS)[stream]
    assert keys_of(stream, records) == keys
    assert not capsys.readouterr().out


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


@pytest.mark.parametrize(
    ("path", "stream", "body"),
    [
        (ATP, "inventory_atp_channels", {"products": [{"channels": [TWO, TWO]}]}),
        (ANALYTICS, "inventory_analytics_categories", {"analytics": TWICE}),
    ],
)
def test_two_records_of_one_key_are_an_error(
    tap: Runner, sandbox: Sandbox, path: str, stream: str, body: dict[str, Any]
) -> None:
    for product in body.get("products", []):
        product["productMasterId"] = "prod_1"
    sandbox.faults.add("raw", body=json.dumps(body), path=path, times=None)
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory", stream))
    assert f"{stream}, location loc_001, " in outcome.failure
    assert re.search("two of its (channels|byCategory) have", outcome.failure)
    assert not outcome.records(stream)
    assert len(outcome.records("inventory")) == 250


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ATP, {"products": [], "location": "L1"}),
        (ATP, {"products": [], "location": ["L1"]}),
        (ATP, {"products": [], "channels": {"channelId": "DTC"}}),
        (ATP, {"products": [], "channels": ["DTC"]}),
        (ANALYTICS, {"analytics": {}}),
        (ANALYTICS, {"analytics": {"totalUnits": 1}, "period": "2025"}),
    ],
)
def test_what_stands_beside_the_rows_is_checked(
    tap: Runner, sandbox: Sandbox, path: str, body: dict[str, Any]
) -> None:
    sandbox.faults.add("raw", body=json.dumps(body), path=path)
    sandbox.faults.add("raw", body=json.dumps(body), path=path, nth=3, times=None)
    outcome = tap(config_for(sandbox, max_retries=1, concurrency=1))
    assert "in 2 tries" in outcome.failure
    assert len(outcome.records("inventory")) == 250
    # The first was asked for again, and was right then.
    assert {row["locationId"] for row in outcome.records(STREAMS[path])} >= {"loc_001"}


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("path", [ATP, ANALYTICS])
@pytest.mark.parametrize("value", [[None], ["DTC"], {}, "", 7])
def test_a_list_that_is_none_is_named(
    tap: Runner, sandbox: Sandbox, path: str, value: object, *, flat: bool
) -> None:
    bodies: dict[str, Any] = {
        ATP: {"products": [{"productMasterId": "prod_1", "channels": value}]},
        ANALYTICS: {"analytics": {"totalUnits": 1, "byCategory": value}},
    }
    sandbox.faults.add("raw", body=json.dumps(bodies[path]), path=path, times=None)
    parts = {ATP: "inventory_atp_channels", ANALYTICS: "inventory_analytics_categories"}
    catalog = catalog_of(parts[path] if flat else STREAMS[path])
    line = tap(config_for(sandbox), catalog=catalog).failure
    assert {ATP: "channels", ANALYTICS: "byCategory"}[path] in line
    assert "a list of objects" in line


def test_a_catalog_with_fewer_fields_leaves_the_others_out(
    tap: Runner, sandbox: Sandbox
) -> None:
    catalog = catalog_of("inventory", "inventory_atp")
    for entry in catalog["streams"]:
        properties = entry["schema"]["properties"]
        if entry["tap_stream_id"] == "inventory":
            for name in properties.keys() - {"id", "unitCost", "updatedAt"}:
                del properties[name]
        if entry["tap_stream_id"] == "inventory_atp":
            inner = properties["channels"]["items"]["properties"]
            for name in inner.keys() - {"channelId", "atp"}:
                del inner[name]
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    assert not outcome.lines("WARNING")
    for row in outcome.records("inventory"):
        assert row.keys() == {"id", "unitCost", "updatedAt"}
    for row in outcome.records("inventory_atp"):
        assert all(part.keys() == {"channelId", "atp"} for part in row["channels"])


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


ONE = {"id": "id", "__else__": None}


@pytest.mark.parametrize(
    "maps",
    [
        {"inventory_analytics": None, "inventory_analytics_categories": None},
        {"inventory_analytics*": "__NULL__"},
        {"inventory": ONE, "inventory_atp*": {}, "__else__": None},
    ],
)
def test_a_stream_that_a_map_drops_is_not_read(
    tap: Runner, sandbox: Sandbox, maps: dict[str, Any]
) -> None:
    before = tap(config_for(sandbox, end_date="2025-01-31")).check()
    state = before.of("STATE")[-1]["value"]
    sandbox.requests.clear()
    outcome = tap(config_for(sandbox, stream_maps=maps), state=state).check()
    assert ANALYTICS not in {request.path for request in sandbox.requests}
    after = outcome.of("STATE")[-1]["value"]
    for stream in ("inventory_analytics", "inventory_analytics_categories"):
        assert after["bookmarks"][stream] == state["bookmarks"][stream]
    # Without the map, nothing is missing.
    rows = tap(config_for(sandbox), state=after).check().records("inventory_analytics")
    assert {row["periodFrom"] for row in rows} >= {"2025-02-01"}


def test_a_stream_that_one_of_two_maps_drops_is_read(
    tap: Runner, sandbox: Sandbox
) -> None:
    maps = {"inventory": None, "stock": {"__source__": "inventory", **ONE}}
    config = config_for(sandbox, stream_maps=maps)
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    keys = expected_keys(sandbox.company, PERIODS)["inventory"]
    assert keys_of("inventory", outcome.records("stock")) == keys
    assert not outcome.of("SCHEMA", "inventory")


@pytest.mark.parametrize("name", ["inventory_analytics", "inventory_a*", "*"])
def test_a_map_of_what_is_not_selected_is_ignored(
    tap: Runner, sandbox: Sandbox, name: str
) -> None:
    maps = {name: {"locationId": "locationId + '!'"}}
    catalog = catalog_of("inventory")
    outcome = tap(config_for(sandbox, stream_maps=maps), catalog=catalog).check()
    ends = {row["locationId"][-1] for row in outcome.records("inventory")}
    assert ends == ({"!"} if name == "*" else {"1", "2"})


def test_mapped_decimals_keep_their_digits(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.company.update("item_0000001", unitCost=Decimal("10.50"))
    maps = {"inventory": {"id": "id", "unitCost": "unitCost", "__else__": None}}
    config = config_for(sandbox, stream_maps=maps)
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    assert '"unitCost":10.50}' in outcome.stdout


WRONG = {
    "unitCost * 1.2": "TypeError: unsupported operand type(s) for *: 'decimal.Decimal'",
    "missing + 1": "'missing' is not defined",
    "md5(None)": "AttributeError",
    "1 / 0": "ZeroDivisionError",
}


@pytest.mark.parametrize("expression", WRONG)
@pytest.mark.parametrize("field", ["unitCost", "gross", "__filter__"])
def test_an_expression_that_fails_costs_no_other_stream(
    tap: Runner, sandbox: Sandbox, expression: str, field: str
) -> None:
    maps = {"inventory": {"productName": "productName", field: expression}}
    catalog = catalog_of("inventory", "inventory_atp")
    outcome = tap(config_for(sandbox, stream_maps=maps), catalog=catalog)
    line = outcome.failure
    assert line.startswith(f"inventory: the map's expression {expression} fails on the")
    assert re.search(r"record with id 'item_\d+'", line)
    assert WRONG[expression] in line
    assert not outcome.records("inventory")
    keys = expected_keys(sandbox.company, PERIODS)["inventory_atp"]
    assert keys_of("inventory_atp", outcome.records("inventory_atp")) == keys


def test_null_times_two_names_the_record_that_holds_it(
    tap: Runner, sandbox: Sandbox
) -> None:
    sandbox.company.update("item_0000007", unitCost=None)
    maps = {"inventory": {"unitCost": "unitCost * 2"}}
    catalog = catalog_of("inventory")
    outcome = tap(config_for(sandbox, stream_maps=maps), catalog=catalog)
    assert "expression unitCost * 2 fails" in outcome.failure
    assert "id 'item_0000007': TypeError" in outcome.failure


def test_what_a_map_fails_on_is_asked_for_again(tap: Runner, sandbox: Sandbox) -> None:
    catalog = catalog_of("inventory_analytics")
    maps = {"inventory_analytics": {"totalUnits": "totalUnits * None"}}
    config = config_for(sandbox, analytics_lookback_periods=0)
    first = tap({**config, "stream_maps": maps}, catalog=catalog)
    assert "with locationId 'loc_001', granularity 'month'" in first.failure
    state = first.of("STATE")[-1]["value"]
    second = tap(config, catalog=catalog, state=state).check()
    keys = expected_keys(sandbox.company, PERIODS)["inventory_analytics"]
    assert keys_of("inventory_analytics", second.records("inventory_analytics")) == keys


def test_the_documented_way_to_compute_with_decimals(
    tap: Runner, sandbox: Sandbox
) -> None:
    (documented,) = re.findall(
        r"```json\n(\{\n  \"stream_maps\".*?)```",
        CAPABILITIES.read_text("utf-8"),
        re.DOTALL,
    )
    costs = [Decimal("12345678901234567.10"), Decimal("10.50"), 7, None, 0]
    for number, cost in enumerate(costs, 1):
        sandbox.company.update(f"item_000000{number}", unitCost=cost)
    config = config_for(sandbox, **json.loads(documented))
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    (schema,) = outcome.of("SCHEMA", "inventory")
    properties = schema["schema"]["properties"]
    assert properties["unitCost"]["type"] == ["number", "null"]
    rows = {row["id"]: row for row in outcome.records("inventory")}
    read = [rows[f"item_000000{number}"] for number in range(1, 6)]
    assert [str(row["unitCost"]) for row in read] == [
        "14814814681481480.52",
        "12.60",
        "8.4",
        "None",
        "0",
    ]


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
    said = [line for line in outcome.lines("INFO") if "the least possible" in line]
    assert [line.startswith(f"{stream}: {len(keys)} rows") for line in said] == [True]


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
SCHEMA_MESSAGE = "(self) -> 'None'"
ACTIVATE_VERSION = "(self, full_table_version: 'int') -> 'None'"
TERMINATION = "(self, signum: 'int', frame: 'FrameType | None') -> 'None'"


@pytest.mark.parametrize(
    ("owner", "name", "signature"),
    [
        (Stream, "_sync_records", SYNC_RECORDS),
        (Stream, "_write_schema_message", SCHEMA_MESSAGE),
        (Stream, "_write_activate_version_message", ACTIVATE_VERSION),
        (Tap, "_handle_termination", TERMINATION),
    ],
)
def test_the_sdk_still_has_the_private_methods_that_are_used(
    owner: type, name: str, signature: str
) -> None:
    assert str(inspect.signature(getattr(owner, name))) == signature
