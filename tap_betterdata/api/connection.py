"""What all requests of a run share: address, key, HTTP session and rate limit."""

from __future__ import annotations

import threading
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, cast

from tap_betterdata.api.errors import SettingsError, TapError
from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.api.session import ApiSession
from tap_betterdata.pagination.prefetch import Prefetcher

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

SANDBOX_SCHEME = "sandbox:"


class Connection:
    """The connection of one run; nothing is opened before the first request."""

    def __init__(self, config: Mapping[str, Any], logger: logging.Logger) -> None:
        """Prepare it from the tap's settings."""
        self._config = config
        self._logger = logger
        self.stop = threading.Event()  # set when the run must end: waits end at once
        self._width: int = config["concurrency"]
        self._failed: Future[NoReturn] = Future()
        self._resources = ExitStack()

    @cached_property
    def rate_limiter(self) -> RateLimiter:
        """The one rate limiter that all requests ask."""
        return RateLimiter(
            per_minute=self._config["requests_per_minute"],
            per_hour=self._config["requests_per_hour"],
            max_wait=self._config["rate_limit_max_wait"],
            stop=self.stop,
            logger=self._logger,
        )

    @cached_property
    def session(self) -> ApiSession:
        """The one HTTP session, so that all streams share connections."""
        return ApiSession(
            self.rate_limiter,
            deadline=self._config["request_timeout"],
            connections=self._width,
        )

    @cached_property
    def prefetcher(self) -> Prefetcher:
        """Makes requests ahead, several at once if that is set."""
        if self._width == 1:
            return Prefetcher()
        executor = ThreadPoolExecutor(self._width)
        self._resources.callback(executor.shutdown, wait=False, cancel_futures=True)
        return Prefetcher(executor, self._width, self._failed)

    @property
    def fatal_error(self) -> TapError | None:
        """Why nothing more can be asked for; None if it can."""
        failed = self._failed
        return cast("TapError", failed.exception()) if failed.done() else None

    @fatal_error.setter
    def fatal_error(self, error: TapError) -> None:
        """Keep all threads from asking on; the first error counts."""
        with suppress(InvalidStateError):
            self._failed.set_exception(error)

    @property
    def api_url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._endpoint[0]

    @property
    def api_key(self) -> str:
        """The key that goes with the URL."""
        return self._endpoint[1]

    def close(self) -> None:
        """Close what is open, and give up what is under way: nobody waits for it."""
        self.stop.set()
        self._resources.close()

    @cached_property
    def _endpoint(self) -> tuple[str, str]:
        url = str(self._config["api_url"])
        if url.startswith(SANDBOX_SCHEME):
            return self._start_sandbox(url.removeprefix(SANDBOX_SCHEME).lstrip("?"))
        return url.rstrip("/"), self._config["api_key"]

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
        self._logger.info("The sandbox answers at %s: made-up data.", sandbox.url)
        return sandbox.url, sandbox.api_key
