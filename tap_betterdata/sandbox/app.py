"""The WSGI application: endpoints, authentication, pagination, delivery."""

from __future__ import annotations

import datetime as dt
import os
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tap_betterdata.sandbox.catalogue import CHANNELS, INVENTORY_FIELDS, Record
from tap_betterdata.sandbox.company import Company
from tap_betterdata.sandbox.faults import Fault, Faults
from tap_betterdata.sandbox.limits import Limiter, Verdict
from tap_betterdata.sandbox.replies import ApiError, Reply, encode, phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tap_betterdata.sandbox.options import Options

BASE_PATH = "/api"
COUNTS_PATH = "/_sandbox/requests"

# The default and the largest `limit` of each list. The numbers are documented; which
# endpoint has which is assumed from their order on the page.
_LIMITS = {"/inventory": (20, 100), "/inventory/channel-location": (50, 200)}

# Keys that the sandbox refuses in the documented ways.
_REFUSED_KEYS = {
    "bdk_live_expired": (401, "EXPIRED_API_KEY", "API key has expired"),
    "bdk_live_revoked": (401, "REVOKED_API_KEY", "API key has been revoked"),
    "bdk_live_noscope": (403, "INSUFFICIENT_SCOPE", "API key lacks inventory:read"),
    "bdk_live_badip": (403, "IP_RESTRICTION", "IP address is not allowed"),
    "bdk_live_inactive": (403, "INACTIVE_ORGANIZATION", "Organization is inactive"),
}

# How many encoded pages are kept (at about 50 kB each).
_KEPT_BODIES = 1000


@dataclass
class Request:
    """A request that arrived.

    Attributes:
        number: Counted from 1 in the order of arrival.
        method: The HTTP method.
        path: Below the base URL, such as `/inventory`.
        params: The query.
        headers: What the client sent, names in the form `User-Agent`.
        time: When it arrived, by `time.monotonic()`.
        status: What was answered: None before that, 0 for no answer at all.
    """

    number: int
    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    time: float
    status: int | None = None


class App:
    """Answers requests about one company."""

    def __init__(self, options: Options) -> None:
        """Found the company and set up limits and faults.

        Raises:
            ValueError: If the `fault` option is malformed.
        """
        self.options = options
        self.company = Company(options)
        self.faults = Faults(options.seed)
        self.faults.add_specs(options.fault)
        if options.error_rate:
            self.faults.add_random(options.error_rate)
        self.requests: list[Request] = []
        self.before_request: Callable[[Request], object] | None = None
        self.stopping = threading.Event()
        self._limiter = Limiter(options)
        self._turn = threading.RLock()
        self._forbidden = set(filter(None, options.forbidden_locations.split(",")))
        self._bodies: dict[object, bytes] = {}
        self._endpoints = {
            "/inventory": self._inventory,
            "/inventory/channel-location": self._channel_location,
            "/inventory/analytics": self._analytics,
        }

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request (WSGI)."""
        if environ["PATH_INFO"] == COUNTS_PATH:
            return _start(Reply(200, encode(self._counts())), start_response)
        request, fault, verdict = self._receive(environ)
        kind = fault.kind if fault else ""
        self._wait(self.options.latency_ms / 1000 + (fault.delay if fault else 0))
        if kind in ("reset", "close"):
            request.status = 0
            _hang_up(environ["werkzeug.socket"], reset=kind == "reset")
        reply = self._reply(request, fault, verdict)
        reply.headers.update(verdict.headers)
        if kind == "cut_json":
            reply.body = reply.body[: len(reply.body) // 2]
        request.status = reply.status
        body = _start(reply, start_response)
        if fault and kind == "drip":
            return self._drip(reply.body, float(fault.details.get("seconds", 0.05)))
        return _cut(reply.body) if kind == "cut" else body

    # -- arrival ---------------------------------------------------------------

    def _receive(
        self, environ: WSGIEnvironment
    ) -> tuple[Request, Fault | None, Verdict]:
        """Record a request and settle, one request after the other, what it meets."""
        path = environ["PATH_INFO"]
        if path.startswith(f"{BASE_PATH}/"):
            path = path.removeprefix(BASE_PATH)
        params = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
        with self._turn:
            request = Request(
                number=len(self.requests) + 1,
                method=environ["REQUEST_METHOD"],
                path=path,
                params=params,
                headers=_sent_headers(environ),
                time=time.monotonic(),
            )
            self.requests.append(request)
            if self.before_request is not None:
                self.before_request(request)
            return request, self.faults.take(request), self._limiter.admit()

    def _counts(self) -> Record:
        """Return how many requests there were by path and status."""
        with self._turn:
            pairs = Counter((r.path, str(r.status)) for r in self.requests)
        paths: dict[str, dict[str, int]] = {}
        for (path, status), count in sorted(pairs.items()):
            paths.setdefault(path, {})[status] = count
        return {"total": sum(pairs.values()), "paths": paths}

    # -- answers ---------------------------------------------------------------

    def _reply(self, request: Request, fault: Fault | None, verdict: Verdict) -> Reply:
        """Return the faulty, refused or right reply to a request."""
        shape = self.options.error_shape
        instead = fault.instead(request, shape) if fault else None
        if instead is not None:
            return instead
        if verdict.refused:
            return ApiError(429, "Rate limit exceeded").reply(shape)
        try:
            return Reply(200, self._body(request, fault))
        except ApiError as error:
            reply = error.reply(shape)
        if reply.status == 405:  # noqa: PLR2004
            reply.headers["Allow"] = "GET"
        return reply

    def _body(self, request: Request, fault: Fault | None) -> bytes:
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            raise ApiError(404, f"No such path: {request.path}")
        if request.method != "GET":
            raise ApiError(405, f"{request.method} is not allowed here")
        self._authenticate(request.headers.get("Authorization", ""))
        if fault is not None:
            limit = self._page_and_limit(request.params, request.path)[1]
            payload = endpoint(fault.change_params(request.params, limit))
            return encode(fault.change_payload(payload))
        key = (self.company.version, request.path, *sorted(request.params.items()))
        body = self._bodies.get(key)
        if body is None:
            body = encode(endpoint(request.params))
            if len(self._bodies) >= _KEPT_BODIES:
                self._bodies.clear()
            self._bodies[key] = body
        return body

    def _authenticate(self, header: str) -> None:
        """Check the Bearer key; the codes of all refusals are documented."""
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "Authorization is missing", "MISSING_AUTHORIZATION")
        if key in _REFUSED_KEYS:
            status, code, message = _REFUSED_KEYS[key]
            raise ApiError(status, message, code)
        if key != self.options.api_key:
            raise ApiError(401, "API key is not valid", "INVALID_API_KEY")

    def _inventory(self, params: dict[str, str]) -> Record:
        page, limit = self._page_and_limit(params, "/inventory")
        location_id = self._location(params)
        sort_by, descending = self._sorting(params)
        items, total = self.company.page(
            _window(page, limit), location_id, sort_by, descending=descending
        )
        return {"items": items, "pagination": _pagination(page, limit, total)}

    def _channel_location(self, params: dict[str, str]) -> Record:
        """Answer with the fields of the export guide and of the ATP guide."""
        page, limit = self._page_and_limit(params, "/inventory/channel-location")
        location_id = self._location(params)
        if location_id is None and not self.options.atp_all_locations:
            raise ApiError(400, "locationId is required", parameter="locationId")
        products, total = self.company.atp_page(_window(page, limit), location_id)
        location = None
        if location_id is not None:
            name = self.company.location_name(location_id)
            location = {"id": location_id, "name": name}
        return {
            "products": products,
            "channels": CHANNELS,
            "location": location,
            "pagination": _pagination(page, limit, total),
        }

    def _analytics(self, params: dict[str, str]) -> Record:
        location_id = self._location(params)
        start, end = _date(params, "fromDate"), _date(params, "toDate")
        if start > end:
            raise ApiError(400, "fromDate is after toDate", parameter="fromDate")
        return {
            "analytics": self.company.analytics(location_id, start, end),
            "period": {"from": f"{start}T00:00:00Z", "to": f"{end}T23:59:59Z"},
        }

    # -- parameters ------------------------------------------------------------

    def _page_and_limit(self, params: dict[str, str], path: str) -> tuple[int, int]:
        default, largest = _LIMITS.get(path, (1, 1))
        page = _positive(params, "page", 1)
        limit = _positive(params, "limit", default)
        if limit > largest and self.options.over_max == "reject":
            raise ApiError(400, f"limit is over {largest}", parameter="limit")
        return page, min(limit, largest)

    def _location(self, params: dict[str, str]) -> str | None:
        location_id = params.get("locationId")
        if location_id is None:
            return None
        if location_id in self._forbidden:
            raise ApiError(403, f"No access to location {location_id}")
        try:
            self.company.location_name(location_id)
        except KeyError:
            raise ApiError(404, f"No such location: {location_id}") from None
        return location_id

    def _sorting(self, params: dict[str, str]) -> tuple[str, bool]:
        """Return the field to sort by and whether to sort downwards."""
        given = params.keys() & {"sortBy", "sortOrder"}
        if not given or self.options.sort == "ignore":
            return "id", False
        field, order = params.get("sortBy", "id"), params.get("sortOrder", "asc")
        if self.options.sort == "reject" or field not in INVENTORY_FIELDS:
            raise ApiError(400, f"Cannot sort by {field}", parameter="sortBy")
        if order not in ("asc", "desc"):
            raise ApiError(400, "sortOrder is asc or desc", parameter="sortOrder")
        return field, order == "desc" or self.options.sort == "down"

    # -- delivery --------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        """Sleep, but not longer than the server lives."""
        if seconds and self.stopping.wait(seconds):
            raise ConnectionAbortedError

    def _drip(self, body: bytes, seconds: float) -> Iterator[bytes]:
        for place in range(len(body)):
            self._wait(seconds)
            yield body[place : place + 1]


def _start(reply: Reply, start_response: StartResponse) -> list[bytes]:
    if reply.status == HTTPStatus.NO_CONTENT:
        # Bytes that a client doesn't expect would be read as the next answer.
        reply.body = b""
    headers = {
        "Content-Type": reply.content_type,
        "Content-Length": str(len(reply.body)),
        **reply.headers,
    }
    start_response(f"{reply.status} {phrase(reply.status)}", list(headers.items()))
    return [reply.body]


def _cut(body: bytes) -> Iterator[bytes]:
    """Send half of what Content-Length promises, then drop the connection."""
    yield body[: len(body) // 2]
    raise ConnectionAbortedError


def _hang_up(connection: socket.socket, *, reset: bool) -> None:
    """End the connection without an answer.

    Raises:
        ConnectionAbortedError: Always, so that nothing is sent any more.
    """
    if reset:
        # To linger for zero seconds makes close() send RST instead of FIN. The socket
        # object is closed only with its last user, so its descriptor is taken away.
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        os.close(connection.detach())
    raise ConnectionAbortedError


def _sent_headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {
        key.removeprefix("HTTP_").replace("_", "-").title(): value
        for key, value in environ.items()
        if key.startswith("HTTP_")
    }
    if "CONTENT_TYPE" in environ:
        headers["Content-Type"] = environ["CONTENT_TYPE"]
    return headers


def _positive(params: dict[str, str], name: str, default: int) -> int:
    text = params.get(name, str(default))
    # Ten digits are plenty, and no work for an endless number.
    if text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) > 0:  # noqa: PLR2004
        return int(text)
    raise ApiError(400, f"{name} is not a positive number", parameter=name)


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


def _window(page: int, limit: int) -> slice:
    return slice((page - 1) * limit, page * limit)


def _pagination(page: int, limit: int, total: int) -> Record:
    pages = -(-total // limit)
    return {"page": page, "pageSize": limit, "total": total, "totalPages": pages}
