"""`GET /transfers/recommendations/pending`: what should be moved to where."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_betterdata.pagination.paging import LimitOffset
from tap_betterdata.streams.paged import PagedStream


class TransferRecommendationsStream(PagedStream):
    """One record is one recommendation that is pending: to move units of a product.

    Documented: `limit` and `offset`, the `total` beside the list, and the fields of a
    record. Assumed: `id` is the key, and any other field may be null. A decision leaves
    `createdAt` as it is, so each run reads the whole list.
    """

    name = "transfer_recommendations"
    path = "/transfers/recommendations/pending"
    permission = "transfers.read"
    selected_by_default = False
    records_key = "recommendations"
    paging = LimitOffset()
    primary_keys = ("id",)

    schema = th.PropertiesList(
        th.Property(
            "id", th.StringType, required=True, description="The recommendation."
        ),
        th.Property("productMasterId", th.StringType, description="The product."),
        th.Property("sourceLocationId", th.StringType, description="From where."),
        th.Property("destLocationId", th.StringType, description="To where."),
        th.Property("quantity", th.NumberType, description="How many units."),
        th.Property("priority", th.StringType, description="How urgent it is."),
        th.Property("status", th.StringType, description="How far it is: `PENDING`."),
        th.Property("reason", th.StringType, description="Why it is recommended."),
        th.Property(
            "estimatedROI", th.NumberType, description="What it is expected to return."
        ),
        th.Property("createdAt", th.DateTimeType, description="When it was made."),
    ).to_dict()
