"""Lists without an order: exact, or said that they are not."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pagination.model import (
    LOOKBACK,
    UNSTAMPED,
    Change,
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


def by_creation(row: Row) -> int:
    return int(row.id.split("-")[1])


def by_id(row: Row) -> str:
    return row.id


def server_of(count: int, *changes: Change, **options: Any) -> Server:
    ages = [OLD - n for n in range(count)]
    return Server(ages, changes=changes, **{"order": by_id, **options})


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Draw changes, of one kind at a moment: opposite ones can't be told apart."""
    kinds = draw(
        st.dictionaries(
            st.integers(2, 20), st.sampled_from(["insert", "delete"]), max_size=6
        )
    )
    return [
        Change(answer, kind, where)
        for answer, kind in kinds.items()
        for where in draw(
            st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=3)
        )
    ]


orders = st.sampled_from([by_id, by_creation, lambda row: -by_creation(row)])
counts = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 9, 10, 20, 30])


@thorough
@given(counts, st.integers(1, 4), histories(), orders)
def test_what_is_called_exact_lacks_nothing(
    count: int, size: int, changes: list[Change], order: Callable[[Row], Any]
) -> None:
    server = server_of(count, *changes, size=size, order=order)
    target = Target(server, is_full_table=True, limit=size)
    reader = target.run_plain(fields=UNSTAMPED)
    keys = [row.id for row in target.sent]
    assert len(keys) == len(set(keys))
    assert reader.doubts or not target.missing(steady=True)
    assert reader.requests == len(server.asked)


changes_of_any_kind = st.lists(
    st.builds(
        Change,
        answer=st.integers(2, 20),
        kind=st.sampled_from(["insert", "delete", "update"]),
        where=st.floats(0, 1, exclude_max=True),
        lag=st.just(0.0),
        rows=st.integers(1, 3),
    ),
    max_size=8,
)


@thorough
@given(counts, st.integers(1, 4), changes_of_any_kind, orders)
def test_what_a_bookmark_covers_came(
    count: int, size: int, changes: list[Change], order: Callable[[Row], Any]
) -> None:
    server = server_of(count, *changes, size=size, order=order)
    target = Target(server, limit=size)
    for _ in range(3):
        reader = target.run_plain(bookmark=target.bookmark)
        assert len(target.sent) == len(set(target.sent))
        if not reader.doubts:
            target.bookmark = reader.bookmark
            # An insertion and a deletion at one moment are told by the time stamp.
            assert not target.missing(steady=True)
            assert not target.overdue()


@pytest.mark.parametrize(
    ("count", "requests"), [(0, 1), (2, 1), (3, 1), (4, 2), (299, 100), (300, 101)]
)
def test_a_list_that_stands_still_costs_its_pages(count: int, requests: int) -> None:
    server = server_of(count)
    target = Target(server, is_full_table=True)
    reader = target.run_plain(fields=UNSTAMPED)
    assert not reader.doubts
    assert not target.missing()
    assert (reader.requests, reader.extra) == (requests, 0)


@pytest.mark.parametrize("seed", range(8))
def test_steady_churn_is_not_called_exact(seed: int) -> None:
    # What a server that ignores the order answers, in the order of creation.
    server = server_of(299, *churn(100, seed=seed), order=by_creation)
    target = Target(server, is_full_table=True)
    reader = target.run_plain()
    assert reader.doubts
    assert reader.extra <= 10


def test_a_deletion_that_draws_rows_away_is_made_good() -> None:
    for moment in range(3, 10):
        server = server_of(30, Change(moment, "delete", 0.0), order=by_creation)
        target = Target(server, is_full_table=True)
        reader = target.run_plain(fields=UNSTAMPED)
        assert not reader.doubts, moment
        assert not target.missing(steady=True)
        assert 0 < reader.extra <= 3


def test_an_insertion_behind_the_reader_is_explained() -> None:
    server = server_of(
        30, Change(5, "insert", 0.0), order=lambda row: -by_creation(row)
    )
    target = Target(server, is_full_table=True)
    reader = target.run_plain(fields=UNSTAMPED)
    assert not reader.doubts
    assert not target.missing(steady=True)


@pytest.mark.parametrize(
    "change",
    [
        Change(4, "delete", 0.99),
        Change(4, "insert", 0.0),
        Change(4, "delete", 0.0, rows=7),
    ],
)
def test_what_is_not_explained_is_said(change: Change) -> None:
    server = server_of(30, change, order=by_creation)
    target = Target(server, is_full_table=True)
    reader = target.run_plain(fields=UNSTAMPED)
    if change.rows == 1:
        assert reader.doubts
    assert reader.doubts or not target.missing(steady=True)


def test_what_hides_what_moved_is_seen_all_the_same() -> None:
    # A deletion draws the second row away, and two rows that come in hide it; those
    # that go away at the end make the numbers right again.
    changes = [
        Change(3, "delete", 0.1),
        Change(3, "insert", 0, rows=2),
        Change(4, "delete", 0.99, rows=3),
    ]
    server = server_of(3, *changes, size=1, order=by_creation)
    target = Target(server, is_full_table=True, limit=1)
    assert target.run_plain(fields=UNSTAMPED).doubts
    assert target.missing(steady=True)


def test_what_is_drawn_further_than_a_page_is_looked_for() -> None:
    changes = [Change(5, "delete", 0, rows=3), Change(5, "insert", 0, rows=2)]
    server = server_of(6, *changes, size=1, order=by_creation)
    target = Target(server, is_full_table=True, limit=1)
    reader = target.run_plain(fields=UNSTAMPED)
    assert reader.doubts
    assert not target.missing(steady=True)


def test_what_moves_while_pages_are_read_again_is_said() -> None:
    changes = [Change(3, "delete", 0), Change(4, "insert", 0)]
    target = Target(server_of(5, *changes, size=2), is_full_table=True, limit=2)
    assert target.run_plain(fields=UNSTAMPED).doubts
    assert target.missing(steady=True)


def test_a_row_that_changes_meanwhile_is_never_explained() -> None:
    server = server_of(30, Change(4, "update", 0.9), order=by_creation)
    reader = Target(server).run_plain()
    assert any("changed while it was read" in doubt for doubt in reader.doubts)
    assert reader.bookmark is None


def test_one_answer_belongs_to_one_moment() -> None:
    server = Server([0.0, -30.0], order=by_id)
    target = Target(server)
    reader = target.run_plain()
    assert not reader.doubts
    assert not target.missing()
    assert reader.bookmark is not None
    assert reader.bookmark <= server.now - LOOKBACK


def test_what_is_at_or_before_the_bookmark_is_not_sent() -> None:
    server = server_of(30)
    target = Target(server)
    bookmark = target.run_plain().bookmark
    assert bookmark == max(row.updated for row in server.rows.values() if row.updated)
    server.apply(Change(0, "update", 0.5))
    target.run_plain(bookmark=bookmark)
    assert len(target.sent) == 1
    assert not target.missing()


def test_rows_without_a_stamp_are_sent_each_time() -> None:
    server = Server([None, *[OLD] * 9], order=by_id)
    target = Target(server)
    bookmark = target.run_plain().bookmark
    target.run_plain(bookmark=bookmark)
    assert [row.updated for row in target.sent] == [None]


def lying(**fields: Any) -> Callable[[Page, Server], Page]:
    def lie(page: Page, _: Server) -> Page:
        return replace(page, **fields)

    return lie


@pytest.mark.parametrize("count", [2, 20])
def test_without_a_total_it_is_never_exact(count: int) -> None:
    target = Target(server_of(count, lie=lying(total=None)), is_full_table=True)
    reader = target.run_plain()
    assert "no total" in reader.doubts[0]
    assert not target.missing()
    assert reader.requests == count // 3 + 1


@pytest.mark.parametrize("total", [5, 6, 19])
def test_a_total_that_is_too_small_is_found_out(total: int) -> None:
    target = Target(server_of(20, lie=lying(total=total)), is_full_table=True)
    reader = target.run_plain()
    assert reader.doubts


def test_what_stands_behind_a_total_is_read() -> None:
    target = Target(server_of(20, lie=lying(total=6)), is_full_table=True)
    assert target.run_plain().doubts
    assert not target.missing()


@pytest.mark.parametrize("total", [25, 10**17])
def test_a_total_that_is_too_large_is_found_out(total: int) -> None:
    server = server_of(20, lie=lying(total=total))
    reader = Target(server, is_full_table=True).run_plain()
    assert reader.doubts
    assert len(server.asked) <= 10
    assert f"at least {total - 20} of {total} rows are missing" in reader.doubts


def test_pages_that_repeat_are_not_read_for_ever() -> None:
    def lie(page: Page, server: Server) -> Page:
        return replace(page, rows=sorted(server.rows.values())[:3])

    server = server_of(20, lie=lie)
    reader = Target(server, is_full_table=True).run_plain()
    assert any("nothing new" in doubt for doubt in reader.doubts)
    assert len(server.asked) <= 4


@pytest.mark.parametrize("since", [1, 4])
def test_a_limit_that_is_clamped(since: int) -> None:
    def lie(page: Page, server: Server) -> Page:
        if server.answers < since:
            return page
        rows = sorted(server.rows.values())
        return replace(page, rows=rows[(page.number - 1) * 2 : page.number * 2])

    target = Target(server_of(20, lie=lie), is_full_table=True)
    reader = target.run_plain()
    assert bool(reader.doubts) == (since > 1)
    assert reader.doubts or not target.missing()


@pytest.mark.parametrize("most", [0, 1, 5])
def test_extra_requests_are_bounded(most: int) -> None:
    random = Random(3)  # noqa: S311 - nothing secret
    changes = [Change(n, "delete", random.random() / 9) for n in range(3, 40)]
    server = server_of(200, *changes)
    reader = Target(server, is_full_table=True).run_plain(max_extra=most)
    assert reader.extra <= most
    assert any("than is allowed" in doubt for doubt in reader.doubts)
