"""Signals: how far it came is said, and nobody who reads nothing is waited for."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.airbyte.running import Said, configured, output
from tests.running import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.airbyte.running import Source

SECONDS = 60
ITEMS = 4000


@pytest.fixture(scope="module")
def slow() -> Iterator[Sandbox]:
    """A sandbox that is not done at once."""
    with Sandbox(items=ITEMS, locations=1, latency_ms=6, rate_headers=False) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _forget_requests(slow: Sandbox) -> None:
    slow.requests.clear()


def wait_until_it_stands_still(sandbox: Sandbox) -> None:
    """Wait until no requests come any more, since a pipe is full."""
    before = -1
    while not before == len(sandbox.requests) > 0:
        before = len(sandbox.requests)
        time.sleep(1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_reads(
    source: Source, slow: Sandbox, number: signal.Signals
) -> None:
    config = config_for(slow, page_size=20)
    catalog = configured("inventory")
    with source.started(config=config, catalog=catalog) as process:
        lines = [output(process).readline() for _ in range(900)]
        process.send_signal(number)
        lines += output(process).readlines()
        code = process.wait(SECONDS)
    first = Said(code, b"".join(lines), source.stderr)
    line = f"Stopped by {number.name}: run again, it goes on from the state."
    assert (first.code, first.stderr) == (128 + number, "")
    assert first.statuses[-1] == ("inventory", "INCOMPLETE")
    assert first.errors == [("inventory", "transient_error", line)]
    assert first.messages[-1]["trace"]["type"] == "ERROR"
    second = source("read", config=config, catalog=catalog, state=first.state).check()
    ids = [{r["id"] for r in said.records("inventory")} for said in (first, second)]
    assert len(ids[0] | ids[1]) == ITEMS
    assert len(ids[1]) < ITEMS


def test_a_signal_while_it_waits_for_the_budget(source: Source, slow: Sandbox) -> None:
    # The next request may go in an hour.
    config = config_for(slow, requests_per_hour=1)
    catalog = configured("inventory")
    with source.started(config=config, catalog=catalog) as process:
        # What a thread has logged comes while nothing else does.
        lines: list[bytes] = []
        while b"Rate limit: " not in b"".join(lines[-1:]):
            lines.append(output(process).readline())
        process.send_signal(signal.SIGTERM)
        lines += output(process).readlines()
        code = process.wait(SECONDS)
    said = Said(code, b"".join(lines), source.stderr)
    assert (said.code, said.stderr) == (143, "")
    assert said.statuses[-1] == ("inventory", "INCOMPLETE")
    assert [kind for _, kind, _ in said.errors] == ["transient_error"]


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_while_nobody_reads(
    source: Source, slow: Sandbox, level: str, times: int
) -> None:
    # With DEBUG, all threads have something to say all the time.
    config = config_for(slow, page_size=1)
    catalog = configured("inventory")
    env = {"TAP_BETTERDATA_LOGLEVEL": level}
    with source.started(env=env, config=config, catalog=catalog) as process:
        wait_until_it_stands_still(slow)
        for _ in range(times):
            process.send_signal(signal.SIGTERM)
            # The same signal, or one of somebody who is tired of waiting.
            time.sleep(1.5)
        assert process.wait(SECONDS) == 143
    (line,) = source.stderr.splitlines()
    assert line.startswith("Stopped by SIGTERM, while the target takes nothing more")


def test_a_signal_before_there_is_a_stream(source: Source, slow: Sandbox) -> None:
    config = config_for(slow, requests_per_hour=1, rate_limit_max_wait=0)
    slow.faults.add("slow", seconds=30, times=None)
    try:
        with source.started("check", config=config) as process:
            while not slow.requests:
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            stdout, _ = process.communicate(timeout=SECONDS)
    finally:
        slow.faults.clear()
    said = Said(process.returncode, stdout, source.stderr)
    assert (said.code, said.stderr, said.statuses) == (143, "", [])
    assert [kind for _, kind, _ in said.errors] == ["transient_error"]
