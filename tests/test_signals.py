"""Signals: the last line says why, and nobody who reads nothing is waited for."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import TAP, clean_env
from tests.running import InstalledRunner, Outcome, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 60
INVENTORY = catalog_of("inventory")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=4_000, locations=1, latency_ms=6, rate_headers=False) as sandbox:
        yield sandbox


@contextmanager
def hangup(action: signal.Handlers) -> Iterator[None]:
    """Have the commands that are started inherit this for SIGHUP."""
    before = signal.signal(signal.SIGHUP, action)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def started(
    folder: Path,
    config: dict[str, Any],
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    **env: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the installed command on the inventory."""
    files = {"config": config, "catalog": INVENTORY}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    with subprocess.Popen(  # noqa: S603 - the words are the tests'
        [TAP, *(f"--{name}={name}" for name in files)],
        cwd=folder,
        env=clean_env(**env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def stopped(folder: Path, sandbox: Sandbox, *signals: signal.Signals) -> Outcome:
    """Run until some records are there, send signals, and read all there is."""
    with (
        (folder / "log").open("wb") as log,
        started(
            folder,
            config_for(sandbox, page_size=20),
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(500)]
        for number in signals:
            process.send_signal(number)
        lines += process.stdout.readlines()
        code = process.wait(SECONDS)
    stderr = (folder / "log").read_text(encoding="utf-8")
    return Outcome(code, b"".join(lines).decode(), stderr)


ALL = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", ALL)
@pytest.mark.parametrize("times", [1, 3])
def test_the_last_line_is_the_error(
    tmp_path: Path, sandbox: Sandbox, number: signal.Signals, times: int
) -> None:
    with hangup(signal.SIG_DFL):
        outcome = stopped(tmp_path, sandbox, *[number] * times)
    assert outcome.code == 128 + number
    assert outcome.failure == (
        f"Stopped by {number.name}: run again, it goes on from the state."
    )
    assert outcome.messages[-1]["type"] == "STATE"


def test_nohup_is_heeded(tmp_path: Path, sandbox: Sandbox) -> None:
    with hangup(signal.SIG_IGN):
        outcome = stopped(tmp_path, sandbox, signal.SIGHUP).check()
    assert len(outcome.records("inventory")) == 4_000


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
@pytest.mark.parametrize("stdout", [subprocess.DEVNULL, subprocess.PIPE])
def test_a_log_that_nobody_reads_is_not_waited_for(
    tmp_path: Path, sandbox: Sandbox, number: signal.Signals, stdout: int
) -> None:
    config = config_for(sandbox, page_size=1)
    with (
        hangup(signal.SIG_DFL),
        started(
            tmp_path,
            config,
            stdout=stdout,
            stderr=subprocess.PIPE,
            TAP_BETTERDATA_LOGLEVEL="DEBUG",
        ) as process,
    ):
        wait_until_it_stands_still(sandbox)
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number


def wait_until_it_stands_still(sandbox: Sandbox) -> None:
    """Wait until no requests come any more, since a pipe is full."""
    before = -1
    while not before == len(sandbox.requests) > 0:
        before = len(sandbox.requests)
        time.sleep(1)


@pytest.fixture(autouse=True)
def _forget_requests(sandbox: Sandbox) -> None:
    sandbox.requests.clear()


@pytest.mark.parametrize("words", ['--config="$1"', "--discover", "--about"])
def test_an_output_that_is_closed_is_one_line(
    command: InstalledRunner, sandbox: Sandbox, words: str
) -> None:
    path = command.folder / "config.json"
    path.write_text(json.dumps(config_for(sandbox)), encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - the words are the tests'
        ["/bin/sh", "-c", f'exec "$0" {words} >&-', TAP, path],
        cwd=command.folder,
        env=clean_env(),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    assert outcome.failure.startswith("Standard output is closed")
    assert outcome.code == 1
    assert not sandbox.requests
