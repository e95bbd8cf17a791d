"""What the tests of the docs share: everything that their readers have."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import dev
from tap_betterdata.sandbox import Sandbox
from tests.docs.pages import DOCS
from tests.e2e import postgres
from tests.e2e.commands import TAP, clean_env, run
from tests.e2e.project import copy_project, read_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.postgres import Database


@pytest.fixture(scope="session")
def about(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("about")
    output = run(TAP, "--about", "--format=json", cwd=folder).stdout
    content: dict[str, Any] = json.loads(output)
    return content


@pytest.fixture(scope="session")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("catalog")
    streams = json.loads(run(TAP, "--discover", cwd=folder).stdout)["streams"]
    return {entry["tap_stream_id"]: entry for entry in streams}


@pytest.fixture(scope="session")
def project() -> dict[str, Any]:
    return read_project()


@pytest.fixture(scope="session")
def own_settings(about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tap's settings, without those that every tap of the SDK has."""
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    _, common = page.split("## What every tap of the Singer SDK has")
    return {
        name: schema
        for name, schema in about["settings"]["properties"].items()
        if f"| `{name}` |" not in common
    }


@pytest.fixture(scope="module")
def plugins() -> None:
    dev.ensure_plugins()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=60, locations=2) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with postgres.serve() as server:
        yield server.sibling("docs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a Meltano project, with nothing in it but its file."""
    path = tmp_path / "project"
    path.mkdir()
    copy_project(path)
    return path


@pytest.fixture
def env(
    plugins: None,  # noqa: ARG001 - they need to be there
    sandbox: Sandbox,
    database: Database,
    folder: Path,
    tmp_path: Path,
) -> dict[str, str]:
    """The environment of somebody who has installed everything and set the key."""
    commands = tmp_path / "commands"
    commands.mkdir()
    paths = {name: dev.loader(name) for name in dev.targets()}
    paths |= {
        "meltano": dev.MELTANO.executable("meltano"),
        "tap-betterdata": TAP,
        "python3": TAP.parent / "python",
    }
    for name, path in paths.items():
        wrapper = commands / name
        wrapper.write_text(f'#!/bin/sh\nexec "{path}" "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
    # The plugins are shared; what Meltano writes while it runs them is not.
    own_folder = tmp_path / "meltano"
    own_folder.mkdir()
    for kind in ("extractors", "loaders"):
        (own_folder / kind).symlink_to(dev.ROOT / ".meltano" / kind)
    own = dev.meltano_env()
    return clean_env(
        **{
            **own,
            "PATH": os.pathsep.join((str(commands), own["PATH"])),
            "NO_COLOR": "1",
            "MELTANO_PROJECT_ROOT": str(folder),
            "MELTANO_SYS_DIR_ROOT": str(own_folder),
            "MELTANO_DATABASE_URI": f"sqlite:///{folder / 'meltano.db'}",
            "MELTANO_HUB_URL": "http://127.0.0.1:9",  # nobody answers there
            "TAP_BETTERDATA_API_URL": sandbox.url,
            "TAP_BETTERDATA_API_KEY": sandbox.api_key,
            "TAP_BETTERDATA_START_DATE": "2026-01-01",
            "TAP_BETTERDATA_END_DATE": "2026-03-31",
            "TARGET_POSTGRES_HOST": database.host,
            "TARGET_POSTGRES_PORT": str(database.port),
            "TARGET_POSTGRES_USER": database.user,
            "TARGET_POSTGRES_PASSWORD": database.password,
            "TARGET_POSTGRES_DATABASE": database.name,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "betterdata",
        }
    )
