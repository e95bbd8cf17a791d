"""Running the installed source, and reading what it says."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tap_betterdata.api.decoding import decode
from tests.e2e.commands import clean_env

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
Env = dict[str, str]

SOURCE = Path(sysconfig.get_path("scripts"), "source-betterdata")
SECONDS = 60


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said.

    Attributes:
        code: The exit code.
        stdout: The messages.
        stderr: What stands beside them.
    """

    code: int
    stdout: bytes
    stderr: str = ""

    @cached_property
    def messages(self) -> list[Json]:
        """All messages in order, fractions as decimals; half a line is none."""
        lines = self.stdout.splitlines(keepends=True)
        return [decode(line) for line in lines if line.endswith(b"\n")]

    @property
    def timeless(self) -> list[Json]:
        """All messages but the log's, without the times at which they were made."""
        kept = [message for message in self.messages if message["type"] != "LOG"]
        for message in kept:
            assert message.get(message["type"].lower(), {}).pop("emitted_at", 1) > 0
        return kept

    def of(self, kind: str) -> list[Json]:
        """What the messages of a kind hold."""
        field = {"CONNECTION_STATUS": "connectionStatus"}.get(kind, kind.lower())
        return [m[field] for m in self.messages if m["type"] == kind]

    def records(self, stream: str) -> list[Json]:
        """The records of a stream."""
        return [r["data"] for r in self.of("RECORD") if r["stream"] == stream]

    @property
    def statuses(self) -> list[tuple[str, str]]:
        """How the streams fared, in order."""
        told = [t.get("stream_status") for t in self.of("TRACE")]
        return [(s["stream_descriptor"]["name"], s["status"]) for s in told if s]

    @property
    def errors(self) -> list[tuple[str | None, str, str]]:
        """Which stream each error is of, of what type it is, and its line."""
        told = [t.get("error") for t in self.of("TRACE")]
        return [
            (
                e.get("stream_descriptor", {}).get("name"),
                e["failure_type"],
                e["message"],
            )
            for e in told
            if e
        ]

    def logged(self, level: str) -> list[str]:
        """What was logged at a level."""
        return [m["message"] for m in self.of("LOG") if m["level"] == level]

    @property
    def state(self) -> list[Json]:
        """The last state of each stream, as Airbyte hands it to the next read."""
        states = self.of("STATE")
        return list(
            {s["stream"]["stream_descriptor"]["name"]: s for s in states}.values()
        )

    def check(self) -> Said:
        """Check that all went well."""
        assert (self.code, self.stderr, self.errors) == (0, "", [])
        assert not self.logged("ERROR")
        return self


@dataclass(frozen=True)
class Source:
    """Runs the installed command in a folder."""

    folder: Path

    def words(self, command: str, **files: object) -> list[str | Path]:
        """Write the files that are given, and return the command line."""
        words: list[str | Path] = [SOURCE, command]
        for name, content in files.items():
            if content is not None:
                path = self.folder / f"{name}.json"
                path.write_text(json.dumps(content, default=str), encoding="utf-8")
                words += [f"--{name}", path]
        return words

    def __call__(
        self, command: str, *, env: Env | None = None, **files: object
    ) -> Said:
        """Run a command with files of these names and contents."""
        done = subprocess.run(  # noqa: S603 - the words are the tests'
            self.words(command, **files),
            cwd=self.folder,
            env=clean_env(**(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
        return Said(done.returncode, done.stdout, done.stderr.decode())

    @contextmanager
    def started(
        self, command: str = "read", *, env: Env | None = None, **files: object
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command; what it says beside its messages goes to a file."""
        with (
            (self.folder / "stderr").open("wb") as stderr,
            subprocess.Popen(  # noqa: S603 - the words are the tests'
                self.words(command, **files),
                cwd=self.folder,
                env=clean_env(**(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    @property
    def stderr(self) -> str:
        """What a command that was started has said beside its messages."""
        return (self.folder / "stderr").read_text(encoding="utf-8")


def output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """Return where a command's messages come from."""
    assert process.stdout is not None
    return process.stdout


@cache
def _discovered() -> str:
    with tempfile.TemporaryDirectory() as folder:
        said = Source(Path(folder))("discover", config={}).check()
    (catalog,) = said.of("CATALOG")
    return json.dumps({stream["name"]: stream for stream in catalog["streams"]})


def configured(*streams: str, mode: str = "incremental") -> Json:
    """Configure streams that were discovered, each in this mode if it has it."""
    known: dict[str, Json] = json.loads(_discovered())
    return {
        "streams": [
            {
                "stream": known[name],
                "sync_mode": mode
                if mode in known[name]["supported_sync_modes"]
                else "full_refresh",
                "destination_sync_mode": "append",
            }
            for name in streams
        ]
    }
