"""Commands are run here, and what each of them took is read off the kernel.

This module and all that its process imports stay small on purpose: the kernel counts
the memory of the process that starts a command as the command's first peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, AnyStr, NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
KEY = "key"

# What the kernel counts peaks in: bytes on macOS, kilobytes elsewhere.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1 << 10
_MEGABYTE = 1 << 20
_LAST_WORDS = 2000


class CommandFailedError(Exception):
    """A command that was to be measured did not do its work."""


class Sample(NamedTuple):
    """What one run took: seconds, seconds of processor time, MB, requests."""

    wall: float
    cpu: float
    peak: float
    requests: int


@dataclass
class Side:
    """One of the things that are compared.

    Attributes:
        name: What it is called in the tables.
        command: What is run.
        output: The file that it writes by itself; None if it writes to its output.
        samples: What its runs took.
    """

    name: str
    command: Sequence[str | Path]
    output: Path | None = None
    samples: list[Sample] = field(default_factory=list)

    def values(self, measure: str) -> list[float]:
        """Return one field of all samples, smallest first."""
        return sorted(getattr(sample, measure) for sample in self.samples)

    def median(self, measure: str) -> float:
        """Return the median of one field of the samples."""
        return median(self.values(measure))


@dataclass(frozen=True)
class Server:
    """A sandbox in a process of its own."""

    url: str

    def requests(self) -> int:
        """Tell how many requests it has had."""
        address = self.url.removesuffix("/api") + "/_sandbox/requests"
        with urlopen(address) as answer:  # noqa: S310 - the address is our own
            return int(json.load(answer)["total"])


@contextmanager
def serving(**options: object) -> Iterator[Server]:
    """Run a sandbox with these options until the end of the block."""
    query = urlencode({"api_key": KEY, **options})
    command = (sys.executable, "-m", "tap_betterdata.sandbox")
    with subprocess.Popen(  # noqa: S603 - the words are ours
        [*command, "--port", "0", "--query", query],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            words = _stdout(process).readline().split()
            yield Server(words[0].removeprefix("url="))
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    """Return the environment of what is measured.

    No proxy stands before the server, and modules are compiled once, as they are where
    the tap is installed.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name != "PYTHONDONTWRITEBYTECODE"
    }


def run(side: Side, *, folder: Path, pipe: bool, lines: int, server: Server) -> None:
    """Run a side once, and note what it took.

    Args:
        side: What is run.
        folder: Where it may write files.
        pipe: Whether its output goes into a pipe, and not to a file.
        lines: How many lines it must write at least.
        server: Whom it asks.

    Raises:
        CommandFailedError: If it fails, or writes less.
    """
    before = server.requests()
    out, err = folder / "out", folder / "err"
    started = time.perf_counter()
    with (
        out.open("wb") as output,
        err.open("wb") as errors,
        subprocess.Popen(  # noqa: S603 - the words are ours
            side.command,
            bufsize=0,
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE if pipe else output,
            stderr=errors,
        ) as process,
    ):
        written = _count_lines(_stdout(process)) if pipe else 0
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if not pipe:
        with (side.output or out).open("rb", buffering=0) as content:
            written = _count_lines(content)
    if process.returncode or written < lines:
        said = err.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
        msg = (
            f"{side.name} wrote {written} lines of at least {lines}, and said:\n{said}"
        )
        raise CommandFailedError(msg)
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss * _PEAK_UNIT / _MEGABYTE
    side.samples.append(Sample(wall, cpu, peak, server.requests() - before))


def _stdout(process: subprocess.Popen[AnyStr]) -> IO[AnyStr]:
    if process.stdout is None:
        msg = "the process was started without a pipe"
        raise ValueError(msg)
    return process.stdout


def _count_lines(content: IO[bytes]) -> int:
    chunks = iter(partial(content.read, _MEGABYTE), b"")
    return sum(chunk.count(b"\n") for chunk in chunks)
