"""What the end-to-end tests share: a sandbox, targets, a server, Meltano."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

import dev
from tap_betterdata.sandbox import Sandbox
from tests.e2e import postgres
from tests.e2e.commands import TAP, clean_env, pipe, run
from tests.e2e.truth import expected_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.postgres import Database
    from tests.e2e.truth import Key

    NewDatabase = Callable[[], Database]

# The second one is cut by the end date.
PERIODS = [("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-15")]
# Its unit cost tells whether decimals keep their digits.
MARKED_ITEM = "item_0000001"
THEN = "2026-01-01T00:00:00Z"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=300, locations=3) as sandbox:
        sandbox.company.update(MARKED_ITEM, unitCost=Decimal("10.50"), updatedAt=THEN)
        yield sandbox


@pytest.fixture(scope="session")
def expected(sandbox: Sandbox) -> dict[str, list[Key]]:
    """The keys that a run against the sandbox must bring, stream by stream."""
    return expected_keys(sandbox.company, PERIODS)


@pytest.fixture(scope="session")
def plugins() -> None:
    """The targets, installed by Meltano as in use.

    `dev.py test` has done this before; it is for those who call pytest themselves.
    """
    dev.ensure_plugins()


@dataclass(frozen=True)
class Pipe:
    """The tap, its config, and a folder to run it in."""

    folder: Path
    config: dict[str, object]

    def into(self, target: str, **config: object) -> str:
        """Run `tap-betterdata | target`.

        Args:
            target: The target's name.
            **config: The target's config.

        Returns:
            The states that the target has stored.
        """
        tap_config = self.folder / "tap.json"
        target_config = self.folder / f"{target}.json"
        tap_config.write_text(json.dumps(self.config), encoding="utf-8")
        target_config.write_text(json.dumps(config), encoding="utf-8")
        return pipe(
            [TAP, "--config", tap_config],
            [dev.loader(target), "--config", target_config],
            self.folder,
        )


@pytest.fixture(scope="session")
def tap(
    sandbox: Sandbox,
    plugins: None,  # noqa: ARG001 - they need to be there
    tmp_path_factory: pytest.TempPathFactory,
) -> Pipe:
    config: dict[str, object] = {
        "api_url": sandbox.url,
        "api_key": sandbox.api_key,
        "start_date": PERIODS[0][0],
        "end_date": PERIODS[-1][1],
    }
    return Pipe(tmp_path_factory.mktemp("pipe"), config)


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
        """Run Meltano.

        Args:
            *words: Its arguments.
            **env: Environment variables to add.

        Returns:
            Its output and its log.
        """
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
    shutil.copy(dev.ROOT / "meltano.yml", tmp_path)
    # The plugins are shared; what Meltano writes while it runs them is not.
    own_folder = tmp_path / "meltano"
    own_folder.mkdir()
    for kind in ("extractors", "loaders"):
        (own_folder / kind).symlink_to(dev.ROOT / ".meltano" / kind)
    return Meltano(tmp_path)
