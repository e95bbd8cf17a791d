"""The truth the sandbox serves: items that can be read, changed and compared with."""

from __future__ import annotations

import datetime as dt
import threading
from bisect import bisect_left, insort
from copy import deepcopy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_betterdata.sandbox.analytics import Amount, Summary, amount, turnover
from tap_betterdata.sandbox.catalogue import (
    ALERTS_CONFIG,
    CHANNELS,
    Catalogue,
    Record,
    draw,
)
from tap_betterdata.sandbox.history import FIRST_DAY
from tap_betterdata.sandbox.lists import plain_list
from tap_betterdata.sandbox.sorting import sort_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_betterdata.sandbox.catalogue import Movement
    from tap_betterdata.sandbox.options import Options

# Items inserted between two others get `<id before>-<serial>`. The serial counts
# down, so that a later insertion at the same place sorts before an earlier one.
_FIRST_SERIAL = 999_999


class Company:
    """The inventory of one organization; safe to use from several threads.

    Only the ids are kept in memory. A record is computed from its id unless it was
    changed or inserted. `version` grows with every change. What is changed belongs to
    `today`: what is said of earlier days stays as it was.

    Attributes:
        today: The day on which all this is so, in UTC; its own movements are to come.
        version: How often it was changed.
    """

    def __init__(self, options: Options) -> None:
        """Found the company that the options describe."""
        self.version = 0
        self.today = options.today or dt.datetime.now(dt.UTC).date()
        self._seed = options.seed
        self._catalogue = Catalogue(options, self.today)
        self._lock = threading.RLock()
        # Ids have a fixed width, so the order of the texts is that of the numbers.
        self._ids = [f"item_{n:07}" for n in range(1, options.item_count + 1)]
        self._ids_at = self._catalogue.ids_at(self._ids)
        self._changed: dict[str, Record] = {}
        self._next_number = options.item_count + 1
        self._next_serial = _FIRST_SERIAL
        # Sorted orders and sums, each kept until the next change.
        self._views: dict[tuple[object, ...], Any] = {}
        # What the stock of earlier days was worth.
        self._past_values: dict[tuple[str | None, dt.date], Decimal] = {}
        #: The one object; what is changed in it is served.
        self.alerts_config = deepcopy(ALERTS_CONFIG)
        self._plain_lists: dict[str, list[Record]] = {}

    # -- reading ---------------------------------------------------------------

    @property
    def total(self) -> int:
        """How many inventory items there are."""
        return len(self._ids)

    @property
    def location_ids(self) -> list[str]:
        """All location ids, also those without items."""
        return list(self._catalogue.location_names)

    def location_name(self, location_id: str) -> str:
        """Return the name of a location; KeyError if there is none."""
        return self._catalogue.location_names[location_id]

    def item(self, item_id: str) -> Record:
        """Return a copy of one item; KeyError if there is none."""
        with self._lock:
            if not _contains(self._ids, item_id):
                raise KeyError(item_id)
            return dict(self._record(item_id))

    def items(self, location_id: str | None = None) -> Iterator[Record]:
        """Yield copies of all items (of a location) in the order of `/inventory`.

        Make no changes while iterating.
        """
        for item_id in self._ids_of(location_id):
            yield dict(self._record(item_id))

    def page(
        self,
        window: slice,
        location_id: str | None = None,
        sort_by: str = "id",
        *,
        descending: bool = False,
    ) -> tuple[list[Record], int]:
        """Return the records of one page and the number of all matching ones."""
        with self._lock:
            ids = self._order(location_id, sort_by, descending=descending)
            return [self._record(item_id) for item_id in ids[window]], len(ids)

    def plain_list(self, name: str) -> list[Record]:
        """Return a list by its name in the catalogue; what is changed is served."""
        with self._lock:
            if name not in self._plain_lists:
                self._plain_lists[name] = plain_list(self._catalogue, name)
            return self._plain_lists[name]

    # -- changing --------------------------------------------------------------

    def insert(
        self, location_id: str | None = None, at: int | None = None, **fields: object
    ) -> Record:
        """Add an item and return it.

        Args:
            location_id: Where it lies; chosen by its number when omitted.
            at: Its position in the default order of `/inventory`; the end when
                omitted. An `id` among the fields decides the position instead.
            fields: Fields of the record that shall have these values.

        Raises:
            ValueError: If the id exists already.
        """
        with self._lock:
            record = self._catalogue.item(self._next_number)
            record["id"] = self._id_at(at)
            if location_id is not None:
                record["locationId"] = location_id
                record["locationName"] = self.location_name(location_id)
            record["updatedAt"] = _now()
            _change(record, fields)
            if _contains(self._ids, record["id"]):
                message = f"there is an item {record['id']} already"
                raise ValueError(message)
            insort(self._ids, record["id"])
            insort(self._ids_at.setdefault(record["locationId"], []), record["id"])
            self._changed[record["id"]] = record
            self._forget()
            return dict(record)

    def update(self, item_id: str, **fields: object) -> Record:
        """Change fields of an item and return it; KeyError if there is none.

        `updatedAt` becomes now, `quantityAvailable` and `totalValue` follow from the
        others, each unless it is among the fields.
        """
        with self._lock:
            record = self.item(item_id)
            place = record["locationId"]
            record["updatedAt"] = _now()
            _change(record, {**fields, "id": item_id})
            if record["locationId"] != place:
                _remove(self._ids_at[place], item_id)
                insort(self._ids_at.setdefault(record["locationId"], []), item_id)
                if "locationName" not in fields:
                    record["locationName"] = self._catalogue.location_names.get(
                        record["locationId"]
                    )
            self._changed[item_id] = record
            self._forget()
            return dict(record)

    def delete(self, item_id: str) -> None:
        """Remove an item; KeyError if there is none."""
        with self._lock:
            record = self.item(item_id)
            _remove(self._ids, item_id)
            _remove(self._ids_at[record["locationId"]], item_id)
            self._changed.pop(item_id, None)
            self._forget()

    # -- available to promise --------------------------------------------------

    def atp_products(self, location_id: str | None = None) -> list[Record]:
        """Return all ATP rows of a location, as `/inventory/channel-location` does."""
        return self.atp_page(slice(None), location_id)[0]

    def atp_page(
        self, window: slice, location_id: str | None = None
    ) -> tuple[list[Record], int]:
        """Return the ATP rows of one page and the number of all of them."""
        with self._lock:
            stocks: list[_Stock] = self._view(
                ("stocks", location_id), lambda: self._stocks(location_id)
            )
            return [self._atp_row(stock) for stock in stocks[window]], len(stocks)

    def _stocks(self, location_id: str | None) -> list[_Stock]:
        """Add up the items of each product."""
        stocks: dict[str, _Stock] = {}
        for item_id in self._ids_of(location_id):
            record = self._record(item_id)
            product_id = record["productMasterId"]
            if product_id not in stocks:
                stocks[product_id] = _Stock(record)
            stocks[product_id].on_hand += amount(record["quantityOnHand"])
            stocks[product_id].reserved += amount(record["quantityReserved"])
        return [stocks[product_id] for product_id in sorted(stocks)]

    def _atp_row(self, stock: _Stock) -> Record:
        """Return a row with the documented fields and those of the ATP guide.

        All channels see the same stock, as in the documented sample; they differ by
        their safety stock. ATP = on hand - reserved - safety stock is documented.
        """
        chance = draw(self._seed, "safety", stock.product_id)
        channels = [
            _atp_channel(channel, stock, chance >> 8 * position & 0x3F)
            for position, channel in enumerate(CHANNELS)
        ]
        promises = [channel["atp"] for channel in channels]
        return {
            "productMasterId": stock.product_id,
            "productName": stock.name,
            "globalSku": stock.sku,
            "channels": channels,
            "totalOnHand": stock.on_hand,
            "totalReserved": stock.reserved,
            "minAtp": min(promises),
            "maxAtp": max(promises),
            "hasCritical": any(c["severity"] == "CRITICAL" for c in channels),
        }

    # -- analytics -------------------------------------------------------------

    def analytics(
        self, location_id: str | None, start: str | dt.date, end: str | dt.date
    ) -> Record:
        """Return the analytics of a period with its days `start` to `end`.

        Values, units and categories are those of the stock as the period ends, at the
        latest today's; expiring are its items that expire within the period, and
        slow-moving those not changed in the 90 days before its end. The turnover is
        the cost of what was sold, over the mean of the stock's value before and after.
        How the vendor counts is not documented.
        """
        first, last = (
            max(dt.date.fromisoformat(str(day)), FIRST_DAY) for day in (start, end)
        )
        with self._lock:
            before = self._value(location_id, first - dt.timedelta(days=1))
            stock = self._summary(location_id, last)
        movements = self.movements(first, last, location_id)
        days = (last - first).days + 1
        return {
            "totalValue": stock.value,
            "totalUnits": stock.units,
            **turnover(movements, (before + stock.value) / 2, days),
            "slowMovingItems": stock.slow,
            "expiringItems": stock.expiring(first, last),
            "byCategory": stock.by_category(),
        }

    def movements(
        self, first: dt.date, last: dt.date, location_id: str | None = None
    ) -> Iterator[Movement]:
        """Yield what was bought, sold, counted and moved from one day to another."""
        return self._catalogue.movements(first, last, location_id)

    def _summary(self, location_id: str | None, day: dt.date) -> Summary:
        """Sum up the stock of a place as a day ends."""
        category_of = self._catalogue.category_id
        if day >= self.today:
            items = map(self._record, self._ids_of(location_id))
            summary: Summary = self._view(
                ("summary", location_id),
                lambda: Summary(items, self.today, category_of),
            )
            return summary
        then = self._catalogue.on(day + dt.timedelta(days=1))
        summary = Summary(then.items(location_id), day, category_of)
        self._past_values[location_id, day] = Decimal(summary.value)
        return summary

    def _value(self, location_id: str | None, day: dt.date) -> Decimal:
        """Return what the stock of a place was worth as a day ended."""
        if (location_id, day) in self._past_values:
            return self._past_values[location_id, day]
        return Decimal(self._summary(location_id, day).value)

    # -- within ----------------------------------------------------------------

    def _record(self, item_id: str) -> Record:
        """Return the record itself; copy it before it leaves this class."""
        changed = self._changed.get(item_id)
        if changed is not None:
            return changed
        return self._catalogue.item(int(item_id.removeprefix("item_")))

    def _changed_at(self, item_id: str) -> Record:
        """Return of a record when it was changed, which takes a fifth of the time."""
        changed = self._changed.get(item_id)
        if changed is not None:
            return changed
        number = int(item_id.removeprefix("item_"))
        return {"id": item_id, "updatedAt": self._catalogue.updated_at(number)}

    def _ids_of(self, location_id: str | None) -> list[str]:
        if location_id is None:
            return self._ids
        return self._ids_at.get(location_id, [])

    def _order(
        self, location_id: str | None, sort_by: str, *, descending: bool
    ) -> list[str]:
        """Return the matching ids, sorted; equal values and nulls go by id."""
        ids = self._ids_of(location_id)
        if sort_by == "id" and not descending:
            return ids

        def build() -> list[str]:
            read = self._changed_at if sort_by == "updatedAt" else self._record
            records = ((read(item_id), item_id) for item_id in ids)
            return sort_records(sort_by, records, descending=descending)

        view: list[str] = self._view(("order", location_id, sort_by, descending), build)
        return view

    def _view(self, name: tuple[object, ...], build: Callable[[], Any]) -> Any:
        if name not in self._views:
            self._views[name] = build()
        return self._views[name]

    def _forget(self) -> None:
        self.version += 1
        self._views.clear()

    def _id_at(self, position: int | None) -> str:
        """Return a new id that sorts to this position."""
        if position is None or position >= len(self._ids):
            number, self._next_number = self._next_number, self._next_number + 1
            return f"item_{number:07}"
        before = self._ids[position - 1] if position else "item_0000000"
        serial, self._next_serial = self._next_serial, self._next_serial - 1
        return f"{before}-{serial:06}"


class _Stock:
    """What lies of one product at one place."""

    def __init__(self, record: Record) -> None:
        self.product_id: str = record["productMasterId"]
        self.name: str = record["productName"]
        self.sku: str = record["globalSku"]
        self.on_hand: Amount = 0
        self.reserved: Amount = 0


def _atp_channel(channel: Record, stock: _Stock, safety_stock: int) -> Record:
    available = stock.on_hand - stock.reserved
    atp = available - safety_stock
    threshold = channel["lowAtpThreshold"]
    # The three severities are documented, where they begin is assumed.
    severity = "CRITICAL" if atp <= 0 else "LOW" if atp < threshold else "OK"
    return {
        "channelId": channel["channelId"],
        "channelName": channel["channelName"],
        "atp": atp,
        "onHand": stock.on_hand,
        "reserved": stock.reserved,
        "available": available,
        "severity": severity,
        "threshold": threshold,
        "policyId": channel["policyId"],
    }


def _change(record: Record, fields: dict[str, Any]) -> None:
    """Set fields and what follows from them."""
    record.update(fields)
    if "quantityAvailable" not in fields and (
        "quantityOnHand" in fields or "quantityReserved" in fields
    ):
        record["quantityAvailable"] = (
            record["quantityOnHand"] - record["quantityReserved"]
        )
    if "totalValue" not in fields and (
        "quantityOnHand" in fields or "unitCost" in fields
    ):
        cost = record["unitCost"]
        record["totalValue"] = (
            None if cost is None else Decimal(str(cost)) * record["quantityOnHand"]
        )


def _now() -> str:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    return now.replace("+00:00", "Z")


def _contains(sorted_ids: list[str], item_id: str) -> bool:
    place = bisect_left(sorted_ids, item_id)
    return place < len(sorted_ids) and sorted_ids[place] == item_id


def _remove(sorted_ids: list[str], item_id: str) -> None:
    del sorted_ids[bisect_left(sorted_ids, item_id)]
