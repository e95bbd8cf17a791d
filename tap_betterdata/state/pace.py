"""How often the state is written while a stream is read.

What is lost at most when a run is cut short is what was read since.
"""

from __future__ import annotations

import time

STATE_EVERY_PAGES = 10
STATE_EVERY_SECONDS = 10.0
# A state that is large next to the rows grows with the locations, and each of them
# would write it anew.
LARGE_STATE_EVERY_SECONDS = 60.0


class StatePace:
    """Tells when the state is due again."""

    def __init__(self) -> None:
        """Begin to count."""
        self.restart()

    def restart(self) -> None:
        """Count anew: the state has been written."""
        self._pages, self._since = 0, time.monotonic()

    def is_due(self, *, is_large: bool) -> bool:
        """Count a page, and tell whether the state is due after it."""
        self._pages += 1
        seconds = time.monotonic() - self._since
        if is_large:
            return seconds >= LARGE_STATE_EVERY_SECONDS
        return self._pages >= STATE_EVERY_PAGES or seconds >= STATE_EVERY_SECONDS
