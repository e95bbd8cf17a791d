"""Airbyte's messages as lines on standard output, in place of Singer's."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from copy import deepcopy
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import StateMessage

from tap_betterdata.api.redaction import printable, redact
from tap_betterdata.compat import override
from tap_betterdata.output.writer import LineWriter, encode_line, encode_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from singer_sdk.singerlib import Message

    from tap_betterdata.api.errors import Kind, TapError

_LEVELS = {"CRITICAL": "FATAL", "WARNING": "WARN"}
# For how long a write may go on before standard output is taken to be blocked; one
# that isn't takes far less.
_BLOCKED_SECONDS = 0.2
_STDERR = 2

JsonObject = dict[str, Any]


class AirbyteWriter(LineWriter):
    """Writes records and states in Airbyte's envelopes, and how each stream fares.

    What is logged becomes messages too. A thread of its own writes these, so that no
    other one waits for standard output because it has something to say.
    """

    def __init__(self) -> None:
        """Make the writer; no stream has begun."""
        super().__init__()
        self._stream: str | None = None
        self._is_running = False
        self._state: Mapping[str, Any] = {}
        self._written: Mapping[str, Any] | None = None
        self._uncovered = 0
        self._lock = threading.Lock()
        self._logged: deque[bytes] = deque()
        # Whether to go on. Its `put` may be interrupted by a signal whose handler logs.
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._keep_writing_log, daemon=True)
        self._thread.start()

    @override
    def put(self, lines: bytes) -> None:
        """Put lines on standard output, behind what was logged before them."""
        with self._lock:
            super().put(self._take_logged() + lines)

    def write(self, *messages: JsonObject) -> None:
        """Write messages, and what was logged before them."""
        self._write(encode_lines([*messages]))

    # Records and states

    @override
    def write_records(
        self,
        stream: str,
        records: Iterable[JsonObject],
        *,
        version: int | None,
        extracted: datetime,
    ) -> None:
        """Write records in Airbyte's envelope; the first show that the stream runs."""
        del version
        emitted_at = int(extracted.timestamp() * 1000)
        messages: list[JsonObject] = [
            {
                "type": "RECORD",
                "record": {"stream": stream, "data": record, "emitted_at": emitted_at},
            }
            for record in records
        ]
        self._uncovered += len(messages)
        if messages and not self._is_running:
            self._is_running = True
            messages.insert(0, _stream_status(stream, "RUNNING"))
        self.write(*messages)

    @override
    def serialize_message(self, message: Message) -> bytes:
        """Write a state as that of the stream that is read, if it is a new one.

        No other message has a counterpart, and no state outside a stream.
        """
        if not isinstance(message, StateMessage):
            return b""
        self._state = message.value
        return self._state_line(is_last=False)

    def _state_line(self, *, is_last: bool) -> bytes:
        state = self._state.get("bookmarks", {}).get(self._stream)
        # Only at the end is it certain that all that was counted has been written.
        covers_more = is_last and self._uncovered > 0
        if not state or (state == self._written and not covers_more):
            return b""
        # A copy: locations are added to bookmarks of before.
        self._written, covered, self._uncovered = deepcopy(state), self._uncovered, 0
        said = {
            "type": "STREAM",
            "stream": {
                "stream_descriptor": {"name": self._stream},
                "stream_state": state,
            },
            "sourceStats": {"recordCount": covered},
        }
        return encode_line({"type": "STATE", "state": said})

    # How streams fare

    @override
    def begin_stream(self, stream: str) -> None:
        """Write that a stream begins."""
        self._stream, self._is_running = stream, False
        self._written, self._uncovered = None, 0
        self.write(_stream_status(stream, "STARTED"))

    @override
    def end_stream(self, error: TapError | None) -> None:
        """Write the last state of the stream, and how it was read."""
        self._write(self._state_line(is_last=True))
        if error is not None:
            self.fail(str(error), error.kind)
        else:
            self.write(_stream_status(str(self._stream), "COMPLETE"))
            self._stream = None

    def fail(self, line: str, kind: Kind) -> None:
        """Write what went wrong; if a stream was being read, it is not complete."""
        messages = self._failure(line, kind)
        self._stream = None
        self.write(*messages)

    def stop(self, line: str) -> None:
        """Write why a signal ends the run, but wait for nobody to take it.

        Where standard output takes nothing more, the line goes to standard error.
        """
        # Not released: nothing may follow.
        if self._lock.acquire(timeout=_BLOCKED_SECONDS):
            failure = encode_lines(self._failure(line, "transient"))
            super().put(self._take_logged() + failure)
        else:
            complain(line)

    def _failure(self, line: str, kind: Kind) -> list[JsonObject]:
        error: JsonObject = {"message": safe(line), "failure_type": f"{kind}_error"}
        if self._stream is None:
            return [_trace("ERROR", error)]
        error["stream_descriptor"] = {"name": self._stream}
        status = _stream_status(self._stream, "INCOMPLETE")
        return [status, _trace("ERROR", error)]

    # The log

    def log(self, level: str, line: str) -> None:
        """Have something written that was logged, by whichever thread."""
        message = {"type": "LOG", "log": {"level": level, "message": line}}
        self._logged.append(encode_line(message))
        self._wake.put(item=True)

    def close(self) -> None:
        """Write what is still to be written."""
        self._wake.put(item=False)
        self._thread.join()
        self.write()

    def _keep_writing_log(self) -> None:
        while self._wake.get():
            # What ails standard output shows when the run writes the next time.
            with suppress(OSError):
                self.put(b"")

    def _take_logged(self) -> bytes:
        # Others add to it meanwhile; only who holds the lock takes from it.
        return b"".join([self._logged.popleft() for _ in range(len(self._logged))])


class LogHandler(logging.Handler):
    """Hands what is logged to a writer, at once and without a lock.

    With one, a signal's handler could wait for ever for what it has interrupted.
    """

    def __init__(self, writer: AirbyteWriter) -> None:
        """Log to this writer."""
        super().__init__()
        self.writer = writer

    @override
    def handle(self, record: logging.LogRecord) -> bool:
        """Hand it on; the base class would take its lock for it."""
        self.emit(record)
        return True

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Hand it on under Airbyte's name for its level."""
        level = _LEVELS.get(record.levelname, record.levelname)
        self.writer.log(level, self.format(record))


def safe(line: str) -> str:
    """Return a line without secrets, and without what a terminal would obey."""
    return printable(redact(line, limit=None))


def complain(line: str) -> None:
    """Write a line to standard error, for when standard output is of no use."""
    with suppress(OSError):
        os.write(_STDERR, f"{safe(line)}\n".encode(errors="backslashreplace"))


def _stream_status(stream: str, status: str) -> JsonObject:
    said = {"stream_descriptor": {"name": stream}, "status": status}
    return _trace("STREAM_STATUS", said)


def _trace(kind: str, content: JsonObject) -> JsonObject:
    emitted_at = time.time_ns() // 1_000_000
    trace = {"type": kind, "emitted_at": emitted_at, kind.lower(): content}
    return {"type": "TRACE", "trace": trace}
