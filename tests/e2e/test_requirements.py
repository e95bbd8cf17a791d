"""The requirements files: up to date, and fit to be checked in."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

import dev

if TYPE_CHECKING:
    from pathlib import Path

PINS = re.compile(r"^([a-z0-9.-]+)==", re.MULTILINE)


def pinned(name: str) -> set[str]:
    return set(PINS.findall(dev.lock_path(name).read_text(encoding="utf-8")))


def is_wanted(target: str, python: str) -> bool:
    """Tell whether a target's requirements name it for this version of Python."""
    text = dev.lock_path(target).read_text(encoding="utf-8")
    (line,) = re.findall(rf"^(?:meltanolabs-)?{target}==[^\\\n]+", text, re.MULTILINE)
    marker = Requirement(line).marker
    return marker is None or marker.evaluate({"python_full_version": python})


def test_they_match_pyproject() -> None:
    dev.check_lock([])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"requests>=2.32,<3"', '"requests>=2.31,<3"'),
        ('sandbox = ["werkzeug>=3.1,<4"]', 'sandbox = ["werkzeug>=3.0,<4"]'),
        ('"pytest>=8.3"', '"pytest>=8.2"'),
        ('requires-python = ">=3.11"', 'requires-python = ">=3.12"'),
    ],
)
def test_a_change_without_a_new_lock_is_noticed(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (dev.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert old in content
    (tmp_path / "pyproject.toml").write_text(content.replace(old, new, 1), "utf-8")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    with pytest.raises(dev.CommandError, match=r"dev\.py lock"):
        dev.check_lock([])


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (r"==(\d+)\.", r"==\g<1>1."),
        ("sha256:[0-9a-f]{64}", "sha256:" + "0" * 64),
        (r" \\\n    --hash=\S+(?=\n\w)", ""),
        (r"\Z", "surplus==1.0\n"),
        (r"[\s\S]*", ""),
    ],
)
@pytest.mark.parametrize("name", ["base", "target-csv"])
def test_another_pin_or_hash_is_noticed(
    name: str, pattern: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(dev.REQUIREMENTS, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(dev, "REQUIREMENTS", tmp_path)
    header, pins = dev.lock_path(name).read_text(encoding="utf-8").split("\n", 1)
    changed = re.sub(pattern, new, pins, count=1)
    assert changed != pins
    dev.lock_path(name).write_text(f"{header}\n{changed}", encoding="utf-8")
    with pytest.raises(dev.CommandError, match=rf"lock`: requirements/{name}\.txt "):
        dev.check_lock([])


@pytest.mark.parametrize("name", dev.LOCKS)
def test_they_name_no_address(name: str) -> None:
    assert "://" not in dev.lock_path(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", dev.LOCKS)
def test_no_environment_has_two_distributions_of_one_module(name: str) -> None:
    # Both own the module `backoff`; whichever is installed last wins.
    assert not {"backoff", "python-backoff"} <= pinned(name)


def test_dbt_needs_nothing_that_is_built_from_downloads() -> None:
    assert "dbt-core" in pinned("dbt")
    assert "dbt-core-experimental-parser" not in pinned("dbt")


@pytest.mark.parametrize("minor", range(11, 15))
def test_a_target_is_left_out_where_its_requirements_are(minor: int) -> None:
    there = [name for name in dev.TARGETS if is_wanted(name, f"3.{minor}.0")]
    assert dev.targets((3, minor)) == there
    assert ("target-duckdb" in there) is (minor < 14)


def test_airflow_is_left_out_where_it_has_no_wheels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(dev.WITHOUT_WHEELS, "airflow", (3, 11))
    monkeypatch.setattr(dev, "ensure", pytest.fail)
    dev.airflow([])
    assert capsys.readouterr().out.startswith("airflow is left out: ")


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "targets", lambda: ["target-csv", "target-jsonl"])
    assert [line.split()[0] for line in dev.left_out()] == [
        "target-duckdb",
        "target-postgres",
    ]
