"""The report: one file that needs nothing and says what is wrong, whatever that is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import dev
from tests.e2e.commands import clean_env
from tests.e2e.project import copy_project
from transform.tests.warehouse import AS_OF, MONTHS, Postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_betterdata.sandbox import Sandbox
    from transform.tests.warehouse import Warehouse

SECONDS = 240
MOST_BYTES = 300_000


@pytest.fixture(scope="module")
def html(built: Warehouse) -> str:
    return built.report()


def test_it_needs_nothing_from_anywhere(html: str) -> None:
    assert len(html.encode()) < MOST_BYTES
    for word in ("<script", "<link", "<img", "@import", "url(", " src=", "<iframe"):
        assert word not in html
    # Those name what an SVG is; nothing is fetched.
    addresses = {*re.findall(r"\w+://[^\s\"'<]+", html)}
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "color-scheme: light dark" in html
    assert 'name="viewport" content="width=device-width' in html
    assert "All tests have passed." in html
    assert f"Stock as of {AS_OF}" in html


def test_its_numbers_are_the_sandboxs(html: str, sandbox: Sandbox) -> None:
    items = [*sandbox.company.items()]
    value = sum(item["totalValue"] or 0 for item in items)
    assert f"<b>{value:,.0f}</b>value<" in html
    assert f"<b>{sum(item['quantityOnHand'] for item in items):,}</b>units<" in html
    assert html.count("<svg") == 6


def test_it_is_written_of_nothing(own: Warehouse) -> None:
    tables = ("inventory", "inventory_atp", "inventory_atp_channels")
    for name in (*tables, "inventory_analytics", "inventory_analytics_categories"):
        own.change("TRUNCATE " + name)
    _, statuses = own.build()
    assert statuses["load_is_recent"] == "fail"
    html = own.report()
    assert "Failed tests: load_is_recent." in html
    assert html.count("</figcaption>None.</figure>") == 11


def test_that_dbt_has_not_tested_is_said(own: Warehouse) -> None:
    with pytest.raises(AssertionError, match="BETTERDATA_AS_OF is no date"):
        own.build(BETTERDATA_AS_OF="17 June")
    own.env = {"BETTERDATA_AS_OF": ""}
    html = own.report()
    assert "dbt has not run" in html
    assert "Stock as of an unknown day" in html
    # `dbt compile` tells of each test that it has succeeded.
    nodes = {"x.y.m": {"name": "m", "resource_type": "model"}}
    nodes["x.y.t"] = {"name": "t", "resource_type": "test"}
    results = [{"unique_id": x, "status": "success", "failures": None} for x in nodes]
    run = {"metadata": {"generated_at": AS_OF}, "results": results}
    for name, content in (("manifest", {"nodes": nodes}), ("run_results", run)):
        path = own.folder / "dbt" / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    html = own.report()
    assert "Tests: none were run." in html
    assert "All tests have passed." not in html


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@host:port/db",
        "postgresql://u:s3cret@[host/db",
        "mysql://u:s3cret@host/db",
        "postgresql://u:s3cret@host",
        "postgresql://u:s3cret@host/db?sslmode=require",
        "host=h password=s3cret",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    script = dev.ROOT / "transform" / "api_to_report.py"
    done = subprocess.run(  # noqa: S603 - the words are the tests'
        [sys.executable, script, "--postgres", url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 2
    assert "it must be postgresql://user:password@host:port/database" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr


def test_a_database_that_is_not_there_is_one_line(
    new_warehouse: Callable[[], Warehouse],
) -> None:
    warehouse = new_warehouse()
    warehouse.env = {
        "TARGET_DUCKDB_FILEPATH": str(warehouse.folder / "none.duckdb"),
        "TARGET_POSTGRES_PORT": "9",
    }
    with pytest.raises(AssertionError) as caught:
        warehouse.report()
    assert "There is no report, since the database can't be read: " in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_from_the_api_to_the_report(
    new_warehouse: Callable[[], Warehouse], tmp_path: Path
) -> None:
    copy_project(tmp_path)
    shutil.copytree(dev.ROOT / "transform", tmp_path / "transform")
    # The plugins are shared; what Meltano writes while it runs them is not.
    (tmp_path / "meltano").mkdir()
    for kind in ("extractors", "loaders", "utilities"):
        (tmp_path / "meltano" / kind).symlink_to(dev.ROOT / ".meltano" / kind)
    warehouse = new_warehouse()
    words: list[str | Path] = [tmp_path / "transform" / "api_to_report.py"]
    if isinstance(warehouse, Postgres):
        words += ["--postgres", warehouse.url]
    env = {
        **dev.meltano_env(),
        "MELTANO_PROJECT_ROOT": str(tmp_path),
        "MELTANO_SYS_DIR_ROOT": str(tmp_path / "meltano"),
        "MELTANO_DATABASE_URI": f"sqlite:///{tmp_path / 'meltano.db'}",
        "MELTANO_HUB_URL": "http://127.0.0.1:9",  # nobody answers there
        "TAP_BETTERDATA_API_URL": f"sandbox:?today={AS_OF}",
        "TAP_BETTERDATA_START_DATE": MONTHS[0][0],
        "TAP_BETTERDATA_END_DATE": AS_OF,
    }
    # The second day is so late that all is stale; one database shows it.
    days = {AS_OF: 0}
    if isinstance(warehouse, Postgres):
        days["2999-01-01"] = 1
    for day, code in days.items():
        done = subprocess.run(  # noqa: S603 - the words are the tests'
            [sys.executable, *words],
            cwd=tmp_path,
            env=clean_env(**env, BETTERDATA_AS_OF=day),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=SECONDS,
        )
        assert bool(done.returncode) is bool(code), (
            done.stdout[-5000:] + done.stderr[-5000:]
        )
        report = tmp_path / "output" / "sandbox" / "report.html"
        html = report.read_text(encoding="utf-8")
        assert f"Stock as of {day}" in html
        assert ("All tests have passed." in html) is not bool(code)
        assert ("Failed tests: load_is_recent." in html) is bool(code)
