"""A server that answers with any bytes, at any pace."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests

from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.api.session import ApiSession
from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def open_session(*, deadline: float = 10, max_wait: float = 10) -> ApiSession:
    limiter = RateLimiter(
        per_minute=0, per_hour=0, max_wait=max_wait, stop=threading.Event()
    )
    return ApiSession(limiter, deadline=deadline, connections=2)


# A certificate of this machine's address, and its key; nothing else trusts it.
CERTIFICATE = str(Path(__file__).with_name("localhost.pem"))

HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


GOOD = HEAD + b"Content-Length: 2\r\n\r\n{}"


def with_length(body: bytes, *headers: bytes) -> bytes:
    lines = [*headers, b"Content-Length: %d" % len(body), b"", body]
    return HEAD + b"\r\n".join(lines)


class Server(socketserver.ThreadingTCPServer):
    """Answers one request after the other with bytes, each on its own connection.

    Attributes:
        url: Where it listens.
        answers: The pieces of each answer.
        pause: Seconds after each piece.
        tls: Wraps its sockets, if it has a certificate.
        ended: How many answers were sent to their end.
        left: Set when a client leaves before that.
        heard: The requests.
    """

    daemon_threads = True

    def __init__(
        self,
        *answers: Iterable[bytes],
        pause: float = 0,
        certificate: str | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = iter(answers)
        self.pause = pause
        self.ended = 0
        self.left = threading.Event()
        self.heard: list[bytes] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
            self.url = self.url.replace("http:", "https:")
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
        try:
            if self.server.tls:
                self.request = self.server.tls.wrap_socket(
                    self.request, server_side=True
                )
            self.server.heard.append(self.request.recv(1 << 16))
            for piece in next(self.server.answers):
                self.request.sendall(piece)
                time.sleep(self.server.pause)
            self.server.ended += 1
        except OSError:
            self.server.left.set()
        finally:
            self.request.close()


def send(session: ApiSession, url: str) -> requests.Response:
    headers = {"Authorization": "Bearer bdk_4711"}
    request = requests.Request("GET", url, headers=headers)
    return session.send(session.prepare_request(request))


def drip(at_once: bytes, slowly: bytes) -> Iterator[bytes]:
    yield at_once
    for byte in slowly:
        yield bytes([byte])
