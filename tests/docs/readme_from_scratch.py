"""The README's commands, one after the other, as a newcomer runs them.

They install from a package index, so that they are none of the tests: `dev.py readme`
runs this.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from psycopg import sql

import dev
from tap_betterdata.sandbox import Sandbox
from tests.docs.pages import README, blocks
from tests.e2e import postgres
from tests.e2e.commands import clean_env, run, shell
from tests.e2e.project import copy_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.postgres import Database

SECONDS = 900
KEY = "bdk_live_your_key"
BLOCKS = list(blocks(README))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=60, locations=2, api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres.serve() as server:
        yield server.sibling("readme")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What somebody has who has cloned the repository."""
    git = shutil.which("git")
    assert git, "a clean copy takes git"
    words = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in run(git, *words, cwd=dev.ROOT).stdout.split("\0"):
        if name and (dev.ROOT / name).is_file():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(dev.ROOT / name, tmp_path / "copy" / name)
    copy_project(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.timeout(SECONDS)
def test_the_readme_works_from_the_first_to_the_last_line(
    copy: Path, sandbox: Sandbox, database: Database, tmp_path: Path
) -> None:
    own = {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
    }
    python = tmp_path / "bin" / "python3"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    variables = {f"TARGET_POSTGRES_{name.upper()}": str(own[name]) for name in own}
    env = clean_env(
        **variables,
        MELTANO_HUB_URL="http://127.0.0.1:9",  # nobody answers there
        NO_COLOR="1",
        TAP_BETTERDATA_START_DATE="2026-01-01",
        TAP_BETTERDATA_END_DATE="2026-03-31",
    )
    env["PATH"] = f"{python.parent}:{env['PATH']}"
    for block in BLOCKS:
        if block.mark == "file":
            shown = json.loads(block.text)
            assert shown.keys() == {*own, "default_target_schema"}
            # The reader's database is another one.
            path = copy / block.detail
            path.write_text(json.dumps({**shown, **own}), encoding="utf-8")
    demo, *rest = [block.text for block in BLOCKS if block.mark == "run"]
    said = shell(demo, copy, env, SECONDS)
    assert f"{copy}/output/sandbox/csv" in said
    env["TAP_BETTERDATA_API_URL"] = sandbox.url
    loading = [text for text in rest if "postgres.json" in text]
    # What comes with a state can be run again and again.
    shell("\n".join([*rest, *loading]), copy, env, SECONDS)
    for name in ("inventory.csv", "output/prod/csv/inventory.csv"):
        with (copy / name).open(encoding="utf-8", newline="") as lines:
            assert len(list(csv.DictReader(lines))) == 60, name
    with database.connect() as connection:
        for schema in ("betterdata", "tap_betterdata"):
            table = sql.Identifier(schema, "inventory")
            query = sql.SQL("SELECT count(*) FROM {}").format(table)
            found = connection.execute(query)
            assert found.fetchone() == (60,)
    state = json.loads((copy / "state.json").read_text(encoding="utf-8"))
    assert "inventory" in state["bookmarks"]
