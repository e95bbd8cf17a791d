"""Starting and stopping the sandbox."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

import msgspec
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from tap_betterdata.sandbox.app import BASE_PATH, App, Request
from tap_betterdata.sandbox.options import read_options, read_query

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tap_betterdata.sandbox.company import Company
    from tap_betterdata.sandbox.faults import Faults

# As declared by `socketserver`; a TCP server accepts sockets only.
_Accepted = socket.socket | tuple[bytes, socket.socket]
_Address = tuple[str, int] | str

_HOST = "127.0.0.1"

# How long the accepting thread takes at most to notice that it shall stop.
_POLL_S = 0.02


class Sandbox:
    """The server, its data and its misbehaviour.

    A context manager that starts on entry and stops on exit. Options are those of
    `Options`; `port` 0 picks a free one.
    """

    def __init__(self, *, port: int = 0, **choices: object) -> None:
        """Set up the company; nothing listens yet.

        Raises:
            ValueError: If an option is unknown or malformed.
        """
        self.options = read_options(choices)
        self._app = App(self.options)
        self._port = port
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def from_query(cls, query: str, *, port: int = 0) -> Self:
        """Set up from a query string such as `items=20000&locations=8`.

        Raises:
            ValueError: If an option is unknown or malformed.
        """
        return cls(port=port, **msgspec.structs.asdict(read_query(query)))

    @property
    def url(self) -> str:
        """The base URL; RuntimeError before the start."""
        if self._server is None:
            message = "the sandbox is not running"
            raise RuntimeError(message)
        return f"http://{_HOST}:{self._server.port}{BASE_PATH}"

    @property
    def api_key(self) -> str:
        """A key that is accepted, the first of several."""
        return self.options.api_keys[0]

    @property
    def company(self) -> Company:
        """The truth, which can be changed while the server runs."""
        return self._app.company

    @property
    def faults(self) -> Faults:
        """Where misbehaviour is ordered."""
        return self._app.faults

    @property
    def requests(self) -> list[Request]:
        """All requests so far, in the order of arrival."""
        return self._app.requests

    @property
    def before_request(self) -> Callable[[Request], object] | None:
        """Called before each request is answered, never twice at a time."""
        return self._app.before_request

    @before_request.setter
    def before_request(self, hook: Callable[[Request], object] | None) -> None:
        self._app.before_request = hook

    def start(self) -> None:
        """Listen and answer in the background."""
        self._app.stopping.clear()
        self._server = _Server(_HOST, self._port, self._app, _Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_S,), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and drop all connections, also those being answered."""
        if self._server is None or self._thread is None:
            return
        self._app.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.drop_connections()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


class _Server(ThreadedWSGIServer):
    """Knows its open connections, so that it can drop those kept alive."""

    def __init__(
        self, host: str, port: int, app: App, handler: type[WSGIRequestHandler]
    ) -> None:
        self._connections: set[_Accepted] = set()
        super().__init__(host, port, app, handler)

    def process_request(self, request: _Accepted, client_address: _Address) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Accepted) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            if isinstance(connection, socket.socket):
                with contextlib.suppress(OSError):  # the client may have been faster
                    connection.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    """Answers several requests on one connection.

    The handler of werkzeug closes the connection after each response, as it cannot
    know whether the application has read the request to its end. Here it can: a
    request with a body is the last one on its connection.
    """

    protocol_version = "HTTP/1.1"
    # Headers and body are written one after the other; the body shall not wait for
    # the client to acknowledge the headers.
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Send what the application answers."""
        environ = self.make_environ()
        try:
            for chunk in self.server.app(environ, self._start_response):
                if self.command != "HEAD":
                    self.wfile.write(chunk)
        except ConnectionError:
            self.close_connection = True

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], _error: object = None
    ) -> Callable[[bytes], object]:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if self.headers.get("Content-Length") or self.headers.get("Transfer-Encoding"):
            self.send_header("Connection", "close")
        self.end_headers()
        return self.wfile.write

    def log(self, *_: object, **__: object) -> None:
        """Stay quiet."""
