"""Fixtures of the tests of the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.airbyte.running import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """The source as the installed command."""
    return Source(tmp_path)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with a few pages of each list."""
    with Sandbox(items=250, locations=2) as sandbox:
        yield sandbox
