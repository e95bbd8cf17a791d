"""The README: which of its commands are run, and what `--about` shows."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from tests.docs.pages import README, blocks
from tests.e2e.commands import clean_env, shell

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = list(blocks(README))
COMMAND = re.compile(r"`((?:python3|pip|meltano|tap-betterdata|target-\w+) [^`]+)`")


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
    table = shell(markdown, tmp_path, with_tap())
    for name, schema in own_settings.items():
        (line,) = (x for x in table.splitlines() if x.startswith(f"| {name} |"))
        assert str(schema.get("default")) in line
        assert line.split(" | ")[-1].strip(" |")
    shown = json.loads(shell(as_json, tmp_path, with_tap()))
    assert shown == about
    limits = shown["settings"]["properties"]
    numbers = [name for name in own_settings if "integer" in limits[name]["type"]]
    assert numbers
    assert all("minimum" in limits[name] for name in numbers)


def with_tap() -> dict[str, str]:
    env = clean_env()
    return {**env, "PATH": f"{sys.prefix}/bin:{env['PATH']}"}
