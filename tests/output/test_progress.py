"""The progress: what the line says, and how often there is a plain one."""

from __future__ import annotations

import io
import logging
import sys
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.output import progress
from tap_betterdata.output.progress import LINE_EVERY, Progress, duration
from tap_betterdata.output.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGGER = logging.getLogger("tests.progress")


@dataclass
class Stream:
    name: str = "inventory"
    is_flat: bool = False
    rows: int = 0
    requests: int = 0
    least_requests: int = 0
    retries: int = 0
    waited: float = 0.0
    seconds: float = 0.0
    complete: bool = True


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def limiter(per_minute: int = 0, per_hour: int = 0) -> RateLimiter:
    return RateLimiter(
        per_minute=per_minute, per_hour=per_hour, max_wait=1, stop=threading.Event()
    )


def made(rate_limiter: RateLimiter | None = None) -> Progress:
    one = rate_limiter or limiter()
    return Progress(logger=LOGGER, rate_limiter=lambda: one)


def line(progress: Progress) -> str:
    return progress.line()


# Plain lines


def test_a_line_each_half_minute_at_most(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said = made()
    said.begin_stream(Stream())
    for second in range(100):
        clock.now = 1000.0 + second
        said.step("inventory", done=second, of=100, total=100)
        said.announce("inventory", 0)
    assert caplog.messages == [
        "inventory: 0 of 100 rows · 1 min to go · 30/100 requests.",
        "inventory: 0 of 100 rows · 40 s to go · 60/100 requests.",
        "inventory: 0 of 100 rows · 10 s to go · 90/100 requests.",
    ]
    assert LINE_EVERY == 30


def test_long_work_is_announced_and_counts_as_a_line(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said = made(limiter(per_minute=10))
    said.begin_stream(Stream())
    for what in ("loc_001", "loc_002"):
        said.announce(what, 100)
    clock.now += 29
    said.step("loc_001", done=1, of=100, total=None)
    assert caplog.messages == [
        "loc_001: 100 requests to make; the budget allows that in 9 min at the least."
    ]


def test_what_is_not_known_is_not_said(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said = made()
    said.begin_stream(Stream())
    clock.now += LINE_EVERY
    said.step("inventory", done=3, of=None, total=None)
    assert caplog.messages == ["inventory: 0 rows · 3 requests."]


def test_the_list_that_is_read_is_named(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    said = made()
    said.begin_stream(Stream())
    clock.now += LINE_EVERY
    said.step("inventory, location loc_2", done=3, of=None, total=None)
    assert caplog.messages == [
        "inventory: 0 rows · 3 requests · now at location loc_2."
    ]


# The line


def test_nothing_is_said_before_the_first_stream_and_after_it() -> None:
    said = made()
    assert line(said) == ""
    stream = Stream()
    said.begin_stream(stream)
    assert line(said) == "inventory: 0 rows · 0 requests"
    said.end_stream()
    assert line(said) == ""


def test_lists_are_added_up(clock: Clock) -> None:
    said = made()
    stream = Stream(rows=1_500, requests=5)
    said.begin_stream(stream)
    said.step("another", done=1, of=2, total=100)
    said.expect(3)
    said.step("loc_001", done=5, of=20, total=2_000)
    clock.now += 10
    assert line(said) == (
        "inventory: 1,500 of at least 2,000 rows · 34 s to go · 5/22 requests"
    )
    said.step("loc_002", done=1, of=2, total=120)
    said.step("loc_003", done=1, of=1, total=3)
    # An answer that was asked for earlier comes later.
    said.step("loc_001", done=4, of=20, total=2_000)
    stream.requests = 11  # with those that wait to be sent
    assert line(said) == "inventory: 1,500 of 2,123 rows · 23 s to go · 7/23 requests"


def test_the_wait_is_part_of_the_time_to_go() -> None:
    said = made(limiter(per_minute=10, per_hour=100))
    said.begin_stream(Stream(rows=1, requests=1))
    said.step("inventory", done=1, of=12, total=12)
    assert line(said) == (
        "inventory: 1 of 12 rows · 1 min to go · 1/12 requests · left 10/min 100/h"
    )


def test_parts_of_rows_are_not_counted_against_rows() -> None:
    said = made()
    said.begin_stream(Stream(rows=30, requests=1, is_flat=True))
    said.step("loc_001", done=1, of=1, total=10)
    assert line(said) == "inventory: 30 rows · 1 requests"


@given(st.floats(0, 10**7))
def test_a_length_of_time_is_right_to_half_a_unit(seconds: float) -> None:
    units = {"s": 1, "min": 60, "h": 3600}
    words = duration(seconds).split()
    said = sum(
        int(number) * units[unit]
        for number, unit in zip(words[::2], words[1::2], strict=True)
    )
    assert abs(said - seconds) <= units[words[-1]] / 2
    assert words[:2] not in (["60", "s"], ["60", "min"])


# What the terminal makes of it


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Terminal, io.StringIO]]:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = logging.StreamHandler(stderr)
    logging.getLogger().addHandler(handler)
    console = Console(file=stderr, force_terminal=True, width=60, highlight=False)
    terminal = Terminal(console, lambda: "[b]a[/b]\x1b[2J bdk_live_0000")
    try:
        yield terminal, stderr
    finally:
        terminal.close()
        logging.getLogger().removeHandler(handler)


def test_foreign_text_is_drawn_as_it_is(
    screen: tuple[Terminal, io.StringIO],
) -> None:
    terminal, stderr = screen
    terminal.draw()
    assert r"[b]a[/b]\x1b[2J ***" in stderr.getvalue()
    LOGGER.warning("[red]loc_001[/red] :smile: /tmp/x %s", "y" * 60)
    assert f"[red]loc_001[/red] :smile: /tmp/x {'y' * 60}\n" in stderr.getvalue()
    terminal.keep("[i]\x07")
    terminal.print_table(("stream",), [("[i]\x1b]0;title\x07",)])
    assert r"[i]\x07" in stderr.getvalue()
    assert r"[i]\x1b]0;title\x07" in stderr.getvalue()


def test_the_log_has_back_what_it_wrote_to(
    screen: tuple[Terminal, io.StringIO],
) -> None:
    terminal, stderr = screen
    terminal.close()
    before = len(stderr.getvalue())
    terminal.draw()
    LOGGER.warning("as before")
    assert stderr.getvalue()[before:] == "as before\n"
