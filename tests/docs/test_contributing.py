"""CONTRIBUTING.md shows how to add a stream: what it shows works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dev
from tap_betterdata.sandbox import Sandbox
from tap_betterdata.tap import TapBetterData
from tests.docs.pages import blocks
from tests.running import Runner, config_for

if TYPE_CHECKING:
    import pytest

    from tap_betterdata.streams.base import BetterDataStream

PAGE = dev.ROOT / "CONTRIBUTING.md"


def test_the_stream_that_is_shown_reads_the_sandboxs_list(
    tap: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = (block.text for block in blocks(PAGE) if block.language == "python")
    module: dict[str, Any] = {"__name__": "tap_betterdata.streams.alerts"}
    exec(code, module)  # noqa: S102 - it is the page's
    shown = module["AlertHistoryStream"]

    def discover_streams(tap: TapBetterData) -> list[BetterDataStream]:
        return [shown(tap, tap.run)]

    monkeypatch.setattr(TapBetterData, "discover_streams", discover_streams)
    with Sandbox(items=520, locations=3) as sandbox:
        config = config_for(sandbox, emit_activate_version_messages=True)
        outcome = tap(config).check()
        expected = sorted(row["id"] for row in sandbox.company.plain_list("alerts"))
        requests = len(sandbox.requests)
    assert sorted(row["id"] for row in outcome.records("alert_history")) == expected
    assert requests == 3
    state = outcome.of("STATE")[-1]["value"]["bookmarks"]["alert_history"]
    assert state["replication_key"] == "createdAt"
