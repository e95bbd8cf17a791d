"""`GET /inventory/analytics`: what the stock is worth and how it turns."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_betterdata.api.answers import check_object
from tap_betterdata.api.errors import UnexpectedAnswerError, describe_request
from tap_betterdata.api.redaction import blank
from tap_betterdata.compat import override
from tap_betterdata.output.rows import elements
from tap_betterdata.streams.base import Partition, RowsPage
from tap_betterdata.streams.periodic import PeriodicStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_betterdata.api.answers import Row

_PERIOD = (
    th.Property(
        "locationId",
        th.StringType,
        required=True,
        description="The location asked for.",
    ),
    th.Property(
        "granularity",
        th.StringType,
        required=True,
        description="How time is cut: the setting analytics_granularity.",
    ),
    th.Property(
        "periodFrom",
        th.DateType,
        required=True,
        description="The period's first day, as asked for.",
    ),
    th.Property(
        "periodTo", th.DateType, description="The period's last day, as asked for."
    ),
)
_CATEGORY = (
    th.Property("categoryName", th.StringType, description="The category's name."),
    th.Property("value", th.NumberType, description="What its units are worth."),
    th.Property("units", th.NumberType, description="How many units there are."),
)


class _AnalyticsEndpoint(PeriodicStream):
    """What both streams of the endpoint share.

    Documented: `locationId`, `fromDate` and `toDate` (dates); one object with
    `analytics` and `period`, no pages. The answer doesn't carry its location.
    """

    path = "/inventory/analytics"
    replication_key = "periodFrom"

    @override
    def check_body(self, body: Mapping[str, Any]) -> None:
        """Check what stands beside the measures."""
        check_object(body, "period")

    @override
    def begin(self, partition: Partition, *, is_ahead: bool) -> RowsPage:
        """Read the analytics of a period, and check that it is the one asked for."""
        del is_ahead
        body = self.read_one(partition, holds="analytics")
        self._check_period(partition, body.get("period") or {})
        return RowsPage(partition=partition, rows=[body["analytics"]], envelope={})

    def _check_period(self, partition: Partition, period: dict[str, Any]) -> None:
        """Check that the answer is for the period that was asked for.

        A day's difference may come of time zones; the record keeps the dates asked
        for, and the log says so once.
        """
        for name, asked in (("from", "fromDate"), ("to", "toDate")):
            answered = blank(str(period.get(name) or partition[asked]))[:10]
            if answered == partition[asked]:
                continue
            where = describe_request(self.name, partition)
            said = f"{where}: the API answered for a period {name} {answered}"
            if _days_between(answered, partition[asked]) > 1:
                msg = f"{said}. It does not honour the dates; its numbers are not kept"
                raise UnexpectedAnswerError(msg)
            self.warn_once("%s. The record says what was asked for.", said)

    def _period(self, page: RowsPage) -> dict[str, Any]:
        partition = page["partition"]
        return {
            "locationId": partition["locationId"],
            "granularity": self.config["analytics_granularity"],
            "periodFrom": partition["fromDate"],
            "periodTo": partition["toDate"],
        }


class InventoryAnalyticsStream(_AnalyticsEndpoint):
    """One record is one location over one period."""

    name = "inventory_analytics"
    primary_keys = ("locationId", "granularity", "periodFrom")

    schema = th.PropertiesList(
        *_PERIOD,
        th.Property(
            "totalValue", th.NumberType, description="What the stock is worth."
        ),
        th.Property("totalUnits", th.NumberType, description="How many units it is."),
        th.Property(
            "turnoverRate", th.NumberType, description="How often the stock turns over."
        ),
        th.Property(
            "averageDaysOnHand",
            th.NumberType,
            description="How many days a unit stays, on average.",
        ),
        th.Property(
            "slowMovingItems", th.NumberType, description="Items that move slowly."
        ),
        th.Property(
            "expiringItems", th.NumberType, description="Items that expire soon."
        ),
        th.Property(
            "byCategory",
            th.ArrayType(
                th.ObjectType(
                    th.Property(
                        "categoryId", th.StringType, description="The category."
                    ),
                    *_CATEGORY,
                    additional_properties=False,
                )
            ),
            description="The same value and units, by category.",
        ),
    ).to_dict()

    @override
    def records_of(self, page: RowsPage) -> Iterable[Row]:
        """A period's measures are a record."""
        return [{**row, **self._period(page)} for row in page["rows"]]


class InventoryAnalyticsCategoriesStream(_AnalyticsEndpoint):
    """One record is one category of one location over one period."""

    name = "inventory_analytics_categories"
    primary_keys = ("locationId", "granularity", "periodFrom", "categoryId")
    is_flat = True

    schema = th.PropertiesList(
        *_PERIOD,
        th.Property(
            "categoryId", th.StringType, required=True, description="The category."
        ),
        *_CATEGORY,
    ).to_dict()

    @override
    def records_of(self, page: RowsPage) -> Iterable[Row]:
        """A period's category is a record."""
        for row in page["rows"]:
            named = describe_request(self.name, page["partition"])
            for category in elements(row, "byCategory", "categoryId", named):
                yield {**category, **self._period(page)}


def _days_between(one: str, other: str) -> float:
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:
        return float("inf")
