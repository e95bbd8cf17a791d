"""The one HTTP session of a run: every request passes the rate limit here."""

from __future__ import annotations

import ipaddress
import time
from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
import urllib3

from tap_betterdata.api.errors import TooLargeError
from tap_betterdata.api.transport import BoundedAdapter, read_body
from tap_betterdata.compat import override

if TYPE_CHECKING:
    from tap_betterdata.api.rate_limit import RateLimiter

CONNECT_TIMEOUT = 10.0


class ApiSession(requests.Session):
    """A session whose requests keep to the rate limit and to a deadline."""

    def __init__(
        self, limiter: RateLimiter, *, deadline: float, connections: int
    ) -> None:
        """Open the session; a whole answer must be there within `deadline` seconds."""
        super().__init__()
        self._limiter = limiter
        self._deadline = deadline
        self._settings: dict[str, Any] = {}
        self.headers["Accept-Encoding"] = "gzip"
        adapter = BoundedAdapter(pool_connections=1, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @override
    def send(
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        """Send a request when the rate limit allows, and read the whole answer.

        A redirect is returned, not followed: the key must not go to another host.

        Raises:
            requests.RequestException: If there is no answer, or a broken one.
            TooLargeError: If there is too much of it.
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
        began = time.monotonic()
        ends = began + self._deadline
        url = str(request.url)
        try:
            # Not by `Session.send`: there are no hooks, cookies or redirects to heed.
            response = self.get_adapter(url).send(request, **self._settings_for(url))
            with closing(response.raw):
                response.raw = read_body(response, ends)
        except TooLargeError:
            raise
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
        # `Session.send` would have set it. It tells when the request was sent.
        response.elapsed = timedelta(seconds=time.monotonic() - began)
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
