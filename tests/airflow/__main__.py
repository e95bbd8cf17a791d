"""Run examples/airflow/ in a real Airflow, against the sandbox, into a real PostgreSQL.

    python -m tests.airflow AIRFLOW TARGET-POSTGRES

The two are the commands in their own environments; the tap is this environment's own.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

import dev
from tap_betterdata.sandbox import Sandbox
from tests.e2e import postgres
from tests.e2e.commands import TAP, clean_env
from tests.e2e.targets import postgres_config
from tests.e2e.truth import KEYS, expected_rows, keys_of
from tests.running import PERIODS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_betterdata.sandbox import Company
    from tests.e2e.postgres import Database

EXAMPLE = dev.ROOT / "examples" / "airflow"
SHARDS: dict[str, list[list[str]]] = json.loads((EXAMPLE / "shards.json").read_text())
PREFIX = "BETTERDATA_API_KEY_"
WRONG = f"{PREFIX}WRONG"
ITEMS = 2000
CHANGED = "item_0000100"
# A whole inventory takes more requests than this, what changed takes fewer.
PAGES = ITEMS // 100


@dataclass(frozen=True)
class Airflow:
    """An Airflow of its own, in a folder of its own."""

    command: Path
    folder: Path
    env: Mapping[str, str]

    def __call__(self, *words: str) -> int:
        """Run one of its commands, and return the exit code."""
        with self.log.open("ab") as log:
            return subprocess.run(  # noqa: S603 - the words are ours
                [self.command, *words],
                cwd=self.folder,
                env=self.env,
                check=False,
                stdout=log,
                stderr=subprocess.STDOUT,
            ).returncode

    @property
    def log(self) -> Path:
        """What its commands have said, and tap and target with them."""
        return self.folder / "log"

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Ask its database."""
        with closing(sqlite3.connect(self.folder / "airflow.db")) as database:
            return database.execute(query).fetchall()

    def run(self) -> dict[str, Counter[str]]:
        """Run the DAG; return how many tasks of each key ended in which state."""
        before = {run for (run,) in self.ask("SELECT run_id FROM dag_run")}
        code = self("dags", "test", "betterdata")
        ended: dict[str, Counter[str]] = {}
        rows = self.ask("SELECT run_id, task_id, state FROM task_instance")
        for run, key, state in rows:
            if run not in before:
                ended.setdefault(str(key), Counter())[str(state)] += 1
        say(f"exit code {code}: {ended}")
        return ended

    def states(self) -> dict[str, str]:
        """Return the states that are kept, by name."""
        return {str(k): str(v) for k, v in self.ask("SELECT key, val FROM variable")}


def say(line: str) -> None:
    """Print a line, in order with what the commands print."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def set_up(airflow: Airflow, target: Path) -> None:
    """Do what docs/howto/airflow.md says, with a key more that is wrong."""
    shards = {**SHARDS, WRONG: [["loc_001"]]}
    dags, programs = airflow.folder / "dags", airflow.folder / "bin"
    shutil.copytree(EXAMPLE, dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "shards.json").write_text(json.dumps(shards), encoding="utf-8")
    programs.mkdir()
    for program in (TAP, target):
        (programs / program.name).symlink_to(program)
    pools = {
        key: {"slots": 1, "description": "", "include_deferred": False}
        for key in shards
    }
    path = airflow.folder / "pools.json"
    path.write_text(json.dumps(pools), encoding="utf-8")
    assert airflow("db", "migrate") == 0
    assert airflow("pools", "import", str(path)) == 0


def check_rows(company: Company, database: Database) -> None:
    """Check that every row of every location is there, in the schema of its key."""
    truth = expected_rows(company, PERIODS)
    for key, shards in SHARDS.items():
        places = {place for shard in shards for place in shard}
        for stream, rows in truth.items():
            expected = [row for row in rows if row["locationId"] in places]
            found = read(database, key, stream, *KEYS[stream])
            assert expected, stream
            assert sorted(found) == keys_of(stream, expected), (key, stream)


def schema_of(key: str) -> str:
    return f"betterdata_{key.removeprefix(PREFIX).lower()}"


def read(
    database: Database, key: str, stream: str, *columns: str
) -> list[tuple[str, ...]]:
    """Read some columns of a table as texts."""
    query = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(
            sql.SQL("{}::text").format(sql.Identifier(c)) for c in columns
        ),
        sql.Identifier(schema_of(key), stream),
    )
    with database.connect() as connection:
        return connection.execute(query).fetchall()


def check(airflow: Airflow, sandbox: Sandbox, database: Database) -> None:
    """Run the DAG twice."""
    good = {key: Counter(success=len(shards)) for key, shards in SHARDS.items()}
    ended = {**good, WRONG: Counter(failed=1)}
    names = {f"{schema_of(key)}_": tasks.total() for key, tasks in ended.items()}

    assert airflow.run() == ended, "a wrong key fails alone"
    check_rows(sandbox.company, database)
    states = airflow.states()
    kept = Counter(name[: name.rindex("_") + 1] for name in states)
    assert kept == names, "each shard's state is kept, also where its run failed"
    pools = airflow.ask(
        "SELECT DISTINCT t.task_id, t.pool, t.pool_slots, p.slots FROM task_instance t"
        " JOIN slot_pool p ON p.pool = t.pool"
    )
    assert sorted(pools) == sorted((key, key, 1, 1) for key in ended)
    whole = inventory_requests(sandbox)
    assert whole >= PAGES

    sandbox.company.update(CHANGED, quantityOnHand=4711)
    assert airflow.run() == ended
    assert inventory_requests(sandbox) - whole < PAGES, "it reads what changed"
    check_rows(sandbox.company, database)
    found = {
        row
        for key in SHARDS
        for row in read(database, key, "inventory", "id", "quantityOnHand")
    }
    assert (CHANGED, "4711") in found
    assert airflow.states().keys() == states.keys(), "a shard's state keeps its name"
    assert 429 not in {request.status for request in sandbox.requests}


def inventory_requests(sandbox: Sandbox) -> int:
    return sum(r.path == "/inventory" and r.status == 200 for r in sandbox.requests)


def main(command: str, target: str) -> None:
    """Run it, and say how long it took."""
    started = time.monotonic()
    keys = {
        key: f"bdk_live_{key.removeprefix(PREFIX)}_0000" for key in (*SHARDS, WRONG)
    }
    accepted = ",".join(keys[key] for key in SHARDS)
    limits = {"per_minute": 100, "per_hour": 1000}
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.serve() as database,
        Sandbox(items=ITEMS, api_key=accepted, **limits) as sandbox,
    ):
        env = {
            "PATH": f"{folder}/bin{os.pathsep}{os.environ['PATH']}",
            # Airflow starts several times: its modules are compiled once, as in use.
            "PYTHONDONTWRITEBYTECODE": "",
            "AIRFLOW_HOME": folder,
            "AIRFLOW__CORE__DAGS_FOLDER": f"{folder}/dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
            "TAP_BETTERDATA_API_URL": sandbox.url,
            "TAP_BETTERDATA_START_DATE": PERIODS[0][0],
            "TAP_BETTERDATA_END_DATE": PERIODS[-1][1],
            **{f"AIRFLOW_VAR_{name}": key for name, key in keys.items()},
            **{
                f"TARGET_POSTGRES_{name.upper()}": str(value)
                for name, value in postgres_config(database).items()
            },
        }
        airflow = Airflow(Path(command), Path(folder), clean_env(**env))
        try:
            set_up(airflow, Path(target))
            check(airflow, sandbox, database)
        finally:
            log = airflow.log.read_text(encoding="utf-8", errors="replace")
            if sys.exc_info()[0]:
                say(log)
        assert not any(key in log for key in keys.values()), "no key is in the log"
    say(
        "examples/airflow/: 2 keys x 2 shards, twice, and a wrong key that failed "
        f"alone; {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
