"""A sandbox for another process: what it is told to, and what it holds, as JSON.

It runs where the tap is installed, for those who run where it isn't. On its first line
it says how it is reached; then each number on a line changes so many items, and it is
answered on a line what all records are then.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_betterdata.sandbox import Sandbox
from tests.e2e.truth import expected_rows, keys_of
from tests.running import PERIODS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.running import Row


def say(value: object) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def sums_of(rows: Iterable[Row]) -> dict[str, str]:
    """Add up each field that holds numbers, with every digit."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
                sums[name] = sums.get(name, Decimal(0)) + value
    return {name: str(total) for name, total in sums.items()}


def main() -> None:
    """Serve until there is nothing more to do."""
    with Sandbox(items=1230, locations=3) as sandbox:
        say({"api_url": sandbox.url, "api_key": sandbox.api_key})
        company = sandbox.company
        for number, line in enumerate(sys.stdin):
            for item in list(company.items())[number::60][: int(line)]:
                company.update(item["id"], unitCost=Decimal("4711.1234"))
            truth: dict[str, Any] = {
                stream: {"keys": keys_of(stream, rows), "sums": sums_of(rows)}
                for stream, rows in expected_rows(company, PERIODS).items()
            }
            say(truth)


if __name__ == "__main__":
    main()
