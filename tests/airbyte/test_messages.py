"""The writer of Airbyte's messages: the log waits for nobody, nor anybody for it."""

from __future__ import annotations

import json
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from singer_sdk.singerlib import ActivateVersionMessage, StateMessage

from tap_betterdata.airbyte.messages import AirbyteWriter, LogHandler
from tap_betterdata.api.errors import SettingsError
from tap_betterdata.output.command import SafeFormatter
from tap_betterdata.output.writer import LineWriter
from tests.airbyte.running import Said

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 20
NOW = datetime(2025, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)


class Output:
    """Takes lines, or keeps whoever brings them waiting."""

    def __init__(self) -> None:
        self.taken = b""
        self.is_free = threading.Event()
        self.is_free.set()
        self.is_waited_for = threading.Event()
        self.is_changed = threading.Event()

    def put(self, lines: bytes) -> None:
        if lines:
            self.is_waited_for.set()
            self.is_free.wait(SECONDS)
            self.taken += lines
            self.is_changed.set()


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Iterator[Output]:
    output = Output()

    def put(writer: LineWriter, lines: bytes) -> None:
        del writer
        output.put(lines)

    monkeypatch.setattr(LineWriter, "put", put)
    yield output
    output.is_free.set()


@pytest.fixture
def logger(output: Output) -> Iterator[logging.Logger]:
    """A logger whose lines become messages."""
    del output
    logger = logging.getLogger("test_messages")
    handler = LogHandler(AirbyteWriter())
    handler.setFormatter(SafeFormatter(None))
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)


def writer_of(logger: logging.Logger) -> AirbyteWriter:
    (handler,) = logger.handlers
    assert isinstance(handler, LogHandler)
    return handler.writer


def test_what_is_logged_comes_before_what_is_written_after_it(
    output: Output, logger: logging.Logger
) -> None:
    writer = writer_of(logger)
    for number in range(100):
        logger.warning("%d", number)
        writer.write({"type": "OTHER", "other": number})
    said = Said(0, output.taken)
    assert [m["type"] for m in said.messages] == ["LOG", "OTHER"] * 100
    assert said.logged("WARN") == [str(number) for number in range(100)]


def test_what_is_logged_comes_by_itself(output: Output, logger: logging.Logger) -> None:
    logger.critical("bdk_live_4711 \x1b[2J")
    assert output.is_changed.wait(SECONDS)
    assert json.loads(output.taken) == {
        "type": "LOG",
        "log": {"level": "FATAL", "message": "*** \\x1b[2J"},
    }


def test_no_thread_waits_because_it_logs(
    output: Output, logger: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    output.is_free.clear()
    logger.error("first")
    assert output.is_waited_for.wait(SECONDS)
    threads = [threading.Thread(target=logger.error, args=("more",)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    # Nor does the end of the run, whose line goes where it is read.
    writer_of(logger).stop("Stopped\x1b: the key is bdk_live_4711")
    assert capfd.readouterr().err == "Stopped\\x1b: the key is ***\n"
    assert not output.taken
    output.is_free.set()
    writer_of(logger).write()
    assert Said(0, output.taken).logged("ERROR") == ["first", *["more"] * 9]


def test_a_signal_may_log_while_something_is_logged(
    output: Output, logger: logging.Logger
) -> None:
    """What a signal interrupts can't go on before its handler has returned."""
    (handler,) = logger.handlers

    def interrupted(record: logging.LogRecord) -> str:
        handler.setFormatter(SafeFormatter(None))
        other = threading.Thread(target=logger.info, args=("from a timer",))
        other.start()
        other.join(SECONDS)
        assert not other.is_alive()
        return record.getMessage()

    logger.setLevel(logging.INFO)
    formatter = logging.Formatter()
    formatter.format = interrupted  # type: ignore[method-assign]
    handler.setFormatter(formatter)
    logger.info("from the run")
    writer_of(logger).write()
    assert Said(0, output.taken).logged("INFO") == ["from a timer", "from the run"]


def test_what_has_no_counterpart_is_not_written(output: Output) -> None:
    writer = AirbyteWriter()
    state = {"bookmarks": {"stock": {"value": 1}, "other": {"value": 2}}}
    writer.write_message(StateMessage(state))
    writer.write_message(ActivateVersionMessage("stock", 1))
    assert not output.taken
    writer.begin_stream("stock")
    writer.write_message(
        StateMessage({"bookmarks": {"stock": {}, "other": {"value": 2}}})
    )
    writer.end_stream(None)
    writer.write_message(StateMessage(state))
    assert Said(0, output.taken).statuses == [
        ("stock", "STARTED"),
        ("stock", "COMPLETE"),
    ]
    assert not Said(0, output.taken).of("STATE")


def test_a_stream_ends_once(output: Output) -> None:
    writer = AirbyteWriter()
    writer.begin_stream("stock")
    writer.end_stream(SettingsError("refused"))
    writer.stop("Stopped")
    said = Said(0, output.taken)
    assert said.statuses == [("stock", "STARTED"), ("stock", "INCOMPLETE")]
    assert said.errors == [
        ("stock", "config_error", "refused"),
        (None, "transient_error", "Stopped"),
    ]


def test_streams_may_have_the_same_state(output: Output) -> None:
    writer = AirbyteWriter()
    state = StateMessage({"bookmarks": {"stock": {"n": 1}, "orders": {"n": 1}}})
    for stream in ("stock", "orders"):
        writer.begin_stream(stream)
        writer.write_message(state)
        writer.end_stream(None)
    names = [
        s["stream"]["stream_descriptor"]["name"]
        for s in Said(0, output.taken).of("STATE")
    ]
    assert names == ["stock", "orders"]


def test_errors_hide_the_key_and_obey_no_terminal(output: Output) -> None:
    writer = AirbyteWriter()
    writer.fail("refused bdk_live_4711\x1b[2J", "config")
    assert Said(0, output.taken).errors == [
        (None, "config_error", "refused ***\\x1b[2J")
    ]


def test_a_state_is_written_once_unless_it_covers_more(output: Output) -> None:
    writer = AirbyteWriter()
    state = StateMessage({"bookmarks": {"stock": {"value": 1}}})
    writer.begin_stream("stock")
    writer.write_message(state)
    writer.write_message(state)
    # Locations that come to be known are added to what has been written, too.
    state.value["bookmarks"]["stock"]["locations"] = ["loc_001"]
    writer.write_message(state)
    writer.write_records("stock", [{"id": 1}, {"id": 2}], version=7, extracted=NOW)
    # A signal may come before they are out.
    writer.write_message(state)
    writer.end_stream(None)
    said = Said(0, output.taken)
    counts = [s["sourceStats"]["recordCount"] for s in said.of("STATE")]
    assert counts == [0, 0, 2]
    assert said.of("RECORD") == [
        {"stream": "stock", "data": {"id": number}, "emitted_at": 1735787045678}
        for number in (1, 2)
    ]
