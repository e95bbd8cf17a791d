"""What is measured: each scenario compares the tap with others on the same server."""

from __future__ import annotations

import json
import subprocess
import sys
from calendar import monthrange
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import KEY, Server, Side, environment, run, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Command = list[str | Path]

HERE = Path(__file__).resolve().parent
TAP = Path(sys.executable).with_name("tap-betterdata")

SOURCE = Path(sys.executable).with_name("source-betterdata")

OURS = "tap-betterdata"
THEIRS = "template tap"
SCRIPT = "vendor's script"
FLOOR = "bare loop"

LATENCY_MS = 50
NO_LIMITS = {"requests_per_minute": 0, "requests_per_hour": 0}
_PAGE = 100
_PRODUCTS_PAGE = 200
_LOCATIONS = 20
_MONTHS = [
    (f"2025-{month:02d}-01", f"2025-{month:02d}-{monthrange(2025, month)[1]}")
    for month in range(1, 13)
]
# Start-up is short, so its noise is the greatest.
_STARTUP_ROUNDS = 3


@dataclass(frozen=True)
class Bound:
    """A figure that has a limit; a ratio has no unit."""

    what: str
    value: float
    at_most: float
    unit: str = ""


@dataclass
class Comparison:
    """Sides that were measured in turn.

    Attributes:
        title: What they did.
        sides: The sides.
        plotted: Which measure the plot shows.
        bounds: What is to be held.
    """

    title: str
    sides: Sequence[Side]
    plotted: str = "wall"
    bounds: list[Bound] = field(default_factory=list)

    def median(self, name: str, measure: str) -> float:
        """Return the median of what the side of this name took."""
        return next(s for s in self.sides if s.name == name).median(measure)

    def bind(self, measure: str, at_most: float) -> None:
        """Bound the ratio of the tap to the template tap."""
        name = {"cpu": "CPU time", "wall": "time"}[measure]
        what = f"{self.title}: {name} of {OURS} over that of the {THEIRS}"
        ratio = self.median(OURS, measure) / self.median(THEIRS, measure)
        self.bounds.append(Bound(what, ratio, at_most))

    def bind_requests(self, at_most: int) -> None:
        """Bound the requests of the tap."""
        used = self.median(OURS, "requests")
        self.bounds.append(Bound(f"{self.title}: {OURS}", used, at_most, "requests"))


@dataclass(frozen=True)
class Bench:
    """How all is measured.

    Attributes:
        folder: Where files may be written.
        runs: How often each side is run.
        scale: By what the sizes are multiplied, for a try.
    """

    folder: Path
    runs: int
    scale: float = 1.0
    _numbers: Iterator[int] = field(default_factory=count, init=False)

    def items(self, number: int) -> int:
        """Scale a number of items, to whole pages."""
        return max(1, round(number * self.scale / _PAGE)) * _PAGE

    def compare(
        self,
        title: str,
        server: Server,
        sides: Sequence[Side],
        *,
        lines: int = 0,
        pipe: bool = False,
    ) -> Comparison:
        """Run sides in turn; each must write so many lines at least."""
        say(title)
        for number in range(self.runs):
            for side in sides:
                run(side, folder=self.folder, pipe=pipe, lines=lines, server=server)
                sample = side.samples[-1]
                say(
                    f"  {number + 1:>2}  {side.name:<32} {sample.wall:7.2f} s  "
                    f"CPU {sample.cpu:7.2f} s  {sample.peak:6.0f} MB  "
                    f"{sample.requests:>6} requests"
                )
        return Comparison(title, sides)

    def tap(self, server: Server, **config: Any) -> Side:
        """Prepare the tap, for the inventory unless locations are set."""
        command = self.command(server.url, **NO_LIMITS, **config)
        if "location_ids" not in config:
            command += ["--catalog", self.inventory_only(command)]
        return Side(OURS, command)

    def source(self, server: Server) -> Side:
        """Prepare the source for Airbyte, for the inventory."""
        config = ("--config", self._settings(server.url, **NO_LIMITS))
        lines = self._run([SOURCE, "discover", *config]).read_bytes().splitlines()
        (stream,) = (
            stream
            for stream in json.loads(lines[-1])["catalog"]["streams"]
            if stream["name"] == "inventory"
        )
        configured = {"streams": [{"stream": stream, "sync_mode": "incremental"}]}
        catalog = self._write("configured", configured)
        return Side(SOURCE.name, [SOURCE, "read", *config, "--catalog", catalog])

    def template(self, server: Server, **config: Any) -> Side:
        """Prepare the template tap."""
        settings = self._settings(server.url, **config)
        script = HERE / "template_tap.py"
        return Side(THEIRS, [sys.executable, script, "--config", settings])

    def vendor(self, server: Server) -> Side:
        """Prepare the vendor's script."""
        path = self.folder / "vendor.csv"
        script = HERE / "vendor_script.py"
        return Side(SCRIPT, [sys.executable, script, server.url, path], output=path)

    def bare(self, server: Server) -> Side:
        """Prepare the bare loop."""
        return Side(FLOOR, [sys.executable, HERE / "bare_loop.py", server.url])

    def command(self, url: str, **config: Any) -> Command:
        """Return the command of the tap with its settings."""
        return [TAP, "--config", self._settings(url, **config)]

    def inventory_only(self, command: Command) -> Path:
        """Write a catalog in which only the inventory is selected."""
        catalog = json.loads(self._run([*command, "--discover"]).read_bytes())
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = stream["stream"] == "inventory"
        return self._write("catalog", catalog)

    def state_after(self, command: Command) -> Path:
        """Run a tap, and keep the state that it ends with."""
        with self._run(command).open("rb") as lines:
            states = (line for line in lines if line.startswith(b'{"type":"STATE"'))
            (last,) = deque(states, maxlen=1)
        return self._write("state", json.loads(last)["value"])

    def _run(self, command: Command) -> Path:
        """Return the file of its output, which would count as ours in memory."""
        path = self.folder / "output"
        with path.open("wb") as output:
            subprocess.run(  # noqa: S603 - the words are ours
                command,
                cwd=self.folder,
                env=environment(),
                check=True,
                stdout=output,
                stderr=subprocess.DEVNULL,
            )
        return path

    def _settings(self, url: str, **config: Any) -> Path:
        return self._write("config", {"api_url": url, "api_key": KEY, **config})

    def _write(self, name: str, value: dict[str, Any]) -> Path:
        path = self.folder / f"{name}-{next(self._numbers)}.json"
        path.write_text(json.dumps(value), encoding="utf-8")
        return path


def say(line: str) -> None:
    """Say how it goes on; the results themselves go to standard output."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def throughput(bench: Bench) -> Iterator[Comparison]:
    """As fast as it goes, to a file and into a pipe; the server takes no time."""
    items = bench.items(100_000)
    with serving(items=items) as server:
        taps = [bench.tap(server), bench.template(server)]
        others = [bench.bare(server), bench.vendor(server)]
        title = f"{items:,} items, no latency"
        to_file = bench.compare(
            f"{title}, to a file", server, [*taps, *others], lines=items
        )
        to_file.bind("cpu", 0.40)
        yield to_file
        again = [Side(side.name, side.command) for side in taps]
        into_pipe = bench.compare(
            f"{title}, into a pipe", server, again, lines=items, pipe=True
        )
        into_pipe.bind("cpu", 0.30)
        yield into_pipe


def latency(bench: Bench) -> Iterator[Comparison]:
    """A server as far away as they are."""
    items = bench.items(20_000)
    with serving(items=items, latency_ms=LATENCY_MS) as server:
        prepare = (bench.tap, bench.template, bench.vendor, bench.bare)
        sides = [side(server) for side in prepare]
        title = f"{items:,} items, {LATENCY_MS} ms a request"
        result = bench.compare(title, server, sides, lines=items)
        result.bind("wall", 1 / 5.5)
        yield result


def locations(bench: Bench) -> Iterator[Comparison]:
    """Many small lists: all streams of all locations."""
    each = bench.items(500)
    ids = [f"loc_{number:03}" for number in range(1, _LOCATIONS + 1)]
    with serving(
        locations=_LOCATIONS, products_per_location=each, latency_ms=LATENCY_MS
    ) as server:
        period = {"start_date": _MONTHS[0][0], "end_date": _MONTHS[-1][1]}
        sides = [
            bench.tap(server, location_ids=ids, **period),
            bench.template(server, location_ids=ids, months=_MONTHS),
        ]
        title = f"{_LOCATIONS} locations x {each:,} items, all streams"
        result = bench.compare(
            f"{title}, {LATENCY_MS} ms a request",
            server,
            sides,
            lines=2 * _LOCATIONS * each,
        )
    result.bind("wall", 1 / 5)
    # The items fill their last page, so that one more may be needed to see the end.
    pages = each // _PAGE + 1 + -(-each // _PRODUCTS_PAGE)
    result.bind_requests(_LOCATIONS * (pages + len(_MONTHS)))
    yield result


def memory(bench: Bench) -> Iterator[Comparison]:
    """What a hundred times as many items take."""
    peaks = []
    for items in (bench.items(10_000), bench.items(1_000_000)):
        with serving(items=items) as server:
            sides = [bench.tap(server), bench.vendor(server)]
            title = f"Peak memory, {items:,} items"
            result = bench.compare(title, server, sides, lines=items)
        result.plotted = "peak"
        peaks.append(result.median(OURS, "peak"))
        if len(peaks) > 1:
            what = f"{title}: {OURS}, more than with few"
            result.bounds = [Bound(what, peaks[1] - peaks[0], 21, "MB")]
        yield result


def startup(bench: Bench) -> Iterator[Comparison]:
    """What passes before the first request."""
    plain = "import singer_sdk"
    with serving(items=1) as server:
        command = bench.command(server.url)
        sides = [
            Side(plain, [sys.executable, "-c", plain]),
            Side(f"{OURS} --version", [TAP, "--version"]),
            Side(f"{OURS} --discover", [*command, "--discover"]),
        ]
        often = Bench(bench.folder, bench.runs * _STARTUP_ROUNDS)
        result = often.compare("Start-up", server, sides)
    least = result.median(plain, "wall")
    for side in sides[1:]:
        what = f"Start-up: {side.name}, more than {plain}"
        result.bounds.append(Bound(what, side.median("wall") - least, 0.1, "s"))
    yield result


def unchanged(bench: Bench) -> Iterator[Comparison]:
    """A second run where nothing has changed."""
    items = bench.items(100_000)
    with serving(items=items) as server:
        tap, others = bench.tap(server), [bench.template(server), bench.vendor(server)]
        command = [*tap.command, "--state", bench.state_after([*tap.command])]
        title = f"{items:,} items, none changed since the run before"
        result = bench.compare(title, server, [Side(OURS, command), *others])
    result.plotted = "requests"
    result.bind_requests(2)
    yield result


def airbyte(bench: Bench) -> Iterator[Comparison]:
    """The same records, written for Singer's targets and for Airbyte."""
    items = bench.items(100_000)
    with serving(items=items) as server:
        sides = [bench.tap(server), bench.source(server)]
        title = f"{items:,} items, for Singer and for Airbyte"
        result = bench.compare(title, server, sides, lines=items, pipe=True)
    singer, airbyte = (side.median("wall") for side in sides)
    what = f"{title}: time of {SOURCE.name} over that of {OURS}"
    result.bounds.append(Bound(what, airbyte / singer, 1.1))
    yield result


SCENARIOS: dict[str, Callable[[Bench], Iterator[Comparison]]] = {
    "throughput": throughput,
    "latency": latency,
    "locations": locations,
    "memory": memory,
    "startup": startup,
    "unchanged": unchanged,
    "airbyte": airbyte,
}
