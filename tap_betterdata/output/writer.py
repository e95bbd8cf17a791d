"""Singer messages as lines of JSON on standard output, a page of records at a time."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.singerlib import Message, StateMessage
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.json import serialize_json

from tap_betterdata.api.errors import OutputError
from tap_betterdata.compat import override
from tap_betterdata.state.stamps import write_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from tap_betterdata.api.errors import TapError

_BROKEN_PIPE_EXIT = 141
# From which share of the output on the state is a burden: a twentieth.
_LARGE_STATE = 20

# Numbers keep their digits: Decimal("10.50") is written as 10.50.
_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


class LineWriter(GenericSingerWriter[bytes, Message]):
    """Writes each message, or each page of records, with one write.

    Nothing is held back: what was handed over is on its way before the call returns.

    Attributes:
        on_signal: Called after a write during which a signal came, so that no line is
            cut in half by leaving in the middle of it.
    """

    def __init__(self) -> None:
        """Make the writer."""
        super().__init__()
        self.on_signal: Callable[[], None] | None = None
        self.writing = False
        self._bytes = self._state_bytes = 0

    @property
    def is_state_large(self) -> bool:
        """Whether STATE messages are more than a small part of the output so far."""
        return self._state_bytes * _LARGE_STATE > self._bytes

    @override
    def serialize_message(self, message: Message) -> bytes:
        """Write a message as a line, with its end."""
        return encode_line(message.to_dict())

    @override
    def write_message(self, message: Message) -> None:
        """Write a message to standard output."""
        line = self.serialize_message(message)
        if isinstance(message, StateMessage):
            self._state_bytes += len(line)
        self._write(line)

    def write_records(
        self,
        stream: str,
        records: Iterable[dict[str, Any]],
        *,
        version: int | None,
        extracted: datetime,
    ) -> None:
        """Write RECORD messages to standard output, all at once.

        `version` is that of the table, if it has one; `extracted`, when they were read.
        """
        beside: dict[str, Any] = {} if version is None else {"version": version}
        beside["time_extracted"] = write_stamp(extracted)
        messages = [
            {"type": "RECORD", "stream": stream, "record": record, **beside}
            for record in records
        ]
        self._write(encode_lines(messages))

    def begin_stream(self, stream: str) -> None:
        """Take note that a stream begins; Singer has no message for it."""

    def end_stream(self, error: TapError | None) -> None:
        """Take note that it has ended, and why it is not whole, if it is not."""

    def _write(self, lines: bytes) -> None:
        self._bytes += len(lines)
        self.writing = True
        try:
            self.put(lines)
        except BrokenPipeError:
            _drop_output()
            # The target has said why itself; this is what shells report.
            raise SystemExit(_BROKEN_PIPE_EXIT) from None
        except OSError as error:
            _drop_output()
            msg = (
                f"Standard output can't be written to ({error.strerror}): make room "
                "where it goes, then run again from the last state there"
            )
            raise OutputError(msg) from error
        finally:
            self.writing = False
        if self.on_signal is not None:
            self.on_signal()

    def put(self, lines: bytes) -> None:
        """Put lines on standard output; an `OSError` if it takes nothing more."""
        # Looked up anew each time: tests and notebooks put others in its place.
        binary = getattr(sys.stdout, "buffer", None)
        if binary is None:
            sys.stdout.write(lines.decode())
        else:
            # With PYTHONUNBUFFERED a signal may cut a write short.
            left = memoryview(lines)
            while left:
                left = left[binary.write(left) :]
        sys.stdout.flush()


def _drop_output() -> None:
    """Let go of what is still buffered: Python would complain of it at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def encode_lines(messages: list[dict[str, Any]]) -> bytes:
    """Write objects as lines of JSON, with every digit of their numbers."""
    try:
        return _encoder.encode_lines(messages)
    except UnicodeEncodeError:
        return b"".join(map(encode_line, messages))


def encode_line(message: Mapping[str, Any]) -> bytes:
    """Write an object as a line of JSON, with every digit of its numbers."""
    try:
        return _encoder.encode(message) + b"\n"
    except UnicodeEncodeError:
        # A lone surrogate, which UTF-8 can't hold; as an escape JSON can.
        return serialize_json(message).encode() + b"\n"
