"""A deterministic company: what stands where, computed from numbers.

Nothing is stored per item, so a million items cost no more than a million ids. A
digest of the seed and the item's number stands in for chance: any item can be
computed without those before it, and equal options give equal bytes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tap_betterdata.sandbox.options import Options

#: One JSON object of the API.
Record = dict[str, Any]

_NAMES = msgspec.json.decode(Path(__file__).with_name("names.json").read_bytes())
_LOCATION_NAMES: list[str] = _NAMES["locations"]
_CATEGORIES: list[Record] = _NAMES["categories"]

#: The sales channels, as the top level of the ATP response lists them.
CHANNELS: list[Record] = _NAMES["channels"]

#: What the company is warned of, and where: the documented fields of the one object.
ALERTS_CONFIG: Record = _NAMES["alerts"]
_REASONS: list[str] = _NAMES["reasons"]

#: The documented fields of an inventory item.
INVENTORY_FIELDS = (
    "id",
    "productMasterId",
    "productName",
    "globalSku",
    "locationId",
    "locationName",
    "quantityOnHand",
    "quantityReserved",
    "quantityAvailable",
    "lotId",
    "lotNumber",
    "expiryDate",
    "binId",
    "binName",
    "unitCost",
    "totalValue",
    "lastCountedAt",
    "updatedAt",
)

# All generated changes lie in the 2**25 seconds (388 days) from this day on. The span
# is a power of two, so an odd stride visits every second of it once. Dates and times
# are put together from texts, as that is the costliest part of an item otherwise.
_FIRST_CHANGE = dt.date(2024, 6, 1)
_SPAN = 2**25
_DATES = [str(_FIRST_CHANGE + dt.timedelta(days=day)) for day in range(389)]
_MINUTES = [f"T{hour:02}:{minute:02}:" for hour in range(24) for minute in range(60)]
_SECONDS = [f"{second:02}" for second in range(60)]
_STRIDE = 19_250_701
# A draw below this is the milliseconds of a change.
_FRACTIONS = 1000

# What chance decides about an item: one wide number and ten of 16 bits.
_DRAWS = struct.Struct("<Q10H")

_FIRST_EXPIRY = dt.date(2025, 1, 1)
_DAYS = [str(_FIRST_EXPIRY + dt.timedelta(days=day)) for day in range(1024)]
_FIRST_COUNT = dt.date(2024, 6, 1)
_COUNTS = [f"{_FIRST_COUNT + dt.timedelta(days=day)}T00:00:00Z" for day in range(365)]
_BINS = [
    f"{aisle}-{rack}-{shelf}"
    for aisle in "ABCDEFGH"
    for rack in range(1, 13)
    for shelf in range(1, 6)
]

_PRIORITIES = ("URGENT", "HIGH", "MEDIUM", "LOW")
# More than this is overstock.
_MUCH = 300


def draw(*parts: object) -> int:
    """Return 64 bits that depend on all the parts and look like chance."""
    return int.from_bytes(_digest("/".join(map(str, parts)), 8))


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=size).digest()


def cents(amount: int) -> Decimal:
    """Return an amount of cents with its two decimals kept (`10.50`)."""
    return Decimal(amount).scaleb(-2)


class Product(msgspec.Struct, frozen=True, gc=False):
    """A product of the company."""

    id: str
    name: str
    sku: str
    category: str
    cost: Decimal
    has_lots: bool


class Catalogue:
    """Locations, products and the items the company starts with."""

    def __init__(self, options: Options) -> None:
        """Read the size of the company from the options."""
        self._seed = options.seed
        self._per_location = options.products_per_location
        self._item_count = options.item_count
        self._products = [
            self._make_product(index) for index in range(options.product_count)
        ]
        self._categories = {product.id: product.category for product in self._products}
        self._locations = [
            (f"loc_{number:03}", _location_name(number))
            for number in range(1, options.locations + 1)
        ]
        self.location_names = dict(self._locations)

    def item(self, number: int) -> Record:
        """Return inventory item `number` (starting at 1) with its 18 fields.

        The fields are those of the documented sample. That lot, bin, cost and last
        count may be null is assumed: not every company keeps them.
        """
        index = number - 1
        draws = _DRAWS.unpack(_digest(f"{self._seed}/item/{number}", _DRAWS.size))
        pick, stock, full, held, lot, lot_number = draws[:6]
        expiry, shelf, cost_known, counted, fraction = draws[6:]
        product = self._products[self._product_at(index, pick)]
        location_id, location_name = self._locations[index % len(self._locations)]
        on_hand = stock % 400
        # One in eleven is reserved as a whole, most have a few reservations.
        reserved = on_hand if full % 11 == 0 else min(held % 40, on_hand)
        cost = product.cost if cost_known % 20 else None
        has_lot = product.has_lots and lot % 16 != 0
        expires = has_lot and expiry % 8 != 0
        has_bin = shelf % 10 != 0
        bin_index = shelf // 10 % len(_BINS)
        return {
            "id": f"item_{number:07}",
            "productMasterId": product.id,
            "productName": product.name,
            "globalSku": product.sku,
            "locationId": location_id,
            "locationName": location_name,
            "quantityOnHand": on_hand,
            "quantityReserved": reserved,
            "quantityAvailable": on_hand - reserved,
            "lotId": f"lot_{number:07}" if has_lot else None,
            "lotNumber": f"LOT-2024-{lot_number:05}" if has_lot else None,
            "expiryDate": _DAYS[expiry // 8 % len(_DAYS)] if expires else None,
            "binId": f"bin_{bin_index:03}" if has_bin else None,
            "binName": _BINS[bin_index] if has_bin else None,
            "unitCost": cost,
            "totalValue": None if cost is None else cost * on_hand,
            "lastCountedAt": _COUNTS[counted // 6 % 365] if counted % 6 else None,
            "updatedAt": self._updated_at(index, fraction % 4096),
        }

    def plain_list(self, name: str) -> list[Record]:
        """Return `recommendations`, `alerts` or `adjustments` at first, by their age.

        There is a recommendation for each fourth item, if it can go anywhere, an alert
        for each second one, and an adjustment for each third one.
        """
        make, step = {
            "recommendations": (self._recommendation, 4),
            "alerts": (self._alert, 2),
            "adjustments": (self._adjustment, 3),
        }[name]
        if name == "recommendations" and len(self._locations) == 1:
            return []
        numbers = range(step, self._item_count + 1, step)
        created = self._created_at
        return [
            {**make(place, self.item(number)), "createdAt": created(number)}
            for place, number in enumerate(numbers, start=1)
        ]

    def _recommendation(self, number: int, item: Record) -> Record:
        """Recommend to move stock of an item; all fields are documented."""
        chance = draw(self._seed, "recommendation", number)
        source = item["locationId"]
        others = [place for place in self.location_names if place != source]
        return {
            "id": f"rec_{number:07}",
            "productMasterId": item["productMasterId"],
            "sourceLocationId": source,
            "destLocationId": others[chance % len(others)],
            "quantity": 1 + (chance >> 8) % max(1, item["quantityAvailable"]),
            "priority": _PRIORITIES[(chance >> 16) % len(_PRIORITIES)],
            "status": "PENDING",
            "reason": "Destination is below its safety stock",
            "estimatedROI": cents(5 + (chance >> 24) % 40),
        }

    def _adjustment(self, number: int, item: Record) -> Record:
        """Book what made the stock what it is; eight fields are documented."""
        chance = draw(self._seed, "adjustment", number)
        after = item["quantityOnHand"]
        delta = chance % 41 - 20
        # There was never less than nothing.
        delta = min(delta, after) or -1
        return {
            "id": f"txn_{number:07}",
            "inventoryItemId": item["id"],
            "transactionType": "ADJUSTMENT",
            "deltaQty": delta,
            "qtyBefore": after - delta,
            "qtyAfter": after,
            "reasonCode": _REASONS[(chance >> 8) % len(_REASONS)],
            "comment": None if chance >> 16 & 1 else f"{item['binName']}: “{number}”",
        }

    def _alert(self, number: int, item: Record) -> Record:
        """Tell about an item; only the types are documented, as those to switch on."""
        on_hand = item["quantityOnHand"]
        kind = "lowAtp"
        if on_hand == 0:
            kind = "stockout"
        elif item["expiryDate"]:
            kind = "expiry"
        elif on_hand > _MUCH:
            kind = "overstock"
        return {
            "id": f"alert_{number:07}",
            "type": kind,
            "productMasterId": item["productMasterId"],
            "locationId": item["locationId"],
            "quantity": on_hand,
            "message": f"{kind}: {item['productName']}, {item['locationName']}",
        }

    def _created_at(self, number: int) -> str:
        """Return instants that grow with the number of the item."""
        return _instant(_SPAN * number // (self._item_count + 1))

    def category_id(self, product_id: str) -> str:
        """Return the category of a product, `cat_000` when it is not known."""
        return self._categories.get(product_id, "cat_000")

    def _product_at(self, index: int, pick: int) -> int:
        """Choose the product of an item."""
        if self._per_location is None:
            return pick % len(self._products)
        location = index % len(self._locations)
        turn = index // len(self._locations)
        return (turn % self._per_location + location) % len(self._products)

    def _updated_at(self, index: int, fraction: int) -> str:
        """Return a distinct past instant; about one in four carries a fraction."""
        text = _instant((index * _STRIDE + self._seed) % _SPAN)
        return f"{text[:-1]}.{fraction:03}Z" if fraction < _FRACTIONS else text

    def _make_product(self, index: int) -> Product:
        chance = draw(self._seed, "product", index)
        category = index % len(_CATEGORIES)
        names = _CATEGORIES[category]["products"]
        sizes = _CATEGORIES[category]["sizes"]
        turn = index // len(_CATEGORIES)
        name = f"{names[turn % len(names)]}, {sizes[turn // len(names) % len(sizes)]}"
        series = turn // (len(names) * len(sizes))
        return Product(
            id=f"prod_{index + 1:06}",
            name=f"{name} ({series + 1})" if series else name,
            sku=f"SKU-{category + 1}{index + 1:06}",
            category=_category_id(category),
            # Multiples of 10 cents half the time, to show that 10.50 keeps its zero.
            cost=cents(
                10 * (chance % 500 + 5) + (chance >> 16) % 2 * (chance >> 20) % 10
            ),
            has_lots=(chance >> 32) % 4 != 0,
        )


def _instant(second: int) -> str:
    """Return the second of the span that has this number."""
    minute, second = divmod(second, 60)
    day, minute = divmod(minute, 1440)
    return f"{_DATES[day]}{_MINUTES[minute]}{_SECONDS[second]}Z"


def category_names() -> dict[str, str]:
    """Return the name of each category by its id."""
    names = {
        _category_id(index): category["name"]
        for index, category in enumerate(_CATEGORIES)
    }
    return {"cat_000": "Uncategorised", **names}


def _category_id(index: int) -> str:
    return f"cat_{index + 1:03}"


def _location_name(number: int) -> str:
    turn, position = divmod(number - 1, len(_LOCATION_NAMES))
    name = _LOCATION_NAMES[position]
    return f"{name} {turn + 1}" if turn else name
