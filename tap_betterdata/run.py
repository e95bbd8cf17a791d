"""What the streams of one run share: connection, budget, locations, outcome."""

from __future__ import annotations

import threading
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from tap_betterdata.api.session import ApiSession
from tap_betterdata.errors import IncompleteRunError, SettingsError, TapError
from tap_betterdata.locations import Locations
from tap_betterdata.pagination.prefetch import Prefetcher
from tap_betterdata.progress import Progress

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import date

    from tap_betterdata.budget import Budget
    from tap_betterdata.spool import Spool

SANDBOX_SCHEME = "sandbox:"


class Run:
    """One run of the tap.

    Attributes:
        stop: Set when the run must end: waits end at once.
        progress: Says how far the run is.
        width: How many requests are under way at once.
        locations: Which locations are covered.
        spools: What was read for several streams, by the endpoint's path.
        failures: What was left out or is uncertain, a line each.
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
            budget=lambda: self.budget,
        )
        self.width: int = config["concurrency"]
        self.locations = Locations(config.get("location_ids"))
        self.spools: dict[str, Spool[Any]] = {}
        self.failures: list[str] = []
        self._ended: Future[NoReturn] = Future()
        self.window: tuple[date, date]
        self._resources = ExitStack()

    @cached_property
    def budget(self) -> Budget:
        """The one budget that all requests draw on."""
        # Only here: most of what starts quickly, such as --discover, has no request.
        from tap_betterdata.budget import Budget  # noqa: PLC0415

        return Budget(
            per_minute=self.config["requests_per_minute"],
            per_hour=self.config["requests_per_hour"],
            max_wait=self.config["rate_limit_max_wait"],
            stop=self.stop,
            logger=self.logger,
        )

    @cached_property
    def session(self) -> ApiSession:
        """The HTTP session of the run."""
        return ApiSession(
            self.budget,
            deadline=self.config["request_timeout"],
            connections=self.width,
        )

    @property
    def api_url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._endpoint[0]

    @property
    def api_key(self) -> str:
        """The key that goes with the URL."""
        return self._endpoint[1]

    @cached_property
    def prefetcher(self) -> Prefetcher:
        """Makes requests ahead, several at once if that is set."""
        if self.width == 1:
            return Prefetcher()
        executor = ThreadPoolExecutor(self.width)
        self._resources.callback(executor.shutdown, wait=False, cancel_futures=True)
        return Prefetcher(executor, self.width, self._ended)

    @property
    def end(self) -> TapError | None:
        """Why nothing more can be asked for; None if it can."""
        return self._ended.exception() if self._ended.done() else None  # type: ignore[return-value]

    @end.setter
    def end(self, error: TapError) -> None:
        """Keep all threads from asking on; the first error counts."""
        with suppress(InvalidStateError):
            self._ended.set_exception(error)

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
