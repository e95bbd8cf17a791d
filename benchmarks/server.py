"""A server of made-up inventory that is fast enough not to be what is measured.

It answers the three inventory endpoints of the API as they are documented, with any
bearer token, and counts what it is asked for. Pages are cut from a template: of the
100 rows of a page only the ids and the time stamps differ from those of other pages,
so a page costs three replacements in some 45 KB, and a million items take no memory.

Items stand newest first unless `sortOrder=asc` is asked for, each with a time stamp of
its own. A list asked for with `locationId` has ids of its own, and so has one with
another `limit`.

    python -m benchmarks.server --items 20000 --latency 50

prints the base URL for a tap, and serves until it is ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import partial
from urllib.parse import parse_qsl

COUNTS_PATH = "/counts"

_NEWEST = datetime(2026, 1, 1, tzinfo=UTC)
_ITEMS_MAX = 100
_PRODUCTS_MAX = 200
_DEFAULT_LIMIT = 20
_CATEGORIES = 5
# Pages are kept once made, up to this many: 100,000 items, asked for in two ways, for
# sides that sort and sides that don't.
_KEPT = 2100
# What stands for the parts of an item that change from page to page.
_PAGE = "@page@"
_MINUTE = "@minute@"
_MARKS = re.compile(f"{_PAGE}|{_MINUTE}")
_SECONDS = 60


@dataclass(frozen=True)
class Options:
    """What is served.

    Attributes:
        items: How many items the whole inventory has.
        locations: Over how many locations they are spread.
        latency: Seconds before each answer.
    """

    items: int = 1000
    locations: int = 1
    latency: float = 0.0

    @property
    def location_ids(self) -> list[str]:
        """The locations that there are."""
        return [f"loc_{number:03d}" for number in range(1, self.locations + 1)]


class Pages:
    """Makes the answers."""

    def __init__(self, options: Options) -> None:
        """Prepare.

        Args:
            options: What is served.
        """
        self._options = options
        self._ids = options.location_ids
        self._templates: dict[tuple[str, range], list[bytes]] = {}
        self._kept: dict[tuple[str, str], bytes] = {}
        self._makers = {
            "/api/inventory": self._inventory,
            "/api/inventory/channel-location": self._channel_location,
            "/api/inventory/analytics": self._analytics,
        }

    def answer(self, path: str, query: str) -> bytes | None:
        """Make the body of an answer.

        Args:
            path: The path asked for.
            query: The query as it was sent.

        Returns:
            JSON; None if there is nothing under the path.
        """
        kept = self._kept.get((path, query))
        if kept is not None:
            return kept
        maker = self._makers.get(path)
        if maker is None:
            return None
        body = maker(dict(parse_qsl(query)))
        if len(self._kept) < _KEPT:
            self._kept[path, query] = body
        return body

    def _length(self, location: str) -> int:
        """Tell how many rows a list has."""
        if not location:
            return self._options.items
        return self._options.items // self._options.locations

    def _inventory(self, query: dict[str, str]) -> bytes:
        location = query.get("locationId", "")
        page, limit, total = self._place(query, location, _ITEMS_MAX)
        pagination = _pagination(page, limit, total)
        is_ascending = query.get("sortOrder") == "asc"
        number = pagination["totalPages"] + 1 - page if is_ascending else page
        count = max(0, min(limit, total - (number - 1) * limit))
        rows = self._rows(location, number, range(count)[:: -1 if is_ascending else 1])
        return b'{"items":[%b],"pagination":%b}' % (rows, _dump(pagination))

    def _place(
        self, query: dict[str, str], location: str, most: int
    ) -> tuple[int, int, int]:
        """Return which page of which size is asked for, and how many rows there are."""
        page = int(query.get("page", 1))
        limit = min(int(query.get("limit", _DEFAULT_LIMIT)), most)
        return page, limit, self._length(location)

    def _rows(self, location: str, page: int, places: range) -> bytes:
        """Make the items at some places of a page, with commas between them."""
        newest = _NEWEST - timedelta(hours=page)
        minutes = (_minute(newest), _minute(newest - timedelta(minutes=1)))
        pieces = self._template(location, places).copy()
        pieces[1::4] = [b"%06d" % page] * len(places)
        pieces[3::4] = [minutes[place >= _SECONDS] for place in places]
        return b"".join(pieces)

    def _template(self, location: str, places: range) -> list[bytes]:
        """Return the items of a page in pieces: every other one is to be filled in."""
        template = self._templates.get((location, places))
        if template is None:
            ids = [location] if location else self._ids
            items = (_item(place, ids[place % len(ids)]) for place in places)
            pieces = _MARKS.split(b",".join(map(_dump, items)).decode())
            template = [pieces[0].encode()]
            for piece in pieces[1:]:
                template += (b"", piece.encode())
            self._templates[location, places] = template
        return template

    def _channel_location(self, query: dict[str, str]) -> bytes:
        location = query["locationId"]
        page, limit, total = self._place(query, location, _PRODUCTS_MAX)
        begin = (page - 1) * limit
        return _dump(
            {
                "products": [
                    _product(number)
                    for number in range(begin, min(begin + limit, total))
                ],
                "channels": [_channel(number) for number in range(3)],
                "location": {"id": location, "name": f"Warehouse {location}"},
                "pagination": _pagination(page, limit, total),
            }
        )

    def _analytics(self, query: dict[str, str]) -> bytes:
        return _dump(
            {
                "analytics": {
                    "totalValue": 50000.25,
                    "totalUnits": 21613,
                    "turnoverRate": 12.5,
                    "averageDaysOnHand": 30,
                    "slowMovingItems": 10,
                    "expiringItems": 5,
                    "byCategory": [_category(number) for number in range(_CATEGORIES)],
                },
                "period": {
                    "from": f"{query['fromDate']}T00:00:00Z",
                    "to": f"{query['toDate']}T23:59:59Z",
                },
            }
        )


class Exchange(asyncio.Protocol):
    """One connection: requests come, answers go, in turn."""

    def __init__(self, pages: Pages, counts: Counter[str], latency: float) -> None:
        """Begin.

        Args:
            pages: Makes the answers.
            counts: Counts the requests by their paths.
            latency: Seconds before each answer.
        """
        self._pages = pages
        self._counts = counts
        self._latency = latency
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back.

        Args:
            transport: The connection.
        """
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer no more.

        Args:
            exc: Not used.
        """
        del exc
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer each request that is complete.

        Args:
            data: The bytes; requests have no bodies here.
        """
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._begin(head.split(b" ", 2)[1].decode())

    def _begin(self, target: str) -> None:
        path, _, query = target.partition("?")
        if path == COUNTS_PATH:
            self._send(path, query)
        elif self._latency:
            self._counts[path] += 1
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency, self._send, path, query)
        else:
            self._counts[path] += 1
            self._send(path, query)

    def _send(self, path: str, query: str) -> None:
        if self._transport is None:
            return
        if path == COUNTS_PATH:
            body: bytes | None = _dump(self._counts)
        else:
            body = self._pages.answer(path, query)
        self._transport.write(_head(body) + (body or b"{}"))


def _head(body: bytes | None) -> bytes:
    status = b"404 Not Found" if body is None else b"200 OK"
    return (
        b"HTTP/1.1 %b\r\nDate: %b\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n"
    ) % (status, formatdate(usegmt=True).encode(), len(body or b"{}"))


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _minute(moment: datetime) -> bytes:
    return moment.strftime("%Y-%m-%dT%H:%M").encode()


def _pagination(page: int, limit: int, total: int) -> dict[str, int]:
    return {
        "page": page,
        "pageSize": limit,
        "total": total,
        "totalPages": -(-total // limit),
    }


def _item(number: int, location: str) -> dict[str, object]:
    """Make the item at a place of every page, with marks where pages differ."""
    second = _SECONDS - 1 - number % _SECONDS
    on_hand = 40 + 7 * number
    lot = None if number % 10 == 0 else f"lot_{number:06d}"
    cost = 1.25 + number / 4
    return {
        "id": f"item_{location}_{_PAGE}{number:02d}",
        "productMasterId": f"prod_{number:06d}",
        "productName": f"Café crème No. {number}, 500 ml",
        "globalSku": f"SKU-2{number:06d}",
        "locationId": location,
        "locationName": f"Warehouse {location}",
        "quantityOnHand": on_hand,
        "quantityReserved": number % 30,
        "quantityAvailable": on_hand - number % 30,
        "lotId": lot,
        "lotNumber": lot and f"LOT-2025-{number:05d}",
        "expiryDate": lot and "2027-03-31",
        "binId": f"bin_{number:03d}",
        "binName": f"A-{number % 9}-{number % 7}",
        "unitCost": cost,
        "totalValue": cost * on_hand,
        "lastCountedAt": "2025-06-01T08:30:00Z",
        "updatedAt": f"{_MINUTE}:{second:02d}Z",
    }


def _product(number: int) -> dict[str, object]:
    on_hand = 100 + number
    return {
        "productMasterId": f"prod_{number:06d}",
        "productName": f"Café crème No. {number}, 500 ml",
        "globalSku": f"SKU-2{number:06d}",
        "channels": [
            {
                "channelId": f"CHANNEL_{channel}",
                "channelName": f"Channel {channel}",
                "atp": on_hand - 10 * channel,
                "onHand": on_hand,
                "reserved": 10,
                "available": on_hand - 10,
                "severity": "OK",
                "threshold": 20,
                "policyId": f"policy_{channel}",
            }
            for channel in range(3)
        ],
        "totalOnHand": on_hand,
        "totalReserved": 10,
        "minAtp": on_hand - 20,
        "maxAtp": on_hand,
        "hasCritical": False,
    }


def _channel(number: int) -> dict[str, object]:
    return {
        "channelId": f"CHANNEL_{number}",
        "channelName": f"Channel {number}",
        "channelType": "E_COMMERCE",
        "policyId": f"policy_{number}",
        "lowAtpThreshold": 20,
    }


def _category(number: int) -> dict[str, object]:
    return {
        "categoryId": f"cat_{number:03d}",
        "categoryName": f"Category {number}",
        "value": 10000.05,
        "units": 4322,
    }


async def serve(options: Options) -> None:
    """Serve for ever; the base URL is printed when requests can come.

    Args:
        options: What is served.
    """
    loop = asyncio.get_running_loop()
    exchange = partial(Exchange, Pages(options), Counter[str](), options.latency)
    server = await loop.create_server(exchange, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}/api\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    """Serve what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--locations", type=int, default=1)
    parser.add_argument("--latency", type=float, default=0.0, help="in milliseconds")
    given = parser.parse_args()
    options = Options(given.items, given.locations, given.latency / 1000)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
