"""The one HTTP session of a run: every request keeps to the rate limit here."""

from __future__ import annotations

import http.client
import io
import threading
import time
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tap_betterdata.compat import override

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from tap_betterdata.api.rate_limit import RateLimiter

CONNECT_TIMEOUT = 10.0
_BUFFER = 1 << 16

# Until when the answer of this thread's request must be whole (`ends`, monotonic).
_exchange = threading.local()


class _Wire(io.RawIOBase):
    """What comes over a connection, until the deadline and not longer.

    A time-out of the socket's own bounds the wait for the next byte only: a server that
    sends one now and then would never be given up.
    """

    def __init__(self, connection: Any, raw: io.RawIOBase) -> None:
        self._connection = connection
        self._raw = raw

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = _exchange.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._raw.readinto(buffer)

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Wire(sock, self.fp.detach()), _BUFFER)


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class _Adapter(HTTPAdapter):
    """Opens connections that heed the deadline."""

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    @override
    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        # Those for SOCKS have connections of a kind of their own.
        if isinstance(manager, urllib3.ProxyManager):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class ApiSession(requests.Session):
    """A session whose requests keep to the rate limit and to a deadline."""

    def __init__(
        self, rate_limiter: RateLimiter, *, deadline: float, connections: int
    ) -> None:
        """Open the session.

        Args:
            rate_limiter: What every request asks first, tries that repeat another
                included.
            deadline: Seconds within which a whole answer must be there.
            connections: How many connections are kept open.
        """
        super().__init__()
        self._rate_limiter = rate_limiter
        self._deadline = deadline
        self._environment: dict[str, Any] = {}
        adapter = _Adapter(pool_connections=1, pool_maxsize=connections)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    @override
    def send(
        self, request: requests.PreparedRequest, **kwargs: Any
    ) -> requests.Response:
        """Send a request when the rate limit allows, and read the whole answer.

        Args:
            request: The request.
            **kwargs: Not used: time-outs and redirects are this session's affair.

        Returns:
            The answer with its body, of any status. A redirect is returned, not
            followed: the key must not go to another host.

        Raises:
            LimitedError: If the API has limited the tap for too long.
            requests.RequestException: If there is no answer, or not all of it.
        """
        del kwargs
        self._rate_limiter.acquire()
        try:
            response = self._exchange(request)
        except BaseException:
            self._rate_limiter.release()
            raise
        self._rate_limiter.observe(response.status_code, response.headers)
        return response

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        _exchange.ends = time.monotonic() + self._deadline
        try:
            # Not by `Session.send`: there are no hooks, cookies or redirects to heed.
            response = self.get_adapter(str(request.url)).send(
                request,
                timeout=(min(CONNECT_TIMEOUT, self._deadline), self._deadline),
                **self._environment_for(request),
            )
            # Now, while the deadline holds, and at one go.
            response.raw = io.BytesIO(response.raw.read(decode_content=True))
        except (OSError, urllib3.exceptions.HTTPError) as error:
            if time.monotonic() >= _exchange.ends:
                msg = "the answer did not end within request_timeout"
                raise requests.exceptions.ReadTimeout(msg) from error
            if isinstance(error, requests.RequestException):
                raise
            raise requests.ConnectionError(error) from error
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
