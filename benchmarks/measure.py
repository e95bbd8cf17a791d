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
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, AnyStr, NamedTuple
from urllib.request import urlopen

from benchmarks.server import COUNTS_PATH, Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent

_CHUNK = 1 << 20
# What the kernel counts peaks in: bytes on macOS, kilobytes elsewhere.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1 << 10
_MEGABYTE = 1 << 20
_LAST_WORDS = 2000


class CommandFailedError(Exception):
    """A command that was to be measured did not do its work."""


class Sample(NamedTuple):
    """What one run of a command took.

    Attributes:
        wall: Seconds from its start to its end.
        cpu: Seconds of processor time, of all its threads.
        peak: The most memory that it held, in MB.
        requests: How many requests it sent.
    """

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
        """Return what its runs took of something.

        Args:
            measure: The name of one of a sample's fields.

        Returns:
            The values, smallest first.
        """
        return sorted(getattr(sample, measure) for sample in self.samples)

    def median(self, measure: str) -> float:
        """Return what a run in the middle took of something.

        Args:
            measure: The name of one of a sample's fields.

        Returns:
            The median.
        """
        return median(self.values(measure))


@dataclass(frozen=True)
class Server:
    """The server, in a process of its own.

    Attributes:
        url: The API's base URL.
        options: What it serves.
    """

    url: str
    options: Options

    def requests(self) -> int:
        """Tell how many requests it has had."""
        address = self.url.removesuffix("/api") + COUNTS_PATH
        with urlopen(address) as answer:  # noqa: S310 - the address is our own
            return sum(json.load(answer).values())


@contextmanager
def serving(options: Options) -> Iterator[Server]:
    """Run the server.

    Args:
        options: What it serves.

    Yields:
        The server, ready.
    """
    command = (
        *(sys.executable, "-m", "benchmarks.server"),
        *("--items", str(options.items)),
        *("--locations", str(options.locations)),
        *("--latency", str(options.latency * 1000)),
    )
    with subprocess.Popen(  # noqa: S603 - the words are ours
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Server(_stdout(process).readline().strip(), options)
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    """Make the environment of what is measured.

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
    with err.open("wb") as errors:
        if pipe:
            sample, written = _into_pipe(side, folder, errors.fileno(), started)
        else:
            with out.open("wb") as output:
                process = _start(side, folder, output.fileno(), errors.fileno())
                sample = _wait(process, started)
            written = _count_lines(side.output or out)
            out.unlink()
    if sample is None or written < lines:
        said = err.read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:]
        msg = (
            f"{side.name} wrote {written} lines of at least {lines}, and said:\n{said}"
        )
        raise CommandFailedError(msg)
    requests = server.requests() - before
    side.samples.append(Sample(*sample, requests))


def _start(
    side: Side, folder: Path, output: int, errors: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the words are ours
        side.command,
        bufsize=0,
        cwd=folder,
        env=environment(),
        stdout=output,
        stderr=errors,
    )


def _stdout(process: subprocess.Popen[AnyStr]) -> IO[AnyStr]:
    if process.stdout is None:
        msg = "the process was started without a pipe"
        raise ValueError(msg)
    return process.stdout


def _wait(
    process: subprocess.Popen[bytes], started: float
) -> tuple[float, float, float] | None:
    """Wait for the end of a process.

    Returns:
        Wall and processor time and peak memory; None if it failed.
    """
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    peak = usage.ru_maxrss * _PEAK_UNIT / _MEGABYTE
    return wall, usage.ru_utime + usage.ru_stime, peak


def _into_pipe(
    side: Side, folder: Path, errors: int, started: float
) -> tuple[tuple[float, float, float] | None, int]:
    """Run a side into a pipe, and throw away what comes.

    Returns:
        What it took, and how many lines came.
    """
    with _start(side, folder, subprocess.PIPE, errors) as process:
        lines = _count(_stdout(process).read)
        return _wait(process, started), lines


def _count_lines(path: Path) -> int:
    with path.open("rb", buffering=0) as content:
        return _count(content.read)


def _count(read: Callable[[int], bytes]) -> int:
    lines = 0
    while chunk := read(_CHUNK):
        lines += chunk.count(b"\n")
    return lines
