"""The command line: a log without secrets, and an end in one line, no traceback."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import sys
from copy import copy
from typing import Any

from singer_sdk.exceptions import SingerSDKError
from singer_sdk.plugin_base import SingerCommand

from tap_betterdata.api.redaction import blank, printable, redact
from tap_betterdata.compat import override

_NO_OUTPUT = (
    "Standard output is closed, so there is nowhere to write to: pipe it into a "
    "target, or send it to a file"
)


class SafeFormatter(logging.Formatter):
    """Formats as another formatter does, but nothing in it deceives or betrays.

    Secrets are blanked. What others said can't forge a line or command a terminal.
    """

    def __init__(self, inner: logging.Formatter | None) -> None:
        """Stand before a formatter."""
        super().__init__()
        self._inner = inner or logging.Formatter()

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format a log record; tracebacks are for developers, and are indented."""
        said = record.getMessage()
        safe = printable(blank(said))
        if safe != said:
            record = copy(record)
            record.msg, record.args = safe, ()
        if not logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            record = copy(record)
            record.exc_info = record.exc_text = record.stack_info = None
        lines = blank(self._inner.format(record)).splitlines()
        return "\n    ".join(map(printable, lines))


def guard_log() -> None:
    """Have all that is logged from now on formatted safely, whoever logs it."""
    known = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    for handler in [h for logger in known for h in getattr(logger, "handlers", ())]:
        if not isinstance(handler.formatter, SafeFormatter):
            handler.setFormatter(SafeFormatter(handler.formatter))


def prepare(logger: logging.Logger) -> None:
    """Prepare the process to run a command; it exits if nothing can be written."""
    # At the exit the collector goes through all that was imported, for nothing: a
    # tenth of the time of a short run.
    atexit.register(gc.freeze)
    guard_log()
    if sys.stdout is None:  # what Python makes of one that is closed
        logger.error(_NO_OUTPUT)
        raise SystemExit(1)


class LineCommand(SingerCommand):
    """The SDK's command, but what ends it is said in one line."""

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command, and exit; with 1 if something went wrong."""
        prepare(self.logger)
        try:
            return super().main(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - it is said
            log_failure(self.logger, error)
            raise SystemExit(1) from None


def log_failure(logger: logging.Logger, error: Exception) -> str:
    """Log what ended a run, and return the line; the traceback is for developers."""
    line = _say(logger, error)
    logger.error(
        "%s", line, exc_info=error if logger.isEnabledFor(logging.DEBUG) else None
    )
    return line


def _say(logger: logging.Logger, error: Exception) -> str:
    text = redact(str(error), limit=None) or type(error).__name__
    if isinstance(error, SingerSDKError):
        return text
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"{error.strerror}: make room where the output goes"
    prefix = logger.name.upper().replace("-", "_")
    return f"{type(error).__name__}: {text} (for details set {prefix}_LOGLEVEL=DEBUG)"
