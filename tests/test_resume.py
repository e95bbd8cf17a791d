"""Where a sweep that was cut short goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.pages import Page, Row
from tap_betterdata.resume import Rest, find_page, read_rest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REST = Rest(NOW, NOW - timedelta(hours=1), 200)


def ago(**delta: float) -> datetime:
    return NOW - timedelta(**delta)


def test_it_survives_the_state() -> None:
    assert read_rest(REST.as_note()) == REST


@pytest.mark.parametrize(
    "note",
    [
        None,
        "2024-03-15",
        {},
        {**REST.as_note(), "top": "soon"},
        {**REST.as_note(), "reached": None},
        {**REST.as_note(), "rows": "200"},
        {**REST.as_note(), "rows": -1},
        {**REST.as_note(), "rows": True},
    ],
)
def test_what_cannot_be_read_is_none(note: object) -> None:
    assert read_rest(note) is None


def test_what_was_sent() -> None:
    assert REST.covers(NOW)
    assert REST.covers(ago(minutes=59))
    # Others of the very version that was reached may have been left.
    assert not REST.covers(ago(hours=1))
    assert not REST.covers(ago(hours=2))
    assert not REST.covers(NOW + timedelta(seconds=1))
    assert not REST.covers(None)


def a_page(number: int, versions: list[datetime | None], pages: int, size: int) -> Page:
    rows: list[Row] = [{"version": version} for version in versions]
    return Page(number, rows, size, total=pages * size, total_pages=pages)


@given(
    count=st.integers(2, 300_000),
    size=st.integers(1, 100),
    sent=st.integers(1, 300_000),
    error=st.integers(-3000, 3000),
)
def test_the_page_is_found_with_a_few_requests(
    count: int, size: int, sent: int, error: int
) -> None:
    pages = -(-count // size)
    reached = min(sent, count) - 1  # the last row that was sent
    probes: list[int] = []

    def read(number: int) -> Page:
        probes.append(number)
        first, last = (number - 1) * size, min(number * size, count)
        return a_page(number, [ago(seconds=n) for n in range(first, last)], pages, size)

    page = find_page(
        Rest(NOW, ago(seconds=reached), max(0, reached + 1 + error)),
        came=0,
        first=read(1),
        read=read,
        version=lambda row: row["version"],
    )
    behind = reached // size + 1
    assert page.number <= behind
    assert behind - page.number <= 1
    assert len(probes) <= 3 + 2 * (abs(error) // size + 1).bit_length()


def test_items_without_a_time_stamp_stand_behind_it() -> None:
    undated: list[datetime | None] = [None, None]
    pages = [
        a_page(1, [NOW, ago(minutes=1)], 3, 2),
        a_page(2, [ago(minutes=2), None], 3, 2),
        a_page(3, undated, 3, 2),
    ]
    page = find_page(
        Rest(NOW, ago(minutes=2), 6),
        came=0,
        first=pages[0],
        read=lambda number: pages[number - 1],
        version=lambda row: row["version"],
    )
    assert page.number == 1
