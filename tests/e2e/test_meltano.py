"""The main job, `meltano run tap-betterdata target-csv`, for real."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.e2e.truth import KEYS, expected_keys, keys_of

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


def csv_keys(folder: Path, stream: str) -> list[tuple[str, ...]]:
    with (folder / f"{stream}.csv").open(encoding="utf-8", newline="") as lines:
        return keys_of(stream, csv.DictReader(lines))


def test_the_main_job_twice(meltano: Meltano) -> None:
    expected = expected_keys(Sandbox().company, PERIODS)
    folder = meltano.folder / "output" / "csv"
    meltano("run", "tap-betterdata", "target-csv", **DATES)
    assert {name: csv_keys(folder, name) for name in KEYS} == expected
    # Nothing has changed: the stock comes again only if all of it is asked for.
    meltano("run", "tap-betterdata", "target-csv", **DATES)
    assert len(csv_keys(folder, "inventory")) < len(expected["inventory"])
    meltano("run", "--full-refresh", "tap-betterdata", "target-csv", **DATES)
    assert {name: csv_keys(folder, name) for name in KEYS} == expected


def test_the_job_into_jsonl(meltano: Meltano) -> None:
    small = {"TAP_BETTERDATA_API_URL": "sandbox:?items=20&locations=1"}
    meltano("run", "betterdata-to-jsonl", **DATES, **small)
    files = (meltano.folder / "output" / "jsonl").glob("inventory-*.jsonl")
    lines = [path.read_text(encoding="utf-8").splitlines() for path in files]
    assert [len(file) for file in lines] == [20]


def test_the_job_into_postgres(meltano: Meltano, new_database: NewDatabase) -> None:
    database = new_database()
    target = {
        "TARGET_POSTGRES_HOST": database.host,
        "TARGET_POSTGRES_PORT": str(database.port),
        "TARGET_POSTGRES_USER": database.user,
        "TARGET_POSTGRES_PASSWORD": database.password,
        "TARGET_POSTGRES_DATABASE": database.name,
    }
    small = {"TAP_BETTERDATA_API_URL": "sandbox:?items=20&locations=1"}
    output = meltano("run", "betterdata-to-postgres", **DATES, **small, **target)
    with database.connect() as connection:
        count = connection.execute("SELECT count(*) FROM tap_betterdata.inventory")
        assert count.fetchone() == (20,)
    assert database.password not in output
