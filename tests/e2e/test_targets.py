"""`tap-betterdata | target-…`: what the sandbox holds is what the target stores."""

from __future__ import annotations

import json
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import yaml

import dev
from tap_betterdata.sandbox import Sandbox
from tests.docs.pages import DOCS
from tests.e2e.commands import SECONDS, TAP, clean_env, pipe
from tests.e2e.targets import (
    SCHEMA,
    Csv,
    DuckDb,
    DuckDbWithMetadata,
    Jsonl,
    Postgres,
    Target,
    exact,
)
from tests.e2e.truth import KEYS, expected_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tap_betterdata.sandbox import Company
    from tests.e2e.conftest import NewDatabase
    from tests.e2e.truth import Row

ALL: list[type[Target]] = [Csv, DuckDb, DuckDbWithMetadata, Jsonl, Postgres]
HERE = [target for target in ALL if target.name in dev.targets()]
# The last one is cut by the end date.
PERIODS = [
    ("2026-01-01", "2026-01-31"),
    ("2026-02-01", "2026-02-28"),
    ("2026-03-01", "2026-03-15"),
]
ITEMS = 60
THEN = "2026-01-01T00:00:00Z"
AWKWARD = 'Ü "quoted", back\\slash\ttab\nline\r\nline; 日本 '


@pytest.fixture
def shop() -> Iterator[Sandbox]:
    """A sandbox of the test's own, with values that are easily spoilt."""
    with Sandbox(items=ITEMS, locations=2) as sandbox:
        change = sandbox.company.update
        change("item_0000001", unitCost=Decimal("10.50"), updatedAt=THEN)
        change("item_0000002", quantityOnHand=2**53 + 1, updatedAt=THEN)
        change("item_0000003", productName=AWKWARD, updatedAt=THEN)
        change("item_0000004", productName="", binName="NULL", updatedAt=THEN)
        cost = Decimal("0.12345678901234567890")
        change("item_0000005", unitCost=cost, updatedAt="2026-01-01T00:00:00.125Z")
        yield sandbox


@pytest.fixture(params=HERE, ids=lambda target: target.__name__)
def target(
    request: pytest.FixtureRequest, tmp_path: Path, new_database: NewDatabase
) -> Target:
    kind: type[Target] = request.param
    if issubclass(kind, Postgres):
        return kind(tmp_path, new_database())
    return kind(tmp_path)


def trade(company: Company) -> None:
    """Change what a second run has to find."""
    company.update("item_0000006", quantityOnHand=4711)
    company.update("item_0000007", unitCost=Decimal("0.10"), binId=None, binName=None)
    company.update("item_0000003", productName=f"{AWKWARD}!")
    company.insert()


def after_a_second_run(
    before: dict[str, list[Row]], after: dict[str, list[Row]]
) -> dict[str, list[Row]]:
    """Say what a target holds that was told only what changed.

    Of the periods that are over, only the last one is read again.
    """
    old, _, _ = PERIODS
    return {
        stream: [row for row in before[stream] if row.get("periodFrom") == old[0]]
        + [row for row in after[stream] if row.get("periodFrom") != old[0]]
        for stream in KEYS
    }


def load(folder: Path, source: Sandbox, target: Target, state: str = "") -> str:
    """Run `tap-betterdata | target`; returns the last state that it has stored."""
    paths = {name: folder / f"{name}.json" for name in ("tap", "target", "state")}
    settings: dict[str, object] = {
        "api_url": source.url,
        "api_key": source.api_key,
        "page_size": 10,
        "start_date": PERIODS[0][0],
        "end_date": PERIODS[-1][1],
    }
    paths["tap"].write_text(json.dumps(settings), encoding="utf-8")
    paths["target"].write_text(json.dumps(target.config), encoding="utf-8")
    paths["state"].write_text(state, encoding="utf-8")
    resume: list[str | Path] = ["--state", paths["state"]] if state else []
    states = pipe(
        [TAP, "--config", paths["tap"], *resume],
        [dev.loader(target.name), "--config", paths["target"]],
        folder,
    )
    return states.splitlines()[-1]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by all their values; one that came twice is there twice."""
    return sorted(map(exact, rows), key=lambda row: sorted(map(str, row.items())))


def check(
    target: Target, rows: dict[str, list[Row]], truth: dict[str, list[Row]]
) -> None:
    """Compare the keys and values of all tables with the source's."""
    for stream in KEYS:
        expected = [target.stored(row) for row in truth[stream]]
        assert in_order(rows[stream]) == in_order(expected), stream


@pytest.mark.usefixtures("plugins")
def test_tables_are_the_sources(target: Target, shop: Sandbox, tmp_path: Path) -> None:
    before = expected_rows(shop.company, PERIODS)
    state = load(tmp_path, shop, target)
    check(target, {stream: target.rows(stream) for stream in KEYS}, before)

    trade(shop.company)
    after = expected_rows(shop.company, PERIODS)
    if target.takes_state:
        load(tmp_path, shop, target, state)
        after = after_a_second_run(before, after)
    else:
        load(tmp_path, shop, target)
    check(target, {stream: target.current(stream) for stream in KEYS}, after)


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize("path", [None, "/inventory/channel-location"])
def test_what_is_refused_leaves_the_files_of_before(
    shop: Sandbox, tmp_path: Path, path: str | None
) -> None:
    target = Csv(tmp_path)
    load(tmp_path, shop, target)
    kept = KEYS if path is None else [name for name in KEYS if "_atp" in name]
    before = {stream: target.rows(stream) for stream in kept}
    assert all(before.values())

    # A fault of every request is what a revoked key meets.
    shop.faults.add(401 if path is None else 403, times=None, path=path)
    words: list[str | Path] = [TAP, "--config", tmp_path / "tap.json"]
    with (tmp_path / "messages").open("wb") as messages:
        tap = subprocess.run(  # noqa: S603 - the words are the tests'
            words, env=clean_env(), stdout=messages, check=False, timeout=SECONDS
        )
    assert tap.returncode == 1
    loader: list[str | Path] = [dev.loader(target.name), "--config", "target.json"]
    with (tmp_path / "messages").open("rb") as messages:
        subprocess.run(  # noqa: S603 - the words are the tests'
            loader, cwd=tmp_path, stdin=messages, check=True, timeout=SECONDS
        )
    assert {stream: target.rows(stream) for stream in kept} == before


def test_every_target_is_tested() -> None:
    project = yaml.safe_load((dev.ROOT / "meltano.yml").read_text(encoding="utf-8"))
    names = {loader["name"] for loader in project["plugins"]["loaders"]}
    names |= {page.stem for page in (DOCS / "howto").glob("target-*.md")}
    assert names == {target.name for target in ALL} == {*dev.TARGETS}


@pytest.mark.usefixtures("plugins")
def test_postgres_columns_can_hold_what_they_are_for(
    shop: Sandbox, new_database: NewDatabase, tmp_path: Path
) -> None:
    target = Postgres(tmp_path, new_database())
    load(tmp_path, shop, target)
    query = """
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = %s
    """
    with target.database.connect() as connection:
        columns = {*connection.execute(query, (SCHEMA,)).fetchall()}
    assert columns >= {
        ("inventory", "unitCost", "numeric"),
        ("inventory", "totalValue", "numeric"),
        ("inventory", "expiryDate", "date"),
        ("inventory", "updatedAt", "timestamp without time zone"),
        ("inventory_analytics", "totalValue", "numeric"),
        ("inventory_analytics", "turnoverRate", "numeric"),
        ("inventory_analytics_categories", "value", "numeric"),
        ("inventory_analytics_categories", "periodFrom", "date"),
    }
