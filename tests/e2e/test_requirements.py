"""The requirements files: up to date, and fit to be checked in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import dev

if TYPE_CHECKING:
    from pathlib import Path

PINS = re.compile(r"^([a-z0-9.-]+)==", re.MULTILINE)


def pinned(name: str) -> set[str]:
    return set(PINS.findall(dev.lock_path(name).read_text(encoding="utf-8")))


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


@pytest.mark.parametrize("name", dev.LOCKS)
def test_they_name_no_address(name: str) -> None:
    assert "://" not in dev.lock_path(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", dev.LOCKS)
def test_no_environment_has_two_distributions_of_one_module(name: str) -> None:
    # Both own the module `backoff`; whichever is installed last wins.
    assert not {"backoff", "python-backoff"} <= pinned(name)
