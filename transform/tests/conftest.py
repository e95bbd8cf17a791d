"""What the tests share: a server, and a database in which all is loaded and built."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

import dev
from tap_betterdata.sandbox import Sandbox
from tests.e2e import postgres
from transform.tests.warehouse import AS_OF, DuckDb, Postgres, Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.e2e.postgres import Database

DATABASES = [
    name for name in ("duckdb", "postgres") if f"target-{name}" in dev.targets()
]


@pytest.fixture(scope="session")
def server() -> Iterator[Database]:
    with postgres.serve() as database:
        yield database


@pytest.fixture(scope="session")
def new_database(server: Database) -> Callable[[], Database]:
    numbers = itertools.count()
    return lambda: server.sibling(f"models_{next(numbers)}")


@pytest.fixture(scope="session", params=DATABASES)
def new_warehouse(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[], Warehouse]:
    """Makes new, empty databases of one kind, then of the other."""

    def make() -> Warehouse:
        folder = tmp_path_factory.mktemp(request.param)
        if request.param == "duckdb":
            return DuckDb(folder)
        return Postgres(folder, database=request.getfixturevalue("new_database")())

    return make


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox as it is, for tests that don't change it."""
    with Sandbox(today=AS_OF) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def built(new_warehouse: Callable[[], Warehouse], sandbox: Sandbox) -> Warehouse:
    """A database with the sandbox's rows, in which all is built; change nothing."""
    warehouse = new_warehouse()
    warehouse.load(sandbox)
    code, statuses = warehouse.build()
    assert code == 0, statuses
    return warehouse


@pytest.fixture
def own(built: Warehouse, tmp_path: Path) -> Warehouse:
    """A copy of the same, to be changed."""
    return built.copy(tmp_path)
