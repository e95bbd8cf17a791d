"""What counts as a page, and what is never taken for the end of the data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.answers import (
    MalformedResponseError,
    check_object,
    check_objects,
    error_code,
    error_text,
    parse_object,
    parse_page,
)
from tap_betterdata.pagination.paging import PageLimit

if TYPE_CHECKING:
    from tap_betterdata.pagination.page import Page

ROWS = [{"id": "1"}, {"id": "2"}]


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def page_of(body: object, records_key: str = "items") -> Page:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return parse_page(
        content, records_key=records_key, paging=PageLimit(), number=3, date=NOW
    )


@pytest.mark.parametrize(
    ("records_key", "name"),
    [("items", "items"), ("products", "products"), ("items", "data")],
)
def test_the_list_has_its_endpoints_name_or_the_overviews(
    records_key: str, name: str
) -> None:
    page = page_of({name: ROWS, "channels": [1]}, records_key)
    assert page.rows == ROWS
    assert page.envelope["channels"] == [1]
    assert (page.number, page.date) == (3, NOW)


def test_the_endpoints_name_comes_first() -> None:
    assert page_of({"data": [], "items": ROWS}).rows == ROWS


def test_an_empty_list_is_a_page() -> None:
    assert page_of({"items": []}).rows == []


@given(st.integers(0, 10**18 - 1))
def test_a_total_may_be_written_as_a_string(total: int) -> None:
    for written in (total, str(total)):
        assert page_of({"items": ROWS, "pagination": {"total": written}}).total == total


@pytest.mark.parametrize("body", [{}, {"pagination": None}, {"pagination": {}}])
def test_a_total_may_be_missing(body: dict[str, Any]) -> None:
    assert page_of({"items": ROWS, **body}).total is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "an empty body"),
        (b" \n", "an empty body"),
        (b"<!doctype html><h1>Sign in</h1>", "HTML"),
        (b"\n <html>", "HTML"),
        (b'{"items": [{"id": "1"', "not complete JSON"),
        (b"\xff", "not complete JSON"),
        (b"null", "JSON that is not an object"),
        (b"[]", "JSON that is not an object"),
        (b'"OK"', "JSON that is not an object"),
        (b"true", "JSON that is not an object"),
        (b"12", "JSON that is not an object"),
        (b"1.5", "JSON that is not an object"),
    ],
)
def test_what_is_no_object_is_malformed(body: bytes, said: str) -> None:
    for read in (page_of, parse_object):
        with pytest.raises(MalformedResponseError, match=said):
            read(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": "Down"}, "an error with status 200: Down"),
        ({"items": [], "error": "Down"}, "an error with status 200: Down"),
        ({"error": {"code": "X_1", "message": "Down"}}, "X_1: Down"),
        ({}, "no list under items or data"),
        ({"products": []}, "no list under items or data"),
        ({"pagination": {"total": 0}}, "no list"),
        ({"items": None}, "items that is not a list of objects"),
        ({"items": {}}, "items that is not a list of objects"),
        ({"items": "none"}, "items that is not a list of objects"),
        ({"data": [1]}, "data that is not a list of objects"),
        ({"items": [{}, None]}, "items that is not a list of objects"),
        ({"items": [], "pagination": []}, "pagination that is not an object"),
        ({"items": [], "pagination": "x"}, "pagination that is not an object"),
    ],
)
def test_what_is_no_page_is_malformed(body: object, said: str) -> None:
    with pytest.raises(MalformedResponseError, match=said):
        page_of(body)


@pytest.mark.parametrize(
    "value",
    [
        *("-1", '"-1"', "1.5", '"1.5"', '"many"', '""', "true", "[]", "{}"),
        *("9" * 19, '"1' + "0" * 5000 + '"', "1e9999999", '"1e9999999"', "1" * 400),
    ],
)
def test_a_total_that_is_no_count_is_malformed(value: str) -> None:
    body = f'{{"items": [], "pagination": {{"total": {value}}}}}'.encode()
    with pytest.raises(MalformedResponseError, match=r"pagination\.total .* count"):
        page_of(body)


@pytest.mark.parametrize("value", ["7", '"7"', "7.0", "70e-1"])
def test_a_total_may_be_written_in_any_way(value: str) -> None:
    body = f'{{"items": [], "pagination": {{"total": {value}}}}}'.encode()
    assert page_of(body).total == 7


@pytest.mark.parametrize("error", [None, False, "", {}])
def test_an_error_that_says_nothing_is_none(error: object) -> None:
    assert page_of({"items": ROWS, "error": error}).rows == ROWS


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"error": "No such page"}, None, "No such page"),
        ({"error": "Wrong", "code": "BAD"}, "BAD", "BAD: Wrong"),
        ({"error": "Wrong", "details": {"code": "BAD"}}, "BAD", "BAD: Wrong"),
        ({"error": {"code": "BAD", "message": "Wrong"}}, "BAD", "BAD: Wrong"),
        ({"error": {"message": "Wrong"}}, None, "Wrong"),
        ({"error": {"code": "BAD"}}, "BAD", "BAD"),
        ({"error": "INVALID_API_KEY"}, "INVALID_API_KEY", "INVALID_API_KEY"),
        ({"error": "Wrong", "code": 7}, None, "Wrong"),
        ({"error": "Wrong", "details": ["BAD"]}, None, "Wrong"),
        ({"message": "Wrong"}, None, ""),
        ({}, None, ""),
    ],
)
def test_errors_as_text_and_as_object(
    body: dict[str, Any], code: str | None, text: str
) -> None:
    assert error_code(body) == code
    assert error_text(body) == text


jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["code", "message"]), inner)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["error", "code", "details"]), jsons))
def test_no_error_body_is_too_odd(body: dict[str, object]) -> None:
    assert isinstance(error_text(body), str)
    assert isinstance(error_code(body), str | None)


@pytest.mark.parametrize("value", [None, {}, {"id": "loc_1"}])
def test_an_object_beside_the_rows_may_be_missing(value: object) -> None:
    check_object({"location": value}, "location")
    check_object({}, "location")


@pytest.mark.parametrize("value", [[], "loc_1", 7, True, [{"id": "loc_1"}]])
def test_what_is_no_object_beside_the_rows_is_malformed(value: object) -> None:
    with pytest.raises(MalformedResponseError, match="location that is"):
        check_object({"location": value}, "location")


@pytest.mark.parametrize("value", [None, [], [{}], [{"id": "c"}, {"id": "d"}]])
def test_a_list_beside_the_rows_may_be_missing(value: object) -> None:
    check_objects({"channels": value}, "channels")
    check_objects({}, "channels")


@pytest.mark.parametrize("value", [{}, "c", 7, True, ["c"], [None], [{}, 7]])
def test_what_is_no_list_beside_the_rows_is_malformed(value: object) -> None:
    with pytest.raises(MalformedResponseError, match="channels that is not a list"):
        check_objects({"channels": value}, "channels")
