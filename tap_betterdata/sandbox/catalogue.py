"""A deterministic company: what stands where on a day, computed from numbers.

Nothing is stored per item, so a million items cost no more than a million ids. A
digest of the seed and the item's number stands in for chance: any item can be
computed without those before it, on any day, and equal options give equal bytes.
"""

from __future__ import annotations

import copy
import hashlib
import struct
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tap_betterdata.sandbox.history import (
    BOUGHT,
    COUNTED,
    DAY,
    FIRST_WANDERER,
    WANDERERS,
    Kind,
    Pace,
    date,
    day_start,
    instant,
    midnight,
    pace_of,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

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

#: Why stock was adjusted: "counted", or for other reasons "less" or "more".
REASONS: dict[str, list[str]] = _NAMES["reasons"]

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

# The cost of one item in so many is not known.
_UNKNOWN_COST = 20

# What chance decides about an item: one wide number and eight of 16 bits.
_DRAWS = struct.Struct("<Q8H")

# How many days a lot keeps: from two months to three years.
_LEAST_SHELF_LIFE = 60
_SHELF_LIVES = 1024
_BINS = [
    f"{aisle}-{rack}-{shelf}"
    for aisle in "ABCDEFGH"
    for rack in range(1, 13)
    for shelf in range(1, 6)
]
_BIN_IDS = [f"bin_{number:03}" for number in range(len(_BINS))]


def draw(*parts: object) -> int:
    """Return 64 bits that depend on all the parts and look like chance."""
    return int.from_bytes(_digest("/".join(map(str, parts)).encode(), 8))


def _digest(text: bytes, size: int) -> bytes:
    return hashlib.blake2b(text, digest_size=size).digest()


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


class Movement(msgspec.Struct, frozen=True, gc=False):
    """What changed the stock of a location; what is moved is moved out and in.

    Attributes:
        at: When, as a date-time.
        quantity: What came, or went if below zero.
        unit_cost: None where it is not known.
    """

    item_id: str
    product_id: str
    location_id: str
    kind: Kind
    at: str
    quantity: int
    unit_cost: Decimal | None


class Catalogue:
    """Locations, products and the items that the company has as a day begins."""

    def __init__(self, options: Options, today: dt.date) -> None:
        """Read the size of the company from the options."""
        self._now = midnight(today)
        self.seed = options.seed
        self._per_location = options.products_per_location
        # Where each location has just these products, nothing goes elsewhere.
        self._moves = options.locations > 1 and options.products_per_location is None
        self.item_count = options.item_count
        self._products = [
            self._make_product(index) for index in range(options.product_count)
        ]
        self._categories = {product.id: product.category for product in self._products}
        self._locations = [
            (f"loc_{number:03}", _location_name(number))
            for number in range(1, options.locations + 1)
        ]
        self.location_names = dict(self._locations)

    def on(self, day: dt.date) -> Self:
        """Return the same company as another day begins."""
        other = copy.copy(self)
        other._now = midnight(day)  # noqa: SLF001 - it is one of these
        return other

    # -- items -----------------------------------------------------------------

    def item(self, number: int) -> Record:
        """Return inventory item `number` (starting at 1) with its 18 fields."""
        pace = self.pace(number)
        return self._item(number, pace, pace.last(self._now))

    def updated_at(self, number: int) -> str:
        """Return when an item was changed last."""
        pace = self.pace(number)
        return pace.updated_at(pace.last(self._now))

    def item_after(self, number: int, movement: int) -> Record:
        """Return what an item was after one of its movements."""
        return self._item(number, self.pace(number), movement)

    def _item(self, number: int, pace: Pace, movement: int) -> Record:
        """Make an item.

        The fields are those of the documented sample. That lot, bin, cost and last
        count may be null is assumed: not every company keeps them.
        """
        draws = self._draws(number)
        pick, stock, full, held, lot = draws[:5]
        expiry, shelf, cost_known, counted = draws[5:]
        product = self._products[self._product_at(number - 1, pick)]
        location_id, location_name = self._location(number, pace, movement)
        on_hand = pace.left(movement, stock, counted)
        # One in eleven is reserved as a whole, most have a few reservations.
        reserved = on_hand if full % 11 == 0 else min(held % 40, on_hand)
        cost = product.cost if cost_known % _UNKNOWN_COST else None
        has_lot = product.has_lots and lot % 16 != 0
        expires = has_lot and expiry % 8 != 0
        has_bin = shelf % 10 != 0
        bin_index = shelf // 10 % len(_BINS)
        bought = pace.day(BOUGHT, movement)
        padded = f"{number:07}"
        return {
            "id": f"item_{padded}",
            "productMasterId": product.id,
            "productName": product.name,
            "globalSku": product.sku,
            "locationId": location_id,
            "locationName": location_name,
            "quantityOnHand": on_hand,
            "quantityReserved": reserved,
            "quantityAvailable": on_hand - reserved,
            # Whatever is bought is a lot of its own.
            "lotId": f"lot_{padded}_{bought}" if has_lot else None,
            "lotNumber": f"LOT-{date(bought)}" if has_lot else None,
            "expiryDate": (
                date(bought + _LEAST_SHELF_LIFE + expiry // 8 % _SHELF_LIVES)
                if expires
                else None
            ),
            "binId": _BIN_IDS[bin_index] if has_bin else None,
            "binName": _BINS[bin_index] if has_bin else None,
            "unitCost": cost,
            "totalValue": None if cost is None else cost * on_hand,
            "lastCountedAt": (
                day_start(pace.day(COUNTED, movement)) if counted % 6 else None
            ),
            "updatedAt": pace.updated_at(movement),
        }

    def items(self, location_id: str | None) -> Iterator[Record]:
        """Yield the items of a location, or of all."""
        for number in self._numbers(location_id):
            pace = self.pace(number)
            movement = pace.last(self._now)
            if location_id in (None, self._location(number, pace, movement)[0]):
                yield self._item(number, pace, movement)

    def _location(self, number: int, pace: Pace, movement: int) -> tuple[str, str]:
        """Return where an item was after a movement: an id and a name."""
        place = number - 1 + pace.times_moved(movement)
        return self._locations[place % len(self._locations)]

    def ids_at(self, ids: list[str]) -> dict[str, list[str]]:
        """Sort the ids of all items by where they lie."""
        places = len(self._locations)
        found = [ids[place::places] for place in range(places)]
        if self._moves:
            for here in found:
                del here[FIRST_WANDERER::WANDERERS]
            for number in self._wanderers():
                moved = self.pace(number).times_moved(self.latest(number))
                found[(number - 1 + moved) % places].append(ids[number - 1])
            for here in found:
                here.sort()
        return dict(zip(self.location_names, found, strict=True))

    # -- movements -------------------------------------------------------------

    def pace(self, number: int) -> Pace:
        """Return when an item is moved."""
        turn, place = divmod(number - 1, len(self._locations))
        return pace_of(
            turn, place, len(self._locations), self.seed, wanders=self._moves
        )

    def latest(self, number: int) -> int:
        """Return the last movement of an item."""
        return self.pace(number).last(self._now)

    def movements(
        self, first: dt.date, last: dt.date, location_id: str | None = None
    ) -> Iterator[Movement]:
        """Yield what was moved from one day to another, at a location or at all."""
        start, end = midnight(first), min(midnight(last) + DAY, self._now)
        for number in self._numbers(location_id):
            pace = self.pace(number)
            for movement in range(pace.last(start) + 1, pace.last(end) + 1):
                for change in self._changes(number, pace, movement):
                    if location_id in (None, change.location_id):
                        yield change

    def _changes(self, number: int, pace: Pace, movement: int) -> Iterator[Movement]:
        """Yield what a movement changed, at each location that it changed."""
        draws = self._draws(number)
        product = self._products[self._product_at(number - 1, draws[0])]
        places = len(self._locations)
        place = number - 1 + pace.times_moved(movement)
        kind = pace.kind(movement)
        left = pace.left(movement, draws[1], draws[8])
        if kind == "moved":
            changes = [(place - 1, -left), (place, left)]
        else:
            changes = [(place, left - pace.left(movement - 1, draws[1], draws[8]))]
        for at, quantity in changes:
            yield Movement(
                item_id=f"item_{number:07}",
                product_id=product.id,
                location_id=self._locations[at % places][0],
                kind=kind,
                at=instant(pace.second(movement)),
                quantity=quantity,
                unit_cost=product.cost if draws[7] % _UNKNOWN_COST else None,
            )

    def _numbers(self, location_id: str | None) -> Iterator[int]:
        """Yield the numbers of all items that may ever lie at a location."""
        if location_id is None:
            yield from range(1, self.item_count + 1)
            return
        places = len(self._locations)
        home = list(self.location_names).index(location_id)
        yield from range(home + 1, self.item_count + 1, places)
        for number in self._wanderers():
            if (number - 1) % places != home:
                yield number

    def _wanderers(self) -> Iterator[int]:
        """Yield the numbers of the items that go round the locations."""
        if not self._moves:
            return
        places, end = len(self._locations), self.item_count + 1
        for first in range(FIRST_WANDERER * places + 1, end, WANDERERS * places):
            yield from range(first, min(first + places, end))

    def _draws(self, number: int) -> tuple[int, ...]:
        text = b"%d/item/%d" % (self.seed, number)
        return _DRAWS.unpack(_digest(text, _DRAWS.size))

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

    def _make_product(self, index: int) -> Product:
        chance = draw(self.seed, "product", index)
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
