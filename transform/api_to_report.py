"""Loads the sandbox's rows with Meltano, has dbt build and test, and writes the report.

python3 dev.py report                   into a DuckDB file
python3 dev.py report --postgres URL    into the PostgreSQL at postgresql://…

The report is written too where a test has failed; the exit code says it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "output" / "sandbox"
# PostgreSQL keeps what is there; so that it drops what is gone, all must be read.
WHOLE = {
    "TAP_BETTERDATA_EMIT_ACTIVATE_VERSION_MESSAGES": "true",
    "TAP_BETTERDATA__METADATA": json.dumps(
        {"inventory": {"replication-method": "FULL_TABLE"}}
    ),
    "TARGET_POSTGRES_HARD_DELETE": "true",
}


def postgres_variables(url: str) -> dict[str, str]:
    """Take a database's address apart, into the variables of target-postgres.

    Args:
        url: Such as `postgresql://user:password@host:5432/database`.

    Returns:
        The variables.

    Raises:
        argparse.ArgumentTypeError: It is none; not with its words, which may hold a
            password.
    """
    try:
        parts = urlsplit(url)
        values = {
            "HOST": parts.hostname or "localhost",
            "PORT": str(parts.port or 5432),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "DATABASE": unquote(parts.path.strip("/")),
        }
        known = parts.scheme in {"postgres", "postgresql"} and not parts.query
    except ValueError:
        known = False
    if not known or not values["DATABASE"]:
        message = "it must be postgresql://user:password@host:port/database, no more"
        raise argparse.ArgumentTypeError(message)
    return {f"TARGET_POSTGRES_{name}": value for name, value in values.items()}


def meltano(*words: str, env: dict[str, str]) -> int:
    """Run Meltano in the sandbox's environment; return its exit code."""
    command = ["meltano", "--environment=sandbox", *words]
    sys.stdout.write(f"Running `{' '.join(command)}`\n")
    sys.stdout.flush()
    return subprocess.run(  # noqa: S603 - the words are this file's
        command, cwd=ROOT, env={**os.environ, **env}, check=False
    ).returncode


def main() -> int:
    """Run it all.

    Returns:
        The exit code: 0 if all tests have passed.
    """
    parser = argparse.ArgumentParser(
        prog="dev.py report", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("--postgres", metavar="URL", type=postgres_variables)
    postgres = parser.parse_args().postgres
    name = "postgres" if postgres else "duckdb"
    # What was found at another time is not to be told as today's.
    shutil.rmtree(OUTPUT / "dbt", ignore_errors=True)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "report.html").unlink(missing_ok=True)
    env = {**WHOLE, **(postgres or {})}
    if not postgres:
        # target-duckdb keeps what is gone, so it gets a new file.
        env["TARGET_DUCKDB_FILEPATH"] = str(OUTPUT / "betterdata.duckdb")
        (OUTPUT / "betterdata.duckdb").unlink(missing_ok=True)
    job = ("--full-refresh", "tap-betterdata", f"target-{name}", f"dbt-{name}:build")
    built = meltano("run", *job, env=env)
    return meltano("invoke", f"dbt-{name}:report", env=env) or built


if __name__ == "__main__":
    sys.exit(main())
