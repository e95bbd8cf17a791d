"""Pages that one stream has read, kept on disk for another of the same endpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from tap_betterdata.api.decoding import decode
from tap_betterdata.output.writer import encode_line

T = TypeVar("T", bound=Mapping[str, Any])


class SharedPages(Generic[T]):
    """Answers in order, written once and read again; memory stays flat.

    Attributes:
        whole: Whether these are all answers that were to be had, exactly; set by the
            owner.
        failed: Whether some could not be had at all; set by the owner.
    """

    def __init__(self) -> None:
        """Make it empty; its file is gone with it."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as self
        self.whole = False
        self.failed = True

    def fill(self, answers: Iterable[T]) -> Iterator[T]:
        """Pass answers on, and keep them.

        Args:
            answers: Objects that JSON can hold.

        Yields:
            The same answers.
        """
        for answer in answers:
            self._file.write(encode_line(answer))
            yield answer

    def read(self) -> Iterator[T]:
        """Read the answers again.

        Yields:
            What was kept.
        """
        self._file.seek(0)
        for line in self._file:
            yield cast("T", decode(line))
