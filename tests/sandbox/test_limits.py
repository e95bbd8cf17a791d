"""The simulated rate limit, with a clock of its own and over the wire."""

from __future__ import annotations

import datetime as dt
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from tap_betterdata.sandbox.limits import Limiter
from tap_betterdata.sandbox.options import read_query

if TYPE_CHECKING:
    from .client import Run

START = 1_700_000_000.25


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def refusals(limiter: Limiter, count: int) -> list[bool]:
    return [limiter.admit().refused for _ in range(count)]


def test_fixed_window(clock: Clock) -> None:
    limiter = Limiter(read_query("per_minute=3"), clock)
    assert refusals(limiter, 2) == [False, False]
    clock.now += 59.9
    assert refusals(limiter, 3) == [False, True, True]
    clock.now = START + 60
    assert refusals(limiter, 4) == [False, False, False, True]


def test_sliding_window(clock: Clock) -> None:
    limiter = Limiter(read_query("per_minute=3&window=sliding"), clock)
    assert refusals(limiter, 2) == [False, False]
    clock.now += 30
    assert refusals(limiter, 2) == [False, True]
    clock.now = START + 60
    assert refusals(limiter, 3) == [False, False, True]
    clock.now = START + 90
    assert refusals(limiter, 2) == [False, True]


def test_both_windows(clock: Clock) -> None:
    limiter = Limiter(read_query("per_minute=2&per_hour=3"), clock)
    assert refusals(limiter, 3) == [False, False, True]
    clock.now += 60
    assert refusals(limiter, 2) == [False, True]
    # The hour is full, though the minute is not.
    assert limiter.admit().headers["Retry-After"] == "3540"
    clock.now = START + 3600
    assert refusals(limiter, 1) == [False]


@pytest.mark.parametrize("window", ["fixed", "sliding"])
def test_refused_requests_count_on_demand(clock: Clock, window: str) -> None:
    query = f"per_minute=2&window={window}&headers_describe=minute"
    for counted in (False, True):
        limiter = Limiter(read_query(f"{query}&count_refused={counted}"), clock)
        refusals(limiter, 2)
        clock.now += 30
        assert refusals(limiter, 2) == [True, True]
        clock.now += 30
        assert refusals(limiter, 1) == [counted and window == "sliding"]


@pytest.mark.parametrize(("early", "refused"), [(0.001, True), (0, False)])
def test_a_full_sliding_window_tells_when_to_come_back(
    clock: Clock,
    early: float,
    refused: bool,  # noqa: FBT001
) -> None:
    query = "per_minute=2&window=sliding&count_refused=1&retry_after=fraction"
    limiter = Limiter(read_query(query), clock)
    limiter.admit()
    for _ in range(3):
        clock.now += 1
        verdict = limiter.admit()
    clock.now += float(verdict.headers["Retry-After"]) - early
    assert limiter.admit().refused is refused


def test_of_two_full_windows_the_later_counts(clock: Clock) -> None:
    limiter = Limiter(read_query("per_minute=1&per_hour=1"), clock)
    limiter.admit()
    assert limiter.admit().headers["Retry-After"] == "3600"


def test_times_are_rounded_up(clock: Clock) -> None:
    query = "per_minute=1&retry_after=fraction&window_s=1"
    limiter = Limiter(read_query(query), clock)
    limiter.admit()
    clock.now += 0.0996
    assert limiter.admit().headers["Retry-After"] == "0.901"


def test_headers_count_down(clock: Clock) -> None:
    limiter = Limiter(read_query("per_hour=3"), clock)
    found = [limiter.admit().headers for _ in range(4)]
    assert [headers["X-RateLimit-Remaining"] for headers in found] == list("2100")
    assert {headers["X-RateLimit-Limit"] for headers in found} == {"3"}
    assert {headers["X-RateLimit-Reset"] for headers in found} == {
        str(int(START) + 3601)
    }
    assert [headers.get("Retry-After") for headers in found] == [*[None] * 3, "3600"]


def test_without_limits_the_headers_pretend(clock: Clock) -> None:
    limiter = Limiter(read_query(""), clock)
    for _ in range(1200):
        verdict = limiter.admit()
        assert not verdict.refused
    assert verdict.headers["X-RateLimit-Limit"] == "1000"
    # A client that heeds the header would hold back for fewer.
    assert verdict.headers["X-RateLimit-Remaining"] == "999"


@pytest.mark.parametrize(
    ("described", "limit"), [("hour", "50"), ("minute", "5"), ("tightest", "5")]
)
def test_which_window_is_described(clock: Clock, described: str, limit: str) -> None:
    query = f"per_minute=5&per_hour=50&headers_describe={described}"
    verdict = Limiter(read_query(query), clock).admit()
    assert verdict.headers["X-RateLimit-Limit"] == limit


def test_the_tightest_window_changes(clock: Clock) -> None:
    query = "per_minute=5&per_hour=7&headers_describe=tightest"
    limiter = Limiter(read_query(query), clock)
    refusals(limiter, 4)
    clock.now += 60
    assert limiter.admit().headers["X-RateLimit-Limit"] == "7"


@pytest.mark.parametrize(
    ("form", "reset", "scaled"),
    [
        ("epoch", "1700003601", "1700000002.250"),
        ("epoch_ms", "1700003600250", "1700000002250"),
        ("seconds", "3600", "2.000"),
        ("iso", "2023-11-14T23:13:21Z", "2023-11-14T22:13:22.250Z"),
        (
            "http_date",
            "Tue, 14 Nov 2023 23:13:21 GMT",
            "Tue, 14 Nov 2023 22:13:23 GMT",
        ),
        ("garbage", "soon", "soon"),
    ],
)
def test_forms_of_the_reset(clock: Clock, form: str, reset: str, scaled: str) -> None:
    for query, expected in (("", reset), ("&hour_s=2", scaled)):
        verdict = Limiter(read_query(f"reset={form}{query}"), clock).admit()
        assert verdict.headers["X-RateLimit-Reset"] == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("seconds", "60"),
        ("fraction", "59.500"),
        ("date", "Tue, 14 Nov 2023 22:14:21 GMT"),
        ("none", None),
    ],
)
def test_forms_of_retry_after(clock: Clock, form: str, expected: str | None) -> None:
    limiter = Limiter(read_query(f"per_minute=1&retry_after={form}"), clock)
    limiter.admit()
    clock.now += 0.5
    verdict = limiter.admit()
    assert verdict.refused
    assert verdict.headers.get("Retry-After") == expected


def test_headers_can_be_left_out(clock: Clock) -> None:
    limiter = Limiter(read_query("rate_headers=0&per_minute=1"), clock)
    assert limiter.admit().headers == {}
    assert list(limiter.admit().headers) == ["Retry-After"]


@pytest.mark.parametrize("window", ["fixed", "sliding"])
def test_waiting_as_told_is_enough(run: Run, window: str) -> None:
    client = run(
        f"items=5&per_minute=3&window_s=0.3&retry_after=fraction&window={window}"
    )
    for _ in range(3):
        # How many fit depends on how quickly they follow each other.
        answers = (client.get("/inventory") for _ in range(100))
        refused = next(answer for answer in answers if answer.status_code != 200)
        assert (refused.status_code, refused.json()["code"]) == (
            429,
            "RATE_LIMIT_EXCEEDED",
        )
        time.sleep(float(refused.headers["Retry-After"]))
        client.read("/inventory")


def test_all_responses_carry_the_headers_and_count(run: Run) -> None:
    client = run("per_hour=5&reset=iso")
    client.sandbox.faults.add("html", nth=3)
    paths = ["/inventory", "/nowhere", "/inventory", "/inventory/analytics"]
    found = [client.get(path) for path in paths]
    client.session.headers["Authorization"] = "Bearer wrong"
    found += [client.get("/inventory") for _ in range(2)]
    assert [answer.status_code for answer in found] == [200, 404, 200, 400, 401, 429]
    remaining = [answer.headers["X-RateLimit-Remaining"] for answer in found]
    assert remaining == list("432100")
    reset = dt.datetime.fromisoformat(found[-1].headers["X-RateLimit-Reset"])
    assert reset > dt.datetime.now(dt.UTC)


def test_retry_after_as_a_date(run: Run) -> None:
    client = run("per_minute=1&retry_after=date")
    client.read("/inventory")
    told = parsedate_to_datetime(client.get("/inventory").headers["Retry-After"])
    wait = (told - dt.datetime.now(dt.UTC)).total_seconds()
    assert 58 < wait <= 61


def test_each_key_has_a_limit_of_its_own(run: Run) -> None:
    client = run("items=5&per_hour=2&api_key=north,south")
    assert client.sandbox.api_key == "north"
    left = []
    for key in ("north", "south", "north", "south", "north"):
        client.session.headers["Authorization"] = f"Bearer {key}"
        headers = client.get("/inventory").headers
        left.append(headers["X-RateLimit-Remaining"])
    assert left == ["1", "1", "0", "0", "0"]
    assert [r.status for r in client.sandbox.requests] == [200, 200, 200, 200, 429]
