"""The README's commands work as they stand, one after the other, in a clean copy."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

import dev
from tap_betterdata.sandbox import Sandbox
from tests.docs.pages import README, blocks
from tests.e2e import postgres
from tests.e2e.commands import clean_env, run
from tests.e2e.project import copy_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.postgres import Database

SECONDS = 900
KEY = "bdk_live_your_key"
BLOCKS = list(blocks(README))
COMMAND = re.compile(r"`((?:python3|pip|meltano|tap-betterdata|target-\w+) [^`]+)`")


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


def shell(words: list[str], folder: Path, env: dict[str, str]) -> str:
    """Run all blocks in one shell, as a reader would."""
    done = subprocess.run(  # noqa: S603 - the words are the README's
        ["/bin/bash", "-euo", "pipefail", "-c", "\n".join(words)],
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=env,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


@pytest.mark.meltano
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
    said = shell([demo], copy, env)
    assert f"{copy}/output/sandbox/csv" in said
    env["TAP_BETTERDATA_API_URL"] = sandbox.url
    loading = [text for text in rest if "postgres.json" in text]
    # What comes with a state can be run again and again.
    shell([*rest, *loading], copy, env)
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


def test_each_block_says_whether_it_is_run() -> None:
    for block in BLOCKS:
        assert block.mark in {"run", "file", "not run"}, block
        assert block.mark == "run" or block.detail, f"{block} doesn't say why"


def test_no_command_stands_outside_of_the_blocks() -> None:
    text = README.read_text(encoding="utf-8")
    run_there = "\n".join(block.text for block in BLOCKS if block.mark == "run")
    named = {name for name in COMMAND.findall(text) if name not in run_there}
    # It is what the demo runs, and says.
    assert named == {"meltano run --full-refresh tap-betterdata target-csv"}
    assert f"`{named.pop()}`" in text


def test_about_shows_what_is_said_of_it(
    about: dict[str, Any], own_settings: dict[str, Any], tmp_path: Path
) -> None:
    (block,) = (block for block in BLOCKS if "--about" in block.text)
    markdown, as_json = block.text.splitlines()
    table = shell([markdown], tmp_path, with_tap())
    for name, schema in own_settings.items():
        (line,) = (x for x in table.splitlines() if x.startswith(f"| {name} |"))
        assert str(schema.get("default")) in line
        assert line.split(" | ")[-1].strip(" |")
    shown = json.loads(shell([as_json], tmp_path, with_tap()))
    assert shown == about
    limits = shown["settings"]["properties"]
    numbers = [name for name in own_settings if "integer" in limits[name]["type"]]
    assert numbers
    assert all("minimum" in limits[name] for name in numbers)


def with_tap() -> dict[str, str]:
    env = clean_env()
    return {**env, "PATH": f"{sys.prefix}/bin:{env['PATH']}"}
