"""The bytes of an answer: slow ones, odd ones, too many."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from itertools import chain, count, repeat
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api import session as session_module
from tap_betterdata.api import transport
from tap_betterdata.api.errors import TooLargeError
from tests.api.serving import (
    CERTIFICATE,
    CHUNKED,
    GOOD,
    HEAD,
    Server,
    drip,
    open_session,
    send,
    with_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKED = gzip.compress(random.Random(0).randbytes(5000))  # noqa: S311 - no secret


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
    monkeypatch.setattr(transport, "MAX_MIB", 2)
    pieces, said = LARGE[what]
    with Server(pieces) as server, open_session() as session:
        with pytest.raises(TooLargeError, match=said) as raised:
            send(session, server.url)
        # At once, and not when the error is forgotten.
        assert server.left.wait(10), raised


def test_a_large_answer_takes_little_memory() -> None:
    with Server([BOMB]) as server, open_session() as session:
        tracemalloc.start()
        with pytest.raises(TooLargeError, match="more than 64 MiB"):
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
    monkeypatch.setattr(transport, "time", clock)
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


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_drip_over_tls_is_held_to_the_deadline(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", CERTIFICATE)
    drips = drip(*DRIPS[where])
    with Server(drips, pause=0.05, certificate=CERTIFICATE) as server:
        with (
            open_session(deadline=0.5) as session,
            pytest.raises(requests.exceptions.Timeout, match="request_timeout"),
        ):
            send(session, server.url)
        assert not server.ended


def test_an_answer_comes_over_tls_if_the_certificate_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server([GOOD], certificate=CERTIFICATE) as server:
        with open_session() as session, pytest.raises(requests.exceptions.SSLError):
            send(session, server.url)
        assert not server.heard
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", CERTIFICATE)
        with open_session() as session:
            assert send(session, server.url).json() == {}
