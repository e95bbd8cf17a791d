"""Hostile and broken servers: retried, then one line, and nothing is betrayed."""

from __future__ import annotations

import base64
import json
import logging
import re
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.api import transport
from tap_betterdata.sandbox import Sandbox
from tests.api.serving import CHUNKED, HEAD, Server, with_length
from tests.e2e.truth import KEYS
from tests.running import Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

pytestmark = pytest.mark.usefixtures("no_waits")

# Without the prefix that gives other keys away.
KEY = "sk-live/0123456789+abcdefghij"
ROW = {"id": "item_1", "locationId": "loc_1", "quantityOnHand": 1}
INVENTORY = catalog_of("inventory")


def page(*rows: dict[str, Any], **pagination: object) -> bytes:
    """Make an answer with a page of the inventory."""
    body = {"items": rows, "pagination": {"total": len(rows), **pagination}}
    return with_length(json.dumps(body).encode())


def refusal(status: bytes, body: object = None, *headers: bytes) -> bytes:
    """Make an answer with an error."""
    answer = with_length(json.dumps(body).encode(), *headers)
    return answer.replace(HEAD[:15], b"HTTP/1.1 " + status, 1)


def run(tap: Runner, *answers: Iterable[bytes], **settings: object) -> Outcome:
    """Read the inventory from a server that answers with these bytes."""
    with Server(*answers) as server:
        config = {
            "api_url": server.url,
            "api_key": KEY,
            "requests_per_minute": 0,
            "requests_per_hour": 0,
            "max_retries": 1,
            **settings,
        }
        outcome = tap(config, catalog=INVENTORY)
    check_log(outcome)
    return outcome


def check_log(outcome: Outcome) -> None:
    """Check that the log obeys nobody, and doesn't hold the key."""
    is_debug = logging.getLogger("tap-betterdata").isEnabledFor(logging.DEBUG)
    assert ("Traceback" in outcome.stderr) <= is_debug
    for line in outcome.stderr.split("\n"):
        assert not line or line.isprintable()
        assert re.match(r"\d{4}-\d\d-\d\d [\d:,]+ \| [A-Z]+ +\| | {4}|$", line)
    for form in (KEY, KEY.replace("/", "%2F"), base64.b64encode(KEY.encode()).decode()):
        assert form[:-4] not in outcome.stderr + outcome.stdout


BROKEN = {
    "a large length": HEAD + b"Content-Length: 999999999999999\r\n\r\n{}",
    "a huge length": HEAD + b"Content-Length: %d\r\n\r\n{}" % 10**30,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n{}",
    "a negative chunk": CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n",
    "a huge chunk": CHUNKED + b"99999999999999999999\r\n{}\r\n0\r\n\r\n",
    "an odd time to wait": refusal(b"503 No", {}, b"Retry-After: 1\x1f"),
    "a header that is none": b"HTTP/1.1 500 No\r\n\xff: a\r\nno\x1bne\r\n\r\n{}",
    "no protocol": b"SSH-2.0-OpenSSH_9.6\x1b[2J\r\n",
    "an escape for a status": b"HTTP/1.1 2\x1b0 OK\r\n\r\n",
    "an odd encoding": with_length(b"{}", b"Content-Encoding: \x1b[31mbr"),
    "an endless total": with_length(
        b'{"items": [], "pagination": {"total": 1e9999999}}'
    ),
    "an endless negative total": with_length(
        b'{"items": [], "pagination": {"total": -1e9999999}}'
    ),
    "a total of many digits": with_length(
        b'{"items": [], "pagination": {"total": %b}}' % (b"9" * 400)
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_answer_is_asked_for_again(tap: Runner, how: str) -> None:
    outcome = run(tap, [BROKEN[how]], [page(ROW)]).check()
    assert [row["id"] for row in outcome.records("inventory")] == ["item_1"]
    (retry,) = (line for line in outcome.lines("WARNING") if "Trying" in line)
    assert ": ." not in retry


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_answer_that_stays_is_one_line(tap: Runner, how: str) -> None:
    line = run(tap, *repeat([BROKEN[how]], 2)).failure
    assert line.startswith("inventory, page 1: ")
    assert "in 2 tries over 0 s. " in line
    assert ": ," not in line


def test_an_odd_time_to_wait_is_set_aside(tap: Runner) -> None:
    limited = refusal(b"429 No", {}, b"Retry-After: 1\x1f", b"X-RateLimit-Reset: 0")
    outcome = run(tap, [limited], [page(ROW)]).check()
    assert "'1\\x1f'" in "".join(outcome.lines("WARNING"))


def test_an_answer_that_is_too_large_is_said_to_be(
    tap: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_MIB", 1)
    line = run(tap, *repeat([HEAD + b"\r\n", bytes(2 << 20)], 2)).failure
    assert line == (
        "inventory, page 1: the answer has more than 1 MiB, in 2 tries over 0 s. "
        "Lower page_size, then run again: it goes on from the state"
    )


def test_an_answer_that_is_too_large_costs_no_other_stream(
    tap: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_MIB", 1)
    path = "/inventory/analytics"
    with Sandbox(items=60) as sandbox:
        sandbox.faults.add("raw", body="x" * (2 << 20), path=path, times=None)
        outcome = tap(config_for(sandbox, max_retries=0))
    assert outcome.failure.startswith("inventory_analytics, location loc_001")
    for stream in KEYS:
        assert bool(outcome.records(stream)) != ("analytics" in stream)


def test_an_endless_number_of_pages_takes_no_time(tap: Runner) -> None:
    answer = page(ROW, totalPages=10**7, pageSize=10**18)
    run(tap, [answer], [answer], requests_per_hour=1000, on_inexact="warn").check()


@pytest.mark.parametrize("total", [10**7, 10**17])
def test_an_endless_list_ends(tap: Runner, total: int) -> None:
    answer = page(ROW, total=total)
    line = run(tap, *repeat([answer], 50), requests_per_hour=10**6).failure
    assert line.startswith("inventory")


FORGED = "\n2026-01-01 00:00:00,000 | ERROR    | tap-betterdata | all is lost"
ODD = "\x1b]0;title\x07\x9b31m\x7f\u202e\u2066\u2028\x85\r" + FORGED


@pytest.mark.parametrize("name", ["id", "locationId", "quantityOnHand", "updatedAt"])
def test_what_a_row_says_commands_no_terminal(tap: Runner, name: str) -> None:
    run(tap, *repeat([page({**ROW, name: ODD})], 3))
    run(tap, *repeat([page({**ROW, name: [ODD]})], 3))


def test_what_a_field_is_called_forges_no_line(tap: Runner) -> None:
    outcome = run(tap, [page({**ROW, ODD: 1})]).check()
    (line,) = outcome.lines("WARNING")
    assert r": \x1b]0;title\x07\x9b31m\x7f\u202e\u2066 2026-01-01" in line


@pytest.mark.parametrize("status", [b"401", b"403", b"500", b"302"])
def test_what_an_error_says_commands_no_terminal(tap: Runner, status: bytes) -> None:
    reason = status + b" \x1b[2J\x07\xc2\x9b31m\x9b1m"
    for body in ({"error": ODD}, {"error": {"message": ODD}}, {"code": ODD}, None):
        assert run(tap, *repeat([refusal(reason, body)], 2)).failure
    elsewhere = b"Location: https://\x1b[2Jhost\x07/"
    assert run(tap, *repeat([refusal(reason, {}, elsewhere)], 2)).failure


ECHOES = {
    "plain": KEY,
    "in lines": f"{KEY[:9]}\n{KEY[9:]}",
    "for URLs": KEY.replace("/", "%2F").replace("+", "%2b"),
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "as it was sent, in base64": base64.b64encode(f"Bearer {KEY}".encode()).decode(),
    "at the cut": "x" * 280 + KEY,
    "in JSON": json.dumps({"key": KEY.replace("/", r"\/")}),
}


@pytest.mark.parametrize("how", ECHOES)
def test_the_key_is_not_shown_where_the_server_repeats_it(
    tap: Runner, how: str
) -> None:
    said = ECHOES[how]
    for body in ({"error": said}, {"error": {"key": said}}, {"code": said}):
        assert "403" in run(tap, [refusal(b"403 No", body)]).failure
    reason = said.replace("\n", " ").encode()
    assert "403" in run(tap, [refusal(b"403 " + reason)]).failure
    for name in ("id", "quantityOnHand", "updatedAt", said):
        rows = page({**ROW, name: said} if name != "id" else {"id": [said]})
        outcome = run(tap, *repeat([rows], 3))
        assert not outcome.stderr.count(KEY[:12])


def test_the_key_is_not_shown_where_a_period_is_cut(tap: Runner) -> None:
    body = {"analytics": {"totalUnits": 1}, "period": {"from": KEY}}
    with Server(*repeat([with_length(json.dumps(body).encode())], 9)) as server:
        outcome = tap(
            {"api_url": server.url, "api_key": KEY, "location_ids": ["loc_001"]},
            catalog=catalog_of("inventory_analytics"),
        )
    assert "answered for a period from ***. It does not" in outcome.failure
    assert KEY[:8] not in outcome.stderr


def test_a_redirect_shows_its_host_alone(tap: Runner) -> None:
    to = b"Location: https://me:pass@host.invalid:8/path?token=secret#x"
    line = run(tap, [refusal(b"302 Found", {}, to)]).failure
    assert "a redirect to host.invalid:8, which is not followed" in line
    for word in ("me", "pass", "path", "secret"):
        assert not re.search(rf"\b{word}\b", line)


def test_the_test_of_the_key_shows_no_password(tap: Runner) -> None:
    for url in ("https://me:pass@host.invalid/", "https://pass@host.invalid"):
        outcome = tap({"api_url": url, "api_key": KEY}, "--test")
        assert "without a user or password" in outcome.failure
        assert "pass@" not in outcome.stdout + outcome.stderr


def test_a_proxy_shows_no_password(tap: Runner) -> None:
    config = {"api_url": "https://api.invalid", "api_key": KEY, "max_retries": 0}
    for proxy in ("http://me:pass@127.0.0.1:1", "http://me:pass@[bad", "me:pass@\x1b:"):
        outcome = tap(config, catalog=INVENTORY, HTTPS_PROXY=proxy)
        assert outcome.failure
        check_log(outcome)
        assert "me:pass" not in outcome.stdout + outcome.stderr


@pytest.fixture
def debugging() -> Iterator[None]:
    logger = logging.getLogger("tap-betterdata")
    logger.setLevel(logging.DEBUG)
    yield
    logger.setLevel(logging.NOTSET)


@pytest.mark.usefixtures("debugging")
def test_debugging_shows_neither(tap: Runner) -> None:
    bodies = [{"error": f"{ODD} {said}"} for said in ECHOES.values()]
    answers = [[refusal(b"500 No", body)] for body in bodies]
    outcome = run(tap, *answers, max_retries=len(bodies) - 1)
    assert "Traceback" in outcome.stderr
    assert "RetriableAPIError: the API answered 500" in outcome.stderr


def test_a_name_that_is_odd_is_shown_safely(tap: Runner) -> None:
    for name in ("\x1b[2J", f"a{FORGED}", "\u202e"):
        outcome = tap(None, "--config", name)
        assert outcome.failure.startswith("--config ")
        check_log(outcome)
