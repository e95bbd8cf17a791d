"""The one HTTP session of a run: every request draws on the budget here."""

from __future__ import annotations

import io
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_betterdata.budget import Budget

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 30.0
_CHUNK = 1 << 16
_TOO_MANY_REQUESTS = 429


class ApiSession(requests.Session):
    """A session whose requests keep to the budget and to a deadline.

    Attributes:
        sent: How many requests were sent.
        clock_difference: How much later it is by the server's clock than by ours, if
            its answers carry a date; to the second.
    """

    def __init__(self, budget: Budget, *, deadline: float, connections: int) -> None:
        """Open the session.

        Args:
            budget: What every request draws on, tries that repeat another included.
            deadline: Seconds within which a whole answer must be there.
            connections: How many connections are kept open.
        """
        super().__init__()
        self._budget = budget
        self._deadline = deadline
        self.sent = 0
        self.clock_difference = timedelta(0)
        self._environment: dict[str, Any] = {}
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @override
    def send(
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        """Send a request, and read the whole answer.

        Being limited (429) is no failure: the request is sent again when the budget
        says so.

        Args:
            request: The request.
            **kwargs: Not used: time-outs and redirects are this session's affair.

        Returns:
            The answer with its body, of any status but 429. A redirect is returned,
            not followed: the key must not go to another host.

        Raises:
            BudgetExhaustedError: If the API limits the tap for too long.
            requests.RequestException: If there is no answer, or not all of it.
        """
        del kwargs
        while True:
            self._budget.acquire()
            self.sent += 1
            response = self._exchange(request)
            self._budget.observe(response.status_code, response.headers)
            self._compare_clocks(response.headers.get("Date"))
            if response.status_code != _TOO_MANY_REQUESTS:
                return response

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        ends = time.monotonic() + self._deadline
        environment = self._environment_for(request)
        response = super().send(
            request,
            allow_redirects=False,
            timeout=(
                min(CONNECT_TIMEOUT, self._deadline),
                min(READ_TIMEOUT, self._deadline),
            ),
            **environment,
        )
        response.raw = io.BytesIO(_read_body(response, ends))
        return response

    def _environment_for(self, request: requests.PreparedRequest) -> dict[str, Any]:
        """Look up proxies and certificates, once: there is one host."""
        if not self._environment:
            self._environment = dict(
                self.merge_environment_settings(
                    request.url, {}, stream=True, verify=None, cert=None
                )
            )
        return self._environment

    def _compare_clocks(self, date: str | None) -> None:
        if date and not self.clock_difference:
            with suppress(ValueError):
                self.clock_difference = parsedate_to_datetime(date) - datetime.now(UTC)


def _read_body(response: requests.Response, ends: float) -> bytes:
    """Read a body as it comes, but not beyond a point in time.

    The time-outs of requests bound the wait for the next byte; a server that sends a
    byte now and then is held to the deadline here.
    """
    try:
        body = b"".join(_chunks(response, ends))
    except Exception as error:
        response.close()
        raise _as_requests_error(error) from error
    response.raw.release_conn()
    return body


def _chunks(response: requests.Response, ends: float) -> Iterator[bytes]:
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        yield chunk
        if time.monotonic() > ends:
            msg = "the answer did not end within request_timeout"
            raise requests.exceptions.ReadTimeout(msg)


def _as_requests_error(error: Exception) -> Exception:
    """Name a fault of the connection as requests would have named it."""
    if isinstance(error, requests.RequestException):
        return error
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return requests.exceptions.ChunkedEncodingError(error)
    if isinstance(error, urllib3.exceptions.DecodeError):
        return requests.exceptions.ContentDecodingError(error)
    if isinstance(error, (urllib3.exceptions.HTTPError, OSError)):
        return requests.exceptions.ConnectionError(error)
    return error
