"""`GET /inventory/analytics`: what the stock is worth and how it turns."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_betterdata.compat import override
from tap_betterdata.errors import UnexpectedAnswerError, place
from tap_betterdata.pages import check_object
from tap_betterdata.periodic import PeriodicStream
from tap_betterdata.records import elements
from tap_betterdata.stream import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_betterdata.pages import Row

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
_CATEGORY_NAME = th.Property(
    "categoryName", th.StringType, description="The category's name."
)
_CATEGORY = (
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
    _warned = False

    @override
    def check_body(self, body: Mapping[str, Any]) -> None:
        """Check what stands beside the measures."""
        check_object(body, "period")

    @override
    def ask_period(self, context: dict[str, Any]) -> Answer:
        """Read the analytics of a period, and check that it is the one asked for."""
        body = self.read_one(context, holds="analytics")
        self._check_period(context, body.get("period") or {})
        return Answer(context=context, rows=[body["analytics"]], beside={})

    def _check_period(self, context: dict[str, Any], period: dict[str, Any]) -> None:
        """Check that the answer is for the period that was asked for.

        A day's difference may come of time zones; the record keeps the dates asked
        for, and the log says so once.
        """
        for name, asked in (("from", "fromDate"), ("to", "toDate")):
            answered = str(period.get(name) or context[asked])[:10]
            if answered == context[asked]:
                continue
            said = (
                f"{place(self.name, context)}: the API answered for a period "
                f"{name} {answered}"
            )
            if _days_between(answered, context[asked]) > 1:
                msg = f"{said}. It does not honour the dates; its numbers are not kept"
                raise UnexpectedAnswerError(msg)
            if not self._warned:
                self._warned = True
                self.logger.warning("%s. The record says what was asked for.", said)

    def _period(self, answer: Answer) -> dict[str, Any]:
        context = answer["context"]
        return {
            "locationId": context["locationId"],
            "granularity": self.config["analytics_granularity"],
            "periodFrom": context["fromDate"],
            "periodTo": context["toDate"],
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
                    _CATEGORY_NAME,
                    *_CATEGORY,
                    additional_properties=False,
                )
            ),
            description="The same value and units, by category.",
        ),
    ).to_dict()

    @override
    def records_of(self, answer: Answer) -> Iterable[Row]:
        """A period's measures are a record."""
        return [{**row, **self._period(answer)} for row in answer["rows"]]


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
        _CATEGORY_NAME,
        *_CATEGORY,
    ).to_dict()

    @override
    def records_of(self, answer: Answer) -> Iterable[Row]:
        """A period's category is a record."""
        for row in answer["rows"]:
            named = place(self.name, answer["context"])
            for category in elements(row, "byCategory", named):
                yield {**category, **self._period(answer)}


def _days_between(one: str, other: str) -> float:
    try:
        return abs((date.fromisoformat(one) - date.fromisoformat(other)).days)
    except ValueError:
        return float("inf")
