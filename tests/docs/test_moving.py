"""The environment `snapshot` writes the file of the vendor's script."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pytest

import dev
from tests.e2e.commands import run

if TYPE_CHECKING:
    from pathlib import Path

    from tap_betterdata.sandbox import Sandbox

# In this order, by the vendor's export guide.
COLUMNS = [
    "productMasterId",
    "productName",
    "globalSku",
    "locationId",
    "locationName",
    "quantityOnHand",
    "quantityReserved",
    "quantityAvailable",
    "lotId",
    "lotNumber",
    "expiryDate",
    "binId",
    "binName",
    "unitCost",
    "totalValue",
    "lastCountedAt",
    "updatedAt",
]


def as_row(item: dict[str, Any]) -> list[str]:
    """Write an item as a CSV writer does: nothing for what is null."""
    values = (item[name] for name in COLUMNS)
    return ["" if value is None else str(value) for value in values]


@pytest.mark.meltano
def test_the_snapshot_is_the_scripts_file(
    env: dict[str, str], folder: Path, sandbox: Sandbox
) -> None:
    job = ("--environment=snapshot", "run", "betterdata-to-csv")
    # The second run is whole too, and writes a file of its own.
    for count in (1, 2):
        run(dev.MELTANO.executable("meltano"), *job, cwd=folder, env=env)
        files = sorted((folder / "output" / "snapshot").iterdir())
        assert len(files) == count
        assert files[-1].stem[:19] == "inventory_snapshot_"
        with files[-1].open(encoding="utf-8", newline="") as lines:
            header, *rows = csv.reader(lines)
        assert header == COLUMNS
        assert sorted(rows) == sorted(map(as_row, sandbox.company.items()))
