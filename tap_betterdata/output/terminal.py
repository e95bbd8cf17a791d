"""A line that is always the last one on the terminal, and tables. Needs rich.

Nothing is hidden or held back: the cursor rests at the line's beginning, so that what
others write, such as the target, stands in its place until it is drawn anew.
"""

from __future__ import annotations

import atexit
import io
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text
from singer_sdk import metrics

from tap_betterdata.api.redaction import blank, printable
from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

DRAW_EVERY = 0.5
_ERASE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


class Terminal:
    """Standard error, where it is a terminal. The log goes above the line."""

    def __init__(self, console: Console, line: Callable[[], str]) -> None:
        """Draw from now on what `line` returns; nothing where that is nothing."""
        self._console = console
        self._line = line
        self._text = Text()
        self._is_open = True
        # A signal's handler may come in while this thread holds it.
        self._lock = threading.RLock()
        self._handlers = [
            (handler, handler.stream)
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler)
            and handler.stream is sys.stderr
        ]
        for handler, _ in self._handlers:
            handler.setStream(_Above(self))
            handler.addFilter(_is_for_people)
        atexit.register(self.close)
        threading.Thread(target=self._draw_on, daemon=True).start()

    @classmethod
    def open(cls, line: Callable[[], str]) -> Terminal | None:
        """Open standard error; None if it can't move its cursor, or has no width."""
        console = Console(stderr=True, highlight=False)
        is_able = console.is_terminal and not console.is_dumb_terminal
        return cls(console, line) if is_able and console.width else None

    def write(self, text: str) -> None:
        """Write whole lines above the line; no markup in them is heeded."""
        with self._lock:
            try:
                with self._console as console:
                    console.control(_ERASE)
                    if text:
                        console.print(Text(text), end="", soft_wrap=True)
                    if self._text:
                        console.print(
                            self._text, end="\r", no_wrap=True, overflow="ellipsis"
                        )
            except OSError:
                # The terminal is gone; the run goes on.
                self._console.quiet = True

    def keep(self, text: str) -> None:
        """Write a text in the line's place, to stay there."""
        self._text = Text()
        self.write(f"{printable(blank(text))}\n")

    def print_table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]]
    ) -> None:
        """Print a table, whose first column holds names, and close.

        Nothing of it is cut: where it is too wide, its lines go on in the next ones.
        """
        self.close()
        table = [columns, *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for cells in table:
            (name, *numbers), (first, *others) = cells, widths
            line = [name.ljust(first), *map(str.rjust, numbers, others)]
            self.keep("  ".join(line))

    def close(self) -> None:
        """Erase the line, and give the log back what it wrote to."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open, self._text = False, Text()
            self.write("")
        for handler, stream in self._handlers:
            handler.setStream(stream)
            handler.removeFilter(_is_for_people)

    def draw(self) -> None:
        """Draw the line as it is now."""
        # Not under the lock: it takes others, which whoever logs may hold.
        text = Text(printable(blank(self._line())))
        with self._lock:
            if self._is_open:
                self._text = text
                self.write("")

    def _draw_on(self) -> None:
        while self._is_open:
            time.sleep(DRAW_EVERY)
            self.draw()


class _Above(io.TextIOBase):
    """What the log writes to while there is a line."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    @override
    def write(self, text: str) -> int:
        self._terminal.write(text)
        return len(text)


def _is_for_people(record: logging.LogRecord) -> bool:
    """Tell whether a line of the log is not one of those that programs read."""
    return record.name != metrics.METRICS_LOGGER_NAME
