"""Styles of paging: how a page is asked for, and where its answer has the total."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

from tap_betterdata.compat import override

# A count has at most 18 digits.
_MOST_ROWS = 10**18


class Paging(ABC):
    """A style of paging, which knows nothing of the list."""

    @abstractmethod
    def params(self, number: int, limit: int) -> dict[str, int]:
        """Return what asks for a page, counted from 1, of so many rows."""

    @abstractmethod
    def total(self, envelope: Mapping[str, Any]) -> int | None:
        """Read how many rows the list has; None if the answer doesn't say.

        Raises:
            ValueError: If it says something that is no count.
        """


class PageLimit(Paging):
    """Documented: `page` and `limit`; the answer has a `pagination` with a `total`."""

    @override
    def params(self, number: int, limit: int) -> dict[str, int]:
        return {"limit": limit, "page": number}

    @override
    def total(self, envelope: Mapping[str, Any]) -> int | None:
        pagination = envelope.get("pagination")
        if pagination is None:
            return None
        if not isinstance(pagination, Mapping):
            msg = "pagination that is not an object"
            raise ValueError(msg)  # noqa: TRY004 - the API's mistake, not the caller's
        return _count("pagination.total", pagination.get("total"))


class LimitOffset(Paging):
    """Documented: `limit` and `offset`; the answer has a `total` beside the list."""

    @override
    def params(self, number: int, limit: int) -> dict[str, int]:
        return {"limit": limit, "offset": (number - 1) * limit}

    @override
    def total(self, envelope: Mapping[str, Any]) -> int | None:
        return _count("total", envelope.get("total"))


class OnePage(Paging):
    """No pages: an answer is the whole list, with a total in either place or none."""

    @override
    def params(self, number: int, limit: int) -> dict[str, int]:
        del number, limit
        return {}

    @override
    def total(self, envelope: Mapping[str, Any]) -> int | None:
        total = LimitOffset().total(envelope)
        return PageLimit().total(envelope) if total is None else total


def _count(name: str, value: object) -> int | None:
    """Read a count; some servers write numbers as strings."""
    if value is None:
        return None
    if isinstance(value, (int, str, Decimal)) and not isinstance(value, bool):
        with suppress(ArithmeticError):
            number = Decimal(value)
            # Looked at before: to write out 1e9999999 takes for ever.
            if 0 <= number < _MOST_ROWS and number == number.to_integral_value():
                return int(number)
    msg = f"{name} that is not a count"
    raise ValueError(msg)
