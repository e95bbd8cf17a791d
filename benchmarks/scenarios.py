"""What is measured: each scenario compares the tap with others on the same server."""

from __future__ import annotations

import json
import subprocess
import sys
from calendar import monthrange
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Server, Side, environment, run, serving
from benchmarks.server import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).resolve().parent
TAP = Path(sys.executable).with_name("tap-betterdata")
TEMPLATE = (sys.executable, HERE / "template_tap.py")
BARE = (sys.executable, HERE / "bare_loop.py")
VENDOR = (sys.executable, HERE / "vendor_script.py")

OURS = "tap-betterdata"
THEIRS = "template tap"
SCRIPT = "vendor's script"
FLOOR = "bare loop"

LATENCY = 0.05
_YEAR = 2025
_MONTHS = [
    (f"{_YEAR}-{month:02d}-01", f"{_YEAR}-{month:02d}-{monthrange(_YEAR, month)[1]}")
    for month in range(1, 13)
]
_PAGE = 100
_PRODUCTS_PAGE = 200
# Start-up is short, so its noise is the greatest.
_STARTUP_ROUNDS = 3


@dataclass(frozen=True)
class Bound:
    """A figure that has a limit.

    Attributes:
        what: What it is.
        value: How much it is.
        at_most: How much it may be.
        unit: What it is counted in; empty for a ratio.
    """

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

    def ratio(self, measure: str, of: str, to: str) -> float:
        """Compare the medians of two sides.

        Args:
            measure: The name of one of a sample's fields.
            of: One side's name.
            to: The other's.

        Returns:
            The first over the second.
        """
        return self.side(of).median(measure) / self.side(to).median(measure)

    def side(self, name: str) -> Side:
        """Return a side.

        Args:
            name: Its name.

        Returns:
            The side.
        """
        return next(side for side in self.sides if side.name == name)


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

    def items(self, count: int) -> int:
        """Scale a number of items.

        Args:
            count: How many items there are in a real run.

        Returns:
            How many there are, in whole pages.
        """
        return max(1, round(count * self.scale / _PAGE)) * _PAGE

    def compare(  # noqa: PLR0913 - options, each with a name
        self,
        title: str,
        server: Server,
        sides: Sequence[Side],
        *,
        lines: int = 0,
        pipe: bool = False,
        plotted: str = "wall",
        rounds: int = 1,
    ) -> Comparison:
        """Run sides in turn.

        Args:
            title: What they do.
            server: Whom they ask.
            sides: The sides.
            lines: How many lines each of them must write at least.
            pipe: Whether they write into a pipe.
            plotted: Which measure the plot shows.
            rounds: How many times more often than asked for they are run.

        Returns:
            The sides, measured.
        """
        say(title)
        for number in range(self.runs * rounds):
            for side in sides:
                run(side, folder=self.folder, pipe=pipe, lines=lines, server=server)
                sample = side.samples[-1]
                say(
                    f"  {number + 1:>2}  {side.name:<32} {sample.wall:7.2f} s  "
                    f"CPU {sample.cpu:7.2f} s  {sample.peak:6.0f} MB  "
                    f"{sample.requests:>6} requests"
                )
        return Comparison(title, sides, plotted)

    def tap(self, server: Server, name: str = OURS, **config: Any) -> Side:
        """Prepare the tap, for the inventory unless locations are set.

        Args:
            server: Whom it asks.
            name: What the side is called.
            **config: Settings beside those that all sides have.

        Returns:
            The side.
        """
        settings = self._settings(
            server, requests_per_minute=0, requests_per_hour=0, **config
        )
        command: list[str | Path] = [TAP, "--config", settings]
        if "location_ids" not in config:
            command += ["--catalog", self._catalog(command)]
        return Side(name, command)

    def template(self, server: Server, **config: Any) -> Side:
        """Prepare the template tap.

        Args:
            server: Whom it asks.
            **config: Settings beside those that all sides have.

        Returns:
            The side.
        """
        return Side(THEIRS, [*TEMPLATE, "--config", self._settings(server, **config)])

    def vendor(self, server: Server) -> Side:
        """Prepare the vendor's script.

        Args:
            server: Whom it asks.

        Returns:
            The side.
        """
        path = self.folder / "vendor.csv"
        return Side(SCRIPT, [*VENDOR, server.url, path], output=path)

    def bare(self, server: Server, threads: int = 1) -> Side:
        """Prepare the bare loop.

        Args:
            server: Whom it asks.
            threads: How many requests are sent at once.

        Returns:
            The side.
        """
        name = FLOOR if threads == 1 else f"{FLOOR}, {threads} threads"
        return Side(name, [*BARE, server.url, str(threads)])

    def state_after(self, side: Side) -> Path:
        """Run a tap, and keep the state that it ends with.

        Args:
            side: The tap.

        Returns:
            The state's file.
        """
        lines = _output(side.command, self.folder).splitlines()
        states = [line for line in lines if line.startswith(b'{"type":"STATE"')]
        return self._write("state.json", json.loads(states[-1])["value"])

    def _settings(self, server: Server, **config: Any) -> Path:
        settings = {"api_url": server.url, "api_key": "key", **config}
        return self._write(f"config-{next(self._numbers)}.json", settings)

    def _catalog(self, command: Sequence[str | Path]) -> Path:
        catalog = json.loads(_output([*command, "--discover"], self.folder))
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if not entry["breadcrumb"]:
                    entry["metadata"]["selected"] = stream["stream"] == "inventory"
        return self._write("catalog.json", catalog)

    def _write(self, name: str, value: Mapping[str, Any]) -> Path:
        path = self.folder / name
        path.write_text(json.dumps(value), encoding="utf-8")
        return path


def say(line: str) -> None:
    """Say how it goes on; the results themselves go to standard output.

    Args:
        line: What to say.
    """
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _output(command: Sequence[str | Path], folder: Path) -> bytes:
    return subprocess.run(  # noqa: S603 - the words are ours
        command,
        cwd=folder,
        env=environment(),
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout


def throughput(bench: Bench) -> Iterator[Comparison]:
    """As fast as it goes, where the server takes no time.

    Args:
        bench: How all is measured.

    Yields:
        To a file, and into a pipe.
    """
    items = bench.items(100_000)
    with serving(Options(items)) as server:
        taps = [bench.tap(server), bench.template(server), bench.bare(server)]
        sides = [*taps, bench.vendor(server)]
        title = f"{items:,} items, no latency"
        to_file = bench.compare(f"{title}, to a file", server, sides, lines=items)
        to_file.bounds = [
            *_throughput_bounds(to_file),
            _bound(to_file, "wall", OURS, SCRIPT, 1.0),
        ]
        yield to_file
        again = [Side(side.name, side.command) for side in taps]
        into_pipe = bench.compare(
            f"{title}, into a pipe", server, again, lines=items, pipe=True
        )
        into_pipe.bounds = _throughput_bounds(into_pipe)
        yield into_pipe


def _throughput_bounds(comparison: Comparison) -> list[Bound]:
    return [
        _bound(comparison, "cpu", OURS, THEIRS, 0.40),
        _bound(comparison, "wall", OURS, FLOOR, 1.5),
    ]


def _bound(
    comparison: Comparison, measure: str, of: str, to: str, at_most: float
) -> Bound:
    name = {"cpu": "CPU time", "wall": "time"}[measure]
    what = f"{comparison.title}: {name} of {of} over that of the {to}"
    return Bound(what, comparison.ratio(measure, of, to), at_most)


def latency(bench: Bench) -> Iterator[Comparison]:
    """A server as far away as they are.

    Args:
        bench: How all is measured.

    Yields:
        One comparison.
    """
    items = bench.items(20_000)
    with serving(Options(items, latency=LATENCY)) as server:
        wide = f"{OURS}, concurrency 16"
        sides = [
            bench.tap(server),
            bench.tap(server, wide, concurrency=16),
            bench.template(server),
            bench.vendor(server),
            *(bench.bare(server, threads) for threads in (1, 8, 16)),
        ]
        result = bench.compare(
            f"{items:,} items, 50 ms a request", server, sides, lines=items
        )
        result.bounds = [
            _bound(result, "wall", OURS, THEIRS, 1 / 6),
            _bound(result, "wall", wide, THEIRS, 1 / 8),
        ]
        yield result


def locations(bench: Bench) -> Iterator[Comparison]:
    """Many small lists: all streams of all locations.

    Args:
        bench: How all is measured.

    Yields:
        One comparison.
    """
    options = Options(20 * bench.items(500), 20, LATENCY)
    each = options.items // options.locations
    with serving(options) as server:
        result = bench.compare(
            f"20 locations x {each:,} items, all streams, 50 ms a request",
            server,
            _all_streams(bench, server),
            lines=2 * options.items,
        )
        result.bounds = [_bound(result, "wall", OURS, THEIRS, 1 / 5)]
        yield result


def _all_streams(bench: Bench, server: Server) -> list[Side]:
    ids = server.options.location_ids
    return [
        bench.tap(
            server,
            location_ids=ids,
            start_date=_MONTHS[0][0],
            end_date=_MONTHS[-1][1],
        ),
        bench.template(server, location_ids=ids, months=_MONTHS),
    ]


def memory(bench: Bench) -> Iterator[Comparison]:
    """What a hundred times as many items take.

    Args:
        bench: How all is measured.

    Yields:
        Few items, and many.
    """
    results: list[Comparison] = []
    for items in (bench.items(10_000), bench.items(1_000_000)):
        with serving(Options(items)) as server:
            sides = [bench.tap(server), bench.vendor(server)]
            if not results:
                # It keeps nothing, and with many items takes a minute and a half a run.
                sides.append(bench.template(server))
            results.append(
                bench.compare(
                    f"Peak memory, {items:,} items",
                    server,
                    sides,
                    lines=items,
                    plotted="peak",
                )
            )
    few, many = (result.side(OURS).median("peak") for result in results)
    results[-1].bounds = [
        Bound(f"{results[-1].title}: {OURS}", many, 140, "MB"),
        Bound(f"{results[-1].title}: {OURS}, more than with few", many - few, 80, "MB"),
    ]
    yield from results


def startup(bench: Bench) -> Iterator[Comparison]:
    """What passes before the first request.

    Args:
        bench: How all is measured.

    Yields:
        One comparison.
    """
    plain = "import singer_sdk"
    with serving(Options()) as server:
        taps = {OURS: [TAP], THEIRS: TEMPLATE}
        config = bench.tap(server).command[1:3]
        sides = [
            Side(plain, [sys.executable, "-c", plain]),
            *(
                Side(f"{name} --version", [*command, "--version"])
                for name, command in taps.items()
            ),
            Side(f"{OURS} --discover", [TAP, *config, "--discover"]),
            Side(
                f"{THEIRS} --discover",
                [*bench.template(server).command, "--discover"],
            ),
        ]
        result = bench.compare("Start-up", server, sides, rounds=_STARTUP_ROUNDS)
    least = result.side(plain).median("wall")
    result.bounds = [
        Bound(
            f"Start-up: {OURS} {option}, more than {plain}",
            result.side(f"{OURS} {option}").median("wall") - least,
            0.1,
            "s",
        )
        for option in ("--version", "--discover")
    ]
    yield result


def requests(bench: Bench) -> Iterator[Comparison]:
    """How many requests are spent, against the least that there can be.

    Args:
        bench: How all is measured.

    Yields:
        A first run, a second one without changes, and all streams.
    """
    items = bench.items(20_000)
    pages = items // _PAGE
    with serving(Options(items)) as server:
        sides = [bench.tap(server), bench.template(server), bench.vendor(server)]
        yield _count(bench, f"{items:,} items", server, sides, pages, pages)
        state = bench.state_after(sides[0])
        again = [
            Side(OURS, [*sides[0].command, "--state", state]),
            *(Side(side.name, side.command, side.output) for side in sides[1:]),
        ]
        # The first page, which the lookback covers here, one with older items only, one
        # that shows that the server keeps the order, and the list's last one.
        title = f"{items:,} items, none changed since the run before"
        yield _count(bench, title, server, again, 1, 4)
    with serving(Options(20 * bench.items(500), 20)) as server:
        each = server.options.items // 20
        least = 20 * (each // _PAGE + -(-each // _PRODUCTS_PAGE) + len(_MONTHS))
        title = f"20 locations x {each:,} items, all streams"
        sides = _all_streams(bench, server)
        yield _count(bench, title, server, sides, least, least)


def _count(  # noqa: PLR0913, PLR0917 - as above
    bench: Bench,
    title: str,
    server: Server,
    sides: Sequence[Side],
    least: int,
    at_most: int,
) -> Comparison:
    title = f"Requests, {title} (least possible: {least:,})"
    result = bench.compare(title, server, sides, plotted="requests")
    used = result.side(OURS).median("requests")
    result.bounds = [Bound(f"{title}: {OURS}", used, at_most, "requests")]
    return result


SCENARIOS: dict[str, Callable[[Bench], Iterator[Comparison]]] = {
    "throughput": throughput,
    "latency": latency,
    "locations": locations,
    "memory": memory,
    "startup": startup,
    "requests": requests,
}
