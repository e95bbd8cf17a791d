"""Running the tap: in this process for speed, as the installed command for truth."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from singer_sdk.logging import ConsoleFormatter

from tap_betterdata.api.decoding import decode
from tap_betterdata.tap import TapBetterData
from tests.e2e.commands import TAP, clean_env

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tap_betterdata.sandbox import Sandbox

Config = dict[str, Any]
Row = dict[str, Any]

SECONDS = 60
_LINE = re.compile(r"[\d\-:, ]{23} \| (\w+) +\| ([\w.\-]+) +\| (.*)")


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: The exit code.
        stdout: The messages.
        stderr: The log.
    """

    code: int
    stdout: str
    stderr: str

    @cached_property
    def messages(self) -> list[dict[str, Any]]:
        """The messages in order, fractions as decimals."""
        return [decode(line.encode()) for line in self.stdout.split("\n") if line]

    def of(self, kind: str, stream: str | None = None) -> list[dict[str, Any]]:
        """The messages of a kind, of one stream or all."""
        return [
            message
            for message in self.messages
            if message["type"] == kind and stream in {None, message.get("stream")}
        ]

    def records(self, stream: str) -> list[Row]:
        """The records of a stream."""
        return [message["record"] for message in self.of("RECORD", stream)]

    def lines(self, level: str) -> list[str]:
        """What was logged at a level."""
        found = map(_LINE.fullmatch, self.stderr.splitlines())
        return [match[3] for match in found if match and match[1] == level]

    def check(self) -> Outcome:
        """Check that all went well."""
        assert self.code == 0, self.stderr[-5000:]
        assert not self.lines("ERROR")
        return self

    @property
    def failure(self) -> str:
        """The one line that says why it failed."""
        assert self.code not in {0, None}, self.stderr[-5000:]
        assert "Traceback" not in self.stderr
        errors = self.lines("ERROR")
        assert len(errors) == 1, self.stderr[-5000:]
        last = self.stderr.splitlines()[-1]
        assert last.endswith(errors[0]), "the line is not the last, or not one line"
        return errors[0]


@dataclass(frozen=True)
class Runner:
    """Runs the tap within this process.

    Attributes:
        folder: Where it runs; its files lie there.
        tap_class: The tap.
    """

    folder: Path
    tap_class: type[TapBetterData] = TapBetterData

    def __call__(
        self,
        config: Config | None,
        *words: str,
        catalog: object = None,
        state: object = None,
        **env: str,
    ) -> Outcome:
        """Run the tap."""
        files = {"config": config, "catalog": catalog, "state": state}
        arguments: list[str] = []
        for name, content in files.items():
            if content is not None:
                path = self.folder / f"{name}.json"
                path.write_text(json.dumps(content), encoding="utf-8")
                arguments += [f"--{name}", str(path)]
        return self.start([*arguments, *words], env)

    def start(
        self, arguments: list[str], env: Mapping[str, str], stdin: str = ""
    ) -> Outcome:
        """Run the tap with these arguments and variables."""
        unset = dict.fromkeys(os.environ.keys() - clean_env().keys())
        log = io.StringIO()
        with _signals_kept(), _logging_to(log):
            result = CliRunner().invoke(
                self.tap_class.get_singer_command(),
                arguments,
                input=stdin,
                env={**unset, **env},
            )
        return Outcome(result.exit_code, result.stdout, log.getvalue() + result.stderr)


class InstalledRunner(Runner):
    """Runs the tap as the installed command, in a process of its own."""

    def start(
        self, arguments: list[str], env: Mapping[str, str], stdin: str = ""
    ) -> Outcome:
        """Run the tap with these arguments and variables."""
        done = subprocess.run(  # noqa: S603 - the words are the tests'
            [TAP, *arguments],
            cwd=self.folder,
            env=clean_env(**env),
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)


def config_for(sandbox: Sandbox, **settings: object) -> Config:
    """Return a config for a sandbox: two periods of analytics, no limits."""
    return {
        "api_url": sandbox.url,
        "api_key": sandbox.api_key,
        "start_date": "2025-01-01",
        "end_date": "2025-02-15",
        "requests_per_minute": 0,
        "requests_per_hour": 0,
        **settings,
    }


PERIODS = [("2025-01-01", "2025-01-31"), ("2025-02-01", "2025-02-15")]


def catalog_of(*streams: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the tap's catalog with these streams selected."""
    catalog: dict[str, Any] = TapBetterData(validate_config=False).catalog_dict
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            selected = entry["tap_stream_id"] in streams
            if not item["breadcrumb"] or item["breadcrumb"][-1] in without:
                item["metadata"]["selected"] = selected and not item["breadcrumb"]
    return catalog


@contextmanager
def _signals_kept() -> Iterator[None]:
    heeded = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    kept = {number: signal.getsignal(number) for number in heeded}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def _logging_to(log: io.StringIO) -> Iterator[None]:
    root = logging.getLogger()
    handler = logging.StreamHandler(log)
    handler.setFormatter(ConsoleFormatter())
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
