"""State as Meltano keeps it, between real runs of the main job."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Meltano

pytestmark = pytest.mark.meltano
JOB = ("run", "tap-betterdata", "target-jsonl", "--state-id-suffix=here")
STATE_ID = "sandbox:tap-betterdata-to-target-jsonl:here"
ITEMS = 250


@pytest.fixture
def source() -> Iterator[Sandbox]:
    with Sandbox(items=ITEMS, locations=2) as sandbox:
        yield sandbox


class Project:
    """The project, pointed at a sandbox."""

    def __init__(self, meltano: Meltano, source: Sandbox) -> None:
        self.meltano = meltano
        self.source = source
        self.env = {
            "TAP_BETTERDATA_API_URL": source.url,
            "TAP_BETTERDATA_API_KEY": source.api_key,
            "TAP_BETTERDATA_START_DATE": "2026-01-01",
            "TAP_BETTERDATA_END_DATE": "2026-03-15",
        }

    def run(self, *words: str) -> dict[str, list[dict[str, Any]]]:
        """Run the job; returns what came, stream by stream."""
        self.source.requests.clear()
        folder = self.meltano.folder / "output" / "sandbox" / "jsonl"
        for path in folder.glob("*.jsonl"):
            path.unlink()
        self.meltano(*JOB, *words, **self.env)
        return {
            path.stem.partition("-")[0]: [json.loads(line) for line in path.open()]
            for path in folder.glob("*.jsonl")
        }

    def run_shard(self, location: str) -> list[dict[str, Any]]:
        """Read one location, with a state of its own; returns its inventory."""
        folder = self.meltano.folder / location
        folder.mkdir()
        job = ("el", "tap-betterdata", "target-jsonl", f"--state-id=sandbox-{location}")
        own = {
            "TAP_BETTERDATA_LOCATION_IDS": json.dumps([location]),
            "TARGET_JSONL_DESTINATION_PATH": str(folder),
        }
        self.meltano(*job, **self.env, **own)
        (path,) = folder.glob("inventory-*.jsonl")
        return [json.loads(line) for line in path.open()]

    def state(self, state_id: str = STATE_ID) -> dict[str, Any]:
        output = self.meltano("state", "get", state_id)
        (line,) = (row for row in output.splitlines() if row.startswith("{"))
        state: dict[str, Any] = json.loads(line)["singer_state"]["bookmarks"]
        return state


def test_runs_one_after_the_other(meltano: Meltano, source: Sandbox) -> None:
    project = Project(meltano, source)
    first = project.run()
    assert len(first["inventory"]) == ITEMS
    assert len(first["inventory_analytics"]) == 3 * 2
    state = project.state()
    assert state["inventory"]["replication_key"] == "updatedAt"
    bookmarks = [
        place["replication_key_value"]
        for place in state["inventory_analytics"]["partitions"]
    ]
    assert bookmarks == ["2026-02-01", "2026-02-01"]

    source.company.update("item_0000100", quantityOnHand=4711)
    second = project.run()
    changed = {row["id"]: row for row in second["inventory"]}
    assert changed["item_0000100"]["quantityOnHand"] == 4711
    assert len(changed) < 5
    periods = {row["periodFrom"] for row in second["inventory_analytics"]}
    assert periods == {"2026-02-01", "2026-03-01"}
    places = {row["locationId"] for row in second["inventory_atp"]}
    assert places == set(source.company.location_ids)
    later = project.state()["inventory"]["replication_key_value"]
    assert later > state["inventory"]["replication_key_value"]

    everything = project.run("--full-refresh")
    assert len(everything["inventory"]) == ITEMS
    assert len(everything["inventory_analytics"]) == 3 * 2
    assert len(project.run()["inventory"]) < 5


def test_shards_at_the_same_time(meltano: Meltano, source: Sandbox) -> None:
    project = Project(meltano, source)
    locations = source.company.location_ids
    # As the page says: the first command of a project makes Meltano's database.
    meltano("state", "list")
    with ThreadPoolExecutor(len(locations)) as pool:
        shards = list(pool.map(project.run_shard, locations))
    for location, rows in zip(locations, shards, strict=True):
        expected = {item["id"] for item in source.company.items(location)}
        assert {row["id"] for row in rows} == expected
        partitions = project.state(f"sandbox-{location}")["inventory"]["partitions"]
        assert [part["context"] for part in partitions] == [{"locationId": location}]
