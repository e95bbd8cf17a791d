"""Singer messages as lines of JSON."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from singer_sdk.singerlib import RecordMessage, StateMessage

from tap_betterdata.output.writer import LineWriter, encode_line
from tests.strategies import objects

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
ROWS = [{"id": "é\n", "cost": Decimal("10.50")}, {"id": "\ud800", "cost": 2**70}]


@given(objects)
def test_a_line_holds_the_object_exactly(value: dict[str, Any]) -> None:
    line = encode_line(value)
    assert line.endswith(b"\n")
    assert len(line.splitlines()) == 1
    assert json.loads(line, parse_float=Decimal) == value


@pytest.mark.parametrize("beside", ["x", "\ud800"])
@pytest.mark.parametrize("text", ["10.50", "0.10", "-2100.00", "1234567890.123456789"])
def test_decimals_keep_their_digits(text: str, beside: str) -> None:
    line = encode_line({"cost": Decimal(text), "name": beside})
    assert f'"cost":{text},'.encode() in line.replace(b" ", b"")


def test_records_are_written_as_messages(capfd: pytest.CaptureFixture[str]) -> None:
    LineWriter().write_records("stock", ROWS, version=7, extracted=NOW)
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line, parse_float=Decimal) for line in lines] == [
        {
            "type": "RECORD",
            "stream": "stock",
            "record": row,
            "version": 7,
            "time_extracted": "2025-01-02T03:04:05Z",
        }
        for row in ROWS
    ]


def test_records_are_what_the_sdk_would_write(
    capfd: pytest.CaptureFixture[str],
) -> None:
    writer = LineWriter()
    writer.write_records("stock", ROWS, version=None, extracted=NOW)
    for row in ROWS:
        writer.write_message(RecordMessage("stock", row, time_extracted=NOW))
    written = list(map(json.loads, capfd.readouterr().out.splitlines()))
    times = {datetime.fromisoformat(line.pop("time_extracted")) for line in written}
    assert times == {NOW}
    assert written[: len(ROWS)] == written[len(ROWS) :]


@pytest.mark.parametrize("rows", [[], ROWS[:1], ROWS[:1] * 3, [{}]])
def test_pages_of_any_length_are_written(
    rows: list[dict[str, Any]], capfd: pytest.CaptureFixture[str]
) -> None:
    LineWriter().write_records("stock", rows, version=None, extracted=NOW)
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line, parse_float=Decimal)["record"] for line in lines] == rows


def test_nothing_is_held_back(tmp_path: Path) -> None:
    path = tmp_path / "output"
    with path.open("w", encoding="utf-8") as output, redirect_stdout(output):
        LineWriter().write_message(StateMessage({}))
        assert json.loads(path.read_bytes()) == {"type": "STATE", "value": {}}
        LineWriter().write_records("stock", ROWS, version=None, extracted=NOW)
        assert len(path.read_bytes().splitlines()) == 1 + len(ROWS)


def test_a_standard_output_of_text_will_do(capsys: pytest.CaptureFixture[str]) -> None:
    LineWriter().write_message(StateMessage({"é": 1}))
    assert json.loads(capsys.readouterr().out)["value"] == {"é": 1}


def test_a_signal_is_heeded_after_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    writer = LineWriter()

    def leave() -> None:
        raise KeyboardInterrupt

    writer.on_signal = leave
    with pytest.raises(KeyboardInterrupt):
        writer.write_records("stock", ROWS, version=None, extracted=NOW)
    lines = capfd.readouterr().out
    assert lines.endswith("\n")
    assert len(lines.splitlines()) == len(ROWS)
