"""The examples in the docs work, as they stand."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

import dev
from tests.docs.pages import PAGES, Block, blocks
from tests.e2e import commands

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.postgres import Database

SECONDS = 240
MARKS = {"run", "file", "add", "query", "ask", "not run"}
LEFT_OUT = {*dev.TARGETS} - {*dev.targets()}
RUNNABLE = [
    page
    for page in PAGES
    if page.stem not in LEFT_OUT and any(b.mark == "run" for b in blocks(page))
]
# What the examples leave behind, page by page, and how many rows at least.
LEFT = {
    "capabilities": {"log.jsonl": 5},
    "cron": {"csv/inventory.csv": 60, "state.json": 1},
    "index": {"messages.jsonl": 100},
    "meltano": {"output/sandbox/csv/inventory.csv": 60},
    "moving": {
        "output/snapshot/inventory_snapshot_*.csv": 60,
        "output/sandbox/jsonl/inventory-*.jsonl": 60,
        "inventory_snapshot_*.json": 60,
        "output/sandbox/csv/inventory_atp_channels.csv": 60,
        "messages.jsonl": 3,
    },
    "pipes": {"inventory.csv": 60, "two-streams.jsonl": 60, "state.json": 1},
    "target-csv": {"csv/inventory.csv": 60, "output/sandbox/csv/inventory.csv": 60},
    "target-duckdb": {"betterdata.duckdb": 1, "output/sandbox/betterdata.duckdb": 1},
    "target-postgres": {"state.json": 1},
}


def run(block: Block, folder: Path, env: dict[str, str]) -> None:
    """Run a block as a reader would; it must succeed."""
    if block.language == "sh":
        commands.shell(block.text, folder, env, SECONDS)
    else:
        words = (sys.executable, "-c", block.text)
        commands.run(*words, cwd=folder, env=env, seconds=SECONDS)


def add(block: Block, folder: Path) -> None:
    """Add a block's entries to the lists of a YAML file."""
    path = folder / block.detail
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, entries in yaml.safe_load(block.text).items():
        content[name] += entries
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def query(block: Block, folder: Path, database: Database) -> None:
    """Ask a block of the database or of a DuckDB file; it must give rows."""
    if block.detail == "postgres":
        with database.connect() as connection:
            assert connection.execute(block.text.encode()).fetchall(), block
        return
    code = (
        "import sys, duckdb\n"
        "database = duckdb.connect(sys.argv[1])\n"
        "assert database.sql(sys.argv[2]).fetchall()\n"
    )
    python = dev.loader("target-duckdb").parent / "python"
    words = (str(python), "-c", code, str(folder / block.detail), block.text)
    done = subprocess.run(  # noqa: S603 - the blocks are the docs'
        words, capture_output=True, check=False, encoding="utf-8", timeout=SECONDS
    )
    assert done.returncode == 0, f"{block}\n{done.stderr[-3000:]}"


@pytest.mark.meltano
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_examples(
    page: Path, env: dict[str, str], folder: Path, database: Database
) -> None:
    for block in blocks(page):
        if block.mark == "file":
            (folder / block.detail).write_text(block.text, encoding="utf-8")
        elif block.mark == "add":
            add(block, folder)
        elif block.mark == "run":
            run(block, folder, env)
        elif block.mark == "query":
            query(block, folder, database)
    for pattern, least in LEFT.get(page.stem, {}).items():
        (path,) = folder.glob(pattern)
        lines = path.read_bytes().count(b"\n") + 1
        assert path.stat().st_size > 0, pattern
        assert lines >= least, pattern


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_whether_it_is_run(page: Path) -> None:
    for block in blocks(page):
        assert block.mark in MARKS or not block.mark, block
        if block.language in {"sh", "python", "sql"}:
            assert block.mark, f"{block} doesn't say whether it is run"
        if block.mark not in {"", "run"}:
            assert block.detail, f"{block} doesn't say which or why"


def test_every_block_is_found() -> None:
    for page in PAGES:
        fences = page.read_text(encoding="utf-8").count("\n```")
        assert fences == 2 * sum(1 for _ in blocks(page)), page
