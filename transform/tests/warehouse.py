"""A database that the tap loads, dbt builds in and the report reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import dev
from tests.e2e.commands import SECONDS, TAP, clean_env, pipe, run

if TYPE_CHECKING:
    from pathlib import Path

    from tap_betterdata.sandbox import Sandbox
    from tests.e2e.postgres import Database

Row = dict[str, Any]

SCHEMA = "betterdata"
# Statements name no schema.
SCHEMAS = (SCHEMA, f"{SCHEMA}_staging", f"{SCHEMA}_marts")
# All is judged by that day, in the middle of a month.
AS_OF = "2025-06-17"
MONTHS = [
    ("2025-02-01", "2025-02-28"),
    ("2025-03-01", "2025-03-31"),
    ("2025-04-01", "2025-04-30"),
    ("2025-05-01", "2025-05-31"),
    ("2025-06-01", AS_OF),
]
ASK = """
import json, sys
import duckdb

with duckdb.connect(sys.argv[1]) as database:
    for statement in sys.argv[2:]:
        answer = database.execute(statement)
    names = [column[0] for column in answer.description]
    rows = [dict(zip(names, row)) for row in answer.fetchall()]
print(json.dumps(rows, default=str))
"""
# In dbt's environment: whoever looks for another host by Python leaves a line.
WATCH = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        with open(os.environ["NETWORK_LOG"], "a") as log:
            log.write(f"{event} {arguments}\\n")
        raise OSError("there is no network")

sys.addaudithook(watch)
"""


@dataclass
class Warehouse:
    """What all databases share."""

    folder: Path
    state: str = ""
    env: dict[str, str] = field(default_factory=dict)
    target: ClassVar[str]

    @property
    def config(self) -> Row:
        """The target's settings, but the schema."""
        raise NotImplementedError

    @property
    def variables(self) -> dict[str, str]:
        """Where dbt and the report find the database."""
        raise NotImplementedError

    def ask(self, *statements: str) -> list[Row]:
        """Run statements; return the rows of the last, with texts and numbers."""
        raise NotImplementedError

    def change(self, *statements: str) -> None:
        """Run statements."""
        self.ask(*statements, "SELECT 1")

    def copy(self, folder: Path) -> Warehouse:
        """Make another database of the same rows."""
        raise NotImplementedError

    def load(self, sandbox: Sandbox, *, whole: bool = False, **more: Any) -> None:
        """Run `tap | target`; `whole` reads the inventory in FULL_TABLE mode."""
        settings = {
            "api_url": sandbox.url,
            "api_key": sandbox.api_key,
            "start_date": MONTHS[0][0],
            "end_date": AS_OF,
            **more,
        }
        tap: list[str | Path] = [TAP, "--config", self._write("tap.json", settings)]
        if whole:
            catalog = json.loads(run(TAP, "--discover", cwd=self.folder).stdout)
            for stream in catalog["streams"]:
                if stream["stream"] == "inventory":
                    stream["replication_method"] = "FULL_TABLE"
            tap += ["--catalog", self._write("catalog.json", catalog)]
        elif self.state:
            tap += ["--state", self._write("state.json", json.loads(self.state))]
        config = {**self.config, "default_target_schema": SCHEMA}
        target = dev.loader(f"target-{self.target}")
        states = pipe(
            tap, [target, "--config", self._write("to.json", config)], self.folder
        )
        *_, self.state = states.splitlines()

    def build(self, **env: str) -> tuple[int, dict[str, str]]:
        """Run `dbt build`; return its exit code and each node's status by its name."""
        self.env = env
        (self.folder / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
        # What dbt has parsed stays, which saves it time.
        (self.folder / "dbt" / "run_results.json").unlink(missing_ok=True)
        done = self._dbt("dbt", "build")
        log = self.folder / "network.log"
        assert not log.exists(), log.read_text(encoding="utf-8")
        path = self.folder / "dbt" / "run_results.json"
        assert path.is_file(), done.stdout[-5000:] + done.stderr[-5000:]
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        return done.returncode, {
            result["unique_id"].split(".")[2]: result["status"] for result in results
        }

    def report(self) -> str:
        """Write the report, and read it, without its cells' classes."""
        done = self._dbt("python", str(dev.ROOT / "transform" / "report.py"))
        assert done.returncode == 0, done.stderr[-5000:]
        html = (self.folder / "report.html").read_text(encoding="utf-8")
        return re.sub('<td class="."', "<td", html)

    def mart(self, name: str) -> list[Row]:
        """Read a mart."""
        return self.ask(f"TABLE {name}")

    def _write(self, name: str, content: object) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def _dbt(self, name: str, *words: str) -> subprocess.CompletedProcess[str]:
        project = str(dev.ROOT / "transform")
        env = {
            "BETTERDATA_AS_OF": AS_OF,
            "BETTERDATA_SCHEMA": SCHEMA,
            "DBT_PROJECT_DIR": project,
            "DBT_PROFILES_DIR": project,
            "DBT_TARGET_PATH": str(self.folder / "dbt"),
            "DBT_LOG_PATH": str(self.folder / "dbt"),
            "DBT_TARGET": self.target,
            "NETWORK_LOG": str(self.folder / "network.log"),
            "PYTHONPATH": str(self.folder),
            **self.variables,
            **self.env,
        }
        return subprocess.run(  # noqa: S603 - the words are the tests'
            [dev.DBT.executable(name), *words],
            cwd=self.folder,
            env=clean_env(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=SECONDS,
        )


class DuckDb(Warehouse):
    """A file."""

    target = "duckdb"

    @property
    def path(self) -> Path:
        """The file, which must not have the schema's name."""
        return self.folder / "rows.duckdb"

    @property
    def config(self) -> Row:
        """As in meltano.yml."""
        return {"filepath": str(self.path), "add_metadata_columns": True}

    @property
    def variables(self) -> dict[str, str]:
        """The file's path."""
        return {"DBT_DUCKDB_FILEPATH": str(self.path)}

    def ask(self, *statements: str) -> list[Row]:
        """Only dbt's environment and the target's can read the file."""
        python = dev.DBT.executable("python")
        path = f"SET search_path = '{','.join(SCHEMAS)}'"
        words: tuple[str | Path, ...] = ("-c", ASK, self.path, path, *statements)
        rows: list[Row] = json.loads(run(python, *words, cwd=self.folder).stdout)
        return rows

    def copy(self, folder: Path) -> Warehouse:
        """Copy the file."""
        other = DuckDb(folder, self.state)
        shutil.copy(self.path, other.path)
        return other


@dataclass(kw_only=True)
class Postgres(Warehouse):
    """A database on the tests' server."""

    target = "postgres"
    database: Database

    @property
    def config(self) -> Row:
        """What is gone is marked, not dropped: the models must leave it out."""
        return {
            "host": self.database.host,
            "port": self.database.port,
            "user": self.database.user,
            "password": self.database.password,
            "database": self.database.name,
        }

    @property
    def url(self) -> str:
        """The database's address."""
        to = self.database
        return f"postgresql://{to.user}:{to.password}@{to.host}:{to.port}/{to.name}"

    @property
    def variables(self) -> dict[str, str]:
        """The same as the target's."""
        names = ("host", "port", "user", "password", "database")
        return {f"TARGET_POSTGRES_{x.upper()}": str(self.config[x]) for x in names}

    def ask(self, *statements: str) -> list[Row]:
        """Return numbers and times as DuckDB's JSON does: as texts."""
        with self.database.connect() as connection:
            for statement in (f"SET search_path = {','.join(SCHEMAS)}", *statements):
                answer = connection.execute(statement.encode())
            names = [column.name for column in answer.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in answer]
        plain: list[Row] = json.loads(json.dumps(rows, default=str))
        return plain

    def copy(self, folder: Path) -> Warehouse:
        """Have the server copy the database."""
        name = f"copy_{folder.name.replace('-', '_')}".lower()
        with self.database.connect() as connection:
            statement = f'CREATE DATABASE "{name}" TEMPLATE "{self.database.name}"'
            connection.execute(statement.encode())
        other = self.database
        database = type(other)(other.host, other.port, other.user, other.password, name)
        return Postgres(folder, self.state, database=database)
