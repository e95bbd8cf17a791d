"""The Meltano project that tests run: a copy, without what its user has chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

import dev
from tests.e2e.truth import KEYS

if TYPE_CHECKING:
    from pathlib import Path

# Its selection is what it is for.
OWN_SELECTION = "snapshot"


def read_project() -> dict[str, Any]:
    """Read meltano.yml as it is."""
    text = (dev.ROOT / "meltano.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def copy_project(folder: Path) -> None:
    """Copy meltano.yml, but not what `meltano select` and `schedule` put into it."""
    project = read_project()
    project.pop("schedules", None)
    tap = project["plugins"]["extractors"][0]
    tap["select"] = [f"{stream}.*" for stream in KEYS]
    for environment in project["environments"]:
        if environment["name"] != OWN_SELECTION:
            for plugin in environment["config"]["plugins"]["extractors"]:
                plugin.pop("select", None)
    text = yaml.safe_dump(project, sort_keys=False)
    (folder / "meltano.yml").write_text(text, encoding="utf-8")
