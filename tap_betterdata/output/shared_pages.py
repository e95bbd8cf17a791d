"""Pages that one stream has read, kept on disk for another of the same endpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from typing import IO, Any, Generic, TypeVar, cast

from tap_betterdata.api.decoding import decode
from tap_betterdata.api.errors import StorageError
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
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as self
        except OSError as error:
            raise _no_room(error) from error
        self.whole = False
        self.failed = True

    def fill(self, answers: Iterable[T]) -> Iterator[T]:
        """Pass answers on, and keep them.

        Args:
            answers: Objects that JSON can hold.

        Yields:
            The same answers.

        Raises:
            StorageError: If there is no room for them.
        """
        for answer in answers:
            try:
                self._file.write(encode_line(answer))
                self._file.flush()
            except OSError as error:
                # With half an answer in it, it is of no use to anybody.
                with suppress(OSError):
                    self._file.close()
                self._file = BytesIO()
                raise _no_room(error) from error
            yield answer

    def read(self) -> Iterator[T]:
        """Read the answers again.

        Yields:
            What was kept.
        """
        self._file.seek(0)
        for line in self._file:
            yield cast("T", decode(line))


def _no_room(error: OSError) -> StorageError:
    folder = f" in {tempfile.tempdir}" if tempfile.tempdir else ""
    return StorageError(
        f"No room{folder} for pages that two streams share ({error.strerror}): set "
        "TMPDIR to a folder with more, or select one of the two"
    )
