"""The CSV ways of the README and of the page cron: each run leaves every row."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS, README, blocks
from tests.e2e.commands import shell
from tests.e2e.truth import expected_keys, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    from tap_betterdata.sandbox import Sandbox

CRON = DOCS / "howto" / "cron.md"
CSV = re.compile(r"target-csv|betterdata-to-csv|/csv\.sh")
# The months of the environment that the examples run in.
PERIODS = [
    ("2026-01-01", "2026-01-31"),
    ("2026-02-01", "2026-02-28"),
    ("2026-03-01", "2026-03-31"),
]


def ways() -> list[str]:
    """Find the commands that write CSV files, with those that they build upon."""
    found = []
    for block in blocks(README):
        lines = re.findall(r"^(?:tap-betterdata|meltano) .*", block.text, re.MULTILINE)
        if block.language == "sh" and CSV.search("".join(lines)):
            found.append("\n".join(lines))
    for block in blocks(CRON):
        found += [
            command
            for command in re.findall(r"^(?:\S+ ){5} *(.*)", block.text, re.MULTILINE)
            if block.language == "text" and CSV.search(command)
        ]
    return found


def keys_in(folder: Path) -> dict[str, list[tuple[str, ...]]]:
    """Read the keys of all CSV files below a folder."""
    found = {}
    for path in folder.rglob("*.csv"):
        with path.open(encoding="utf-8", newline="") as lines:
            found[path.stem] = keys_of(path.stem, csv.DictReader(lines))
    return found


@pytest.mark.meltano
@pytest.mark.parametrize("way", ways())
def test_a_second_run_leaves_every_row(
    way: str, env: dict[str, str], folder: Path, sandbox: Sandbox
) -> None:
    for block in blocks(CRON):
        if block.mark == "file":
            (folder / block.detail).write_text(block.text, encoding="utf-8")
    expected = expected_keys(sandbox.company, PERIODS)
    for _ in range(2):
        shell(way.replace("/srv/betterdata", str(folder)), folder, env)
        assert keys_in(folder) == expected


def test_every_way_is_found() -> None:
    text = "\n".join(ways())
    assert re.findall(CSV, text) == [
        "target-csv",
        "betterdata-to-csv",
        "target-csv",
        "betterdata-to-csv",
        "/csv.sh",
    ]
