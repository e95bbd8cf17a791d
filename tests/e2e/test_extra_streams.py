"""A list that nobody documented, into tables of PostgreSQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

import dev
from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import TAP, pipe, run
from tests.e2e.targets import SCHEMA, postgres_config

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import NewDatabase
    from tests.e2e.postgres import Database

NAME = "inventory_adjustments"
ROWS = 20_000
DECLARED = {
    "name": NAME,
    "path": "/inventory/adjustments",
    "records_key": "entries",
    "key_fields": ["id"],
    "paging": "offset",
}


def load(folder: Path, source: Sandbox, database: Database) -> None:
    """Run `tap-betterdata | target-postgres` for the declared list alone."""
    files: dict[str, Any] = {
        "tap": {
            "api_url": source.url,
            "api_key": source.api_key,
            "requests_per_minute": 0,
            "requests_per_hour": 0,
            "emit_activate_version_messages": True,
            "extra_streams": [DECLARED],
        },
        "target": {**postgres_config(database), "hard_delete": True},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    found = run(TAP, "--config", folder / "tap", "--discover", cwd=folder).stdout
    catalog = json.loads(found)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] == NAME
    (folder / "catalog").write_text(json.dumps(catalog), encoding="utf-8")
    pipe(
        [TAP, "--config", folder / "tap", "--catalog", folder / "catalog"],
        [dev.loader("target-postgres"), "--config", folder / "target"],
        folder,
    )


def check(database: Database, source: Sandbox) -> None:
    """Check that the table holds each row once, whole, under its key."""
    table = sql.Identifier(SCHEMA, NAME)
    with database.connect() as connection:
        rows = connection.execute(sql.SQL("SELECT id, data FROM {}").format(table))
        stored: dict[str, Any] = dict(rows.fetchall())
        count = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(table))
        assert count.fetchone() == (len(stored),)
        keys = connection.execute(
            """
            SELECT column_name FROM information_schema.key_column_usage
            WHERE table_schema = %s AND table_name = %s
            """,
            (SCHEMA, NAME),
        )
        assert keys.fetchall() == [("id",)]
    adjustments = source.company.plain_list("adjustments")
    assert stored == {row["id"]: row for row in adjustments}


@pytest.mark.usefixtures("plugins")
def test_twenty_thousand_rows_and_a_second_run(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    database = new_database()
    with Sandbox(items=3 * ROWS, locations=2) as source:
        load(tmp_path, source, database)
        assert len(source.requests) == ROWS // 100 + 1
        adjustments = source.company.plain_list("adjustments")
        assert len(adjustments) == ROWS
        check(database, source)

        adjustments[7]["comment"] = "changed"
        adjustments.append({**adjustments[0], "id": "txn_new"})
        del adjustments[3]
        load(tmp_path, source, database)
        check(database, source)
