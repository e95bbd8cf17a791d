"""The endpoints: what each is called, how it is paged, where its rows come from.

One more list is one more entry in `ENDPOINTS`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_betterdata.sandbox.catalogue import CHANNELS, INVENTORY_FIELDS, Record
from tap_betterdata.sandbox.replies import ApiError
from tap_betterdata.sandbox.sorting import sort_records

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tap_betterdata.sandbox.company import Company
    from tap_betterdata.sandbox.options import Options

    #: What stands under an endpoint's name, and how many rows there are in all.
    Rows = tuple[Any, int]

_SORT_PARAMS = {"sortBy", "sortOrder"}


@dataclass(frozen=True)
class Query:
    """What was asked of an endpoint, read and checked when it is needed."""

    endpoint: Endpoint
    params: dict[str, str]
    options: Options
    company: Company

    @property
    def limit(self) -> int:
        """How many rows a page has."""
        largest = self.endpoint.max_limit
        limit = _number(self.params, "limit", self.endpoint.limit)
        if limit > largest and self.options.over_max == "reject":
            raise ApiError(400, f"limit is over {largest}", parameter="limit")
        return min(limit, largest)

    @property
    def window(self) -> slice:
        """Which rows of the list are asked for."""
        if self.endpoint.paging is None:
            return slice(None)
        start = self.endpoint.paging.start(self.params, self.limit)
        return slice(start, start + self.limit)

    @property
    def location_id(self) -> str | None:
        """The location, which exists and may be read."""
        location_id = self.params.get("locationId")
        if location_id is None:
            return None
        if location_id and location_id in self.options.forbidden_locations.split(","):
            raise ApiError(403, f"No access to location {location_id}")
        try:
            self.company.location_name(location_id)
        except KeyError:
            raise ApiError(404, f"No such location: {location_id}") from None
        return location_id

    @property
    def sorting(self) -> tuple[str, bool] | None:
        """The field to sort by, and whether downwards; None if that is left open."""
        params, mode = self.params, self.options.sort
        fields = self.endpoint.sort_fields
        if mode == "ignore" or not fields or not params.keys() & _SORT_PARAMS:
            return None
        field, order = params.get("sortBy", "id"), params.get("sortOrder", "asc")
        if mode == "reject" or field not in fields:
            raise ApiError(400, f"Cannot sort by {field}", parameter="sortBy")
        if order not in {"asc", "desc"}:
            raise ApiError(400, "sortOrder is asc or desc", parameter="sortOrder")
        return field, order == "desc" or mode == "down"

    @property
    def period(self) -> tuple[dt.date, dt.date]:
        """The first and the last day."""
        start, end = _date(self.params, "fromDate"), _date(self.params, "toDate")
        if start > end:
            raise ApiError(400, "fromDate is after toDate", parameter="fromDate")
        return start, end


@dataclass(frozen=True)
class Paging:
    """A style of paging.

    Attributes:
        start: Returns the place of a page's first row, by the query and the limit.
        numbers: Describes a page, by its start, its limit and the total.
    """

    start: Callable[[dict[str, str], int], int]
    numbers: Callable[[int, int, int], Record]


def _pagination(start: int, limit: int, total: int) -> Record:
    pages = -(-total // limit)
    page = start // limit + 1
    numbers = {"page": page, "pageSize": limit, "total": total, "totalPages": pages}
    return {"pagination": numbers}


#: `page` and `limit`; the answer has a `pagination`.
PAGE_LIMIT = Paging(
    start=lambda params, limit: (_number(params, "page", 1) - 1) * limit,
    numbers=_pagination,
)

#: `limit` and `offset`; the answer has them and the `total` beside the list.
LIMIT_OFFSET = Paging(
    start=lambda params, _: _number(params, "offset", 0, least=0),
    numbers=lambda start, limit, total: {
        "total": total,
        "limit": limit,
        "offset": start,
    },
)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """What is answered under one path.

    Attributes:
        path: Below the base URL.
        name: The key of the list, or of the one object, in the answer.
        permission: What a key must be allowed.
        rows: Returns the rows that a query asks for.
        paging: None where all is answered at once.
        limit: How many rows a page has where the query doesn't say.
        max_limit: How many it has at most.
        sort_fields: What `sortBy` may name; it is ignored where there are none.
        beside: Returns what else the answer says.
        kept: Whether answers are kept until `Company.version` changes.
    """

    path: str
    name: str
    permission: str
    rows: Callable[[Query], Rows]
    paging: Paging | None = PAGE_LIMIT
    limit: int = 20
    max_limit: int = 100
    sort_fields: Collection[str] = ()
    beside: Callable[[Query], Record] = lambda _: {}
    kept: bool = False

    def payload(self, query: Query) -> Record:
        """Answer a query."""
        rows, total = self.rows(query)
        payload = {self.name: rows, **self.beside(query)}
        if self.paging is not None:
            payload |= self.paging.numbers(query.window.start, query.limit, total)
        return payload


def plain_list(name: str, *filters: str) -> Callable[[Query], Rows]:
    """Serve one of the company's plain lists, in its order unless sorted.

    Args:
        name: The list.
        *filters: Fields whose value may be asked for.
    """

    def rows(query: Query) -> Rows:
        # A copy, as a test may change the list meanwhile.
        records = list(query.company.plain_list(name))
        for field in query.params.keys() & {*filters}:
            records = [row for row in records if row[field] == query.params[field]]
        if query.sorting is not None:
            field, descending = query.sorting
            pairs = ((record, record) for record in records)
            records = sort_records(field, pairs, descending=descending)
        return records[query.window], len(records)

    return rows


def _inventory(query: Query) -> Rows:
    window, location_id = query.window, query.location_id
    field, descending = query.sorting or ("id", False)
    return query.company.page(window, location_id, field, descending=descending)


def _atp(query: Query) -> Rows:
    window, location_id = query.window, query.location_id
    if location_id is None and not query.options.atp_all_locations:
        raise ApiError(400, "locationId is required", parameter="locationId")
    return query.company.atp_page(window, location_id)


def _atp_beside(query: Query) -> Record:
    """Return the fields that the ATP guide has, and the export guide has not."""
    location = None
    if (location_id := query.location_id) is not None:
        name = query.company.location_name(location_id)
        location = {"id": location_id, "name": name}
    return {"channels": CHANNELS, "location": location}


def _analytics(query: Query) -> Rows:
    return query.company.analytics(query.location_id, *query.period), 1


def _analytics_beside(query: Query) -> Record:
    start, end = query.period
    return {"period": {"from": f"{start}T00:00:00Z", "to": f"{end}T23:59:59Z"}}


def _alerts_config(query: Query) -> Rows:
    return query.company.alerts_config, 1


#: All endpoints by their paths. The limits 20, 50, 100 and 200 are documented; which
#: of the first two endpoints has which is assumed from their order on the page, and
#: that the others have the general ones. What an alert looks like is made up, and that
#: an adjustment has a `createdAt`, and its list a `total`, is assumed.
ENDPOINTS = {
    endpoint.path: endpoint
    for endpoint in (
        Endpoint(
            path="/inventory",
            name="items",
            permission="inventory.read",
            rows=_inventory,
            sort_fields=INVENTORY_FIELDS,
            kept=True,
        ),
        Endpoint(
            path="/inventory/channel-location",
            name="products",
            permission="inventory.read",
            rows=_atp,
            limit=50,
            max_limit=200,
            beside=_atp_beside,
            kept=True,
        ),
        Endpoint(
            path="/inventory/analytics",
            name="analytics",
            permission="inventory.read",
            rows=_analytics,
            paging=None,
            beside=_analytics_beside,
            kept=True,
        ),
        Endpoint(
            path="/transfers/recommendations/pending",
            name="recommendations",
            permission="transfers.read",
            rows=plain_list("recommendations"),
            paging=LIMIT_OFFSET,
            limit=50,
        ),
        Endpoint(
            path="/inventory/adjustments",
            name="entries",
            permission="inventory.adjust",
            rows=plain_list("adjustments", "inventoryItemId"),
            paging=LIMIT_OFFSET,
            limit=50,
        ),
        Endpoint(
            path="/admin/alerts/config",
            name="config",
            permission="admin.alerts.read",
            rows=_alerts_config,
            paging=None,
        ),
        Endpoint(
            path="/admin/alerts/history",
            name="items",
            permission="admin.alerts.read",
            rows=plain_list("alerts"),
            sort_fields=("id", "createdAt"),
        ),
    )
}


def _number(params: dict[str, str], name: str, default: int, least: int = 1) -> int:
    text = params.get(name, str(default))
    # Ten digits are plenty, and no work for an endless number.
    if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) >= least:  # noqa: PLR2004
        return int(text)
    raise ApiError(400, f"{name} is not a number from {least} on", parameter=name)


def _date(params: dict[str, str], name: str) -> dt.date:
    text = params.get(name, "")
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        date = None
    # Python reads other ISO forms too (`20240101`).
    if date is None or str(date) != text:
        raise ApiError(400, f"{name} is not a date like 2024-12-31", parameter=name)
    return date
