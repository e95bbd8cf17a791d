"""What the server's headers say. Time is given to the reader, so nothing waits here."""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from tap_betterdata.api.rate_limit_headers import (
    HeaderReader,
    RateHeaders,
    parse_date,
    parse_reset,
    parse_retry_after,
)

HEADERS = ("X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After")


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def lines() -> Lines:
    return Lines()


def make(lines: logging.Handler | None = None) -> HeaderReader:
    logger = logging.getLogger("tests.api.rate_limit_headers")
    logger.handlers = [lines or logging.NullHandler()]
    logger.disabled = False
    return HeaderReader(logger)


def read(reader: HeaderReader, **headers: str) -> RateHeaders:
    """Read headers that came now, named like `retry_after`."""
    now = time.monotonic()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return reader.read(named, sent=now, seen=now)


def reset_of(reader: HeaderReader, **headers: str) -> float:
    reset = read(reader, **headers).reset
    assert reset is not None
    return reset


def http_date(moment: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(moment), UTC), usegmt=True)


# --- the forms ------------------------------------------------------------------


def written(moment: float, server_now: float, form: str) -> tuple[str, float]:
    """A Reset in one of its forms, cut off (never rounded up), and its last place."""
    ahead = moment - server_now
    return {
        "epoch": (str(math.floor(moment)), 1),
        "epoch decimals": (f"{math.floor(moment * 1000) / 1000:.3f}", 0.001),
        "seconds": (str(math.floor(ahead)), 1),
        "seconds decimals": (f"{math.floor(ahead * 10) / 10:.1f}", 0.1),
    }[form]


@pytest.mark.parametrize(
    "form", ["epoch", "epoch decimals", "seconds", "seconds decimals"]
)
@given(now=st.floats(1.6e9, 4e9), ahead=st.floats(0, 7200))
@settings(deadline=None, max_examples=60)
def test_reset_is_never_read_early_nor_much_too_late(
    form: str, now: float, ahead: float
) -> None:
    text, place = written(now + ahead, now, form)
    seconds = parse_reset(text, now)
    assert seconds is not None
    # 1 ms and more for the precision of floats at this size.
    assert ahead - 0.002 <= seconds <= ahead + place + 0.002


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("300", 300),
        ("300.5", 300.5),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 1),
        ("Sun, 06 Nov 1994 08:49:38 -0000", 2),
        ("soon", None),
    ],
)
def test_retry_after_is_taken_at_its_word(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, 784111777.0) == seconds


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        date = datetime(1994, 11, 6, 8, 49, 39, tzinfo=UTC)
        assert parse_date("6 Nov 1994 08:49:39 -0000") == date
    finally:
        monkeypatch.undo()
        time.tzset()


def test_all_headers_are_read_whatever_the_case_of_their_names() -> None:
    now = time.monotonic()
    headers = CaseInsensitiveDict(
        {
            "X-RATELIMIT-REMAINING": " 7 ",
            "X-RateLimit-Reset": "30.5",
            "retry-After": "\t20",
        }
    )
    said = make().read(headers, sent=now - 1, seen=now)
    assert said == RateHeaders(now - 1, now, 7, 30.6, 20)


@pytest.mark.parametrize("remaining", ["0", "0.0", "00", "0."])
def test_forms_of_nothing_left(remaining: str) -> None:
    assert read(make(), X_RateLimit_Remaining=remaining).remaining == 0


def test_what_is_not_there_is_none(lines: Lines) -> None:
    now = time.monotonic()
    assert make(lines).read({}, sent=now, seen=now) == RateHeaders(now, now)
    assert lines.texts == []


# --- what makes no sense --------------------------------------------------------


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "nan",
        "inf",
        "-5",
        "1e3",
        "1_0",
        "1\x1f",
        "٣",
        "1, 2",
        "9" * 400,
        "9" * 5000,
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "1994-11-06T08:49:39Z",
    ],
    ids=range(14),
)
def test_what_makes_no_sense_is_set_aside_with_one_warning(
    lines: Lines, name: str, text: str
) -> None:
    reader = make(lines)
    now = time.monotonic()
    for _ in range(3):
        assert reader.read({name: text}, sent=now, seen=now) == RateHeaders(now, now)
    (line,) = lines.texts
    assert line.startswith(f"WARNING The server's {name} makes no sense")
    assert len(line) < 150


@pytest.mark.parametrize("reset", [-90, 7300])
def test_a_reset_far_from_now_is_set_aside(lines: Lines, reset: float) -> None:
    text = f"{time.time() + reset:.3f}"
    assert read(make(lines), X_RateLimit_Reset=text).reset is None
    assert len(lines.texts) == 1


def test_a_span_is_no_epoch_time(lines: Lines) -> None:
    assert read(make(lines), Retry_After="1700000000").retry_after is None
    assert read(make(lines), Retry_After="86400").retry_after == 86400
    assert len(lines.texts) == 1


def test_a_time_that_has_just_passed_is_due(lines: Lines) -> None:
    reader = make(lines)
    assert reset_of(reader, X_RateLimit_Reset=f"{time.time() - 5:.3f}") == 0
    assert read(reader, Retry_After=http_date(time.time() - 5)).retry_after == 0
    assert lines.texts == []


ODD = st.text() | st.from_regex(r"[-+]?[0-9.eT:Z ,GM]{1,40}", fullmatch=True)


@given(st.dictionaries(st.sampled_from([*HEADERS, "Date"]), ODD))
@settings(deadline=None)
def test_no_header_is_too_strange(headers: dict[str, str]) -> None:
    reader = make()
    now = time.monotonic()
    _, _, *values = reader.read(headers, sent=now, seen=now)
    assert all(value is None or 0 <= value <= 1e15 for value in values)


# --- the server's clock ---------------------------------------------------------


@pytest.mark.parametrize("ahead", [-100_000, -1000, -30, 0, 0.9, 30, 1000, 100_000])
def test_a_clock_that_differs_is_corrected_by_date(ahead: float) -> None:
    now = time.time() + ahead
    seconds = reset_of(
        make(), X_RateLimit_Reset=f"{now + 500:.3f}", Date=http_date(now)
    )
    # Up to a second more for the second that Date has been cut off by.
    assert 499.99 <= seconds <= 501.01


@pytest.mark.parametrize("date", [None, "today", "Fri, 31 Dec 99999 23:59:59 GMT"])
def test_our_own_clock_is_believed_without_a_date(
    lines: Lines, date: str | None
) -> None:
    headers = {"X_RateLimit_Reset": f"{time.time() + 500:.3f}"}
    if date is not None:
        headers["Date"] = date
    assert 499 < reset_of(make(lines), **headers) <= 500.01
    assert lines.texts == []
