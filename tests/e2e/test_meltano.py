"""The main job, `meltano run tap-betterdata target-csv`, and the others, for real."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

from tap_betterdata.sandbox import Sandbox
from tests.e2e.truth import KEYS, expected_keys, expected_rows, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Meltano, NewDatabase

pytestmark = pytest.mark.meltano
# Dates make the analytics periods the same on any day.
DATES = {
    "TAP_BETTERDATA_START_DATE": "2026-01-01",
    "TAP_BETTERDATA_END_DATE": "2026-01-31",
}
PERIODS = [("2026-01-01", "2026-01-31")]
# How many items there are to be read in each.
ENVIRONMENTS = {"sandbox": 20, "prod": 30}


def csv_keys(folder: Path, stream: str) -> list[tuple[str, ...]]:
    with (folder / f"{stream}.csv").open(encoding="utf-8", newline="") as lines:
        return keys_of(stream, csv.DictReader(lines))


def run_everywhere(meltano: Meltano, job: str, **env: str) -> str:
    """Run a job in each environment, which finds as many items as are its own."""
    output = ""
    for environment, items in ENVIRONMENTS.items():
        url = f"sandbox:?items={items}&locations=1"
        words = (f"--environment={environment}", "run", job)
        output += meltano(*words, **DATES, **env, TAP_BETTERDATA_API_URL=url)
    return output


def test_the_main_job_twice(meltano: Meltano) -> None:
    expected = expected_keys(Sandbox().company, PERIODS)
    folder = meltano.folder / "output" / "sandbox" / "csv"
    meltano("run", "tap-betterdata", "target-csv", **DATES)
    assert {name: csv_keys(folder, name) for name in KEYS} == expected
    # Nothing has changed: the stock comes again only if all of it is asked for.
    meltano("run", "tap-betterdata", "target-csv", **DATES)
    assert len(csv_keys(folder, "inventory")) < len(expected["inventory"])
    meltano("run", "--full-refresh", "tap-betterdata", "target-csv", **DATES)
    assert {name: csv_keys(folder, name) for name in KEYS} == expected


def test_the_job_into_csv_files(meltano: Meltano) -> None:
    run_everywhere(meltano, "betterdata-to-csv")
    for environment, items in ENVIRONMENTS.items():
        folder = meltano.folder / "output" / environment / "csv"
        company = Sandbox(items=items, locations=1).company
        expected = expected_keys(company, PERIODS)
        assert {name: csv_keys(folder, name) for name in KEYS} == expected


def test_arrays_in_csv_files_are_json(meltano: Meltano) -> None:
    meltano("select", "tap-betterdata", "alerts_config", "*")
    meltano("run", "betterdata-to-csv", **DATES)
    company = Sandbox().company
    rows = expected_rows(company, PERIODS)
    rows["alerts_config"] = [company.alerts_config]
    columns = {
        "alerts_config": ("destinations", "alertTypes"),
        "inventory_analytics": ("byCategory",),
        "inventory_atp": ("channels",),
    }
    for stream, names in columns.items():
        path = meltano.folder / "output" / "sandbox" / "csv" / f"{stream}.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            found = list(csv.DictReader(lines))
        for name in names:
            # Amounts with a fraction are texts, so that they keep their digits.
            expected = json.loads(
                json.dumps([row[name] for row in rows[stream]], default=str)
            )
            assert [json.loads(row[name]) for row in found] == expected


def test_an_array_that_is_not_selected_is_left_empty(meltano: Meltano) -> None:
    meltano("select", "tap-betterdata", "--exclude", "inventory_atp", "channels")
    meltano("run", "betterdata-to-csv", **DATES)
    path = meltano.folder / "output" / "sandbox" / "csv" / "inventory_atp.csv"
    with path.open(encoding="utf-8", newline="") as lines:
        assert {row["channels"] for row in csv.DictReader(lines)} == {""}


def test_the_job_into_jsonl(meltano: Meltano) -> None:
    run_everywhere(meltano, "betterdata-to-jsonl")
    for environment, items in ENVIRONMENTS.items():
        folder = meltano.folder / "output" / environment / "jsonl"
        (path,) = folder.glob("inventory-*.jsonl")
        assert len(path.read_text(encoding="utf-8").splitlines()) == items


def test_the_job_into_postgres(meltano: Meltano, new_database: NewDatabase) -> None:
    database = new_database()
    target = {
        "TARGET_POSTGRES_HOST": database.host,
        "TARGET_POSTGRES_PORT": str(database.port),
        "TARGET_POSTGRES_USER": database.user,
        "TARGET_POSTGRES_PASSWORD": database.password,
        "TARGET_POSTGRES_DATABASE": database.name,
    }
    output = run_everywhere(meltano, "betterdata-to-postgres", **target)
    assert database.password not in output
    schemas = {"tap_betterdata_sandbox": "sandbox", "tap_betterdata": "prod"}
    with database.connect() as connection:
        for schema, environment in schemas.items():
            table = sql.Identifier(schema, "inventory")
            query = sql.SQL("SELECT count(*) FROM {}").format(table)
            count = connection.execute(query)
            assert count.fetchone() == (ENVIRONMENTS[environment],)
