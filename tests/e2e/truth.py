"""What the sandbox holds, as the keys of the records that a run must bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tap_betterdata.sandbox import Company

Key = tuple[str, ...]

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


def expected_keys(
    company: Company, periods: Iterable[tuple[str, str]], granularity: str = "month"
) -> dict[str, list[Key]]:
    """List the keys of all records, stream by stream.

    Args:
        company: The sandbox's content.
        periods: The first and last days of the analytics periods.
        granularity: The setting that has cut the periods.

    Returns:
        The streams' keys, sorted.
    """
    analytics = list(analytics_keys(company, periods, granularity))
    channels = list(channel_keys(company))
    return {
        "inventory": sorted((item["id"],) for item in company.items()),
        "inventory_atp": sorted({key[:2] for key in channels}),
        "inventory_atp_channels": sorted(channels),
        "inventory_analytics": sorted({key[:3] for key in analytics}),
        "inventory_analytics_categories": sorted(analytics),
    }


def channel_keys(company: Company) -> Iterator[Key]:
    """List the channels of all products at all locations.

    Args:
        company: The sandbox's content.

    Yields:
        The keys.
    """
    for location in company.location_ids:
        for product in company.atp_products(location):
            for channel in product["channels"]:
                yield location, product["productMasterId"], channel["channelId"]


def analytics_keys(
    company: Company, periods: Iterable[tuple[str, str]], granularity: str
) -> Iterator[Key]:
    """List the categories of all periods at all locations.

    Args:
        company: The sandbox's content.
        periods: Their first and last days.
        granularity: The setting that has cut the periods.

    Yields:
        The keys.
    """
    for first, last in periods:
        for location in company.location_ids:
            for category in company.analytics(location, first, last)["byCategory"]:
                yield location, granularity, first, category["categoryId"]


def keys_of(stream: str, rows: Iterable[Mapping[str, object]]) -> list[Key]:
    """List the keys of the records that a target has stored.

    Args:
        stream: The stream's name.
        rows: The records.

    Returns:
        The keys, sorted; one that came twice is there twice.
    """
    names = KEYS[stream]
    return sorted(tuple(str(row[name]) for name in names) for row in rows)
