"""What the analytics say of a stock, and of what was sold."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING

from tap_betterdata.sandbox.catalogue import category_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_betterdata.sandbox.catalogue import Movement, Record

Amount = int | Decimal

# Stock that was not touched for so long moves slowly.
_SLOW = dt.timedelta(days=90)

# The sums of a category before its first item.
_NOTHING: tuple[Amount, Amount] = (Decimal("0.00"), 0)


class Summary:
    """Sums over the items of one place as a day ends."""

    def __init__(
        self,
        items: Iterable[Record],
        day: dt.date,
        category_of: Callable[[str], str],
    ) -> None:
        """Count the items.

        Args:
            items: What lies there.
            day: The day.
            category_of: Returns a product's category.
        """
        self.value: Amount = Decimal("0.00")
        self.units: Amount = 0
        self.slow = 0
        self._expiries: list[str] = []
        self._categories: dict[str, tuple[Amount, Amount]] = {}
        slow_before = str(day - _SLOW)
        for item in items:
            self._add(item, category_of(item["productMasterId"]))
            self.slow += (item["updatedAt"] or slow_before) < slow_before
        self._expiries.sort()

    def _add(self, item: Record, category_id: str) -> None:
        value = amount(item["totalValue"])
        units = amount(item["quantityOnHand"])
        self.value += value
        self.units += units
        old_value, old_units = self._categories.get(category_id, _NOTHING)
        self._categories[category_id] = (old_value + value, old_units + units)
        if item["expiryDate"]:
            self._expiries.append(item["expiryDate"])

    def expiring(self, first: dt.date, last: dt.date) -> int:
        """Return how many items expire from one day to another."""
        before = bisect_left(self._expiries, str(first))
        return bisect_right(self._expiries, str(last)) - before

    def by_category(self) -> list[Record]:
        """Return the sums of each category that has items."""
        names = category_names()
        return [
            {
                "categoryId": category_id,
                "categoryName": names[category_id],
                "value": value,
                "units": units,
            }
            for category_id, (value, units) in sorted(self._categories.items())
        ]


def turnover(
    movements: Iterable[Movement], average_value: Decimal, days: int
) -> Record:
    """Return how often the stock was sold in a period, and how long it lay.

    Where nothing was sold, no number of days is right.
    """
    sold = sum(
        (
            -movement.quantity * movement.unit_cost
            for movement in movements
            if movement.kind == "sold" and movement.unit_cost is not None
        ),
        Decimal(0),
    )
    if not sold or not average_value:
        return {"turnoverRate": Decimal("0.0000"), "averageDaysOnHand": None}
    return {
        "turnoverRate": (sold / average_value).quantize(Decimal("0.0001")),
        "averageDaysOnHand": round(days * average_value / sold),
    }


def amount(value: object) -> Amount:
    """Return what a value adds to a sum; tests also store values of wrong types."""
    if isinstance(value, float):
        return Decimal(str(value))
    return value if isinstance(value, int | Decimal) else 0
