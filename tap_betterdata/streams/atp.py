"""`GET /inventory/channel-location`: what can be promised, by channel and location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_betterdata.api.answers import check_object, check_objects
from tap_betterdata.api.errors import describe_request
from tap_betterdata.api.redaction import quote
from tap_betterdata.compat import override
from tap_betterdata.output.rows import elements
from tap_betterdata.streams.located import LocatedStream
from tap_betterdata.streams.paged import PagedStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_betterdata.api.answers import Row
    from tap_betterdata.pagination.page import Page
    from tap_betterdata.streams.base import Partition, RowsPage

_PRODUCT = (
    th.Property(
        "locationId",
        th.StringType,
        required=True,
        description="The location asked for.",
    ),
    th.Property(
        "locationName",
        th.StringType,
        description="The location's name, where the API gives it.",
    ),
    th.Property(
        "productMasterId", th.StringType, required=True, description="The product."
    ),
    th.Property("productName", th.StringType, description="The product's name."),
    th.Property("globalSku", th.StringType, description="The product's SKU."),
)
_CHANNEL_NAME = th.Property(
    "channelName", th.StringType, description="The channel's name."
)
_CHANNEL = (
    th.Property("atp", th.NumberType, description="Units that can be promised."),
    th.Property("onHand", th.NumberType, description="Units that are there."),
    th.Property("reserved", th.NumberType, description="Units that are promised."),
    th.Property(
        "available", th.NumberType, description="Units that are there and not promised."
    ),
    th.Property(
        "severity", th.StringType, description="How short it is: OK, LOW or CRITICAL."
    ),
    th.Property(
        "threshold", th.NumberType, description="Below how many units it is short."
    ),
    th.Property("policyId", th.StringType, description="The policy that applies."),
)


class _AtpEndpoint(LocatedStream, PagedStream):
    """What both streams of the endpoint share.

    Documented: `locationId`, `page` and `limit`; the list stands under `products`,
    beside `channels` and, in one of the two samples, `location`. Assumed: the
    default of 50 and the maximum of 200 are this endpoint's. The records don't carry
    their location, so one location is asked for at a time.
    """

    path = "/inventory/channel-location"
    records_key = "products"
    max_limit = 200
    row_key = "productMasterId"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream."""
        super().__init__(*args, **kwargs)
        # By location: its name, and its channels by their ids.
        self._names: dict[str, str] = {}
        self._channels: dict[str, dict[str, Row]] = {}

    @override
    def partitions_to_read(self) -> list[Partition]:
        """One list for each location."""
        return [{"locationId": location} for location in self.location_ids()]

    @override
    def envelope_of(self, partition: Mapping[str, Any]) -> dict[str, Any]:
        """The location's name and channels, from all pages that have been read."""
        location = partition["locationId"]
        return {
            "locationName": self._names.get(location),
            "channels": dict(self._channels[location]),
        }

    @override
    def check_body(self, body: Mapping[str, Any]) -> None:
        """Check what stands beside the products; some answers have none of it."""
        check_object(body, "location")
        check_objects(body, "channels")

    @override
    def read_page(self, params: Mapping[str, Any], number: int, limit: int) -> Page:
        """Keep what stands beside the products, which should not differ by page."""
        page = super().read_page(params, number, limit)
        asked = params["locationId"]
        location = page.envelope.get("location") or {}
        answered = [row.get("locationId") for row in page.rows]
        self.check_locations(asked, [location.get("id"), *answered])
        if location.get("name") is not None:
            self._names[asked] = location["name"]
        known = self._channels.setdefault(asked, {})
        for channel in page.envelope.get("channels") or []:
            channel_id = str(channel.get("channelId"))
            if known.setdefault(channel_id, channel) != channel:
                known[channel_id] = channel
                self.warn_once(
                    "%s: the API describes channel %s differently on two pages. What "
                    "came later is used, here and for other channels.",
                    self.name,
                    channel_id,
                )
        return page


class InventoryAtpStream(_AtpEndpoint):
    """One record is one product at one location, with its channels."""

    name = "inventory_atp"
    primary_keys = ("locationId", "productMasterId")

    schema = th.PropertiesList(
        *_PRODUCT,
        th.Property(
            "totalOnHand", th.NumberType, description="Units on hand, in all channels."
        ),
        th.Property(
            "totalReserved",
            th.NumberType,
            description="Units reserved, in all channels.",
        ),
        th.Property("minAtp", th.NumberType, description="The least of a channel."),
        th.Property("maxAtp", th.NumberType, description="The most of a channel."),
        th.Property(
            "hasCritical",
            th.BooleanType,
            description="Whether a channel is critically short.",
        ),
        th.Property(
            "channels",
            th.ArrayType(
                th.ObjectType(
                    th.Property("channelId", th.StringType, description="The channel."),
                    _CHANNEL_NAME,
                    *_CHANNEL,
                    additional_properties=False,
                )
            ),
            description="What can be promised in each channel.",
        ),
    ).to_dict()

    @override
    def records_of(self, page: RowsPage) -> Iterable[Row]:
        """A product is a record; the location comes from the request."""
        return ({**row, **_location(page, row)} for row in page["rows"])


class InventoryAtpChannelsStream(_AtpEndpoint):
    """One record is one channel of one product at one location."""

    name = "inventory_atp_channels"
    primary_keys = ("locationId", "productMasterId", "channelId")
    is_flat = True

    schema = th.PropertiesList(
        *_PRODUCT,
        th.Property(
            "channelId", th.StringType, required=True, description="The channel."
        ),
        _CHANNEL_NAME,
        th.Property(
            "channelType",
            th.StringType,
            description="The channel's type, where the API gives it.",
        ),
        *_CHANNEL,
        th.Property(
            "lowAtpThreshold",
            th.NumberType,
            description="Below how many units the channel is low, where it is given.",
        ),
    ).to_dict()

    @override
    def records_of(self, page: RowsPage) -> Iterable[Row]:
        """A product's channel is a record; its fields win over the channel list's."""
        common = page["envelope"]["channels"]
        where = describe_request(self.name, page["partition"])
        for product in page["rows"]:
            named = f"{where}, product {quote(product.get('productMasterId'))}"
            for channel in elements(product, "channels", "channelId", named):
                yield {
                    **common.get(str(channel.get("channelId")), {}),
                    **channel,
                    **_location(page, product),
                    "productMasterId": product.get("productMasterId"),
                    "productName": product.get("productName"),
                    "globalSku": product.get("globalSku"),
                }


def _location(page: RowsPage, product: Row) -> dict[str, Any]:
    """Return the location that was asked for, and its name where the API gives it."""
    name = page["envelope"]["locationName"]
    return {
        "locationId": page["partition"]["locationId"],
        "locationName": product.get("locationName") if name is None else name,
    }
