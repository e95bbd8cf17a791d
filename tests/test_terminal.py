"""What a terminal shows of a run: the installed command, with a real one."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import TAP, clean_env
from tests.running import InstalledRunner, Outcome, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECONDS = 60
COLUMNS = 200
LOG = re.compile(r"[\d\-:, ]{23} \| [A-Z]+ +\| \S+ +\| \S.*")
LIVE = re.compile(
    r"inventory: ([\d,]+) of 1,200 rows · \d+ s to go · \d+/\d+ requests · "
    r"left (\d+)/min (\d+)/h"
)
KEPT = re.compile(r"\w+: [\d,]+ rows · [\d,]+ requests · \d+ s")
STYLES = re.compile(r"\x1b\[[\d;]*m")
TABLE = ["stream", "rows", "requests", "retries", "waited", "time", "exact"]
# What Python finds in place of rich.
ABSENT = "raise ModuleNotFoundError(\"No module named 'rich'\", name='rich')\n"
FORBIDDEN = "raise RuntimeError('rich was imported')\n"


@dataclass(frozen=True)
class Shown(Outcome):
    """How a run ended whose standard error is a terminal: `stderr` is what it drew."""

    @property
    def screen(self) -> list[str]:
        """The lines that stand on the terminal in the end."""
        lines, column = [""], 0
        parts = re.findall(r"\x1b\[2K|[\r\n]|[^\x1b\r\n]+", STYLES.sub("", self.stderr))
        for part in parts:
            if part == "\n":
                lines.append("")
                column = 0
            elif part == "\r":
                column = 0
            elif part == "\x1b[2K":
                lines[-1] = ""
            else:
                lines[-1] = lines[-1][:column].ljust(column) + (
                    part + lines[-1][column + len(part) :]
                )
                column += len(part)
        return lines

    def check(self) -> Shown:
        """Check that all went well."""
        super().check()
        return self

    @property
    def table(self) -> dict[str, list[str]]:
        """The closing table's cells, by the stream's name."""
        lines = [re.split(r" {2,}", line.strip()) for line in self.screen]
        begin = lines.index(TABLE)
        return {cells[0]: cells[1:] for cells in lines[begin + 1 :] if len(cells) == 7}


@contextmanager
def begun(
    folder: Path, words: list[str], stdout: IO[bytes], **env: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start the command on a terminal, and give its other end."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 50, COLUMNS, 0, 0))
    with subprocess.Popen(  # noqa: S603 - the words are the tests'
        [TAP, *words],
        cwd=folder,
        env=clean_env(**{"TERM": "xterm-256color", **env}),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=its,
    ) as process:
        os.close(its)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def drawn(ours: int) -> Iterator[str]:
    """Read what is drawn, until the other end is closed."""
    while True:
        try:
            data = os.read(ours, 100_000)
        except OSError:
            return
        yield data.decode()


def show(folder: Path, *words: str, stop_at: str = "", **env: str) -> Shown:
    """Run the command on a terminal; Ctrl-C once something has been drawn."""
    text = ""
    with (
        (folder / "out").open("wb") as stdout,
        begun(folder, [*words], stdout, **env) as (process, ours),
    ):
        for piece in drawn(ours):
            text += piece
            if stop_at and stop_at in text:
                process.send_signal(signal.SIGINT)
                stop_at = ""
        code = process.wait(SECONDS)
    out = (folder / "out").read_text(encoding="utf-8")
    return Shown(code, out, text.replace("\r\n", "\n"))


def in_place_of_rich(folder: Path, code: str) -> dict[str, str]:
    """Have Python find this code in place of rich."""
    (folder / "lib").mkdir()
    (folder / "lib" / "rich.py").write_text(code, encoding="utf-8")
    before = os.environ.get("PYTHONPATH", "")
    path = os.pathsep.join(filter(None, [str(folder / "lib"), before]))
    return {"PYTHONPATH": path}


def files_for(folder: Path, sandbox: Sandbox, **settings: Any) -> list[str]:
    files = {"config": config_for(sandbox, **settings), "catalog": CATALOG}
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return [f"--{name}={name}" for name in files]


CATALOG = catalog_of("inventory", "inventory_atp", "inventory_atp_channels")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A server that lets six requests through in two seconds."""
    with Sandbox(items=1_200, locations=2, per_minute=6, window_s=2) as sandbox:
        yield sandbox


@pytest.fixture
def quick() -> Iterator[Sandbox]:
    with Sandbox(items=60, locations=2) as sandbox:
        yield sandbox


def test_a_live_line_while_it_waits_and_a_table(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    budget = {"requests_per_minute": 90, "requests_per_hour": 900}
    words = files_for(tmp_path, sandbox, concurrency=2, **budget)
    shown = show(tmp_path, *words)
    assert shown.check().code == 0
    # What was drawn while it waited.
    lines = [
        [int(n.replace(",", "")) for n in m.groups()]
        for m in LIVE.finditer(shown.stderr)
    ]
    assert len(lines) > 1
    assert lines == sorted(lines, key=lambda line: (line[0], -line[1], -line[2]))
    assert all(90 - left[1] == 900 - left[2] > 0 for left in lines)
    # The table says what was written and asked for.
    table = shown.table
    assert list(table) == ["inventory", "inventory_atp", "inventory_atp_channels"]
    for stream, (rows, *_, exact) in table.items():
        assert int(rows.replace(",", "")) == len(shown.records(stream)) > 0
        assert exact == "yes"
    requests = [int(cells[1]) for cells in table.values()]
    assert sum(requests) == len(sandbox.requests)
    assert requests[2] == 0
    retries = sum(int(cells[2]) for cells in table.values())
    assert retries == sum(request.status == 429 for request in sandbox.requests) > 0
    assert table["inventory"][3] != "0 s"


def test_the_log_stands_above_the_line_whole(tmp_path: Path, sandbox: Sandbox) -> None:
    shown = show(tmp_path, *files_for(tmp_path, sandbox, concurrency=2)).check()
    *lines, last = shown.screen
    assert last == ""
    begin = next(n for n, line in enumerate(lines) if line.split() == TABLE)
    log = [line for line in lines[:begin] if LOG.fullmatch(line)]
    kept = [line for line in lines[:begin] if KEPT.fullmatch(line)]
    assert len(kept) == 3
    assert len(log) + len(kept) == begin, lines
    assert any("Rate limit: " in line for line in log)
    # What is for programs is not shown.
    assert not any("METRIC" in line for line in log)


def test_a_narrow_terminal_cuts_the_line_but_nothing_of_the_table(
    tmp_path: Path, quick: Sandbox
) -> None:
    shown = show(tmp_path, *files_for(tmp_path, quick), COLUMNS="20").check()
    table = shown.table
    assert [*table] == ["inventory", "inventory_atp", "inventory_atp_channels"]
    assert all(cells[-1] == "yes" for cells in table.values())
    live = re.findall(r"^(.*)\r", STYLES.sub("", shown.stderr), re.MULTILINE)
    assert max(map(len, live)) <= 20


def test_a_terminal_that_is_closed_ends_no_run(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    words = files_for(tmp_path, sandbox, concurrency=2)
    with (
        (tmp_path / "out").open("wb") as stdout,
        begun(tmp_path, words, stdout) as (process, ours),
    ):
        next(piece for piece in drawn(ours) if " to go" in piece)
        # As of a job that its shell has disowned: no signal comes with it.
        os.dup2(stdout.fileno(), ours)
        assert process.wait(SECONDS) == 0
    out = (tmp_path / "out").read_text(encoding="utf-8")
    read = Shown(0, out, "")
    assert len(read.records("inventory")) == 1_200
    assert read.records("inventory_atp_channels")


def test_what_is_missing_is_no_in_the_table(tmp_path: Path, quick: Sandbox) -> None:
    quick.faults.add(403, times=None, path="/inventory/channel-location")
    shown = show(tmp_path, *files_for(tmp_path, quick))
    assert shown.code == 1
    assert {name: cells[-1] for name, cells in shown.table.items()} == {
        "inventory": "yes",
        "inventory_atp": "no",
        "inventory_atp_channels": "no",
    }
    assert "inventory_atp" in shown.screen[-2]
    assert " ERROR " in shown.screen[-2]


def test_ctrl_c_leaves_one_line_and_no_remains(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    words = files_for(tmp_path, sandbox, concurrency=2)
    shown = show(tmp_path, *words, stop_at=" to go")
    assert shown.code == 130
    assert shown.screen[-1] == ""
    assert shown.screen[-2].endswith(
        "Stopped by SIGINT: run again, it goes on from the state."
    )
    assert [line for line in shown.screen[:-1] if not LOG.fullmatch(line)] == []
    assert shown.messages[-1]["type"] == "STATE"
    # The cursor is not hidden, so that nothing has to bring it back.
    assert "\x1b[?25" not in shown.stderr


@pytest.mark.parametrize(
    "terminal", ["without rich", "TERM=dumb", "TTY_COMPATIBLE=0", "COLUMNS=0"]
)
def test_plain_lines_where_nothing_can_be_drawn(
    tmp_path: Path, quick: Sandbox, terminal: str
) -> None:
    name, is_variable, value = terminal.partition("=")
    env = {name: value} if is_variable else in_place_of_rich(tmp_path, ABSENT)
    shown = show(tmp_path, *files_for(tmp_path, quick), **env).check()
    assert "\x1b" not in shown.stderr
    assert all(LOG.fullmatch(line) for line in shown.screen[:-1])
    costs = [line for line in shown.lines("INFO") if "the least possible" in line]
    assert len(costs) == 3


@pytest.mark.parametrize("word", ["--version", "--discover", "--about", "--help"])
def test_what_reads_nothing_imports_no_rich(tmp_path: Path, word: str) -> None:
    env = in_place_of_rich(tmp_path, FORBIDDEN)
    shown = show(tmp_path, word, **env)
    assert shown.code == 0, shown.stderr


def test_rich_is_imported_for_a_terminal_only(
    tmp_path: Path, quick: Sandbox, command: InstalledRunner
) -> None:
    env = in_place_of_rich(tmp_path, FORBIDDEN)
    words = files_for(tmp_path, quick)
    assert "rich was imported" in show(tmp_path, *words, **env).stderr
    piped = command.start(words, env).check()
    assert "\x1b" not in piped.stderr
    assert "METRIC" in piped.stderr
