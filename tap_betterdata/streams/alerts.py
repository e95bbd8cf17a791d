"""`GET /admin/alerts/config`: who is warned of what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk import typing as th

from tap_betterdata.compat import override
from tap_betterdata.streams.base import BetterDataStream, RowsPage

if TYPE_CHECKING:
    from collections.abc import Iterator

_TYPES = {
    "stockout": "no stock",
    "lowAtp": "little to promise",
    "forecastDeviation": "a forecast that does not hold",
    "expiry": "lots that expire",
    "slowMoving": "stock that moves slowly",
    "overstock": "too much stock",
}


class AlertsConfigStream(BetterDataStream):
    """One record is the configuration of the alerts; it holds addresses and URLs.

    Documented: one object, `config`, without an id, a time stamp or pages.
    """

    name = "alerts_config"
    path = "/admin/alerts/config"
    permission = "admin.alerts.read"
    selected_by_default = False
    primary_keys = ()

    schema = th.PropertiesList(
        th.Property(
            "enabled", th.BooleanType, description="Whether there are alerts at all."
        ),
        th.Property(
            "destinations",
            th.ArrayType(
                th.ObjectType(
                    th.Property("id", th.StringType, description="The destination."),
                    th.Property(
                        "type", th.StringType, description="`EMAIL` or `WEBHOOK`."
                    ),
                    th.Property(
                        "value",
                        th.StringType,
                        description="The address or URL: not for everybody's eyes.",
                    ),
                    th.Property(
                        "name", th.StringType, description="What it is called."
                    ),
                    th.Property(
                        "enabled", th.BooleanType, description="Whether it is used."
                    ),
                    additional_properties=False,
                )
            ),
            description="Where alerts are sent.",
        ),
        th.Property(
            "alertTypes",
            th.ObjectType(
                *(
                    th.Property(
                        name, th.BooleanType, description=f"Whether it warns of {what}."
                    )
                    for name, what in _TYPES.items()
                ),
                additional_properties=False,
            ),
            description="What there are alerts of.",
        ),
        th.Property(
            "cooldownMinutes",
            th.NumberType,
            description="For how long an alert is not sent again.",
        ),
    ).to_dict()

    @override
    def pages(self) -> Iterator[RowsPage]:
        """Ask for the one object that there is."""
        self.least_requests = 1
        body = self.read_one({}, holds="config")
        yield RowsPage(partition={}, rows=[body["config"]], envelope={})
