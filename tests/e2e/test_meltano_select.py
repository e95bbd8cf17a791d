"""What Meltano selects by itself, which is not all that there is, and what one adds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.e2e.truth import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Meltano

pytestmark = pytest.mark.meltano
DECLARED = {
    "name": "adjustments",
    "path": "/inventory/adjustments",
    "records_key": "entries",
    "key_fields": ["id"],
    "paging": "offset",
}


@pytest.fixture
def source() -> Iterator[Sandbox]:
    with Sandbox(items=60, locations=2) as sandbox:
        yield sandbox


def variables(source: Sandbox) -> dict[str, str]:
    return {
        "TAP_BETTERDATA_API_URL": source.url,
        "TAP_BETTERDATA_API_KEY": source.api_key,
        "TAP_BETTERDATA_START_DATE": "2026-01-01",
        "TAP_BETTERDATA_END_DATE": "2026-01-31",
        "TAP_BETTERDATA_EXTRA_STREAMS": json.dumps([DECLARED]),
    }


def selected(meltano: Meltano, source: Sandbox) -> set[str]:
    """Return the streams of which Meltano says that a field is selected."""
    output = meltano("select", "tap-betterdata", "--list", "--all", **variables(source))
    fields = [line.split("]") for line in output.splitlines() if line[:2] == "\t["]
    assert fields
    return {
        name.strip().partition(".")[0]
        for how, name in fields
        if "excluded" not in how and "unselected" not in how
    }


def run(meltano: Meltano, source: Sandbox) -> dict[str, int]:
    """Run the job; returns how many rows came of each stream."""
    meltano("run", "tap-betterdata", "target-jsonl", **variables(source))
    folder = meltano.folder / "output" / "sandbox" / "jsonl"
    return {
        path.stem.partition("-")[0]: len(path.read_text(encoding="utf-8").splitlines())
        for path in folder.glob("*.jsonl")
    }


def test_the_streams_of_the_stock_are_selected(
    meltano: Meltano, source: Sandbox
) -> None:
    assert selected(meltano, source) == KEYS.keys()
    rows = run(meltano, source)
    assert rows.keys() == KEYS.keys()
    assert {request.path for request in source.requests} == {
        "/inventory",
        "/inventory/analytics",
        "/inventory/channel-location",
    }


def test_others_are_added(meltano: Meltano, source: Sandbox) -> None:
    others = {"adjustments": 20, "alerts_config": 1, "transfer_recommendations": 15}
    for name in others:
        meltano("select", "tap-betterdata", name, "*", **variables(source))
    assert selected(meltano, source) == KEYS.keys() | others.keys()
    rows = run(meltano, source)
    assert rows.keys() == KEYS.keys() | others.keys()
    assert {name: rows[name] for name in others} == others
