"""What the streams of one run share: connection, locations, outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_betterdata.api.connection import Connection
from tap_betterdata.api.errors import (
    IncompleteRunError,
    RefusedError,
    TapError,
    name_some,
)
from tap_betterdata.output.progress import Progress
from tap_betterdata.state.locations import Locations

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import date

    from tap_betterdata.output.shared_pages import SharedPages


# Of failures, in the last line of a run.
MOST_NAMED = 10


class RunContext:
    """One run of the tap.

    Attributes:
        connection: What requests are sent by.
        progress: Says how far the run is.
        locations: Which locations are covered.
        shared_pages: What was read for several streams, by the endpoint's path.
        window: The first and the last day of analytics.
        failures: What was left out or is uncertain.
    """

    window: tuple[date, date]

    def __init__(self, config: Mapping[str, Any], logger: logging.Logger) -> None:
        """Prepare a run; nothing is opened before the first request."""
        self.logger = logger
        self.connection = Connection(config, logger)
        self.progress = Progress(
            logger=logger, rate_limiter=lambda: self.connection.rate_limiter
        )
        self.locations = Locations(config.get("location_ids"))
        self.shared_pages: dict[str, SharedPages[Any]] = {}
        self.failures: list[TapError] = []

    def fail(self, error: TapError) -> None:
        """Note what went wrong; the run goes on with what is left."""
        self.logger.debug("Left out", exc_info=error)
        self.failures.append(error)

    def finish(self) -> None:
        """Close what is open.

        Raises:
            IncompleteRunError: If anything was left out or is uncertain.
        """
        self.connection.close()
        self.progress.close()
        failures, self.failures = self.failures, []
        if failures:
            # What ended the run or a stream must not be hidden by many refusals.
            failures.sort(key=lambda e: (not e.ends_run, isinstance(e, RefusedError)))
            lines = [str(error) for error in failures]
            raise IncompleteRunError(name_some(lines, MOST_NAMED, "; "))
