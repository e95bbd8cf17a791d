"""`GET /inventory`: what is on hand in which lot, bin and location."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th
from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_betterdata.api.errors import RefusedError, TapError
from tap_betterdata.compat import override
from tap_betterdata.state.bookmarks import Bookmarks
from tap_betterdata.state.stamps import write_stamp
from tap_betterdata.streams.located import LocatedStream
from tap_betterdata.streams.paged import PagedStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_betterdata.pagination.page import Page
    from tap_betterdata.streams.base import Partition, RowsPage


class InventoryStream(LocatedStream, PagedStream):
    """One record is one stock item: a product in a lot, a bin and a location.

    Documented: `locationId`, `page` and `limit` (default 20, maximum 100); the list
    stands under `items`. Assumed: `id` is the key, and any other field may be null.
    """

    name = "inventory"
    path = "/inventory"
    records_key = "items"
    primary_keys = ("id",)
    replication_key = "updatedAt"

    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True, description="The stock item."),
        th.Property("productMasterId", th.StringType, description="The product."),
        th.Property("productName", th.StringType, description="The product's name."),
        th.Property("globalSku", th.StringType, description="The product's SKU."),
        th.Property("locationId", th.StringType, description="Where the stock is."),
        th.Property("locationName", th.StringType, description="The location's name."),
        th.Property(
            "quantityOnHand", th.NumberType, description="Units that are there."
        ),
        th.Property(
            "quantityReserved", th.NumberType, description="Units that are promised."
        ),
        th.Property(
            "quantityAvailable",
            th.NumberType,
            description="Units that are there and not promised.",
        ),
        th.Property("lotId", th.StringType, description="The lot."),
        th.Property("lotNumber", th.StringType, description="The lot's number."),
        th.Property(
            "expiryDate", th.DateType, description="The day on which the lot expires."
        ),
        th.Property("binId", th.StringType, description="The bin."),
        th.Property("binName", th.StringType, description="The bin's name."),
        th.Property("unitCost", th.NumberType, description="What a unit cost."),
        th.Property(
            "totalValue", th.NumberType, description="What the units are worth."
        ),
        th.Property(
            "lastCountedAt",
            th.DateTimeType,
            description="When the item was last counted.",
        ),
        th.Property(
            "updatedAt", th.DateTimeType, description="When the item last changed."
        ),
    ).to_dict()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream; others learn the locations from it."""
        super().__init__(*args, **kwargs)
        self.run.locations.learn = self.learn_locations
        self.run.locations.holds_stock = self.holds_stock

    @override
    def partitions_to_read(self) -> list[Partition]:
        """One list for each location that is set, or one over all locations."""
        configured = self.run.locations.configured
        return [{"locationId": location} for location in configured or []] or [{}]

    @override
    def pages(self) -> Iterator[RowsPage]:
        """Read the lists; other streams learn the locations from them."""
        locations = self.run.locations
        # What has changed since the last run shows all locations only if those of
        # before are known.
        state = self.read_state({})
        is_whole = state.sorted_until is None and state.plain_until is None
        is_enough = is_whole or locations.as_of is not None
        # What fails once is not asked for again for other streams' sake.
        locations.learned = True
        try:
            for page in super().pages():
                locations.see(page["rows"])
                yield page
        except TapError as error:
            locations.failure = error
            raise
        locations.learned = is_enough
        locations.failure = self.failure
        locations.certain = self.complete and is_enough
        if locations.certain and not locations.configured:
            locations.as_of = self.list_state({}).reached or locations.as_of

    @override
    def read_page(self, params: Mapping[str, Any], number: int, limit: int) -> Page:
        """Read a page, and check that its items are of the location asked for."""
        page = super().read_page(params, number, limit)
        if asked := params.get("locationId"):
            answered = [row.get("locationId") for row in page.rows]
            self.check_locations(asked, answered, "leave location_ids empty, and ")
        return page

    def holds_stock(self, location: str) -> bool:
        """Ask whether there are items of a location, or may be."""
        try:
            return bool(self.read_page({"locationId": location}, 1, 1).rows)
        except RefusedError as error:
            return not error.not_found

    def learn_locations(self) -> None:
        """Read the inventory for the locations alone, for other streams' sake."""
        self.logger.info(
            "No location_ids are set: pages of %s are read to learn the locations, a "
            "request for each %s items%s. Set location_ids to save them.",
            self.path,
            self.limit,
            " that changed" if self.run.locations.as_of else "",
        )
        # Nothing is written: no state gets these bookmarks.
        self.forced_replication_method = REPLICATION_INCREMENTAL
        self.bookmarks = Bookmarks({})
        if as_of := self.run.locations.as_of:
            self.bookmarks.advance(None, self.replication_key, write_stamp(as_of))
        for _ in self.pages():
            if self.is_dry_run:
                return
