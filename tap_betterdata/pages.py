"""One page of a list endpoint, read from the body of a response.

Documented shape: a list beside a `pagination` object with `page`, `pageSize`,
`total` and `totalPages`. The overview calls the list `data`, the endpoints call it
`items` or `products`; the vendor's own script looks for all three.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tap_betterdata.decoding import decode

LIST_NAMES = ("items", "products", "data")

Row = dict[str, Any]


class MalformedResponseError(ValueError):
    """A response with status 200 that is not what the API promises."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as the server gave it.

    Attributes:
        number: The page that was asked for, from 1.
        rows: Its rows.
        size: How many rows the server says a page has (`pageSize`); where it does
            not say, the limit that was asked for.
        total: How many rows there are on all pages, if the server says so.
        total_pages: How many pages there are, if the server says so.
        body: The whole answer, for what stands beside the list.
        started: When the request was sent, in seconds of the monotonic clock.
        ended: When the answer was complete, in seconds of the monotonic clock.
    """

    number: int
    rows: list[Row]
    size: int
    total: int | None
    total_pages: int | None
    body: Mapping[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    ended: float = field(default_factory=time.monotonic)


def count_pages(count: int, size: int) -> int:
    """Return how many pages so many rows take.

    Args:
        count: How many rows.
        size: How many a page has.

    Returns:
        The pages, the last one of which may not be full.
    """
    return -(-count // size)


def read_object(content: bytes) -> dict[str, Any]:
    """Read the body of an answer that must be a JSON object.

    Args:
        content: The body.

    Returns:
        The object.

    Raises:
        MalformedResponseError: If it is anything else: HTML, cut-off JSON, nothing,
            `null`, a list, or an error object under status 200.
    """
    if not content.strip():
        msg = "an empty body"
        raise MalformedResponseError(msg)
    try:
        body = decode(content)
    except ValueError as error:
        start = content.lstrip()[:1]
        msg = "HTML" if start == b"<" else "a body that is not complete JSON"
        raise MalformedResponseError(msg) from error
    if not isinstance(body, dict):
        msg = f"JSON that is {_kind(body)} instead of an object"
        raise MalformedResponseError(msg)
    if body.get("error") or body.get("success") is False:
        msg = f"an error with status 200: {error_text(body)}"
        raise MalformedResponseError(msg)
    return body


def read_page(
    content: bytes, *, number: int, limit: int, started: float, ended: float
) -> Page:
    """Read a page from the body of an answer.

    Args:
        content: The body.
        number: The page that was asked for.
        limit: The page size that was asked for.
        started: When the request was sent (monotonic seconds).
        ended: When the answer was complete (monotonic seconds).

    Returns:
        The page.

    Raises:
        MalformedResponseError: If the body holds no list of objects, or pagination
            that can't be read.
    """
    body = read_object(content)
    check_object(body, "pagination")
    pagination = body.get("pagination") or {}
    return Page(
        number=number,
        rows=_rows(body),
        size=_count(pagination, "pageSize") or limit,
        total=_count(pagination, "total"),
        total_pages=_count(pagination, "totalPages"),
        body=body,
        started=started,
        ended=ended,
    )


def check_object(body: Mapping[str, Any], name: str) -> None:
    """Check a value of an answer that may be missing or null.

    Args:
        body: The body of the answer.
        name: The value's name.

    Raises:
        MalformedResponseError: If it is there, and is no object.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        msg = f"{name} that is {_kind(value)} instead of an object"
        raise MalformedResponseError(msg)


def check_objects(body: Mapping[str, Any], name: str) -> None:
    """Check a value of an answer that may be missing or null.

    Args:
        body: The body of the answer.
        name: The value's name.

    Raises:
        MalformedResponseError: If it is there, and is no list of objects.
    """
    value = body.get(name)
    if value is not None and not _is_list_of_objects(value):
        msg = f"{name} that is not a list of objects"
        raise MalformedResponseError(msg)


def error_text(body: Mapping[str, Any]) -> str:
    """Return what an error body says.

    Documented: `{"error": "text", "details": {…}}`. Where the error's code stands is
    not documented, and the vendor's gateway sends `error` as an object, so both are
    read.

    Args:
        body: The error body.

    Returns:
        The code, if there is one, and the text.
    """
    error = body.get("error")
    code = error_code(body)
    if isinstance(error, Mapping):
        error = error.get("message") or (None if code else f"{dict(error)}")
    words = [str(word) for word in (code, error) if word and word != code]
    return ": ".join([code, *words] if code else words)


def error_code(body: Mapping[str, Any]) -> str | None:
    """Return an error's code, wherever it stands in the body.

    Args:
        body: The error body.

    Returns:
        A code such as `INVALID_API_KEY`, or None.
    """
    error = body.get("error")
    details = body.get("details")
    for place in (body, error, details):
        if isinstance(place, Mapping) and isinstance(place.get("code"), str):
            return str(place["code"])
    # The text itself may be the code.
    if isinstance(error, str) and error.replace("_", "").isalpha() and error.isupper():
        return error
    return None


def _rows(body: Mapping[str, Any]) -> list[Row]:
    name = next((name for name in LIST_NAMES if name in body), None)
    if name is None:
        msg = f"no list under any of the names {', '.join(LIST_NAMES)}"
        raise MalformedResponseError(msg)
    rows = body[name]
    if not _is_list_of_objects(rows):
        msg = f"{name} that is not a list of objects"
        raise MalformedResponseError(msg)
    return list(rows)


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and set(map(type, value)) <= {dict}


def _count(pagination: Mapping[str, Any], name: str) -> int | None:
    """Read one of the pagination's numbers; some servers write them as strings."""
    value = pagination.get(name)
    if value is None:
        return None
    try:
        count = int(value) if isinstance(value, (int, str, Decimal)) else -1
    except (ValueError, ArithmeticError):
        count = -1
    if count < 0 or isinstance(value, bool) or count != Decimal(value):
        msg = f"pagination.{name} that is not a count"
        raise MalformedResponseError(msg)
    return count


def _kind(value: object) -> str:
    names = {type(None): "null", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
