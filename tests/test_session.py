"""One request on the wire: deadlines, redirects, broken answers, connections."""

from __future__ import annotations

import gzip
import random
import socketserver
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.errors import LimitedError
from tap_betterdata.sandbox import Sandbox
from tap_betterdata.session import ApiSession

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = "/inventory"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=30) as sandbox:
        yield sandbox


def open_session(*, deadline: float = 10, max_wait: float = 10) -> ApiSession:
    rate_limiter = RateLimiter(
        per_minute=0, per_hour=0, max_wait=max_wait, stop=threading.Event()
    )
    return ApiSession(rate_limiter, deadline=deadline, connections=2)


def get(session: ApiSession, sandbox: Sandbox, path: str = LIST) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    request = requests.Request("GET", sandbox.url + path, headers=headers)
    return session.send(session.prepare_request(request))


def test_an_answer_comes_whole(sandbox: Sandbox) -> None:
    with open_session() as session:
        response = get(session, sandbox)
        assert response.status_code == 200
        assert len(response.json()["items"]) == 20
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("status", [204, 302, 400, 401, 404, 500, 503])
def test_any_status_is_an_answer(sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add(status)
    with open_session() as session:
        assert get(session, sandbox).status_code == status


def test_a_drip_is_held_to_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("drip", seconds=0.05)
    with (
        open_session(deadline=0.3) as session,
        pytest.raises(requests.exceptions.ReadTimeout, match="request_timeout"),
    ):
        get(session, sandbox)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PACKED = gzip.compress(random.Random(0).randbytes(5000))  # noqa: S311 - no secret
DRIPS = {
    "headers": (b"", HEAD + b"X: y\r\n" * 999),
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999),
    "body": (HEAD + b"Content-Length: 9999\r\n\r\n", b"x" * 9999),
    "no length": (HEAD + b"\r\n", b"x" * 9999),
    "chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 9999),
    "trailers": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X: y\r\n" * 999,
    ),
    "redirect": (
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\n",
        b"x" * 9999,
    ),
    "packed": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED),
        PACKED,
    ),
}


class Dripper(socketserver.BaseRequestHandler):
    """Sends a part at once, and then a byte now and then."""

    def handle(self) -> None:
        self.request.recv(1 << 16)
        at_once, drip = self.server.drip  # type: ignore[attr-defined]
        with suppress(OSError):
            self.request.sendall(at_once)
            for byte in drip:
                self.request.sendall(bytes([byte]))
                time.sleep(0.05)


@pytest.mark.parametrize("where", DRIPS)
def test_a_drip_anywhere_is_held_to_the_deadline(where: str) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripper) as server:
        server.daemon_threads = True
        server.drip = DRIPS[where]  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        request = requests.Request(
            "GET", f"http://127.0.0.1:{server.server_address[1]}/"
        )
        begun = time.monotonic()
        with (
            open_session(deadline=0.4) as session,
            pytest.raises(requests.exceptions.Timeout, match="request_timeout"),
        ):
            session.send(session.prepare_request(request))
        # Left alone, the least of them takes ten times as long.
        assert time.monotonic() - begun < 10
        server.shutdown()


def test_an_answer_may_take_as_long_as_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("slow", seconds=1.0)
    with open_session(deadline=30) as session:
        assert get(session, sandbox).status_code == 200


@pytest.mark.parametrize("location", ["https://[bad", "/elsewhere", "h\xffttp://x"])
def test_an_odd_redirect_is_an_answer(sandbox: Sandbox, location: str) -> None:
    sandbox.faults.add("raw", status=302, body="{}", headers={"Location": location})
    with open_session() as session:
        assert get(session, sandbox).status_code == 302


def test_a_request_that_fails_holds_no_other(sandbox: Sandbox) -> None:
    rate_limiter = RateLimiter(
        per_minute=0, per_hour=0, max_wait=1, stop=threading.Event()
    )
    sandbox.faults.add("raw", headers={"X-RateLimit-Remaining": "1"}, body="{}")
    sandbox.faults.add("reset", nth=2)
    with ApiSession(rate_limiter, deadline=10, connections=1) as session:
        get(session, sandbox)
        with pytest.raises(requests.RequestException):
            get(session, sandbox)
        # Another thread's; it would wait for the one that failed.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(get, session, sandbox).result().status_code == 200


def test_silence_is_held_to_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("slow", seconds=30)
    with (
        open_session(deadline=0.3) as session,
        pytest.raises(requests.exceptions.Timeout),
    ):
        get(session, sandbox)


@pytest.mark.parametrize("kind", ["reset", "close", "cut"])
def test_a_broken_connection_is_an_error(sandbox: Sandbox, kind: str) -> None:
    sandbox.faults.add(kind)
    with open_session() as session:
        with pytest.raises(requests.RequestException):
            get(session, sandbox)
        assert get(session, sandbox).status_code == 200


def test_a_body_that_cannot_be_unpacked_is_an_error(sandbox: Sandbox) -> None:
    headers = {"Content-Encoding": "gzip"}
    sandbox.faults.add("raw", body=b"not gzip", headers=headers)
    with open_session() as session, pytest.raises(requests.RequestException):
        get(session, sandbox)


def test_a_redirect_is_not_followed(sandbox: Sandbox) -> None:
    with Sandbox() as other, open_session() as session:
        sandbox.faults.add("redirect", to=other.url + LIST)
        response = get(session, sandbox)
        assert response.status_code == 302
        assert response.headers["Location"] == other.url + LIST
        assert not other.requests
        assert len(sandbox.requests) == 1


def test_connections_are_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    connect = requests.packages.urllib3.util.connection.create_connection  # type: ignore[attr-defined]

    def count(*args: Any, **kwargs: Any) -> Any:
        opened.append(args)
        return connect(*args, **kwargs)

    monkeypatch.setattr("urllib3.util.connection.create_connection", count)
    sandbox.faults.add(500, nth=3)
    with open_session() as session:
        for _ in range(6):
            get(session, sandbox)
    assert len(sandbox.requests) == 6
    assert len(opened) == 1


def test_being_limited_holds_the_next_request(sandbox: Sandbox) -> None:
    sandbox.faults.add(429, retry_after="0.2")
    with open_session() as session:
        assert get(session, sandbox).status_code == 429
        assert get(session, sandbox).status_code == 200
    refused, answered = sandbox.requests
    assert answered.time - refused.time >= 0.2


def test_being_limited_for_too_long_is_an_end(sandbox: Sandbox) -> None:
    sandbox.faults.add(429, times=None, retry_after="30")
    with open_session(max_wait=1) as session:
        assert get(session, sandbox).status_code == 429
        with pytest.raises(LimitedError):
            get(session, sandbox)
    assert len(sandbox.requests) == 1


def test_every_request_asks_the_rate_limiter(sandbox: Sandbox) -> None:
    rate_limiter = RateLimiter(
        per_minute=0, per_hour=0, max_wait=1, stop=threading.Event()
    )
    sandbox.faults.add(429, retry_after="0.01")
    sandbox.faults.add(503, nth=2)
    with ApiSession(rate_limiter, deadline=10, connections=1) as session:
        for _ in range(3):
            get(session, sandbox)
    assert rate_limiter.used == len(sandbox.requests) == 3
