"""What the marts must hold, computed from what the sandbox holds."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.e2e.truth import atp_rows, channel_rows
from transform.tests.warehouse import AS_OF

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_betterdata.sandbox import Company

Row = dict[str, Any]
Mart = dict[tuple[str, ...], Row]

TODAY = dt.date.fromisoformat(AS_OF)
SHORT = {"LOW", "CRITICAL"}


def plain(value: object) -> object:
    """Make values of a database and of the sandbox comparable."""
    if isinstance(value, bool) or value is None:
        return value
    text = str(value)
    try:
        return Decimal(text).normalize() + 0
    except ArithmeticError:
        pass
    if "T" in text or ":" in text:
        try:
            time = dt.datetime.fromisoformat(text)
        except ValueError:
            return text
        return time.astimezone(dt.UTC).replace(tzinfo=None) if time.tzinfo else time
    return text


def by_key(rows: Iterable[Row], *names: str) -> Mart:
    """Order rows by their keys, each of which must be there once."""
    mart: Mart = {}
    for row in rows:
        key = tuple(str(row[name]) for name in names)
        assert key not in mart, key
        mart[key] = {name: plain(value) for name, value in row.items()}
    return mart


def stock(company: Company) -> Mart:
    """Add up the items of each product at each location."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for item in company.items():
        groups[item["locationId"], item["productMasterId"]].append(item)
    return by_key(
        (
            {
                "location_id": location,
                "location_name": items[0]["locationName"],
                "product_id": product,
                "product_name": items[0]["productName"],
                "sku": items[0]["globalSku"],
                "items": len(items),
                "on_hand": sum(item["quantityOnHand"] for item in items),
                "reserved": sum(item["quantityReserved"] for item in items),
                "available": sum(item["quantityAvailable"] for item in items),
                "value": sum(item["totalValue"] or 0 for item in items),
                "units_without_value": sum(
                    item["quantityOnHand"]
                    for item in items
                    if item["totalValue"] is None
                ),
                "changed_at": max(
                    dt.datetime.fromisoformat(item["updatedAt"]) for item in items
                ),
            }
            for (location, product), items in groups.items()
        ),
        "location_id",
        "product_id",
    )


def window(days: int) -> str:
    """Name the stretch of days that a number of days lies in."""
    if days < 0:
        return "expired"
    return next(f"{a}-{b}" for a, b in ((0, 30), (31, 60), (61, 90)) if days <= b)


def expiring_lots(company: Company) -> Mart:
    """Choose the items that expire within 90 days."""
    rows = []
    for item in company.items():
        if not item["expiryDate"] or not item["quantityOnHand"]:
            continue
        days = (dt.date.fromisoformat(item["expiryDate"]) - TODAY).days
        if days <= 90:
            row = {
                "item_id": item["id"],
                "lot_id": item["lotId"],
                "lot_number": item["lotNumber"],
                "product_id": item["productMasterId"],
                "product_name": item["productName"],
                "sku": item["globalSku"],
                "location_id": item["locationId"],
                "location_name": item["locationName"],
                "bin_name": item["binName"],
                "expiry_date": item["expiryDate"],
                "days_left": days,
                "days_window": window(days),
                "on_hand": item["quantityOnHand"],
                "value": item["totalValue"],
            }
            rows.append(row)
    return by_key(rows, "item_id")


def availability(company: Company) -> Mart:
    """Tell what each channel is short of."""
    return by_key(
        (
            {
                "location_id": row["locationId"],
                "location_name": row["locationName"],
                "product_id": row["productMasterId"],
                "product_name": row["productName"],
                "sku": row["globalSku"],
                "channel_id": row["channelId"],
                "channel_name": row["channelName"],
                "atp": row["atp"],
                "on_hand": row["onHand"],
                "reserved": row["reserved"],
                "available": row["available"],
                "threshold": row["threshold"],
                "severity": row["severity"],
                "is_short": row["severity"] in SHORT,
                "missing": max(row["threshold"] - row["atp"], 0),
            }
            for row in channel_rows(atp_rows(company))
        ),
        "location_id",
        "product_id",
        "channel_id",
    )


def analytics(company: Company, months: Iterable[tuple[str, str]]) -> Mart:
    """Ask for the analytics of months, as they are now."""
    measures = {
        "value": "totalValue",
        "units": "totalUnits",
        "turnover_rate": "turnoverRate",
        "average_days_on_hand": "averageDaysOnHand",
        "slow_moving_items": "slowMovingItems",
        "expiring_items": "expiringItems",
    }
    rows = []
    for first, last in months:
        for location in company.location_ids:
            told = company.analytics(location, first, last)
            row = {
                "location_id": location,
                "location_name": company.location_name(location),
                "month": first,
                "is_running": first[:7] >= AS_OF[:7],
            }
            rows.append(row | {name: told[api] for name, api in measures.items()})
    return by_key(rows, "location_id", "month")


def turnover(months: Mart) -> Mart:
    """Add to the analytics of all months what has changed from one to the next."""
    before: dict[str, Any] = {}
    mart: Mart = {}
    for key in sorted(months):
        row = months[key]
        location, value = key[0], row["value"]
        change = None if location not in before else value - before[location]
        mart[key] = {**row, "value_change": change}
        before[location] = value
    return mart
