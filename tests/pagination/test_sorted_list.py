"""Lists that the server sorts: nothing is lost, whatever moves, wherever it is cut."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.pagination.page import Checkpoint, NotSortedError
from tap_betterdata.pagination.prefetch import Prefetcher
from tests.pagination.model import (
    EPOCH,
    LOOKBACK,
    Change,
    CutError,
    Flight,
    Row,
    Server,
    Target,
    churn,
    thorough,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_betterdata.pagination.page import Page

OLD = 10_000.0
"""Seconds before the first request: long before the lookback."""


def ages(count: int, *, first: float = OLD) -> list[float]:
    """Return time stamps in seconds before the first request, each of its own."""
    return [first + n for n in range(count)]


# Whatever happens

counts = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 10, 20, 45])
stamps = st.one_of(
    st.integers(5_000, 9_000),
    st.floats(0, 900),
    st.sampled_from([10.0, 300.0, 599.0, 600.0, 601.0, 2000.0, 3000.0]),
)


@st.composite
def servers(draw: st.DrawFn) -> Server:
    """Draw a list, and what happens to it."""
    count, size = draw(counts), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(["any", "one stamp", "unstamped too"]))
    if kind == "one stamp":
        listed: list[float | None] = [draw(stamps)] * count
    else:
        listed = draw(st.lists(stamps, min_size=count, max_size=count))
    if kind == "unstamped too":
        without = draw(st.integers(0, count // 3))
        listed[:without] = [None] * without
    grain = draw(st.sampled_from([0, 0, 1, 60]))
    changes = draw(
        st.lists(
            st.builds(
                Change,
                answer=st.integers(1, draw(st.sampled_from([12, 40, 120]))),
                kind=st.sampled_from(["insert", "delete", "update"]),
                where=st.floats(0, 1, exclude_max=True),
                lag=st.one_of(st.just(0.0), st.floats(0, 590 - grain)),
                rows=st.sampled_from([1, 1, 1, 2, 4, 7]),
            ),
            max_size=25,
        )
    )
    return Server(
        stamps=listed,
        size=size,
        changes=changes,
        step=draw(st.sampled_from([0.05, 1, 20])),
        grain=grain,
        mirrored=draw(st.booleans()),
    )


targets: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    width=st.sampled_from([1, 2, 3, 4, 8]),
    picks=st.lists(st.integers(0, 7), min_size=1, max_size=6),
)


def has_only_unstamped(target: Target) -> bool:
    """Say whether the rows that have no time stamps are all that is left."""
    return all(row.updated is None for row in target.server.rows.values())


@thorough
@given(servers(), targets)
def test_a_whole_table_has_all_that_was_there(
    server: Server, options: dict[str, Any]
) -> None:
    target = Target(server, is_full_table=True, limit=server.size, **options)
    try:
        reader = target.run()
    except NotSortedError:
        assert has_only_unstamped(target)
        return
    keys = [row.id for row in target.sent]
    assert len(keys) == len(set(keys))
    if not reader.doubts:
        assert not target.missing(steady=True)


@thorough
@given(servers(), targets, st.lists(st.none() | st.integers(1, 30), max_size=4))
def test_runs_bring_all_that_their_bookmark_covers(
    server: Server, options: dict[str, Any], cuts: list[int | None]
) -> None:
    target = Target(server, limit=server.size, **options)
    for cut in cuts:
        server.cut = cut and server.answers + cut
        try:
            reader = target.run()
        except CutError:
            continue
        except NotSortedError:
            assert has_only_unstamped(target)
            return
        assert len(target.sent) == len(set(target.sent))
        if not reader.doubts:
            assert not target.overdue()
    server.cut = None
    server.pending.clear()
    try:
        reader = target.run()
    except NotSortedError:
        assert has_only_unstamped(target)
        return
    assert not reader.doubts
    assert not target.missing()


# What it costs


@pytest.mark.parametrize("width", [1, 4, 8])
@pytest.mark.parametrize(
    ("count", "pages"), [(0, 1), (3, 1), (4, 2), (299, 100), (300, 101), (301, 101)]
)
def test_a_list_that_stands_still_costs_its_pages(
    width: int, count: int, pages: int
) -> None:
    server = Server(ages(count))
    for is_full_table in (False, True):
        server.asked.clear()
        target = Target(server, width=width, is_full_table=is_full_table)
        reader = target.run()
        assert (len(server.asked), reader.requests, reader.extra) == (pages, pages, 0)
        assert len(target.sent) == count
        assert not target.missing()


@pytest.mark.parametrize("kind", ["delete", "update"])
@pytest.mark.parametrize(("width", "more"), [(1, 1), (4, 4), (8, 8)])
def test_one_change_costs_the_pages_in_flight(kind: str, width: int, more: int) -> None:
    random = Random(1)  # noqa: S311 - nothing secret
    for moment in range(2, 100, 7):
        server = Server(ages(299), changes=[Change(moment, kind, random.random())])
        target = Target(server, width=width)
        reader = target.run()
        assert not reader.doubts
        assert not target.missing(steady=True)
        assert len(server.asked) <= 100 + more


def test_what_was_asked_for_in_vain_is_extra() -> None:
    for server in (
        Server(ages(300), size=10, changes=[Change(9, "delete", 0.1)]),
        Server(ages(300), size=10, lie=clamp(5, since=4)),
    ):
        reader = Target(server, width=8, limit=10, picks=[3, 0]).run()
        assert reader.extra
        assert reader.requests - reader.extra <= 300 / server.size + 1


@pytest.mark.parametrize(("width", "more"), [(1, 15), (8, 15)])
@pytest.mark.parametrize("seed", range(5))
def test_steady_churn_costs_next_to_nothing(width: int, more: int, seed: int) -> None:
    # As many changes for the rows that are read as with pages of a hundred.
    changes = churn(300, every=50, seed=seed)
    server = Server(ages(2999), size=10, changes=changes, step=0.6)
    target = Target(server, width=width, limit=10, picks=[0, 2, 1])
    reader = target.run()
    assert not reader.doubts
    assert not target.overdue()
    assert len(server.asked) <= 300 + more


@pytest.mark.parametrize(("changed", "most"), [(0, 2), (1, 2), (250, 5)])
def test_what_changed_costs_what_it_fills(changed: int, most: int) -> None:
    server = Server(ages(20_000), size=100)
    target = Target(server, limit=100)
    target.run()
    server.apply(Change(0, "update", 0.5, rows=changed))
    server.answers += 2000
    server.asked.clear()
    target.run()
    assert not target.missing()
    assert len(target.sent) == changed
    assert len(server.asked) <= most


# One rule each


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("is_full_table", [True, False])
def test_rows_of_one_stamp_straddle_the_newest_page(
    *, mirrored: bool, is_full_table: bool
) -> None:
    server = Server([OLD] * 2 + [OLD + 5] * 4 + ages(20, first=OLD + 10))
    server.mirrored = mirrored
    target = Target(server, is_full_table=is_full_table)
    assert not target.run().doubts
    assert not target.missing()


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_row_goes_before_the_first_of_the_oldest(*, mirrored: bool) -> None:
    for where in range(20):
        server = Server([OLD] * 20, changes=[Change(2, "delete", where / 20)])
        server.mirrored = mirrored
        target = Target(server, width=4)
        assert not target.run().doubts
        assert not target.missing()


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize(
    "changes",
    [
        [Change(5, "delete", 0.1, rows=8)],
        [Change(5, "update", 0.0, rows=3)],
        [Change(4, "delete", 0.1, rows=25)],
        [Change(6, "insert", 0.5, lag=500)],
        [Change(n, "update", 0.99) for n in range(4, 12)],
        [Change(5, "update", 0.0, rows=20)],
    ],
    ids=["a page and more", "three old", "most", "late", "sent already", "many"],
)
def test_what_moves_while_it_is_read(width: int, changes: list[Change]) -> None:
    for is_full_table in (True, False):
        server = Server(ages(40), changes=changes)
        target = Target(server, width=width, is_full_table=is_full_table, picks=[2, 0])
        assert not target.run().doubts
        assert not target.missing(steady=True)
        assert not target.overdue()
        target.is_full_table = False
        target.run()
        assert not target.missing()


def test_a_page_answered_before_a_move_and_one_far_above_after_it() -> None:
    # Pages 14, 13 … 11 are in flight; page 11 is answered first, page 14 last.
    for kept in range(4):
        server = Server(ages(47), changes=[Change(3 + kept, "delete", 0.1, rows=2)])
        target = Target(server, width=4, picks=[3, 2, 1, 0])
        assert not target.run().doubts
        assert not target.missing(steady=True)


@pytest.mark.parametrize(
    ("stamps", "size", "change", "cut", "picks"),
    [
        # A page begins newer than the one above it, all of which is new to this run.
        (ages(12), 1, Change(14, "delete", 0, rows=3), 3, [1]),
        # A row comes in below, stamped late, and is newer than `settled`.
        ([63.5, *ages(5)], 1, Change(4, "update", 0.05, lag=300), None, [2, 6, 2, 5]),
        # Right after a cut, where rows of one stamp stood, a move shows nowhere.
        ([OLD] * 9, 1, Change(11, "update", 0.05, lag=300, rows=2), 4, [7]),
        # What stood on the newest page, too, and has come, comes once more.
        (ages(3), 1, Change(4, "delete", 0), None, [1, 0]),
    ],
    ids=["jump", "late", "cut", "again"],
)
def test_each_sign_is_heeded(
    stamps: list[float], size: int, change: Change, cut: int | None, picks: list[int]
) -> None:
    for width in (2, 3, 4, 8):
        for mirrored in (True, False):
            server = Server(stamps, size=size, changes=[change], mirrored=mirrored)
            target = Target(server, width=width, limit=size, picks=picks)
            server.cut = cut
            with suppress(CutError):
                target.run()
            server.cut = None
            target.run()
            assert not target.overdue()
            target.run()
            assert not target.missing()


@pytest.mark.parametrize("age", [30.0, OLD])
@pytest.mark.parametrize("is_full_table", [True, False])
def test_an_import_with_one_stamp(age: float, *, is_full_table: bool) -> None:
    server = Server([age] * 40)
    target = Target(server, is_full_table=is_full_table, width=4)
    reader = target.run()
    assert not reader.doubts
    assert not target.missing()
    assert len(target.sent) == 40
    pages = 14
    # What is in flight is thrown away when rows turn out to be that new.
    assert reader.requests <= (2 * (pages + 1) + 4 if age < 600 else pages + 1)


def test_what_changes_after_it_was_sent_comes_with_the_next_run() -> None:
    # The time stamps lie a year behind the server's clock, an hour apart.
    stamps = [(EPOCH - datetime(2025, 1, 1, tzinfo=UTC)).total_seconds()] * 60
    for width in (1, 8):
        server = Server(
            [age + 3600 * n for n, age in enumerate(stamps)],
            changes=[Change(n, "update", 0.95, rows=1) for n in range(5, 25)],
            slow_clock=True,
        )
        target = Target(server, width=width)
        for _ in range(3):
            assert not target.run().doubts
            assert not target.overdue()
        assert not target.missing()


def test_an_empty_list_leaves_no_bookmark() -> None:
    # Its clock may be ahead, by an hour say.
    server = Server([])
    target = Target(server)
    assert not target.run().doubts
    assert target.bookmark is None
    server.apply(Change(0, "insert", 0, rows=2))
    target.run()
    assert not target.missing()


def test_more_changes_than_fit_on_a_page() -> None:
    changes = [Change(n, "update", 0.0, rows=2) for n in range(3, 15)]
    server = Server(ages(40), changes=changes)
    target = Target(server)
    for _ in range(2):
        assert not target.run().doubts
        assert not target.overdue()


def test_two_changes_within_one_stamp_are_two() -> None:
    changes = [
        Change(2, "update", 0.9),
        Change(4, "update", 0.99),
        Change(17, "update", 0.7),
    ]
    server = Server(ages(11), size=1, changes=changes, step=60, grain=300)
    target = Target(server, limit=1)
    target.run()
    server.pending.clear()
    target.run()
    assert not target.missing()


def test_rows_without_a_stamp_count_as_the_oldest() -> None:
    server = Server([None, None, *ages(20)])
    target = Target(server, width=4)
    assert not target.run().doubts
    assert not target.missing()
    target.run()
    assert target.sent == []
    server.apply(Change(0, "update", 0.0))
    target.run()
    assert len(target.sent) == 1
    assert not target.missing()


# A run that goes on


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize(
    "meanwhile",
    [
        [],
        [Change(0, "delete", 0.0, rows=1000)],
        [Change(0, "delete", 0.0, rows=30)],
        [Change(0, "insert", 0.0, rows=400)],
        [Change(0, "update", 0.2, rows=9), Change(0, "delete", 0.9, rows=3)],
    ],
    ids=["nothing", "all gone", "most gone", "grown", "changed"],
)
@pytest.mark.parametrize("size", [3, 2, 7])
def test_a_run_that_is_cut_goes_on(
    width: int, meanwhile: list[Change], size: int
) -> None:
    for cut in range(1, 14):
        server = Server(ages(40))
        target = Target(server, width=width)
        server.cut = cut
        with pytest.raises(CutError):
            target.run()
        for change in meanwhile:
            server.apply(change)
        server.size = target.limit = size
        server.answers += 2000
        server.cut = server.answers + 2
        with suppress(CutError):
            target.run()
        server.cut = None
        assert not target.run().doubts
        assert not target.overdue()
        target.run()
        assert not target.missing()


def test_what_was_sent_is_not_sent_again() -> None:
    server = Server(ages(300), size=10, cut=20)
    target = Target(server, limit=10)
    with pytest.raises(CutError):
        target.run()
    left = target.checkpoint
    assert left
    assert left.left == 300 - 10 * 18
    server.cut = None
    server.asked.clear()
    target.run()
    assert not target.missing()
    # The rest, the newest page before and after, and a look at the other end of it.
    assert len(server.asked) == 15
    assert len(target.sent) <= left.left + 10


def test_a_run_for_what_changed_goes_on_as_such() -> None:
    server = Server(ages(300), size=10)
    target = Target(server, limit=10)
    target.run()
    reached = target.bookmark
    server.apply(Change(0, "update", 0.2, rows=50))
    server.answers += 2000
    server.cut = server.answers + 4
    with pytest.raises(CutError):
        target.run()
    assert target.bookmark == reached
    assert target.checkpoint
    server.cut = None
    server.asked.clear()
    target.run()
    assert not target.missing()
    assert len(server.asked) <= 7


def test_a_run_that_goes_on_sends_no_version_twice() -> None:
    # All are newer than `settled`, and so is what is read again when it went on.
    server = Server([10.0 * n for n in range(12)], cut=4)
    target = Target(server)
    with pytest.raises(CutError):
        target.run()
    target.run()
    assert len(target.sent) == len(set(target.sent))
    assert not target.missing()


def test_a_run_that_goes_on_looks_at_the_newest_end() -> None:
    server = Server(ages(6), size=1, order=ORDERS["always newest"], cut=2)
    target = Target(server, limit=1)
    with pytest.raises(CutError):
        target.run()
    with pytest.raises(NotSortedError, match="newest rows last"):
        target.run()


def test_a_list_that_shrank_costs_what_is_left() -> None:
    server = Server(ages(90))
    target = Target(server)
    server.cut = 3
    with pytest.raises(CutError):
        target.run()
    server.apply(Change(0, "delete", 0.0, rows=87))
    server.asked.clear()
    target.run()
    assert not target.missing()
    # A look at both ends, a page behind the list's end, the last one, and the newest.
    assert len(server.asked) <= 5


def test_what_moved_is_there_after_a_first_run() -> None:
    server = Server(ages(40), changes=[Change(5, "update", 0.0, rows=3)])
    target = Target(server)
    target.run()
    assert not target.missing()


def test_rows_that_are_newer_than_settled_are_counted() -> None:
    server = Server([30.0, 60.0, *ages(298)], size=10)
    for is_full_table in (True, False):
        server.asked.clear()
        target = Target(server, limit=10, is_full_table=is_full_table)
        assert not target.run().doubts
        assert len(server.asked) == 31


def test_rows_that_came_before_it_began_again_prove_nothing() -> None:
    # Page 5 is read, page 3 is clamped; then a row of page 5 goes, and the oldest one
    # moves to the newest end: as many rows came as the total says, but not that one.
    changes = [Change(5, "delete", 0.9), Change(7, "update", 0.0)]
    server = Server(ages(30), size=6, lie=clamp(4, 4), changes=changes)
    target = Target(server, limit=6, is_full_table=True)
    assert not target.run().doubts
    assert not {row.id for row in server.rows.values()} - {r.id for r in target.sent}


def test_a_row_that_went_away_makes_up_for_no_other() -> None:
    # Seen on the newest page alone, and then deleted; another one is pushed past the
    # reader in both readings.
    changes = [
        *(Change(3, "insert", 0, 203), Change(4, "delete", 0)),
        *(Change(7, "insert", 0, 207), Change(8, "delete", 0)),
        Change(3, "delete", 0.999),
    ]
    stamps = [100.0 + n for n in range(10)]
    server = Server(stamps, size=3, step=0.01, changes=changes)
    target = Target(server, is_full_table=True)
    assert target.run().doubts or not target.missing(steady=True)


def test_a_list_that_is_empty_when_a_run_goes_on() -> None:
    changes = [Change(4, "delete", 0, rows=4), Change(5, "insert", 0)]
    server = Server(ages(4), size=1, changes=changes, cut=3)
    target = Target(server, limit=1)
    with pytest.raises(CutError):
        target.run()
    target.run()
    target.run()
    assert not target.missing()


def test_a_change_of_all_that_is_old_is_no_lie() -> None:
    # The pages that come then have come before, as many as were read.
    once = [Change(100, "update", 0, rows=100)]
    twice = [Change(50, "update", 0, rows=140), Change(99, "update", 0, rows=150)]
    for changes in (once, twice):
        target = Target(Server(ages(900), changes=changes))
        assert not target.run().doubts
        assert not target.missing()


def test_a_purge_is_no_lie() -> None:
    changes = [Change(n, "delete", 0, rows=3) for n in range(33, 63)]
    for width in (1, 4):
        target = Target(Server(ages(900), size=3, changes=changes), width=width)
        assert not target.run().doubts
        assert not target.missing()


@pytest.mark.parametrize(
    ("kind", "rows", "begin"),
    [("delete", 3, 5), ("delete", 2, 5), ("update", 2, 5), ("update", 3, 50)],
)
def test_what_keeps_pace_with_the_reader_is_no_lie(
    kind: str, rows: int, begin: int
) -> None:
    # At the old end, without a pause: page after page holds what came before.
    changes = [Change(n, kind, 0, rows=rows) for n in range(begin, 999)]
    target = Target(Server(ages(300), size=3, changes=changes))
    assert not target.run().doubts
    assert not target.overdue()


def test_the_newest_page_goes_away() -> None:
    server = Server(ages(30), changes=[Change(7, "delete", 0.9, rows=3)], cut=5)
    target = Target(server)
    with pytest.raises(CutError):
        target.run()
    assert not target.run().doubts
    assert not target.missing()


def test_several_requests_are_in_flight() -> None:
    flight = Flight()
    submitted: list[int] = []
    submit = flight.submit

    def counted(*args: Any, **kwargs: Any) -> Any:
        submitted.append(1)
        return submit(*args, **kwargs)

    flight.submit = counted  # type: ignore[method-assign]
    target = Target(Server(ages(30)))
    target.run(prefetcher=Prefetcher(flight, 4))
    # All but the newest page and the first of the oldest.
    assert len(submitted) == 9


# The server is checked


def clamp(size: int, since: int = 1) -> Callable[[Page, Server], Page]:
    """Answer with fewer rows than are asked for, from some answer on."""

    def lie(page: Page, server: Server) -> Page:
        if server.answers < since:
            return page
        server.size = size
        order, number = server.asked[-1]
        rows = server.oldest_first()
        rows = rows[::-1] if order == "desc" else rows
        return replace(page, rows=rows[(number - 1) * size : number * size])

    return lie


@pytest.mark.parametrize("is_full_table", [True, False])
@pytest.mark.parametrize("since", range(1, 12))
def test_a_limit_that_is_clamped(since: int, *, is_full_table: bool) -> None:
    server = Server(ages(30), size=6, lie=clamp(4, since))
    target = Target(server, limit=6, is_full_table=is_full_table)
    assert not target.run().doubts
    assert not target.missing()
    if since == 1:
        assert len(server.asked) == 8


def test_a_page_that_looks_like_the_last_one_ends_nothing() -> None:
    # Clamped to four, page 5 has as many rows as page 5 of six would: rows 17 to 20.
    server = Server(ages(28), size=6)
    target = Target(server, limit=6)
    target.run()
    server.apply(Change(0, "update", 0.0, rows=8))
    server.answers += 2000
    server.lie = clamp(4, server.answers + 2)
    assert not target.run().doubts
    assert not target.missing()


def test_a_size_that_changes_again_and_again_is_said() -> None:
    def lie(page: Page, server: Server) -> Page:
        return replace(page, rows=page.rows[: None if server.answers % 2 else -1])

    target = Target(Server(ages(30), size=5, lie=lie), limit=5)
    reader = target.run()
    assert "size of its pages" in reader.doubts[0]
    assert target.bookmark is None


@pytest.mark.parametrize("age", [0.0, OLD])
@pytest.mark.parametrize("is_full_table", [True, False])
def test_a_total_that_is_capped(age: float, *, is_full_table: bool) -> None:
    def lie(page: Page, _: Server) -> Page:
        return replace(page, total=min(20, page.total or 0))

    server = Server(ages(30, first=age), lie=lie)
    target = Target(server, is_full_table=is_full_table)
    try:
        reader = target.run()
    except NotSortedError:
        return
    assert reader.doubts or not target.overdue()
    assert reader.doubts or not is_full_table


@pytest.mark.parametrize("rows", [1, 3])
def test_pages_that_repeat_are_not_read_for_ever(rows: int) -> None:
    def lie(page: Page, server: Server) -> Page:
        return replace(page, rows=server.oldest_first()[:1] * rows, total=rows * 10**16)

    for width in (1, 4):
        server = Server(ages(30), size=rows, lie=lie)
        with pytest.raises(NotSortedError, match="same rows"):
            Target(server, limit=rows, width=width).run()
        assert len(server.asked) <= 30


def test_a_total_that_goes_missing() -> None:
    def lie(page: Page, server: Server) -> Page:
        return page if server.answers < 4 else replace(page, total=None)

    with pytest.raises(NotSortedError, match="no total"):
        Target(Server(ages(30), lie=lie)).run()


def test_a_total_that_is_missing() -> None:
    server = Server(ages(30), lie=lambda page, _: replace(page, total=None))
    with pytest.raises(NotSortedError, match="no total"):
        Target(server).run()


ORDERS: dict[str, Callable[[Row], Any]] = {
    "creation": lambda row: int(row.id.split("-")[1]),
    "creation backwards": lambda row: -int(row.id.split("-")[1]),
    "id": lambda row: row.id,
    "always newest": lambda row: (EPOCH - (row.updated or EPOCH), row.id),
    "always oldest": lambda row: (row.updated or EPOCH, row.id),
    "none": lambda row: crc32(row.id.encode()),
}


def within_pages(page: Page, server: Server) -> Page:
    """Sort what stands on the page, and not the list."""
    return replace(
        page,
        rows=sorted(
            page.rows,
            key=lambda row: row.updated,
            reverse=server.asked[-1][0] == "desc",
        ),
    )


def oldest_alone(page: Page, server: Server) -> Page:
    """Sort the oldest rows first if that is asked for, and else by id."""
    order, number = server.asked[-1]
    rows = server.oldest_first() if order == "asc" else sorted(server.rows.values())
    size = server.size
    return replace(page, rows=rows[(number - 1) * size : number * size])


def newest_alone(page: Page, server: Server) -> Page:
    """Sort the newest rows first if that is asked for, and else by id."""
    order, number = server.asked[-1]
    rows = sorted(server.rows.values())
    rows = server.oldest_first()[::-1] if order == "desc" else rows
    size = server.size
    return replace(page, rows=rows[(number - 1) * size : number * size])


@pytest.mark.parametrize("lie", [within_pages, oldest_alone, newest_alone])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
@pytest.mark.parametrize("is_full_table", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_sorts_a_part_is_found_out(
    lie: Callable[[Page, Server], Page], size: int, seed: int, *, is_full_table: bool
) -> None:
    random = Random(seed)  # noqa: S311 - nothing secret
    stamps = [OLD + random.randrange(500) for _ in range(20)]
    server = Server(stamps, size=size, order=ORDERS["id"])
    target = Target(server, limit=size, is_full_table=is_full_table)
    if seed % 2 and not is_full_table:
        # It sorted when it was read first.
        server.order = None
        target.run()
    server.lie = lie
    for _ in range(3):
        server.apply(Change(0, "update", random.random(), rows=random.randrange(3)))
        server.answers += 2000
        try:
            reader = target.run()
        except NotSortedError:
            return
        assert reader.doubts or not target.overdue()
        assert reader.doubts or not (is_full_table and target.missing(steady=True))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("is_full_table", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_a_server_that_does_not_sort_is_found_out(
    order: str, size: int, seed: int, *, is_full_table: bool
) -> None:
    random = Random(seed)  # noqa: S311 - nothing secret
    kinds = [
        [OLD + random.randrange(1000) for _ in range(20)],
        [OLD + random.randrange(3) for _ in range(20)],
        [random.uniform(0, 1200) for _ in range(20)],
    ]
    server = Server(random.choice(kinds), size=size, order=ORDERS[order])
    target = Target(server, limit=size, is_full_table=is_full_table)
    for _ in range(2):
        try:
            reader = target.run()
        except NotSortedError:
            return
        assert reader.doubts or not target.overdue()
        server.apply(Change(0, "update", random.random(), rows=3))
        server.answers += 2000


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_an_order_that_is_not_turned_proves_nothing(rows: int) -> None:
    # What is newest comes first by chance.
    server = Server(ages(30))
    target = Target(server)
    target.run()
    server.answers += 2000
    server.order = ORDERS["always newest"]
    server.apply(Change(0, "update", 0.5, rows=rows))
    with pytest.raises(NotSortedError):
        target.run()


def test_a_newest_page_that_is_not_sorted_hides_nothing() -> None:
    server = Server(ages(20))
    target = Target(server)
    target.run()
    # What it shows first is new by chance, and the rest of it older than the bookmark.
    by_id = sorted(server.rows)
    for key in (by_id[0], by_id[10]):
        server._put(key, server.now, 1)  # noqa: SLF001 - two at one moment
    server.answers += 2000
    server.lie = oldest_alone
    with pytest.raises(NotSortedError, match="newest rows first"):
        target.run()


def test_so_much_moves_while_one_looks_at_the_order() -> None:
    server = Server(ages(5))
    target = Target(server)
    target.run()
    server.answers += 2000
    # Between the newest page and the oldest one.
    server.pending[server.answers + 2] = [Change(0, "update", 0.0, rows=4)]
    assert not target.run().doubts
    assert not target.missing(steady=True)
    target.run()
    assert not target.missing()


def test_the_newest_rows_are_not_where_they_should_be() -> None:
    stamped = Server(ages(9)).oldest_first()

    def nothing(page: Page, _: Server) -> Page:
        return replace(page, rows=[])

    def unstamped(page: Page, _: Server) -> Page:
        return replace(page, rows=[row._replace(updated=None) for row in stamped[:3]])

    for lie in (nothing, unstamped):
        with pytest.raises(NotSortedError, match="where the newest should be"):
            Target(Server(ages(9), lie=lie)).run()


@pytest.mark.parametrize("cut", [None, 4])
def test_late_stamps_make_no_order_look_wrong(cut: int | None) -> None:
    # The newest three go away, and three come in below them: as many rows as before.
    changes = [Change(0, "delete", 0.99), Change(0, "insert", 0, lag=500)] * 3
    server = Server([10.0 * n for n in range(30)], cut=cut)
    target = Target(server)
    if cut:
        with pytest.raises(CutError):
            target.run()
    server.pending[server.answers + 2] = changes
    assert not target.run().doubts
    target.run()
    assert not target.missing()


def unstamped_last(page: Page, server: Server) -> Page:
    """Put rows without a time stamp last, whichever come first."""
    order, number = server.asked[-1]
    rows = server.oldest_first()
    stamped = [row for row in rows if row.updated]
    ordered = stamped[::-1] if order == "desc" else stamped
    ordered += [row for row in rows if not row.updated]
    size = server.size
    return replace(page, rows=ordered[(number - 1) * size : number * size])


@pytest.mark.parametrize("first", [OLD, 100.0])
@pytest.mark.parametrize("cut", [None, 2])
@pytest.mark.parametrize("moved", [0, 4])
def test_rows_that_stand_last_in_both_orders_are_not_left_out(
    first: float, cut: int | None, moved: int
) -> None:
    # Eleven rows less the newest two fill the pages below: none shows the other two.
    stamps = [None, None, *(first + n for n in range(9))]
    server = Server(stamps, lie=unstamped_last, cut=cut)
    target = Target(server)
    if cut:
        with pytest.raises(CutError):
            target.run()
    if moved:
        server.pending[server.answers + 3] = [Change(0, "update", 0.4, rows=moved)]
    with pytest.raises(NotSortedError):
        target.run()


@pytest.mark.parametrize(
    "stamps",
    [
        # All of the newest page changed so lately that moves would explain much.
        [*[None] * 6, *ages(9, first=10.0)],
        # Rows of one stamp fill it: all rows are left, and do not fill their pages.
        [*[None] * 7, *ages(6, first=OLD + 1), OLD, OLD, OLD],
    ],
)
@pytest.mark.parametrize("is_cut", [False, True])
def test_rows_that_stand_last_in_both_orders_hide_no_change(
    stamps: list[float | None], *, is_cut: bool
) -> None:
    server = Server(stamps, lie=unstamped_last, cut=2 if is_cut else None)
    target = Target(server, bookmark=EPOCH - timedelta(seconds=2 * OLD))
    if is_cut:
        with pytest.raises(CutError):
            target.run()
    with pytest.raises(NotSortedError):
        target.run()


def test_a_list_cut_down_to_its_old_end_is_no_list_out_of_order() -> None:
    # What is left fills its last page, and that is older than the newest page was.
    server = Server(ages(40), changes=[Change(2, "delete", 0.226, rows=31)])
    target = Target(server)
    assert not target.run().doubts
    assert len(server.rows) == 9
    assert not target.missing()


def test_what_moves_while_a_first_run_goes_on_is_there_after_it() -> None:
    server = Server(ages(30), cut=8)
    target = Target(server)
    with pytest.raises(CutError):
        target.run()
    server.pending[server.answers + 4] = [Change(0, "update", 0.0, rows=2)]
    target.run()
    assert not target.missing()


@pytest.mark.parametrize(("answers", "is_exact"), [(60, True), (600, False)])
def test_a_table_is_read_until_it_stands_still(answers: int, *, is_exact: bool) -> None:
    changes = [Change(n, "update", 0.0, rows=4) for n in range(3, answers)]
    target = Target(
        Server(ages(20), changes=changes), is_full_table=True, max_extra=10_000
    )
    assert bool(target.run().doubts) is not is_exact
    assert len(target.server.asked) <= 20 * 8
    if is_exact:
        assert len(target.server.asked) > answers
        assert not target.missing(steady=True)


def test_a_row_that_stands_on_no_page_is_missed() -> None:
    def lie(page: Page, server: Server) -> Page:
        """Show another row in its place."""
        hidden, other = server.oldest_first()[4:6]
        return replace(page, rows=[other if x == hidden else x for x in page.rows])

    server = Server(ages(20), lie=lie)
    for is_full_table in (True, False):
        with pytest.raises(NotSortedError, match="at least 1 of 20 rows"):
            Target(server, is_full_table=is_full_table).run()


def test_extra_requests_are_bounded() -> None:
    changes = [Change(n, "update", 0.0, rows=4) for n in range(3, 4000)]
    for most in (0, 3, None):
        server = Server(ages(30), changes=changes)
        target = Target(server, is_full_table=True, max_extra=most)
        reader = target.run()
        assert "faster than it can be read" in reader.doubts[0]
        assert reader.extra <= (20 if most is None else most)
        assert reader.requests == len(server.asked)
        target = Target(Server(ages(30), changes=changes), max_extra=most)
        assert not target.run().doubts
        assert not target.overdue()


def test_a_checkpoint_stands_for_what_is_left() -> None:
    server = Server(ages(10))
    target = Target(server, checkpoint=Checkpoint(EPOCH - LOOKBACK, 4))
    target.run()
    assert set(server.oldest_first()[:6]) == set(target.sent)
    assert target.bookmark == EPOCH - LOOKBACK
