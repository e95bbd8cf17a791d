"""ACTIVATE_VERSION into a real PostgreSQL: only a whole, exact table drops rows."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

import dev
from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import SECONDS, TAP, clean_env, run
from tests.e2e.targets import SCHEMA, postgres_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import NewDatabase
    from tests.e2e.postgres import Database

ITEMS = 450
GONE = ("item_0000001", "item_0000200", "item_0000450")


@pytest.fixture
def shop() -> Iterator[Sandbox]:
    """A sandbox of the test's own: its data change."""
    with Sandbox(items=ITEMS, locations=2) as sandbox:
        yield sandbox


@pytest.fixture
def database(new_database: NewDatabase) -> Database:
    return new_database()


def full_table_catalog(folder: Path) -> Path:
    """Write a catalog with the stream inventory alone, in FULL_TABLE mode."""
    catalog = json.loads(run(TAP, "--discover", cwd=folder).stdout)
    for stream in catalog["streams"]:
        is_inventory = stream["tap_stream_id"] == "inventory"
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = is_inventory
        if is_inventory:
            stream["replication_method"] = "FULL_TABLE"
    path = folder / "catalog.json"
    path.write_text(json.dumps(catalog), encoding="utf-8")
    return path


def load(
    folder: Path, sandbox: Sandbox, database: Database, *, lines: int = -1, **more: Any
) -> int:
    """Run `tap | target-postgres`; with `lines`, the tap is killed after as many."""
    tap_config, target_config = folder / "tap.json", folder / "target.json"
    settings = {
        "api_url": sandbox.url,
        "api_key": sandbox.api_key,
        "emit_activate_version_messages": True,
        "max_retries": 0,
        **more,
    }
    tap_config.write_text(json.dumps(settings), encoding="utf-8")
    target_config.write_text(
        json.dumps({**postgres_config(database), "hard_delete": True}), encoding="utf-8"
    )
    with subprocess.Popen(  # noqa: S603 - the words are the tests'
        [TAP, "--config", tap_config, "--catalog", full_table_catalog(folder)],
        stdout=subprocess.PIPE,
        env=clean_env(),
    ) as tap:
        assert tap.stdout is not None
        kept = []
        for number, line in enumerate(tap.stdout):
            if number == lines:
                tap.kill()
                break
            kept.append(line)
        tap.wait(SECONDS)
    subprocess.run(  # noqa: S603 - the words are the tests'
        [dev.loader("target-postgres"), "--config", target_config],
        input=b"".join(kept),
        env=clean_env(),
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=SECONDS,
    )
    return tap.returncode


def stored(database: Database) -> set[str]:
    query = sql.SQL("SELECT id FROM {}").format(sql.Identifier(SCHEMA, "inventory"))
    with database.connect() as connection:
        return {row[0] for row in connection.execute(query)}


def remove(sandbox: Sandbox) -> None:
    for item in GONE:
        sandbox.company.delete(item)


def test_rows_gone_at_the_source_go_after_the_next_exact_run(
    plugins: None,  # noqa: ARG001 - they need to be there
    shop: Sandbox,
    database: Database,
    tmp_path: Path,
) -> None:
    before = {item["id"] for item in shop.company.items()}
    assert load(tmp_path, shop, database) == 0
    assert stored(database) == before

    remove(shop)
    # Killed half-way: what was stored stays.
    assert load(tmp_path, shop, database, lines=ITEMS // 2) != 0
    assert stored(database) == before
    # A page that can't be read: the same.
    shop.faults.add(500, nth=3, times=None)
    assert load(tmp_path, shop, database) == 1
    assert stored(database) == before
    shop.faults.clear()
    # Not exact, since nothing says how many rows there are: the same, and also where
    # that is only a warning.
    shop.faults.add("no_total", times=None)
    assert load(tmp_path, shop, database) == 1
    assert load(tmp_path, shop, database, on_inexact="warn") == 0
    assert stored(database) == before
    shop.faults.clear()

    assert load(tmp_path, shop, database) == 0
    assert stored(database) == before - set(GONE)


def test_a_run_for_some_locations_drops_no_rows_of_others(
    plugins: None,  # noqa: ARG001 - they need to be there
    shop: Sandbox,
    database: Database,
    tmp_path: Path,
) -> None:
    before = {item["id"] for item in shop.company.items()}
    assert load(tmp_path, shop, database) == 0
    assert load(tmp_path, shop, database, location_ids=["loc_001"]) == 0
    assert stored(database) == before
