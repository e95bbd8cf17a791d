"""What the streams of one run share: connection, locations, outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_betterdata.api.connection import Connection
from tap_betterdata.api.errors import IncompleteRunError, RefusedError, name_some
from tap_betterdata.output.progress import Progress
from tap_betterdata.state.locations import Locations

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import date

    from tap_betterdata.api.errors import TapError
    from tap_betterdata.output.progress import Tally
    from tap_betterdata.output.shared_pages import SharedPages
    from tap_betterdata.output.writer import LineWriter


# Of failures, in the last line of a run.
_MOST_NAMED = 10


class RunContext:
    """One run of the tap.

    Attributes:
        shared_pages: What was read for several streams, by the endpoint's path.
        window: The first and the last day of analytics.
    """

    window: tuple[date, date]
    _failures_before = 0

    def __init__(
        self, config: Mapping[str, Any], logger: logging.Logger, writer: LineWriter
    ) -> None:
        """Prepare a run; nothing is opened before the first request."""
        self.logger = logger
        self.writer = writer
        self.connection = Connection(config, logger)
        self.progress = Progress(
            logger=logger, rate_limiter=lambda: self.connection.rate_limiter
        )
        self.locations = Locations(config.get("location_ids"))
        self.shared_pages: dict[str, SharedPages[Any]] = {}
        self.failures: list[TapError] = []

    def fail(self, error: TapError) -> None:
        """Note what was left out or is uncertain; the run goes on."""
        self.logger.debug("Left out", exc_info=error)
        self.failures.append(error)

    def begin_stream(self, stream: Tally) -> None:
        """Say that a stream begins."""
        self._failures_before = len(self.failures)
        self.progress.begin_stream(stream)
        self.writer.begin_stream(stream.name)

    def end_stream(self) -> None:
        """Say that a stream has ended, and what went wrong since it began."""
        self.progress.end_stream()
        failures = self.failures[self._failures_before :]
        self.writer.end_stream(_sum_up(failures) if failures else None)

    def finish(self) -> None:
        """Close what is open.

        Raises:
            IncompleteRunError: If anything was left out or is uncertain.
        """
        self.connection.close()
        self.progress.close()
        if self.failures:
            raise _sum_up(self.failures)


def _sum_up(failures: list[TapError]) -> IncompleteRunError:
    # What ended the run or a stream must not be hidden by many refusals.
    ordered = sorted(
        failures, key=lambda e: (not e.ends_run, isinstance(e, RefusedError))
    )
    lines = [str(error) for error in ordered]
    return IncompleteRunError(name_some(lines, _MOST_NAMED, "; "), ordered[0].kind)
