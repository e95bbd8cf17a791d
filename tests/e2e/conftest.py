"""What the end-to-end tests share: targets, a server, Meltano."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import dev
from tests.e2e import postgres
from tests.e2e.commands import clean_env, run
from tests.e2e.project import copy_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.postgres import Database

    NewDatabase = Callable[[], Database]


@pytest.fixture(scope="session")
def plugins() -> None:
    """The targets, installed by Meltano as in use.

    `dev.py test` has done this before; it is for those who call pytest themselves.
    """
    dev.ensure_plugins()


@pytest.fixture(scope="session")
def server() -> Iterator[Database]:
    with postgres.serve() as database:
        yield database


@pytest.fixture(scope="session")
def new_database(server: Database) -> NewDatabase:
    """Makes new, empty databases."""
    numbers = itertools.count()
    return lambda: server.sibling(f"e2e_{next(numbers)}")


@dataclass(frozen=True)
class Meltano:
    """A Meltano project with the plugins that dev.py has installed.

    It is a folder of its own, where neither a developer's `.env` nor the output of
    their runs lies.
    """

    folder: Path

    def __call__(self, *words: str, **env: str) -> str:
        """Run Meltano."""
        own = {
            **dev.meltano_env(),
            "MELTANO_PROJECT_ROOT": str(self.folder),
            "MELTANO_SYS_DIR_ROOT": str(self.folder / "meltano"),
            "MELTANO_DATABASE_URI": f"sqlite:///{self.folder / 'meltano.db'}",
            # Nobody answers there: a run that asks the hub fails.
            "MELTANO_HUB_URL": "http://127.0.0.1:9",
            "NO_COLOR": "1",
        }
        command = dev.MELTANO.executable("meltano")
        done = run(command, *words, cwd=self.folder, env=clean_env(**own, **env))
        return done.stdout + done.stderr


@pytest.fixture
def meltano(
    plugins: None,  # noqa: ARG001 - they need to be there
    tmp_path: Path,
) -> Meltano:
    copy_project(tmp_path)
    # The plugins are shared; what Meltano writes while it runs them is not.
    own_folder = tmp_path / "meltano"
    own_folder.mkdir()
    for kind in ("extractors", "loaders"):
        (own_folder / kind).symlink_to(dev.ROOT / ".meltano" / kind)
    return Meltano(tmp_path)
