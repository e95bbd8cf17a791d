"""`tap-betterdata | target-…`: what the sandbox holds is what the target stores."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql
from psycopg.rows import dict_row

from tests.e2e.conftest import MARKED_ITEM, PERIODS
from tests.e2e.truth import KEYS, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    from tap_betterdata.sandbox import Sandbox
    from tests.e2e.conftest import NewDatabase, Pipe
    from tests.e2e.postgres import Database
    from tests.e2e.truth import Key

Rows = list[dict[str, Any]]
SCHEMA = "stock"
TIMES = ("updatedAt", "lastCountedAt", "expiryDate")
MONEY = ("unitCost", "totalValue")


def read_csv(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def read_jsonl(path: Path) -> Rows:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line, parse_float=Decimal) for line in lines]


def read_table(database: Database, name: str) -> Rows:
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA, name))
    with database.connect() as connection:
        return connection.cursor(row_factory=dict_row).execute(query).fetchall()


def column_types(database: Database, table: str) -> dict[str, str]:
    query = """
        SELECT column_name, data_type FROM information_schema.columns
        WHERE table_schema = %s AND table_name = %s
    """
    with database.connect() as connection:
        return dict(connection.execute(query, (SCHEMA, table)).fetchall())


def instant(value: object) -> dt.datetime | None:
    """Read a time as any target writes it, as one in UTC."""
    if value in (None, ""):
        return None
    time = dt.datetime.fromisoformat(str(value))
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def as_stored(item: dict[str, Any]) -> dict[str, object]:
    """Bring an item of the sandbox, or of a target, into one form.

    Decimals stay text: 10.50 and 10.5 are not the same.
    """
    texts = {k: "" if v is None else str(v) for k, v in item.items()}
    return {**texts, **{name: instant(item[name]) for name in TIMES}}


def by_id(rows: Rows) -> dict[str, dict[str, object]]:
    return {row["id"]: as_stored(row) for row in rows}


def postgres_config(database: Database) -> dict[str, object]:
    return {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
        "default_target_schema": SCHEMA,
    }


@pytest.fixture(scope="module")
def loaded(tap: Pipe, new_database: NewDatabase) -> Database:
    """A database that one run has filled."""
    database = new_database()
    tap.into("target-postgres", **postgres_config(database))
    return database


def test_csv_files_hold_a_header_and_the_sandboxs_rows(
    tap: Pipe, sandbox: Sandbox, expected: dict[str, list[Key]], tmp_path: Path
) -> None:
    tap.into("target-csv", output_path=str(tmp_path))
    files = {path.stem: read_csv(path) for path in tmp_path.iterdir()}
    assert {name: keys_of(name, rows) for name, rows in files.items()} == expected
    assert by_id(files["inventory"]) == by_id(list(sandbox.company.items()))


def test_jsonl_files_hold_the_sandboxs_rows(
    tap: Pipe, sandbox: Sandbox, expected: dict[str, list[Key]], tmp_path: Path
) -> None:
    tap.into("target-jsonl", destination_path=str(tmp_path), do_timestamp_file=False)
    files = {path.stem: read_jsonl(path) for path in tmp_path.iterdir()}
    assert {name: keys_of(name, rows) for name, rows in files.items()} == expected
    assert by_id(files["inventory"]) == by_id(list(sandbox.company.items()))


def test_a_second_run_into_postgres_changes_no_count(
    tap: Pipe, new_database: NewDatabase, expected: dict[str, list[Key]]
) -> None:
    database = new_database()
    for _ in range(2):
        tap.into("target-postgres", **postgres_config(database))
        tables = {name: read_table(database, name) for name in KEYS}
        keys = {name: keys_of(name, rows) for name, rows in tables.items()}
        assert keys == expected


def test_postgres_keeps_the_digits_of_decimals(
    loaded: Database, sandbox: Sandbox
) -> None:
    rows = {row["id"]: row for row in read_table(loaded, "inventory")}
    assert str(rows[MARKED_ITEM]["unitCost"]) == "10.50"
    truth = {item["id"]: item for item in sandbox.company.items()}
    for name in MONEY:
        stored = {key: str(row[name]) for key, row in rows.items()}
        assert stored == {key: str(item[name]) for key, item in truth.items()}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("inventory", {"unitCost": "numeric", "totalValue": "numeric"}),
        ("inventory_analytics", {"totalValue": "numeric", "turnoverRate": "numeric"}),
        ("inventory_analytics_categories", {"value": "numeric", "periodFrom": "date"}),
    ],
)
def test_postgres_columns_can_hold_what_they_are_for(
    loaded: Database, table: str, columns: dict[str, str]
) -> None:
    types = column_types(loaded, table)
    assert {name: types[name] for name in columns} == columns


def test_the_periods_are_those_of_the_settings(loaded: Database) -> None:
    rows = read_table(loaded, "inventory_analytics")
    found = {(str(row["periodFrom"]), str(row["periodTo"])) for row in rows}
    assert found == set(PERIODS)
