"""Fixtures of the tests of the tap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import dev
from tap_betterdata.api import redaction
from tap_betterdata.streams.base import BetterDataStream
from tests.running import InstalledRunner, Runner

if TYPE_CHECKING:
    from pathlib import Path

# The same examples each time, so that a change is refused for what it did, and not for
# what nobody had come upon yet. `--hypothesis-profile=default` looks elsewhere.
# In a fresh clone the first text takes a second, since its table of characters is made.
settings.register_profile(
    "still", derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("still")


def pytest_report_header() -> list[str]:
    """Say which targets this Python can't run."""
    return dev.left_out()


@pytest.fixture(autouse=True)
def _forget_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test hides what another one shows."""
    monkeypatch.setattr(redaction, "SECRETS", set())


@pytest.fixture
def tap(tmp_path: Path) -> Runner:
    """The tap, within this process."""
    return Runner(tmp_path)


@pytest.fixture
def command(tmp_path: Path) -> InstalledRunner:
    """The tap as the installed command."""
    return InstalledRunner(tmp_path)


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries follow at once."""
    monkeypatch.setattr(BetterDataStream, "backoff_jitter", lambda *_: 0.0)
