"""What the sandbox holds, as the records that a run must bring, and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_betterdata.sandbox.catalogue import CHANNELS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_betterdata.sandbox import Company

Key = tuple[str, ...]
Row = dict[str, Any]

KEYS: dict[str, Key] = {
    "inventory": ("id",),
    "inventory_atp": ("locationId", "productMasterId"),
    "inventory_atp_channels": ("locationId", "productMasterId", "channelId"),
    "inventory_analytics": ("locationId", "granularity", "periodFrom"),
    "inventory_analytics_categories": (
        "locationId",
        "granularity",
        "periodFrom",
        "categoryId",
    ),
}
# With those of the streams that are not selected unless the catalog says so.
ALL_KEYS: dict[str, Key] = {
    **KEYS,
    "alerts_config": (),
    "transfer_recommendations": ("id",),
}
# What a product's channels, and a period's categories, have from it.
PRODUCT = ("locationId", "locationName", "productMasterId", "productName", "globalSku")
PERIOD = ("locationId", "granularity", "periodFrom", "periodTo")


def expected_keys(
    company: Company, periods: Iterable[tuple[str, str]], granularity: str = "month"
) -> dict[str, list[Key]]:
    """List the keys of all records, stream by stream."""
    truth = expected_rows(company, periods, granularity)
    return {name: keys_of(name, rows) for name, rows in truth.items()}


def expected_rows(
    company: Company, periods: Iterable[tuple[str, str]], granularity: str = "month"
) -> dict[str, list[Row]]:
    """List all records that a run must bring, stream by stream."""
    products = list(atp_rows(company))
    analytics = list(analytics_rows(company, periods, granularity))
    return {
        "inventory": list(company.items()),
        "inventory_atp": products,
        "inventory_atp_channels": list(channel_rows(products)),
        "inventory_analytics": analytics,
        "inventory_analytics_categories": list(category_rows(analytics)),
    }


def atp_rows(company: Company) -> Iterator[Row]:
    """List the products of all locations."""
    for location in company.location_ids:
        place = {
            "locationId": location,
            "locationName": company.location_name(location),
        }
        for product in company.atp_products(location):
            yield {**place, **product}


def channel_rows(products: Iterable[Row]) -> Iterator[Row]:
    """List the channels of products, with what the answer says of each channel once."""
    common = {channel["channelId"]: channel for channel in CHANNELS}
    for product in products:
        shared = {name: product[name] for name in PRODUCT}
        for channel in product["channels"]:
            yield {**common[channel["channelId"]], **channel, **shared}


def analytics_rows(
    company: Company, periods: Iterable[tuple[str, str]], granularity: str
) -> Iterator[Row]:
    """List the analytics of all periods at all locations."""
    for first, last in periods:
        for location in company.location_ids:
            values = (location, granularity, first, last)
            yield {
                **dict(zip(PERIOD, values, strict=True)),
                **company.analytics(location, first, last),
            }


def category_rows(analytics: Iterable[Row]) -> Iterator[Row]:
    """List the categories of analytics."""
    for period in analytics:
        shared = {name: period[name] for name in PERIOD}
        for category in period["byCategory"]:
            yield {**shared, **category}


def keys_of(stream: str, rows: Iterable[Mapping[str, object]]) -> list[Key]:
    """List the keys of the records that a target has stored."""
    names = ALL_KEYS[stream]
    return sorted(tuple(str(row[name]) for name in names) for row in rows)
