"""The WSGI application: arrival, authentication, delivery."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from tap_betterdata.sandbox.company import Company
from tap_betterdata.sandbox.endpoints import ENDPOINTS, Query
from tap_betterdata.sandbox.faults import Fault, Faults
from tap_betterdata.sandbox.limits import Limiter, Verdict
from tap_betterdata.sandbox.replies import ApiError, Reply, encode, phrase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

    from tap_betterdata.sandbox.catalogue import Record
    from tap_betterdata.sandbox.options import Options

BASE_PATH = "/api"
COUNTS_PATH = "/_sandbox/requests"

_LIMITED_KEY = "bdk_live_noscope"

# Keys that the sandbox refuses in the documented ways.
_REFUSED_KEYS = {
    "bdk_live_expired": (401, "EXPIRED_API_KEY", "API key has expired"),
    "bdk_live_revoked": (401, "REVOKED_API_KEY", "API key has been revoked"),
    _LIMITED_KEY: (403, "INSUFFICIENT_SCOPE", "API key lacks {permission}"),
    "bdk_live_badip": (403, "IP_RESTRICTION", "IP address is not allowed"),
    "bdk_live_inactive": (403, "INACTIVE_ORGANIZATION", "Organization is inactive"),
}

# How many encoded pages are kept (at about 50 kB each): 100,000 items in two orders.
_KEPT_BODIES = 2100


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
        # As documented, the limit is the key's.
        self._limiters = {key: Limiter(options) for key in options.api_keys}
        self._turn = threading.RLock()
        self._bodies: dict[object, bytes] = {}

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
            key = request.headers.get("Authorization", "").partition(" ")[2]
            # Whoever has no key that is accepted uses up what the first one has.
            limiter = self._limiters.get(key, self._limiters[self.options.api_keys[0]])
            return request, self.faults.take(request), limiter.admit()

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
        endpoint = ENDPOINTS.get(request.path)
        if endpoint is None:
            raise ApiError(404, f"No such path: {request.path}")
        if request.method != "GET":
            raise ApiError(405, f"{request.method} is not allowed here")
        self._authenticate(
            request.headers.get("Authorization", ""), endpoint.permission
        )
        query = Query(endpoint, request.params, self.options, self.company)
        if fault is not None:
            changed = fault.change_params(request.params, query.limit)
            payload = endpoint.payload(replace(query, params=changed))
            return encode(fault.change_payload(payload, endpoint.name))
        if not endpoint.kept:
            return encode(endpoint.payload(query))
        key = (self.company.version, request.path, *sorted(request.params.items()))
        body = self._bodies.get(key)
        if body is None:
            body = encode(endpoint.payload(query))
            if len(self._bodies) >= _KEPT_BODIES:
                self._bodies.clear()
            self._bodies[key] = body
        return body

    def _authenticate(self, header: str, permission: str) -> None:
        """Check the Bearer key; the codes of all refusals are documented."""
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ApiError(401, "Authorization is missing", "MISSING_AUTHORIZATION")
        if key in self.options.api_keys:
            if permission not in self.options.missing_permissions.split(","):
                return
            key = _LIMITED_KEY
        if key not in _REFUSED_KEYS:
            raise ApiError(401, "API key is not valid", "INVALID_API_KEY")
        status, code, message = _REFUSED_KEYS[key]
        raise ApiError(status, message.format(permission=permission), code)

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
