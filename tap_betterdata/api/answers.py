"""One page of a list endpoint, read from the body of a response.

Documented shape: a list beside a `pagination` object with `page`, `pageSize`,
`total` and `totalPages`. The overview calls the list `data`, the endpoints call it
`items` or `products`; the vendor's own script looks for all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_betterdata.api.decoding import decode
from tap_betterdata.pagination.page import Page

if TYPE_CHECKING:
    from datetime import datetime

LIST_NAMES = ("items", "products", "data")

# A total has at most 18 digits.
_MOST_ROWS = 10**18

Row = dict[str, Any]


class MalformedResponseError(ValueError):
    """A response with status 200 that is not what the API promises."""


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


def read_page(content: bytes, *, number: int, date: datetime) -> Page:
    """Read a page from the body of an answer.

    Args:
        content: The body.
        number: The page that was asked for.
        date: When it was answered.

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
        total=_total(pagination),
        date=date,
        envelope=body,
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


def _total(pagination: Mapping[str, Any]) -> int | None:
    """Read how many rows there are; some servers write numbers as strings."""
    value = pagination.get("total")
    if value is None:
        return None
    count = -1
    if isinstance(value, (int, str, Decimal)) and not isinstance(value, bool):
        with suppress(ArithmeticError):
            number = Decimal(value)
            # Looked at before: to write out 1e9999999 takes for ever.
            if 0 <= number < _MOST_ROWS and number == number.to_integral_value():
                count = int(number)
    if count < 0:
        msg = "pagination.total that is not a count"
        raise MalformedResponseError(msg)
    return count


def _kind(value: object) -> str:
    names = {type(None): "null", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
