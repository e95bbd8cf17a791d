"""The bytes of an answer: no more of them, and no longer, than an answer may have."""

from __future__ import annotations

import http.client
import io
import time
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from tap_betterdata.api.errors import TooLargeError
from tap_betterdata.api.redaction import quote
from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Iterator

# What an answer may have at most, both as it is sent and unpacked.
MAX_MIB = 64
_PIECE = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS


def _respond(sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:
    """Make a response that heeds the bounds whenever it reads.

    No other place sees all of its bytes. A socket's time-out bounds the wait for the
    next byte only, and in headers, trailers and odd chunks http.client reads on for as
    long as bytes come.
    """
    response = http.client.HTTPResponse(sock, *args, **kwargs)
    # urllib3 has set what `total` leaves.
    ends = time.monotonic() + sock.gettimeout()
    room = MAX_MIB << 20

    def readinto(buffer: memoryview) -> int:
        nonlocal room
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        size: int = sock.recv_into(buffer)
        room -= size
        if room < 0:
            msg = f"the answer has more than {MAX_MIB} MiB"
            raise TooLargeError(msg)
        return size

    # In place of its own; the buffer above it looks it up by name.
    raw: Any = response.fp.raw
    raw.readinto = readinto
    return response


def _connect(connection_class: Any, *args: Any, **kwargs: Any) -> Any:
    connection = connection_class(*args, **kwargs)
    connection.response_class = _respond
    return connection


class BoundedAdapter(HTTPAdapter):
    """Opens connections of the usual kinds, but with bounds to their answers."""

    @override
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pool that a request's connection comes from."""
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        pool.ConnectionCls = partial(_connect, type(pool).ConnectionCls)
        return pool


def read_body(response: requests.Response, ends: float) -> io.BytesIO:
    """Read and unpack a body; over an odd one, the libraries raise anything."""
    pieces = iter(partial(response.raw.read, _PIECE, decode_content=False), b"")
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding == "gzip":
        pieces = _unpack(pieces)
    elif encoding not in {"", "identity"}:
        msg = f"the answer's Content-Encoding is {quote(encoding)}, not gzip"
        raise requests.ConnectionError(msg)
    body = io.BytesIO()
    for piece in pieces:
        if time.monotonic() >= ends:
            raise TimeoutError
        if body.tell() + len(piece) > MAX_MIB << 20:
            msg = f"the answer has more than {MAX_MIB} MiB unpacked"
            raise TooLargeError(msg)
        body.write(piece)
    body.seek(0)
    return body


def _unpack(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip in parts, since a piece may become a thousand times as much.

    That it ends too soon isn't found here: then it is no whole JSON either.
    """
    member = zlib.decompressobj(_GZIP)
    for piece in pieces:
        packed = piece
        while packed:
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            yield member.decompress(packed, _PIECE)
            packed = member.unconsumed_tail or member.unused_data
