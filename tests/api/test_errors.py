"""What a message may show, and the advice that it gives."""

from __future__ import annotations

import socket
import threading

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.errors import (
    MAX_TEXT,
    advice,
    describe_request,
    no_answer,
    redact,
)

KEY = "s3cr3t-of-any-form"


@given(st.text(), st.text())
def test_the_key_is_blanked_wherever_it_stands(before: str, after: str) -> None:
    assert KEY not in redact(before + KEY + after, (KEY,))


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abc.DEF-123",
        "bearer abc.DEF-123",
        "BEARER  abc.DEF-123",
        "{'Authorization': 'Bearer abc.DEF-123'}",
        "key bdk_live_abc_DEF-123",
        "(bdk_live_abc_DEF-123)",
    ],
)
def test_what_looks_like_a_token_is_blanked(text: str) -> None:
    shown = redact(text)
    assert "DEF-123" not in shown
    assert "***" in shown


@given(st.text(max_size=2000))
def test_what_is_shown_is_one_short_line(text: str) -> None:
    shown = redact(text)
    assert len(shown) <= MAX_TEXT
    assert len(shown.splitlines()) <= 1


def test_a_cut_is_marked() -> None:
    assert redact("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert redact("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"


def test_a_key_that_the_cut_goes_through_is_blanked() -> None:
    assert KEY[:4] not in redact("x" * (MAX_TEXT - 5) + KEY, (KEY,))


def test_no_secret_blanks_nothing() -> None:
    assert redact("all right", ("",)) == "all right"


def advised(status: int, code: str | None, *, has_locations: bool = False) -> str:
    return advice(status, code, "transfers.read", has_locations=has_locations)


def test_each_documented_code_has_advice_of_its_own() -> None:
    codes = [
        "MISSING_AUTHORIZATION",
        "INVALID_API_KEY",
        "EXPIRED_API_KEY",
        "REVOKED_API_KEY",
        "INACTIVE_ORGANIZATION",
        "IP_RESTRICTION",
        "INSUFFICIENT_SCOPE",
        "FORBIDDEN",
        "NOT_FOUND",
        "VALIDATION_ERROR",
        "RATE_LIMIT_EXCEEDED",
    ]
    given_advice = {advised(500, code) for code in codes}
    # Two of them are about the same permission.
    assert len(given_advice) == len(codes) - 1
    assert advised(500, None) not in given_advice


def test_advice_fits_the_endpoint() -> None:
    for code in ("FORBIDDEN", "NOT_FOUND"):
        assert "location_ids" in advised(400, code, has_locations=True)
        assert "location_ids" not in advised(400, code)
    assert "transfers.read" in advised(403, None)
    assert "transfers.read" in advised(403, "INSUFFICIENT_SCOPE")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_status_has_advice_without_a_code(status: int) -> None:
    assert advised(status, None) == advised(status, "NEVER_HEARD_OF")
    assert advised(status, None) != advised(418, None)


def test_a_place_names_stream_location_period_and_page() -> None:
    assert describe_request("inventory", {}) == "inventory"
    assert (
        describe_request("atp", {"locationId": "loc_1"}, 3)
        == "atp, location loc_1, page 3"
    )
    period = {"locationId": "loc_1", "fromDate": "2025-01-01", "toDate": "2025-01-31"}
    assert (
        describe_request("x", period) == "x, location loc_1, 2025-01-01 to 2025-01-31"
    )


@pytest.mark.parametrize(
    ("scheme", "listens", "said"),
    [
        ("http", False, "no connection to there, or it broke: Connection refused"),
        ("http", True, "no connection to there, or it broke: Remote end closed"),
        ("https", True, "no secure connection to there: "),
    ],
)
def test_no_answer_is_said_in_words(*, scheme: str, listens: bool, said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if listens:
            threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        else:
            server.close()
        with requests.Session() as session:
            session.trust_env = False
            with pytest.raises(requests.ConnectionError) as caught:
                session.get(f"{scheme}://127.0.0.1:{port}/", timeout=9)
    line = no_answer(caught.value, "there")
    assert line.startswith(said)
    for word in ("Pool", "HTTPConnection", "Error("):
        assert word not in line


def hang_up(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.recv(1 << 16)
    connection.close()
