"""The one HTTP session of a run: every request passes the rate limit here."""

from __future__ import annotations

import http.client
import io
import ipaddress
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tap_betterdata.compat import override

if TYPE_CHECKING:
    from tap_betterdata.budget import Budget

CONNECT_TIMEOUT = 10.0
# What an answer may have at most, both as it is sent and unpacked.
MAX_MIB = 64
_PIECE = 1 << 16


class _TooLargeError(Exception):
    """Not an OSError, so that the HTTP libraries pass it on as it is."""


def _respond(sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
    """Make a response that reads no more and no longer than an answer may have.

    This is the one place that all of its bytes pass. A socket's time-out bounds the
    wait for the next byte only, and for headers, trailers and odd chunks http.client
    reads on for as long as bytes come.
    """
    response = http.client.HTTPResponse(sock, *args, **kwargs)
    # urllib3 has set what `total` leaves.
    ends = time.monotonic() + sock.gettimeout()
    room = MAX_MIB << 20

    def readinto(buffer: memoryview) -> int:
        nonlocal room
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        size: int = sock.recv_into(buffer)
        room -= size
        if room < 0:
            msg = f"the answer has more than {MAX_MIB} MiB"
            raise _TooLargeError(msg)
        return size

    raw: Any = response.fp.raw
    raw.readinto = readinto
    return response


def _connect(connection_class: Any, *args: Any, **kwargs: Any) -> Any:
    connection = connection_class(*args, **kwargs)
    connection.response_class = _respond
    return connection


class _Adapter(HTTPAdapter):
    """Opens connections of the usual kinds, but with bounds to their answers."""

    @override
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(_connect, type(pool).ConnectionCls)
        return pool


class ApiSession(requests.Session):
    """A session whose requests keep to the rate limit and to a deadline."""

    def __init__(self, limiter: Budget, *, deadline: float, connections: int) -> None:
        """Open the session; a whole answer must be there within `deadline` seconds."""
        super().__init__()
        self._limiter = limiter
        self._deadline = deadline
        self._settings: dict[str, Any] = {}
        self.headers["Accept-Encoding"] = "gzip"
        adapter = _Adapter(pool_connections=1, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @override
    def send(
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        """Send a request when the rate limit allows, and read the whole answer.

        A redirect is returned, not followed: the key must not go to another host.

        Raises:
            BudgetExhaustedError: If the API has limited the tap for too long.
            requests.RequestException: If there is no answer, or a broken one.
        """
        del kwargs
        self._limiter.acquire()
        try:
            response = self._exchange(request)
        except BaseException:
            self._limiter.release()
            raise
        self._limiter.observe(response.status_code, response.headers)
        return response

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        ends = time.monotonic() + self._deadline
        url = str(request.url)
        try:
            # Not by `Session.send`: there are no hooks, cookies or redirects to heed.
            response = self.get_adapter(url).send(request, **self._settings_for(url))
            with closing(response.raw):
                response.raw = _read(response, ends)
        # Over an odd answer the HTTP libraries raise anything, MemoryError included.
        except Exception as error:
            if time.monotonic() >= ends:
                msg = "the answer did not end within request_timeout"
                raise requests.exceptions.ReadTimeout(msg) from error
            # Here it is the answer's header that is invalid.
            is_header = isinstance(error, requests.exceptions.InvalidHeader)
            if isinstance(error, requests.RequestException) and not is_header:
                raise
            raise requests.ConnectionError(error) from error
        return response

    def _settings_for(self, url: str) -> dict[str, Any]:
        """Look up proxies and certificates, once: there is one host."""
        if not self._settings:
            settings: dict[str, Any] = dict(
                self.merge_environment_settings(url, {}, True, None, None)  # noqa: FBT003
            )
            if is_loopback(urlsplit(url).hostname):
                # A proxy is of no use, and would see the key: it goes unencrypted.
                settings["proxies"] = {}
            connect = min(CONNECT_TIMEOUT, self._deadline)
            settings["timeout"] = urllib3.Timeout(connect=connect, total=self._deadline)
            self._settings = settings
        return self._settings


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _read(response: requests.Response, ends: float) -> io.BytesIO:
    """Read a body in pieces, of which each unpacks in no time."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in {"", "identity", "gzip"}:
        msg = f"the answer's Content-Encoding is {encoding:.40}, not gzip"
        raise requests.ConnectionError(msg)
    body = io.BytesIO()
    read = partial(response.raw.read, _PIECE, decode_content=encoding == "gzip")
    for piece in iter(read, b""):
        if time.monotonic() >= ends:
            raise TimeoutError
        if body.tell() + len(piece) > MAX_MIB << 20:
            msg = f"the answer has more than {MAX_MIB} MiB unpacked"
            raise _TooLargeError(msg)
        body.write(piece)
    body.seek(0)
    return body
