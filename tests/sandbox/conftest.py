"""Fixtures of the tests of the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .client import Run


@pytest.fixture
def run() -> Iterator[Run]:
    """Start sandboxes by their query, and stop them after the test."""
    clients: list[Client] = []

    def start(query: str = "") -> Client:
        clients.append(Client(query))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def client(run: Run) -> Client:
    """A sandbox with a few items, on a day of the year of the tests."""
    return run("items=130&locations=3&products=12&today=2025-12-15")
