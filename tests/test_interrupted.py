"""Runs that are cut short: what a target keeps is enough to go on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tap_betterdata.tap import TapBetterData
from tests.e2e.commands import TAP, clean_env
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOMENTS = int(os.environ.get("KILL_MOMENTS", "20"))
ITEMS, PAGES, PAGE_SIZE = 6_000, 300, 20
INVENTORY = catalog_of("inventory")
SECONDS = 60


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    # So slow that a few requests are under way when a run is cut short.
    with Sandbox(items=ITEMS, locations=3, latency_ms=1, rate_headers=False) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _forget_requests(sandbox: Sandbox) -> None:
    sandbox.requests.clear()


@contextmanager
def started(
    folder: Path, config: dict[str, Any], **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the installed command on the inventory; its log goes to a file."""
    files = {"config": config, "catalog": INVENTORY}
    words = []
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        words += [f"--{name}", f"{name}.json"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(  # noqa: S603 - the words are the tests'
            [TAP, *words],
            cwd=folder,
            env=clean_env(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def take(process: subprocess.Popen[bytes], lines: int) -> list[bytes]:
    """Read so many lines of its output."""
    return [pipe(process).readline() for _ in range(lines)]


def pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


def kept(lines: list[bytes], code: int, log: Path) -> Outcome:
    """Return what a target has of an output; half a line is none."""
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    return Outcome(code, b"".join(lines).decode(), log.read_text(encoding="utf-8"))


def stop(process: subprocess.Popen[bytes], number: int, after: int) -> list[bytes]:
    """Send a signal after so many lines, and return all that came."""
    lines = take(process, after)
    process.send_signal(number)
    lines += pipe(process).readlines()
    process.wait(SECONDS)
    return lines


def ids(outcome: Outcome) -> set[str]:
    return {row["id"] for row in outcome.records("inventory")}


def state_of(outcome: Outcome) -> dict[str, Any] | None:
    states = outcome.of("STATE")
    return states[-1]["value"] if states else None


MOMENTS_DRAWN = random.Random(4711).sample(range(2, ITEMS), MOMENTS)  # noqa: S311 - no secret


@pytest.mark.parametrize("moment", MOMENTS_DRAWN)
def test_a_first_run_that_is_killed_goes_on(
    tap: Runner, sandbox: Sandbox, moment: int
) -> None:
    # With pages in flight and without, in turn.
    config = config_for(sandbox, page_size=PAGE_SIZE, concurrency=1 + moment % 2 * 7)
    with started(tap.folder, config) as process:
        lines = stop(process, signal.SIGKILL, after=moment)
    first = kept(lines, process.returncode, tap.folder / "log")
    assert first.code == -signal.SIGKILL
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(first) | ids(second)) == ITEMS
    assert len(sandbox.requests) <= 1.1 * PAGES
    again = tap(config, catalog=INVENTORY, state=state_of(second)).check()
    assert not ids(again)


def test_a_first_run_goes_on_through_changes(tap: Runner) -> None:
    with Sandbox(items=6000, locations=1) as sandbox:
        config = config_for(sandbox, page_size=20)
        whole = tap(config, catalog=INVENTORY).check()
        lines = whole.stdout.splitlines(keepends=True)
        first = Outcome(0, "".join(lines[:4500]), "")
        items = sorted(sandbox.company.items(), key=lambda item: item["updatedAt"])
        for item in items[::40]:
            sandbox.company.update(item["id"], quantityOnHand=4711)
        for item in items[1::40]:
            sandbox.company.delete(item["id"])
        sandbox.requests.clear()
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
        rows = {
            row["id"]: row
            for outcome in (first, second)
            for row in outcome.records("inventory")
        }
        assert all(rows[item["id"]] == item for item in sandbox.company.items())
        assert any("going on" in line for line in second.lines("INFO"))
        # A quarter was left, ten pages before that had no state, and 8 changed. The
        # newest page is asked for twice, and the other end of it is looked at.
        assert len(sandbox.requests) <= 75 + 10 + 8 + 4


def test_an_item_that_is_dated_ahead_hides_nothing(tap: Runner) -> None:
    with Sandbox(items=2400, locations=1) as sandbox:
        sandbox.company.update("item_0000007", updatedAt="2999-01-01T00:00:00Z")
        config = config_for(sandbox, page_size=20)
        whole = tap(config, catalog=INVENTORY).check()
        lines = whole.stdout.splitlines(keepends=True)
        first = Outcome(0, "".join(lines[:1500]), "")
        changed = {row["id"] for row in first.records("inventory")[100:200]}
        for item_id in sorted(changed):
            sandbox.company.update(item_id, quantityOnHand=4711)
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
        assert changed <= ids(second)
        assert len(ids(first) | ids(second)) == 2400


def test_a_run_for_what_changed_goes_on_as_such(tap: Runner) -> None:
    with Sandbox(items=6000, locations=1, today="2026-01-01") as sandbox:
        config = config_for(sandbox, page_size=20)
        state = state_of(tap(config, catalog=INVENTORY).check())
        changed = [item["id"] for item in sandbox.company.items()][:1500]
        for number, item_id in enumerate(changed):
            stamp = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number)
            sandbox.company.update(item_id, updatedAt=stamp.isoformat())
        whole = tap(config, catalog=INVENTORY, state=state).check()
        lines = whole.stdout.splitlines(keepends=True)
        first = Outcome(0, "".join(lines[:1200]), "")
        sandbox.requests.clear()
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
        assert set(changed) <= ids(first) | ids(second)
        assert len(sandbox.requests) < 50


@pytest.mark.parametrize("sort", ["ignore", "reject"])
def test_a_list_without_an_order_starts_over(tap: Runner, sort: str) -> None:
    with Sandbox(items=3000, locations=1, sort=sort) as sandbox:
        config = config_for(sandbox, page_size=20)
        whole = tap(config, catalog=INVENTORY).check()
        lines = whole.stdout.splitlines(keepends=True)
        first = Outcome(0, "".join(lines[:2500]), "")
        second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
        assert len(ids(second)) == 3000
        for outcome in (whole, second):
            (warning,) = outcome.lines("WARNING")
            assert "starts over" in warning


def test_locations_that_are_done_are_not_read_again(
    tap: Runner, sandbox: Sandbox
) -> None:
    places = sandbox.company.location_ids
    config = config_for(sandbox, page_size=PAGE_SIZE, location_ids=places)
    with started(tap.folder, config) as process:
        lines = stop(process, signal.SIGKILL, after=5_500)
    first = kept(lines, process.returncode, tap.folder / "log")
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(first) | ids(second)) == ITEMS
    assert len(sandbox.requests) <= 1.1 * PAGES
    rows = second.records("inventory")
    done = [row for row in rows if row["locationId"] in {"loc_001", "loc_002"}]
    assert len(done) < 10


FLIGHTS = pytest.mark.parametrize(
    ("concurrency", "latency"), [(1, 0), (1, 25), (8, 0), (8, 25)]
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_what_a_signal_leaves(
    tap: Runner, sandbox: Sandbox, number: signal.Signals, concurrency: int
) -> None:
    config = config_for(sandbox, page_size=PAGE_SIZE, concurrency=concurrency)
    with started(tap.folder, config) as process:
        lines = stop(process, number, after=2_000)
    first = kept(lines, process.returncode, tap.folder / "log")
    assert first.code == 128 + number
    (line,) = first.lines("ERROR")
    assert number.name in line
    assert "Traceback" not in first.stderr
    assert len(first.messages) == len(lines)
    state = state_of(first)
    assert state is not None
    written = len(ids(first))
    covered = ITEMS - state["bookmarks"]["inventory"]["checkpoint"]["left"]
    # State comes every ten pages, and covers the page before the one just written.
    assert written - 12 * PAGE_SIZE <= covered <= written < ITEMS
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(first) | ids(second)) == ITEMS
    assert len(sandbox.requests) <= 1.1 * PAGES


# What would keep the tap for longer than the test waits for it.
HELD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the tap's own budget": ({}, {"requests_per_hour": 2}),
    "the server's": ({"kind": 429, "retry_after": "600"}, {}),
    "a pause before a retry": ({"kind": 503, "times": None}, {"max_retries": 99}),
    "a slow answer": ({"kind": "slow", "seconds": 600}, {"request_timeout": 600}),
    "a drip": ({"kind": "drip", "seconds": 5}, {"request_timeout": 600}),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("held", HELD)
@FLIGHTS
def test_a_signal_ends_each_wait(
    tap: Runner, held: str, number: signal.Signals, concurrency: int, latency: int
) -> None:
    fault, settings = HELD[held]
    with Sandbox(items=600, locations=1, latency_ms=latency) as sandbox:
        if fault:
            sandbox.faults.add(nth=3, **fault)
        config = config_for(sandbox, concurrency=concurrency, **settings)
        with started(tap.folder, config) as process:
            # The first page is through, and what comes then is held up.
            lines = take(process, 50)
            time.sleep(0.3)
            process.send_signal(number)
            lines += pipe(process).readlines()
            code = process.wait(10)
    outcome = kept(lines, code, tap.folder / "log")
    assert code == 128 + number
    (line,) = outcome.lines("ERROR")
    assert number.name in line
    assert "Traceback" not in outcome.stderr
    assert outcome.messages[-1]["type"] == "STATE"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_signal_cuts_no_line_in_half(
    tap: Runner, sandbox: Sandbox, unbuffered: str
) -> None:
    config = config_for(sandbox, page_size=100)
    with started(tap.folder, config, PYTHONUNBUFFERED=unbuffered) as process:
        lines = take(process, 10)
        # Until the pipe is full, and a write has to wait for its second half.
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        lines += pipe(process).readlines()
        code = process.wait(SECONDS)
    outcome = kept(lines, code, tap.folder / "log")
    assert code == 128 + signal.SIGTERM
    assert len(outcome.messages) == len(lines)
    assert len(ids(outcome)) % 100 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_write_that_the_target_does_not_take(
    tap: Runner, sandbox: Sandbox, number: signal.Signals
) -> None:
    config = config_for(sandbox, page_size=PAGE_SIZE)
    with started(tap.folder, config) as process:
        lines = take(process, 10)
        # Until the pipe is full, and the tap waits for it.
        time.sleep(0.5)
        process.send_signal(number)
        code = process.wait(SECONDS)
        lines += pipe(process).readlines()
    assert code == 128 + number
    first = kept(lines, code, tap.folder / "log")
    (line,) = first.lines("ERROR")
    assert "takes nothing more" in line
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(first) | ids(second)) == ITEMS


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_all_is_there_writes_no_state(
    tap: Runner, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupted(*_: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(TapBetterData, "load_state", interrupted)
    outcome = tap(config_for_nobody(), state={"bookmarks": {}})
    assert outcome.code == 128 + number
    assert not outcome.stdout


def config_for_nobody() -> dict[str, Any]:
    return {"api_url": "http://127.0.0.1:9/api", "api_key": "key"}


def test_a_dead_target_is_no_error_of_the_taps(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, page_size=PAGE_SIZE)
    with started(tap.folder, config) as process:
        lines = take(process, 2_000)
        pipe(process).close()
        code = process.wait(SECONDS)
    first = kept(lines, code, tap.folder / "log")
    assert code not in {0, None}
    assert not first.lines("ERROR")
    assert "Traceback" not in first.stderr
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(first) | ids(second)) == ITEMS
    assert len(sandbox.requests) <= 1.1 * PAGES


def test_a_failure_halfway_costs_little(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, page_size=PAGE_SIZE, max_retries=0)
    sandbox.faults.add(500, nth=201, path="/inventory")
    first = tap(config, catalog=INVENTORY)
    assert "500" in first.failure
    second = tap(config, catalog=INVENTORY, state=state_of(first)).check()
    assert len(ids(first) | ids(second)) == ITEMS
    assert len(sandbox.requests) <= 1.1 * PAGES


def test_no_run_goes_on_in_an_order_that_turned_out_to_be_none(tap: Runner) -> None:
    with Sandbox(items=600, locations=1) as sandbox:
        config = config_for(sandbox, page_size=20, concurrency=1, max_retries=0)
        # The newest rows, two pages of the oldest, and then none of them in order.
        sandbox.faults.add(400, nth=4, path="/inventory")
        sandbox.faults.add(500, nth=5, path="/inventory")
        first = tap(config, catalog=INVENTORY)
        assert "500" in first.failure
        assert any("refuses to sort" in line for line in first.lines("WARNING"))
        state = state_of(first)
        assert state is not None
        assert "checkpoint" not in state["bookmarks"]["inventory"]
        assert len(ids(tap(config, catalog=INVENTORY, state=state).check())) == 600
