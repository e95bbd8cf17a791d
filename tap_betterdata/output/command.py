"""The command line: an end that went wrong is one line, not a traceback."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import sys
from typing import TYPE_CHECKING, Any

from singer_sdk.exceptions import SingerSDKError
from singer_sdk.plugin_base import SingerCommand

from tap_betterdata.api.errors import redact
from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Iterable


_NO_OUTPUT = (
    "Standard output is closed, so there is nowhere to write to: pipe it into a "
    "target, or send it to a file"
)


class HidingFormatter(logging.Formatter):
    """Formats as another formatter does, but with secrets blanked.

    Attributes:
        secrets: What is blanked.
    """

    def __init__(self, inner: logging.Formatter | None, secrets: Iterable[str]) -> None:
        """Stand before a formatter.

        Args:
            inner: The formatter.
            secrets: What is blanked.
        """
        super().__init__()
        self._inner = inner or logging.Formatter()
        self.secrets = set(secrets)

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format a log record, tracebacks and all.

        Args:
            record: The record.

        Returns:
            The line or lines, without secrets.
        """
        text = self._inner.format(record)
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def hide(secrets: list[str]) -> None:
    """Blank secrets in all that is logged from now on, whoever logs it.

    Args:
        secrets: What is blanked.
    """
    known = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
    handlers = [h for logger in known for h in getattr(logger, "handlers", ())]
    for handler in handlers if secrets else ():
        if isinstance(handler.formatter, HidingFormatter):
            handler.formatter.secrets.update(secrets)
        else:
            handler.setFormatter(HidingFormatter(handler.formatter, secrets))


class LineCommand(SingerCommand):
    """The SDK's command, but what ends it is said in one line."""

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command.

        Args:
            *args: As for the base class.
            **kwargs: As for the base class.

        Returns:
            What the base class returns.

        Raises:
            SystemExit: At the end; 1 if something went wrong.
        """
        # At the exit the collector goes through all that was imported, for nothing: a
        # tenth of the time of a short run.
        atexit.register(gc.freeze)
        if sys.stdout is None:  # what Python makes of one that is closed
            self.logger.error(_NO_OUTPUT)
            raise SystemExit(1)
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            self.logger.error(  # noqa: TRY400 - the traceback is for developers
                "%s", self._say(error), exc_info=self.logger.isEnabledFor(logging.DEBUG)
            )
            raise SystemExit(1) from None

    def _say(self, error: Exception) -> str:
        text = redact(str(error), limit=None) or type(error).__name__
        if isinstance(error, SingerSDKError):
            return text
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return f"{error.strerror}: make room where the output goes"
        prefix = self.logger.name.upper().replace("-", "_")
        return (
            f"{type(error).__name__}: {text} (for details set {prefix}_LOGLEVEL=DEBUG)"
        )
