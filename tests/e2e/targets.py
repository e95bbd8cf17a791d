"""The targets: how they are set up, where their rows are, what they make of values."""

from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from psycopg import sql
from psycopg.rows import dict_row

import dev
from tests.e2e.commands import run
from tests.e2e.truth import KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.postgres import Database
    from tests.e2e.truth import Row

SCHEMA = "stock"
# So that a table of any stream takes several batches.
BATCH = 7
DATES = {"expiryDate", "periodFrom", "periodTo"}
TIMES = {"lastCountedAt", "updatedAt"}
DUCKDB_ROWS = """
import json, sys
import duckdb

database = duckdb.connect(sys.argv[1], read_only=True)
table = database.sql(f"SELECT * FROM {sys.argv[2]}")
rows = [dict(zip(table.columns, row)) for row in table.fetchall()]
print(json.dumps(rows, default=str))
"""


def exact(value: Any) -> Any:
    """Make a text of every number, so that 10.50 and 10.5 differ."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, list):
        return [exact(each) for each in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(value)
    return value


def with_floats(value: Any) -> Any:
    """Make floats of the decimals in an array, as JSON of Python's does."""
    return json.loads(json.dumps(value, default=float))


def naive(value: str) -> dt.datetime:
    """Read a time as one without a zone, in UTC."""
    return dt.datetime.fromisoformat(value).astimezone(dt.UTC).replace(tzinfo=None)


class Target:
    """A target that one test writes into."""

    name: ClassVar[str]
    #: Whether a run may bring only what changed.
    takes_state: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        """Write below a folder."""
        self.folder = folder

    @property
    def config(self) -> dict[str, object]:
        """The target's settings."""
        raise NotImplementedError

    def rows(self, stream: str) -> list[Row]:
        """Read all rows of a stream as they are stored."""
        raise NotImplementedError

    def current(self, stream: str) -> list[Row]:
        """Read the rows that are valid after several runs."""
        return self.rows(stream)

    def stored(self, row: Row) -> Row:
        """Make of a row of the source what the target is known to store."""
        return {name: self.value(name, value) for name, value in row.items()}

    def value(self, name: str, value: Any) -> Any:
        """Make of a value, as the API sends it, what the target stores."""
        raise NotImplementedError


class Csv(Target):
    """Keeps all digits; null is an empty text, and times are written its own way."""

    name = "target-csv"
    takes_state = False

    @property
    def config(self) -> dict[str, object]:
        """One file for each stream."""
        return {"output_path": str(self.folder / "csv"), "batch_size_rows": BATCH}

    def rows(self, stream: str) -> list[Row]:
        """All its values are texts."""
        path = self.folder / "csv" / f"{stream}.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    def value(self, name: str, value: Any) -> str:
        """Arrays are written as Python shows them."""
        if value is None:
            return ""
        return str(dt.datetime.fromisoformat(value) if name in TIMES else value)


class Jsonl(Target):
    """Keeps everything; its files hold each row as often as it came."""

    name = "target-jsonl"

    @property
    def config(self) -> dict[str, object]:
        """One file for each stream, to which every run is appended."""
        folder = str(self.folder / "jsonl")
        return {"destination_path": folder, "do_timestamp_file": False}

    def rows(self, stream: str) -> list[Row]:
        """A line is a row."""
        text = (self.folder / "jsonl" / f"{stream}.jsonl").read_text(encoding="utf-8")
        return [json.loads(x, parse_float=Decimal) for x in text.split("\n") if x]

    def current(self, stream: str) -> list[Row]:
        """Of several lines with one key, the last is valid."""
        rows = self.rows(stream)
        names = KEYS[stream]
        return [*{tuple(row[name] for name in names): row for row in rows}.values()]

    def value(self, name: str, value: Any) -> Any:  # noqa: ARG002 - as the others'
        """Nothing changes."""
        return value


class DuckDb(Target):
    """Keeps doubles and texts; the columns' names are in small letters."""

    name = "target-duckdb"

    @property
    def config(self) -> dict[str, object]:
        """A database of its own."""
        return {
            "filepath": str(self.folder / "test.duckdb"),
            "default_target_schema": SCHEMA,
            "batch_size_rows": BATCH,
        }

    def rows(self, stream: str) -> list[Row]:
        """Only the target's own environment can read its file."""
        python = dev.loader(self.name).parent / "python"
        words = (self.folder / "test.duckdb", f"{SCHEMA}.{stream}")
        output = run(python, "-c", DUCKDB_ROWS, *words, cwd=self.folder).stdout
        return [
            {
                name: json.loads(value) if str(value).startswith("[") else value
                for name, value in row.items()
                if not name.startswith("_sdc_")
            }
            for row in json.loads(output)
        ]

    def stored(self, row: Row) -> Row:
        """The columns' names are in small letters."""
        return {name.lower(): value for name, value in super().stored(row).items()}

    def value(self, name: str, value: Any) -> Any:
        """Dates stay texts, times lose their zone, an empty text becomes null."""
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, list):
            return with_floats(value)
        if value and name in TIMES:
            return str(naive(value))
        return None if value == "" else value


class DuckDbWithMetadata(DuckDb):
    """The same, with columns of the target's own, which are null in most rows."""

    @property
    def config(self) -> dict[str, object]:
        """The columns are added by a setting."""
        return {**super().config, "add_metadata_columns": True}


class Postgres(Target):
    """Keeps the digits of numbers, but not of those within arrays."""

    name = "target-postgres"

    def __init__(self, folder: Path, database: Database) -> None:
        """Write into a database."""
        super().__init__(folder)
        self.database = database

    @property
    def config(self) -> dict[str, object]:
        """The whole address of the database."""
        return {**postgres_config(self.database), "batch_size_rows": BATCH}

    def rows(self, stream: str) -> list[Row]:
        """The target's own columns are left out."""
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(SCHEMA, stream))
        with self.database.connect() as connection:
            rows = connection.cursor(row_factory=dict_row).execute(query).fetchall()
        return [
            {name: value for name, value in row.items() if not name.startswith("_sdc_")}
            for row in rows
        ]

    def value(self, name: str, value: Any) -> Any:
        """Times lose their zone."""
        if isinstance(value, list):
            return with_floats(value)
        if value and name in DATES:
            return dt.date.fromisoformat(value)
        return naive(value) if value and name in TIMES else value


def postgres_config(database: Database) -> dict[str, object]:
    """Tell target-postgres where a database is."""
    return {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
        "default_target_schema": SCHEMA,
    }
