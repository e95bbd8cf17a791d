"""The lists that are nothing but lists: what happened to items, and what should."""

from __future__ import annotations

import datetime as dt
from itertools import chain
from typing import TYPE_CHECKING

from tap_betterdata.sandbox.catalogue import REASONS, cents, draw
from tap_betterdata.sandbox.history import BOUGHT, COUNTED, SOLD_OUT, instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_betterdata.sandbox.catalogue import Catalogue, Record

_PRIORITIES = ("URGENT", "HIGH", "MEDIUM", "LOW")
# More than this is overstock.
_MUCH = 300
# A lot that is moved so shortly before it expires is warned of.
_SOON = dt.timedelta(days=60)


def plain_list(catalogue: Catalogue, name: str) -> list[Record]:
    """Return `recommendations`, `alerts` or `adjustments` at first, by their age."""
    make = {
        "recommendations": _recommendations,
        "alerts": _alerts,
        "adjustments": _adjustments,
    }[name]
    return sorted(make(catalogue), key=lambda row: row["createdAt"])


def _recommendations(catalogue: Catalogue) -> Iterator[Record]:
    """Recommend as many moves as there are fours of items, if they can go anywhere."""
    count, places = catalogue.item_count, catalogue.location_names
    if len(places) == 1:
        return
    for last in range(4, count + 1, 4):
        # That of the fourth item, or of the next best that has stock to give away.
        numbers = chain(range(last, 0, -1), range(last + 1, count + 1))
        items = map(catalogue.item, numbers)
        item = next((item for item in items if item["quantityAvailable"]), None)
        if item is None:
            return
        chance = draw(catalogue.seed, "recommendation", last)
        others = [place for place in places if place != item["locationId"]]
        yield {
            "id": f"rec_{last // 4:07}",
            "productMasterId": item["productMasterId"],
            "sourceLocationId": item["locationId"],
            "destLocationId": others[chance % len(others)],
            "quantity": 1 + (chance >> 8) % item["quantityAvailable"],
            "priority": _PRIORITIES[(chance >> 16) % len(_PRIORITIES)],
            "status": "PENDING",
            "reason": "Destination is below its safety stock",
            "estimatedROI": cents(5 + (chance >> 24) % 40),
            "createdAt": f"{catalogue.updated_at(last)[:19]}Z",
        }


def _adjustments(catalogue: Catalogue) -> Iterator[Record]:
    """Tell how the last count of each third item changed its stock.

    Eight fields are documented. What is never counted is adjusted for other reasons.
    """
    for number in range(3, catalogue.item_count + 1, 3):
        pace = catalogue.pace(number)
        movement = pace.latest(COUNTED, catalogue.latest(number))
        before = catalogue.item_after(number, movement - 1)["quantityOnHand"]
        item = catalogue.item_after(number, movement)
        delta = item["quantityOnHand"] - before
        kind = "less" if delta < 0 else "more"
        reasons = REASONS["counted" if item["lastCountedAt"] else kind]
        chance = draw(catalogue.seed, "adjustment", number)
        yield {
            "id": f"txn_{number:07}_{movement}",
            "inventoryItemId": item["id"],
            "transactionType": "ADJUSTMENT",
            "deltaQty": delta,
            "qtyBefore": before,
            "qtyAfter": before + delta,
            "reasonCode": reasons[(chance >> 8) % len(reasons)],
            "comment": None if chance >> 16 & 1 else f"{item['binName']}: “{number}”",
            "createdAt": instant(pace.second(movement)),
        }


def _alerts(catalogue: Catalogue) -> Iterator[Record]:
    """Warn of each second item, when there was reason to do so last.

    Only the types are documented, as those to switch on.
    """
    for number in range(2, catalogue.item_count + 1, 2):
        pace = catalogue.pace(number)
        movement = catalogue.latest(number)
        kind = "expiry"
        item = catalogue.item_after(number, movement)
        if not item["quantityOnHand"] or not _expires_soon(item):
            movement = pace.latest(BOUGHT, movement)
            kind = "overstock"
            item = catalogue.item_after(number, movement)
            if item["quantityOnHand"] <= _MUCH:
                movement = pace.latest(SOLD_OUT, catalogue.latest(number))
                item = catalogue.item_after(number, movement)
                kind = "lowAtp" if item["quantityOnHand"] else "stockout"
        yield {
            "id": f"alert_{number:07}_{movement}",
            "type": kind,
            "productMasterId": item["productMasterId"],
            "locationId": item["locationId"],
            "quantity": item["quantityOnHand"],
            "message": f"{kind}: {item['productName']}, {item['locationName']}",
            "createdAt": instant(pace.second(movement)),
        }


def _expires_soon(item: Record) -> bool:
    if item["expiryDate"] is None:
        return False
    moved = dt.date.fromisoformat(item["updatedAt"][:10])
    return dt.date.fromisoformat(item["expiryDate"]) - moved <= _SOON
