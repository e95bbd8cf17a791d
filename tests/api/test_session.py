"""One request on the wire: deadlines, redirects, broken answers, connections."""

from __future__ import annotations

import gzip
import random
import socketserver
import threading
import time
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count, repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api import session as session_module
from tap_betterdata.api.session import ApiSession, is_loopback
from tap_betterdata.budget import Budget
from tap_betterdata.compat import override
from tap_betterdata.errors import BudgetExhaustedError
from tap_betterdata.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIST = "/inventory"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=30) as sandbox:
        yield sandbox


def open_session(*, deadline: float = 10, max_wait: float = 10) -> ApiSession:
    budget = Budget(per_minute=0, per_hour=0, max_wait=max_wait, stop=threading.Event())
    return ApiSession(budget, deadline=deadline, connections=2)


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


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD + b"Content-Length: 2\r\n\r\n{}"
PACKED = gzip.compress(random.Random(0).randbytes(5000))  # noqa: S311 - no secret


def with_length(body: bytes, *headers: bytes) -> bytes:
    lines = [*headers, b"Content-Length: %d" % len(body), b"", body]
    return HEAD + b"\r\n".join(lines)


class Server(socketserver.ThreadingTCPServer):
    """Answers one request after the other with bytes, each on its own connection.

    Attributes:
        answers: The pieces of each answer.
        pause: Seconds after each piece.
        ended: How many answers were sent to their end.
        left: Set when a client leaves before that.
        heard: The requests.
    """

    daemon_threads = True

    def __init__(self, *answers: Iterable[bytes], pause: float = 0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = iter(answers)
        self.pause = pause
        self.ended = 0
        self.left = threading.Event()
        self.heard: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @override
    def __enter__(self) -> Self:
        self.thread.start()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(socketserver.BaseRequestHandler):
    server: Server

    @override
    def handle(self) -> None:
        self.server.heard.append(self.request.recv(1 << 16))
        try:
            for piece in next(self.server.answers):
                self.request.sendall(piece)
                time.sleep(self.server.pause)
            self.server.ended += 1
        except OSError:
            self.server.left.set()


def send(session: ApiSession, url: str) -> requests.Response:
    headers = {"Authorization": "Bearer bdk_4711"}
    request = requests.Request("GET", url, headers=headers)
    return session.send(session.prepare_request(request))


# What is sent at once, and then a byte now and then.
DRIPS = {
    "headers": (b"", HEAD + b"X: y\r\n" * 999),
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 999),
    "body": (HEAD + b"Content-Length: 9999\r\n\r\n", b"x" * 9999),
    "no length": (HEAD + b"\r\n", b"x" * 9999),
    "chunk size": (CHUNKED, b"0" * 9999),
    "chunks": (CHUNKED, b"1\r\nx\r\n" * 999),
    "trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 999),
    "redirect": (
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\n",
        b"x" * 9999,
    ),
    "packed": (with_length(PACKED, b"Content-Encoding: gzip")[: -len(PACKED)], PACKED),
}


def drip(at_once: bytes, slowly: bytes) -> Iterator[bytes]:
    yield at_once
    for byte in slowly:
        yield bytes([byte])


@pytest.mark.parametrize("where", DRIPS)
def test_a_drip_anywhere_is_held_to_the_deadline(where: str) -> None:
    with Server(drip(*DRIPS[where]), pause=0.05) as server:
        with (
            open_session(deadline=0.4) as session,
            pytest.raises(requests.exceptions.Timeout, match="request_timeout"),
        ):
            send(session, server.url)
        assert server.heard
        assert not server.ended


def test_a_silence_later_on_is_held_to_the_deadline() -> None:
    sent = []

    def pieces() -> Iterator[bytes]:
        for piece in (GOOD[:-2], b"{", b"}"):
            sent.append(piece)
            yield piece

    # Beginning with the second piece, the wait for the third is within the deadline.
    with Server(pieces(), pause=0.9) as server, open_session(deadline=1) as session:
        with pytest.raises(requests.exceptions.Timeout, match="request_timeout"):
            send(session, server.url)
        assert sent[-1] == b"{"


def test_a_drip_of_a_proxy_is_held_to_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server(drip(*DRIPS["headers"]), pause=0.05) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with (
            open_session(deadline=0.4) as session,
            pytest.raises(requests.RequestException),
        ):
            send(session, "https://api.invalid/")
        assert proxy.heard[0].startswith(b"CONNECT api.invalid:443 ")
        assert b"bdk_4711" not in proxy.heard[0]
        assert not proxy.ended


BROKEN = {
    "no status": b"\r\n\r\n",
    "a word as status": b"HTTP/1.1 two OK\r\n\r\n",
    "a large status": b"HTTP/1.1 99999 OK\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "an unknown version": b"HTTP/7.5 200 OK\r\n\r\n",
    "a long header": HEAD + b"X: " + b"y" * (1 << 17) + b"\r\n\r\n",
    "many headers": HEAD + b"X: y\r\n" * 101 + b"\r\n",
    "two lengths": HEAD + b"Content-Length: 1, 2\r\n\r\n{}",
    "a large length": HEAD + b"Content-Length: 999999999999999\r\n\r\n{}",
    "a huge length": HEAD + b"Content-Length: %d\r\n\r\n{}" % (1 << 70),
    "a negative chunk": CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n",
    "a chunk of all": CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n",
    "a huge chunk": CHUNKED + b"99999999999999999999\r\n{}\r\n0\r\n\r\n",
    "a word as chunk": CHUNKED + b"two\r\n{}\r\n0\r\n\r\n",
    "no last chunk": CHUNKED + b"2\r\n{}\r\n",
    "packed twice": with_length(gzip.compress(PACKED), b"Content-Encoding: gzip, gzip"),
    "packed in two headers": with_length(
        gzip.compress(PACKED), b"Content-Encoding: gzip", b"Content-Encoding: gzip"
    ),
    "packed otherwise": with_length(b"{}", b"Content-Encoding: br"),
    "packed unasked": with_length(zlib.compress(b"{}"), b"Content-Encoding: deflate"),
    "not packed": with_length(b"{}", b"Content-Encoding: gzip"),
    "packed wrong": with_length(PACKED[:-8] + bytes(8), b"Content-Encoding: gzip"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_answer_may_be_asked_for_again(how: str) -> None:
    with Server([BROKEN[how]], [GOOD]) as server, open_session() as session:
        # Other kinds are not retried.
        with pytest.raises(requests.ConnectionError):
            send(session, server.url)
        assert send(session, server.url).json() == {}


@given(
    st.sampled_from([GOOD, CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", BROKEN["not packed"]]),
    st.integers(0, 120),
    st.integers(0, 9),
    st.binary(max_size=9) | st.sampled_from([b"\r\n", b": ", b"-1", b"9" * 20]),
)
def test_any_bytes_are_an_answer_or_a_broken_one(
    answer: bytes, at: int, cut: int, odd: bytes
) -> None:
    answer = answer[:at] + odd + answer[at + cut :]
    with Server([answer]) as server, open_session() as session:
        try:
            assert send(session, server.url).content is not None
        except requests.RequestException as error:
            assert isinstance(error, requests.ConnectionError)  # noqa: PT017


def zeros(mib: int) -> Iterator[bytes]:
    """Pack so many MiB of zeros, of 1 KB each, quickly; without an end."""
    packer = zlib.compressobj(9, wbits=31)
    piece = bytes(1 << 20)
    yield packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    yield from repeat(packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH), mib - 1)


BOMB = with_length(b"".join(zeros(1024)), b"Content-Encoding: gzip")
LARGE = {
    "packed": (
        chain([HEAD + b"Content-Encoding: gzip\r\n\r\n"], zeros(1 << 30)),
        "more than 2 MiB unpacked",
    ),
    "body": (chain([HEAD + b"\r\n"], repeat(bytes(1 << 16))), "more than 2 MiB$"),
    "chunks": (
        chain([CHUNKED], repeat(b"10000\r\n%b\r\n" % bytes(1 << 16))),
        "more than 2 MiB$",
    ),
    "chunk of all": (
        chain([CHUNKED, b"-1\r\n"], repeat(bytes(1 << 16))),
        "more than 2 MiB$",
    ),
    "nothing, packed": (
        chain(
            [HEAD + b"Content-Encoding: gzip\r\n\r\n"],
            repeat(gzip.compress(b"") * 1000),
        ),
        "more than 2 MiB$",
    ),
    "continues": (repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), "more than 2 MiB$"),
    "trailers": (
        chain([CHUNKED, b"0\r\n"], repeat(b"X: y\r\n" * 1000)),
        "more than 2 MiB$",
    ),
}


@pytest.mark.parametrize("what", LARGE)
def test_an_answer_has_only_so_many_bytes(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_MIB", 2)
    pieces, said = LARGE[what]
    with Server(pieces) as server, open_session() as session:
        with pytest.raises(requests.ConnectionError, match=said) as raised:
            send(session, server.url)
        # At once, and not when the error is forgotten.
        assert server.left.wait(10), raised


def test_a_large_answer_takes_little_memory() -> None:
    with Server([BOMB]) as server, open_session() as session:
        tracemalloc.start()
        with pytest.raises(requests.ConnectionError, match="more than 64 MiB"):
            send(session, server.url)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * 64 << 20


def test_an_answer_may_be_large() -> None:
    body = b'"%b"' % bytes(60 << 20)
    packed = with_length(gzip.compress(body, 1), b"Content-Encoding: gzip")
    with Server([packed], [with_length(body)]) as server, open_session() as session:
        assert send(session, server.url).content == body
        assert send(session, server.url).content == body


def test_the_deadline_holds_while_an_answer_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A second passes with each look; that the bytes have come takes few of them.
    clock = SimpleNamespace(monotonic=count().__next__)
    monkeypatch.setattr(session_module, "time", clock)
    packed = with_length(b"".join(zeros(40)), b"Content-Encoding: gzip")
    with (
        Server([packed]) as server,
        open_session(deadline=100) as session,
        pytest.raises(requests.exceptions.Timeout, match="request_timeout"),
    ):
        send(session, server.url)


def test_a_packed_answer_is_unpacked() -> None:
    members = gzip.compress(b'{"a": ') + gzip.compress(b"1}")
    answer = with_length(members, b"Content-Encoding: GZIP")
    with Server([answer]) as server, open_session() as session:
        assert send(session, server.url).json() == {"a": 1}
        assert b"Accept-Encoding: gzip\r\n" in server.heard[0]


def test_an_answer_without_a_body_may_be_called_packed() -> None:
    answer = b"HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n"
    with Server([answer]) as server, open_session() as session:
        assert send(session, server.url).status_code == 204


@pytest.mark.parametrize("host", ["127.0.0.1", "LocalHost"])
@pytest.mark.parametrize("name", ["http_proxy", "all_proxy"])
def test_no_proxy_hears_what_is_for_this_machine(
    host: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server([GOOD]) as proxy, Server([GOOD]) as server, open_session() as session:
        monkeypatch.setenv(name, proxy.url)
        url = server.url.replace("127.0.0.1", host)
        assert send(session, url).status_code == 200
        assert not proxy.heard


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.1.2.3", True),
        ("::1", True),
        ("127.0.0.1.api.invalid", False),
        ("10.0.0.1", False),
        ("localhost.api.invalid", False),
        (None, False),
    ],
)
def test_this_machine_is_told_by_its_address(
    host: str | None, *, is_here: bool
) -> None:
    assert is_loopback(host) == is_here


def test_a_proxy_is_used_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server([GOOD]) as proxy, open_session() as session:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert send(session, "http://api.invalid/x").status_code == 200
        assert proxy.heard[0].startswith(b"GET http://api.invalid/x ")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_is_no_broken_answer(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise error

    monkeypatch.setattr(session_module, "_read", interrupt)
    with Server([GOOD]) as server, open_session() as session, pytest.raises(error):
        send(session, server.url)


def test_an_answer_may_take_as_long_as_the_deadline(sandbox: Sandbox) -> None:
    sandbox.faults.add("slow", seconds=1.0)
    with open_session(deadline=30) as session:
        assert get(session, sandbox).status_code == 200


@pytest.mark.parametrize("location", ["https://[bad", "/elsewhere", "h\xffttp://x"])
def test_an_odd_redirect_is_an_answer(sandbox: Sandbox, location: str) -> None:
    sandbox.faults.add("raw", status=302, body="{}", headers={"Location": location})
    with open_session() as session:
        assert get(session, sandbox).status_code == 302


def test_a_request_that_fails_holds_no_other() -> None:
    last = with_length(b"{}", b"X-RateLimit-Remaining: 1", b"X-RateLimit-Reset: 60")
    with Server([last], [], [GOOD]) as server, open_session(max_wait=1) as session:
        send(session, server.url)
        with pytest.raises(requests.RequestException):
            send(session, server.url)
        # Another thread's; it would wait for the one that failed.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(send, session, server.url).result().status_code == 200


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
        with pytest.raises(BudgetExhaustedError):
            get(session, sandbox)
    assert len(sandbox.requests) == 1


def test_every_request_draws_on_the_budget(sandbox: Sandbox) -> None:
    budget = Budget(per_minute=0, per_hour=0, max_wait=1, stop=threading.Event())
    sandbox.faults.add(429, retry_after="0.01")
    sandbox.faults.add(503, nth=2)
    with ApiSession(budget, deadline=10, connections=1) as session:
        for _ in range(3):
            get(session, sandbox)
    assert budget.used == len(sandbox.requests) == 3
