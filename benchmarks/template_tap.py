"""A tap as singer-sdk's own template has one begin: the yardstick.

It reads what `tap-betterdata` reads, one request after the other, and leaves all else
to the SDK: records, types, messages, output. Without `location_ids` it has the stream
of the inventory only. Each endpoint is one stream here and is asked once; the channels
and the categories, which are streams of their own in `tap-betterdata`, stay where they
are in their records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.pagination import PageNumberPaginator, SinglePagePaginator
from singer_sdk.streams import RESTStream

from tap_betterdata.compat import override

if TYPE_CHECKING:
    import requests
    from singer_sdk.helpers.types import Context
    from singer_sdk.pagination import BaseAPIPaginator
    from singer_sdk.streams.rest import HTTPRequest, PageContext


def properties(
    *,
    texts: str = "",
    numbers: str = "",
    dates: str = "",
    stamps: str = "",
    more: tuple[th.Property[Any], ...] = (),
) -> th.PropertiesList:
    """Declare fields by their names; `stamps` are date-times."""
    kinds: tuple[tuple[str, Any], ...] = (
        (texts, th.StringType),
        (numbers, th.NumberType),
        (dates, th.DateType),
        (stamps, th.DateTimeType),
    )
    return th.PropertiesList(
        *(th.Property(name, kind) for names, kind in kinds for name in names.split()),
        *more,
    )


class Pages(PageNumberPaginator):
    """Goes on until the last page."""

    @override
    def has_more(self, response: requests.Response) -> bool:
        """Tell whether pages follow."""
        pagination = response.json()["pagination"]
        return bool(pagination["page"] < pagination["totalPages"])


class TemplateStream(RESTStream[int]):
    """What the streams share."""

    limit = 100

    @property
    @override
    def url_base(self) -> str:
        """The API's base URL."""
        return str(self.config["api_url"])

    @property
    @override
    def authenticator(self) -> BearerTokenAuthenticator:
        """The key goes into a header."""
        return BearerTokenAuthenticator(token=self.config["api_key"])

    @override
    def get_new_paginator(self) -> BaseAPIPaginator[Any]:
        """Read page after page."""
        return Pages(start_value=1)

    @override
    def get_http_request(self, *, page: PageContext[int]) -> HTTPRequest:
        """Ask for a page of the partition."""
        request = super().get_http_request(page=page)
        request.params.update(page.stream_context or {})
        request.params |= {"page": page.next_page_token, "limit": self.limit}
        return request


class ByLocation(TemplateStream):
    """A stream that is asked for each location."""

    @property
    @override
    def partitions(self) -> list[dict[str, Any]] | None:
        """One partition for each location, or one request chain over all."""
        locations = self.config.get("location_ids")
        return locations and [{"locationId": location} for location in locations]


class Inventory(ByLocation):
    """Stock items."""

    name = "inventory"
    path = "/inventory"
    primary_keys = ("id",)
    records_jsonpath = "$.items[*]"
    schema = properties(
        texts="id productMasterId productName globalSku locationId locationName lotId "
        "lotNumber binId binName",
        numbers="quantityOnHand quantityReserved quantityAvailable unitCost totalValue",
        dates="expiryDate",
        stamps="lastCountedAt updatedAt",
    ).to_dict()


class Atp(ByLocation):
    """What can be promised."""

    name = "inventory_atp"
    path = "/inventory/channel-location"
    primary_keys = ("locationId", "productMasterId")
    records_jsonpath = "$.products[*]"
    limit = 200
    schema = properties(
        texts="locationId productMasterId productName globalSku",
        numbers="totalOnHand totalReserved minAtp maxAtp",
        more=(
            th.Property("hasCritical", th.BooleanType),
            th.Property(
                "channels",
                th.ArrayType(
                    th.ObjectType(
                        *properties(
                            texts="channelId channelName severity policyId",
                            numbers="atp onHand reserved available threshold",
                        ).wrapped.values()
                    )
                ),
            ),
        ),
    ).to_dict()


class Analytics(TemplateStream):
    """What the stock is worth, month by month."""

    name = "inventory_analytics"
    path = "/inventory/analytics"
    primary_keys = ("locationId", "fromDate")
    records_jsonpath = "$.analytics"
    schema = properties(
        texts="locationId",
        numbers="totalValue totalUnits turnoverRate averageDaysOnHand slowMovingItems "
        "expiringItems",
        dates="fromDate toDate",
        more=(
            th.Property(
                "byCategory",
                th.ArrayType(
                    th.ObjectType(
                        *properties(
                            texts="categoryId categoryName", numbers="value units"
                        ).wrapped.values()
                    )
                ),
            ),
        ),
    ).to_dict()

    @property
    @override
    def partitions(self) -> list[dict[str, Any]]:
        """One partition for each location and month."""
        return [
            {"locationId": location, "fromDate": first, "toDate": last}
            for location in self.config["location_ids"]
            for first, last in self.config["months"]
        ]

    @override
    def get_new_paginator(self) -> SinglePagePaginator:
        """There are no pages."""
        return SinglePagePaginator()

    @override
    def post_process(self, row: dict[str, Any], context: Context | None = None) -> Any:
        """Keep what was asked for."""
        return {**row, **(context or {})}


class TemplateTap(Tap):
    """The tap."""

    name = "template-tap"
    config_jsonschema = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("api_key", th.StringType, required=True, secret=True),
        th.Property("location_ids", th.ArrayType(th.StringType)),
        th.Property("months", th.ArrayType(th.ArrayType(th.StringType))),
    ).to_dict()

    @override
    def discover_streams(self) -> list[TemplateStream]:
        """Return the streams."""
        if not self.config.get("location_ids"):
            return [Inventory(self)]
        return [Inventory(self), Atp(self), Analytics(self)]


if __name__ == "__main__":
    TemplateTap.cli()
