"""What went wrong, in words, and the advice for it."""

from __future__ import annotations

import socket
import threading

import pytest
import requests

from tap_betterdata.api.errors import (
    advice,
    describe_request,
    no_answer,
)


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


def test_an_error_without_words_is_named() -> None:
    line = no_answer(requests.ConnectionError(MemoryError()), "there")
    assert line.endswith("it broke: MemoryError")


def hang_up(server: socket.socket) -> None:
    connection, _ = server.accept()
    connection.recv(1 << 16)
    connection.close()
