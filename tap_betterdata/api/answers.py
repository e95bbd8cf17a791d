"""What an answer holds: an object, a page of a list, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tap_betterdata.api.decoding import decode
from tap_betterdata.api.errors import name_some
from tap_betterdata.pagination.page import Page

if TYPE_CHECKING:
    from datetime import datetime

    from tap_betterdata.pagination.paging import Paging

# What the API's overview calls every list; the endpoints' own pages have other names.
OVERVIEW_KEY = "data"
# Of an answer's fields, in a message.
_MOST_NAMED = 10

Row = dict[str, Any]


class MalformedResponseError(ValueError):
    """A response with status 200 that is not what the API promises."""


def parse_object(content: bytes) -> dict[str, Any]:
    """Read the body of an answer that must be a JSON object, and no error's.

    Raises:
        MalformedResponseError: If it is anything else.
    """
    try:
        body = decode(content)
    except ValueError as error:
        kinds = {b"": "an empty body", b"<": "HTML"}
        msg = kinds.get(content.strip()[:1], "a body that is not complete JSON")
        raise MalformedResponseError(msg) from error
    if not isinstance(body, dict):
        msg = "JSON that is not an object"
        raise MalformedResponseError(msg)
    if body.get("error") or body.get("success") is False:
        msg = f"an error with status 200: {error_text(body)}"
        raise MalformedResponseError(msg)
    return body


def parse_page(
    content: bytes, *, records_key: str, paging: Paging, number: int, date: datetime
) -> Page:
    """Read a page from the body of an answer.

    Raises:
        MalformedResponseError: If it has no list of objects, or an unreadable total.
    """
    body = parse_object(content)
    rows = _rows(body, records_key)
    try:
        total = paging.total(body)
    except ValueError as error:
        raise MalformedResponseError(*error.args) from error
    return Page(number=number, rows=rows, total=total, date=date, envelope=body)


def check_object(body: Mapping[str, Any], name: str) -> None:
    """Raise MalformedResponseError if a value is there, and is no object."""
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        msg = f"{name} that is not an object"
        raise MalformedResponseError(msg)


def check_objects(body: Mapping[str, Any], name: str) -> None:
    """Raise MalformedResponseError if a value is there, and is no list of objects."""
    if body.get(name) is not None:
        _objects(body, name)


def error_text(body: Mapping[str, Any]) -> str:
    """Return what an error body says: its code, if there is one, and its text.

    Documented: `{"error": "text", "details": {…}}`. Where the error's code stands is
    not documented, and the vendor's gateway sends `error` as an object, so both are
    read.
    """
    error = body.get("error")
    code = error_code(body)
    if isinstance(error, Mapping):
        error = error.get("message") or (None if code else f"{error}")
    words = [str(word) for word in (code, error) if word and word != code]
    return ": ".join([code, *words] if code else words)


def error_code(body: Mapping[str, Any]) -> str | None:
    """Return an error's code, such as `INVALID_API_KEY`, wherever it stands."""
    error = body.get("error")
    details = body.get("details")
    for place in (body, error, details):
        if isinstance(place, Mapping) and isinstance(place.get("code"), str):
            return str(place["code"])
    # The text itself may be the code.
    if isinstance(error, str) and error.replace("_", "").isalpha() and error.isupper():
        return error
    return None


def _rows(body: Mapping[str, Any], records_key: str) -> list[Row]:
    name = records_key if records_key in body else OVERVIEW_KEY
    if name not in body:
        fields = name_some(list(body), _MOST_NAMED) or "none"
        msg = f"no list under {records_key} or {OVERVIEW_KEY}; its fields: {fields}"
        raise MalformedResponseError(msg)
    return _objects(body, name)


def _objects(body: Mapping[str, Any], name: str) -> list[Row]:
    rows = body[name]
    if isinstance(rows, list) and set(map(type, rows)) <= {dict}:
        return rows
    msg = f"{name} that is not a list of objects"
    raise MalformedResponseError(msg)
