"""What a run knows of the requests that another one with the same key has made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tap_betterdata.sandbox import Sandbox
from tests.running import config_for

if TYPE_CHECKING:
    from tests.running import Runner

ITEMS = 600
LOCATIONS = 4
HOUR = 40


@pytest.mark.parametrize("window", ["fixed", "sliding"])
@pytest.mark.parametrize(("used", "refused"), [(HOUR, 2), (HOUR - 10, 0)])
def test_a_run_learns_of_the_hour_that_another_has_used(
    used: int, refused: int, window: str, tap: Runner
) -> None:
    with Sandbox(
        items=ITEMS, locations=LOCATIONS, per_hour=HOUR, hour_s=2, window=window
    ) as sandbox:
        key = {"Authorization": f"Bearer {sandbox.api_key}"}
        with requests.Session() as another:
            for _ in range(used):
                another.get(f"{sandbox.url}/inventory", headers=key, timeout=30)
        config = config_for(sandbox, location_ids=sandbox.company.location_ids)
        outcome = tap(config).check()
        ids = {item["id"] for item in sandbox.company.items()}
        statuses = [request.status for request in sandbox.requests]
    assert {row["id"] for row in outcome.records("inventory")} == ids
    assert len(statuses) > HOUR
    assert statuses.count(429) <= refused
