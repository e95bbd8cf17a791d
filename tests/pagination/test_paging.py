"""How each style of paging asks for pages, and where it finds the total."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.pagination.paging import LimitOffset, PageLimit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_betterdata.pagination.paging import Paging

Envelope = dict[str, Any]

# How each style's answer says how many rows there are.
SAID: list[tuple[Paging, Callable[[object], Envelope], str]] = [
    (PageLimit(), lambda value: {"pagination": {"total": value}}, "pagination.total"),
    (LimitOffset(), lambda value: {"total": value}, "total"),
]
styles = pytest.mark.parametrize(
    ("paging", "said", "name"), SAID, ids=["page_limit", "limit_offset"]
)


@given(st.integers(1, 10_000), st.integers(1, 500))
def test_a_page_is_asked_for(number: int, limit: int) -> None:
    assert PageLimit().params(number, limit) == {"limit": limit, "page": number}
    before = LimitOffset().params(number, limit)
    behind = LimitOffset().params(number + 1, limit)
    assert before.keys() == {"limit", "offset"}
    assert behind["offset"] - before["offset"] == before["limit"] == limit
    assert LimitOffset().params(1, limit)["offset"] == 0


@styles
@given(count=st.integers(0, 10**18 - 1))
def test_a_total_is_read(
    paging: Paging, said: Callable[[object], Envelope], name: str, count: int
) -> None:
    del name
    for written in (count, str(count), Decimal(count)):
        assert paging.total(said(written)) == count


@styles
def test_a_total_may_be_missing(
    paging: Paging, said: Callable[[object], Envelope], name: str
) -> None:
    del name
    assert paging.total({"items": []}) is None
    assert paging.total(said(None)) is None


@styles
@pytest.mark.parametrize(
    "value",
    [
        *(-1, "-1", Decimal("1.5"), "1.5", "many", "", True, False, [], {}, 1.0),
        *(10**18, str(10**18), "1e9999999", Decimal("1e9999999"), "NaN", "Infinity"),
    ],
)
def test_a_total_that_is_no_count_is_refused(
    paging: Paging, said: Callable[[object], Envelope], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"^{name} that is not a count$"):
        paging.total(said(value))


@pytest.mark.parametrize("value", [[], "x", 7, False])
def test_pagination_that_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="pagination that is not an object"):
        PageLimit().total({"pagination": value})


def test_a_style_looks_at_no_other_total() -> None:
    assert PageLimit().total({"total": 7}) is None
    assert LimitOffset().total({"pagination": {"total": 7}}) is None
