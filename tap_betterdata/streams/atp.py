"""`GET /inventory/channel-location`: what can be promised, by channel and location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_betterdata.compat import override
from tap_betterdata.errors import UnexpectedAnswerError, place
from tap_betterdata.paged import PagedStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_betterdata.pages import Page, Row
    from tap_betterdata.stream import Answer

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


class _AtpEndpoint(PagedStream):
    """What both streams of the endpoint share.

    Documented: `locationId`, `page` and `limit`; the list stands under `products`,
    beside `channels` and, in one of the two samples, `location`. Assumed: the
    default of 50 and the maximum of 200 are this endpoint's. The records don't carry
    their location, so one location is asked for at a time.
    """

    path = "/inventory/channel-location"
    max_limit = 200
    row_key = "productMasterId"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream.

        Args:
            *args: As for the base class.
            **kwargs: As for the base class.
        """
        super().__init__(*args, **kwargs)
        self._beside: dict[str, dict[str, Any]] = {}

    @override
    def contexts(self) -> list[dict[str, Any]]:
        """One list for each location."""
        return [{"locationId": location} for location in self.run.locations.ids()]

    @override
    def beside(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """The location's name, and the channels: the same on all pages."""
        return self._beside[context["locationId"]]

    @override
    def read_page(self, context: Mapping[str, Any], number: int) -> Page:
        """Keep what stands beside the products, the same on all pages."""
        page = super().read_page(context, number)
        asked = context["locationId"]
        location = page.body.get("location") or {}
        if location.get("id") not in {None, asked}:
            msg = (
                f"{place(self.name, context)}: the API answered for location "
                f"{location['id']}. It does not filter by location: tell the tap's "
                "developers"
            )
            raise UnexpectedAnswerError(msg)
        self._beside[asked] = {
            "locationName": location.get("name"),
            "channels": page.body.get("channels") or [],
        }
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
    def records_of(self, answer: Answer) -> Iterable[Row]:
        """A product is a record; the location comes from the request."""
        location = {
            "locationId": answer["context"]["locationId"],
            "locationName": answer["beside"]["locationName"],
        }
        return ({**row, **location} for row in answer["rows"])


class InventoryAtpChannelsStream(_AtpEndpoint):
    """One record is one channel of one product at one location."""

    name = "inventory_atp_channels"
    primary_keys = ("locationId", "productMasterId", "channelId")

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
    def records_of(self, answer: Answer) -> Iterable[Row]:
        """A product's channel is a record; its fields win over the channel list's."""
        common = {row.get("channelId"): row for row in answer["beside"]["channels"]}
        for product in answer["rows"]:
            for channel in product.get("channels") or []:
                yield {
                    **common.get(channel.get("channelId"), {}),
                    **channel,
                    "locationId": answer["context"]["locationId"],
                    "locationName": answer["beside"]["locationName"],
                    "productMasterId": product.get("productMasterId"),
                    "productName": product.get("productName"),
                    "globalSku": product.get("globalSku"),
                }
