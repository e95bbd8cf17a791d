"""Pages that one stream has read, kept on disk for another of the same endpoint."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Generic, TypeVar, cast

from tap_betterdata.api.decoding import decode
from tap_betterdata.api.errors import StorageError
from tap_betterdata.output.writer import encode_line

T = TypeVar("T", bound=Mapping[str, Any])


class SharedPages(Generic[T]):
    """Answers in order, written once and read again; memory stays flat."""

    # It lives as long as this does.
    _file: IO[bytes] | None = None
    _failure = ""

    def fill(self, answers: Iterable[T]) -> Iterator[T]:
        """Pass answers on, and keep them as long as there is room."""
        for answer in answers:
            if not self._failure:
                try:
                    self._keep(encode_line(answer))
                except OSError as error:
                    # What a part of them is good for, nobody can tell.
                    self._failure, self._file = error.strerror or str(error), None
            yield answer

    def read(self) -> Iterator[T]:
        """Read the answers again; a `StorageError` if not all were kept."""
        if self._failure:
            folder = tempfile.tempdir or "the folders for temporary files"
            msg = (
                f"no room in {folder} for the answers that it shares with another "
                f"stream: {self._failure}. Make room there, or set TMPDIR to another "
                "folder, then run again"
            )
            raise StorageError(msg)
        if self._file is not None:
            self._file.seek(0)
            with open(self._file.fileno(), "rb", closefd=False) as lines:
                for line in lines:
                    yield cast("T", decode(line))

    def _keep(self, line: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        left = memoryview(line)
        while left:
            left = left[self._file.write(left) :]
