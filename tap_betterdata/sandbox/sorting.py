"""The order that `sortBy` asks for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_betterdata.sandbox.catalogue import Record

T = TypeVar("T")

_DATE_TIMES = ("createdAt", "lastCountedAt", "updatedAt")


def sort_records(
    field: str, records: Iterable[tuple[Record, T]], *, descending: bool
) -> list[T]:
    """Return what stands beside each record, sorted by a field; nulls come last."""
    ranked = [(_rank(field, record), beside) for record, beside in records]
    present = [pair for pair in ranked if pair[0] is not None]
    present.sort(key=itemgetter(0), reverse=descending)
    absent = [beside for rank, beside in ranked if rank is None]
    return [beside for _, beside in present] + absent


def _rank(field: str, record: Record) -> tuple[int, Any] | None:
    """Return what a record is sorted by; values of one kind stay together."""
    value = record.get(field)
    if value is None:
        return None
    if isinstance(value, int | float | Decimal):
        return 0, value
    if field in _DATE_TIMES:
        return _instant(str(value))
    return 2, str(value)


def _instant(text: str) -> tuple[int, Any] | None:
    """Read a date-time, as texts with and without fractions sort wrongly."""
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return 1, instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
