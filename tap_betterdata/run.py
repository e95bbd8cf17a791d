"""What the streams of one run share: connection, rate limit, locations, outcome."""

from __future__ import annotations

import ipaddress
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tap_betterdata.ahead import Workers
from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.bookmarks import earlier
from tap_betterdata.errors import IncompleteRunError, SettingsError, TapError
from tap_betterdata.locations import Locations
from tap_betterdata.progress import Progress
from tap_betterdata.session import ApiSession

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import date

    from tap_betterdata.spool import Spool

SANDBOX_SCHEME = "sandbox:"


class Run:
    """One run of the tap.

    Attributes:
        stop: Set when the run must end: waits end at once.
        progress: Says how far the run is.
        workers: The threads that requests are sent from.
        locations: Which locations are covered.
        spools: What was read for several streams, by the endpoint's path.
        failures: What was left out or is uncertain, a line each.
        end: Why nothing more can be asked for; None if it can.
    """

    def __init__(self, config: Mapping[str, Any], logger: logging.Logger) -> None:
        """Prepare a run; nothing is opened before the first request.

        Args:
            config: The settings.
            logger: The tap's logger.
        """
        self.config = config
        self.logger = logger
        self.stop = threading.Event()
        self.progress = Progress(
            logger=logger,
            rate_limiter=lambda: self.rate_limiter,
        )
        self.workers = Workers(
            config["concurrency"], lambda error: getattr(error, "ends_run", False)
        )
        self.locations = Locations(config.get("location_ids"))
        self.spools: dict[str, Spool[Any]] = {}
        self.failures: list[str] = []
        self.end: TapError | None = None
        self._started = time.monotonic()
        self.window: tuple[date, date]
        self._resources = ExitStack()

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """What all requests of the run ask first."""
        return RateLimiter(
            per_minute=self.config["requests_per_minute"],
            per_hour=self.config["requests_per_hour"],
            max_wait=self.config["rate_limit_max_wait"],
            stop=self.stop,
            logger=self.logger,
        )

    @cached_property
    def session(self) -> ApiSession:
        """The HTTP session of the run."""
        session = ApiSession(
            self.rate_limiter,
            deadline=self.config["request_timeout"],
            connections=self.workers.count,
        )
        # A proxy for the outside world is of no use for the sandbox.
        session.trust_env = not self._is_sandbox
        return session

    @property
    def api_url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._endpoint[0]

    @property
    def api_key(self) -> str:
        """The key that goes with the URL."""
        return self._endpoint[1]

    @property
    def started_at(self) -> datetime:
        """When the run began, by the server's clock as far as it is known."""
        known = self.rate_limiter.server_time(self._started)
        return known or datetime.now(tz=UTC) - timedelta(seconds=self._seconds)

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def server_now(self) -> datetime | None:
        """Tell the time by the server's clock; None if its answers don't say."""
        return self.rate_limiter.server_time(time.monotonic())

    def before_start(self, stamp: datetime) -> datetime:
        """Take a time stamp back to the run's start.

        What changed later may have changed where it had been read already.

        Args:
            stamp: The newest time stamp that was read.

        Returns:
            The same, or the run's start by the server's clock. Where that clock is not
            known, the time stamp may be as new as the run is long.
        """
        if self.server_now() is None:
            stamp = earlier(stamp, timedelta(seconds=self._seconds))
        return min(stamp, self.started_at)

    def fail(self, error: TapError) -> None:
        """Note what went wrong; the run goes on with what is left.

        Args:
            error: What went wrong.
        """
        self.logger.debug("Left out", exc_info=error)
        self.failures.append(str(error))

    def finish(self) -> None:
        """Close what is open, and say how the run went.

        Raises:
            IncompleteRunError: If anything was left out or is uncertain.
        """
        self.workers.close()
        self._resources.close()
        failures, self.failures = self.failures, []
        if failures:
            raise IncompleteRunError("; ".join(failures))

    @property
    def _is_sandbox(self) -> bool:
        return str(self.config["api_url"]).startswith(SANDBOX_SCHEME)

    @cached_property
    def _endpoint(self) -> tuple[str, str]:
        url = str(self.config["api_url"])
        if self._is_sandbox:
            return self._start_sandbox(url.removeprefix(SANDBOX_SCHEME).lstrip("?"))
        return url.rstrip("/"), self.config["api_key"]

    def _start_sandbox(self, query: str) -> tuple[str, str]:
        try:
            # Only here: its server is an extra, and of no use to anybody else.
            from tap_betterdata.sandbox import Sandbox  # noqa: PLC0415
        except ImportError as error:
            msg = (
                "The sandbox needs its extra: install tap-betterdata[sandbox] "
                f"({error.name} is missing)"
            )
            raise SettingsError(msg) from error
        try:
            sandbox = self._resources.enter_context(Sandbox.from_query(query))
        except ValueError as error:
            msg = f"api_url: {error}"
            raise SettingsError(msg) from error
        self.logger.info("The sandbox answers at %s: made-up data.", sandbox.url)
        return sandbox.url, sandbox.api_key


def check_url(url: str) -> None:
    """Check that a base URL is one that the key may be sent to.

    Args:
        url: The setting `api_url`.

    Raises:
        SettingsError: If it is no URL, or would send the key unencrypted.
    """
    if url.startswith(SANDBOX_SCHEME):
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        msg = "api_url must be an https:// address, or sandbox: for the stand-in"
        raise SettingsError(msg)
    if parts.scheme == "http" and not _is_loopback(host):
        msg = "api_url must begin with https://: over plain http the key could be read"
        raise SettingsError(msg)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
