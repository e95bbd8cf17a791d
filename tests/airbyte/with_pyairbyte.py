"""The source with Airbyte's own libraries, in an environment of theirs.

`dev.py airbyte` runs this; the tap is not installed there, and no other test is run.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import airbyte
import pytest
from airbyte.caches import DuckDBCache
from airbyte.exceptions import (
    AirbyteConnectorFailedError,
)
from airbyte_cdk import models as cdk
from airbyte_cdk.test.standard_tests import (
    _catalog_checks,
    _read_assertions,
    _spec_lint,
)
from airbyte_protocol.models import AirbyteMessage
from pydantic import BaseModel

import dev

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

SOURCE = dev.DEV.executable("source-betterdata")
KEYS = {
    "inventory": ("id",),
    "inventory_analytics": ("locationId", "granularity", "periodFrom"),
    "inventory_analytics_categories": (
        *("locationId", "granularity", "periodFrom"),
        "categoryId",
    ),
    "inventory_atp": ("locationId", "productMasterId"),
    "inventory_atp_channels": ("locationId", "productMasterId", "channelId"),
}
CHANGES = 20


@pytest.fixture(autouse=True)
def _stay_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nothing be looked up or reached beyond the loopback."""
    strangers: list[object] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def refuse(host: object) -> None:
        if host not in {"127.0.0.1", "localhost", "::1"}:
            strangers.append(host)
            msg = f"nothing goes to {host!r}"
            raise OSError(msg)

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            refuse(address[0])
        connect(self, address)

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        refuse(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    assert not strangers


class Company:
    """The sandbox, which runs in the tap's environment."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.config: Json = {
            **self._heard(),
            "start_date": "2025-01-01",
            "end_date": "2025-02-15",
            "requests_per_minute": 0,
            "requests_per_hour": 0,
            "lookback_minutes": 0,
        }

    def _heard(self) -> Json:
        assert self._process.stdout is not None
        heard: Json = json.loads(self._process.stdout.readline())
        return heard

    def change(self, items: int) -> Json:
        """Change so many items, and return what all streams' records are then."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{items}\n")
        self._process.stdin.flush()
        return self._heard()


@pytest.fixture
def company() -> Iterator[Company]:
    with subprocess.Popen(  # noqa: S603 - the words are the tests'
        [dev.DEV.executable("python"), "-m", "tests.airbyte.company"],
        cwd=dev.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        try:
            yield Company(process)
        finally:
            process.kill()


# PyAirbyte


@pytest.fixture
def cache(tmp_path: Path) -> DuckDBCache:
    return DuckDBCache(db_path=tmp_path / "cache.duckdb", cache_dir=tmp_path / "cache")


@pytest.fixture
def source(company: Company) -> Any:
    source = airbyte.get_source(
        "source-betterdata", config=company.config, local_executable=SOURCE
    )
    source.check()
    source.select_streams([*KEYS])
    return source


def held_by(cache: DuckDBCache, truth: Json) -> Json:
    """Return what a cache holds, in the form of the truth."""
    held: Json = {}
    for stream, keys in KEYS.items():
        names = {name.lower(): name for name in truth[stream]["sums"]}
        columns = ", ".join(key.lower() for key in keys)
        added = ", ".join(f"sum({name})" for name in names)
        table = cache[stream].to_sql_table().name
        rows = cache.run_sql_query(f"SELECT {columns} FROM {table}")  # noqa: S608
        (sums,) = cache.run_sql_query(f"SELECT {added} FROM {table}")  # noqa: S608
        held[stream] = {
            "keys": sorted([str(row[key.lower()]) for key in keys] for row in rows),
            "sums": {
                name: Decimal(total)
                for name, total in zip(names.values(), dict(sums).values(), strict=True)
            },
        }
    return held


def expected(truth: Json) -> Json:
    """Return the truth with numbers as numbers."""
    return {
        stream: {
            "keys": records["keys"],
            "sums": {name: Decimal(total) for name, total in records["sums"].items()},
        }
        for stream, records in truth.items()
    }


def test_three_reads_into_duckdb(
    company: Company, source: Any, cache: DuckDBCache
) -> None:
    truth = company.change(0)
    first = source.read(cache=cache)
    assert first.processed_records == sum(len(s["keys"]) for s in truth.values())
    assert held_by(cache, truth) == expected(truth)
    (cost,) = cache.run_sql_query(
        "SELECT data_type FROM duckdb_columns() WHERE column_name = 'unitcost'"
    )
    assert cost["data_type"] == "DECIMAL(38,9)"

    changed = company.change(CHANGES)
    assert changed["inventory"]["sums"] != truth["inventory"]["sums"]
    second = source.read(cache=cache)
    # The analytics of the last month are read again; what can be promised is, always.
    rest = sum(
        len(changed[stream]["keys"])
        for stream in ("inventory_atp", "inventory_atp_channels")
    )
    assert second.processed_records - rest < len(changed["inventory"]["keys"]) / 10
    assert held_by(cache, changed) == expected(changed)

    forced = source.read(cache=cache, force_full_refresh=True)
    assert forced.processed_records == first.processed_records
    assert held_by(cache, changed) == expected(changed)


def test_the_pages_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (dev.ROOT / "docs" / "howto" / "airbyte.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "betterdata").mkdir()
    (tmp_path / "betterdata" / SOURCE.parent.name).symlink_to(SOURCE.parent)
    monkeypatch.chdir(tmp_path)
    ran: Json = {}
    exec(example, ran)  # noqa: S102 - it is the page's
    assert len(ran["result"]["inventory"]) == 200
    assert len(ran["result"]["inventory_atp_channels"]) > 200


def test_pyairbyte_keeps_nothing_of_a_read_that_failed(cache: DuckDBCache) -> None:
    url = "sandbox:?items=200&locations=2&missing_permissions=transfers.read"
    source = airbyte.get_source(
        "source-betterdata",
        config={"api_url": url, "api_key": "none"},
        local_executable=SOURCE,
    )
    source.select_streams(["inventory", "transfer_recommendations"])
    with pytest.raises(AirbyteConnectorFailedError):
        source.read(cache=cache)
    tables = cache.run_sql_query("SELECT table_name AS name FROM duckdb_tables()")
    assert "inventory" not in {table["name"] for table in tables}
    # The one that was complete is there once nothing else is asked for.
    source.select_streams(["inventory"])
    assert source.read(cache=cache).processed_records == 200


# Airbyte's protocol, and what its CDK checks


def said(*words: object, code: int = 0) -> list[str]:
    """Run the source, and return its lines."""
    done = subprocess.run(  # noqa: S603 - the words are the tests'
        [SOURCE, *map(str, words)], capture_output=True, check=False, encoding="utf-8"
    )
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout.splitlines()


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes JSON into a file, and returns its option and path."""

    def write(name: str, content: object) -> tuple[str, Path]:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return f"--{name}", path

    return write


def unknown_fields(model: BaseModel) -> Iterator[str]:
    """Yield what the protocol doesn't know of a message, at any depth."""
    if type(model).__name__ == "AirbyteStateBlob":
        return  # It is the source's own.
    yield from model.model_extra or ()
    for name in type(model).model_fields:
        value = getattr(model, name)
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, BaseModel):
                yield from unknown_fields(inner)


def test_all_messages_are_valid_by_the_protocol(company: Company, write: Any) -> None:
    config = write("config", company.config)
    lines = [*said("spec"), *said("check", *config), *said("discover", *config)]
    catalog = json.loads(lines[-1])["catalog"]
    streams = [
        {
            "stream": stream,
            "sync_mode": stream["supported_sync_modes"][-1],
            "destination_sync_mode": "append",
        }
        for stream in catalog["streams"]
    ]
    configured = write("catalog", {"streams": streams})
    lines += said("read", *config, *configured)
    wrong = write("config", {**company.config, "api_key": "bdk_live_expired"})
    lines += said("read", *wrong, *configured, code=1)
    kinds = set()
    for line in lines:
        message = AirbyteMessage.model_validate_json(line)
        assert not [*unknown_fields(message)], line
        parsed = cdk.AirbyteMessageSerializer.load(json.loads(line))
        assert parsed.type.value == message.type.value
        kinds.add(parsed.type.value)
    assert kinds >= {"SPEC", "CONNECTION_STATUS", "CATALOG", "LOG"}
    assert kinds >= {"RECORD", "STATE", "TRACE"}


def test_the_cdk_finds_nothing(company: Company, write: Any) -> None:
    def parsed(line: str) -> Any:
        return cdk.AirbyteMessageSerializer.load(json.loads(line))

    config = write("config", company.config)
    spec = parsed(said("spec")[-1]).spec
    _spec_lint.assert_spec_is_valid(spec, connector_name="source-betterdata")
    catalog = parsed(said("discover", *config)[-1]).catalog
    assert not _catalog_checks.find_catalog_problems(catalog)
    configured = cdk.ConfiguredAirbyteCatalog(
        streams=[
            cdk.ConfiguredAirbyteStream(
                stream=stream,
                sync_mode=cdk.SyncMode.full_refresh,
                destination_sync_mode=cdk.DestinationSyncMode.append,
            )
            for stream in catalog.streams
        ]
    )
    content = cdk.ConfiguredAirbyteCatalogSerializer.dump(configured)
    lines = said("read", *config, *write("catalog", content))
    _read_assertions.assert_read_records(
        records=map(parsed, lines),
        configured_catalog=configured,
        require_records_per_stream=True,
        validate_schema=True,
    )
