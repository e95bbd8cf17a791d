"""Pages that one stream has read, kept on disk for another of the same endpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Generic, TypeVar, cast

from tap_betterdata.api.decoding import decode
from tap_betterdata.api.errors import StorageError
from tap_betterdata.output.writer import encode_line

T = TypeVar("T", bound=Mapping[str, Any])


class SharedPages(Generic[T]):
    """Answers in order, written once and read again; memory stays flat."""

    _file: IO[bytes] | None = None

    def __init__(self) -> None:
        """Make it empty; its file is gone with it."""
        self._why = ""
        with self._noting_errors():
            # It lives as long as this does.
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115

    def fill(self, answers: Iterable[T]) -> Iterator[T]:
        """Pass answers on, and keep them as long as there is room."""
        for answer in answers:
            if self._file is not None:
                self._keep(self._file, encode_line(answer))
            yield answer

    def read(self) -> Iterator[T]:
        """Read the answers again; a `StorageError` if not all was kept."""
        if self._file is None:
            folder = tempfile.tempdir or "the folders for temporary files"
            msg = (
                f"no room in {folder} for the answers that it shares with another "
                f"stream: {self._why}. Make room there, or set TMPDIR to another "
                "folder, then run again"
            )
            raise StorageError(msg)
        self._file.seek(0)
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            for line in lines:
                yield cast("T", decode(line))

    def _keep(self, file: IO[bytes], line: bytes) -> None:
        with self._noting_errors():
            left = memoryview(line)
            while left:
                left = left[file.write(left) :]

    @contextmanager
    def _noting_errors(self) -> Iterator[None]:
        """Give up on an error of the disk: what a part is good for, nobody can tell."""
        try:
            yield
        except OSError as error:
            self._why = error.strerror or str(error)
            self._file = None
