"""Mutated answers, states and catalogs: a run ends well, or with one line.

`FUZZ_SEED` looks elsewhere, `FUZZ_EXAMPLES` looks longer. The seed stands still, so
that a change is refused for what it did, and not for what nobody had come upon yet.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import socketserver
import threading
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import pytest
import requests

from tap_betterdata.compat import override
from tap_betterdata.sandbox import Sandbox
from tests.e2e.truth import KEYS
from tests.running import Outcome, Runner, catalog_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("no_waits")

SEED = int(os.environ.get("FUZZ_SEED") or 1)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 2000)
# For each kind of example, a part of them.
BATCH = 50

# What a run takes at most; an example that needs more would go on for ever.
MAX_REQUESTS = 300
KEY = "sk-live/0123456789+abcdefghij"
IN_BASE64 = base64.b64encode(KEY.encode()).decode()
SECRETS = (KEY.encode(), IN_BASE64.encode())
FORGED = "\n2026-01-01 00:00:00,000 | ERROR    | tap-betterdata | \x1b[2J\x9b1m\u202e"

# Values as JSON writes them, right or wrong.
ODD = [
    *("null", "true", "[]", "{}", "[null]", '{"a": 1}', "[[]]", '""', "0", "-1", "-0"),
    *("1.50", "1e400", "-1e9999999", "1e9999999", "1e-9999999", "NaN", "Infinity"),
    *("1e18", "999999999999999999", "9" * 400, "0." + "3" * 400, "1e99999999999999999"),
    *('"NaN"', '"1e9999999"', '"12"', '" 12 "', '"1_0"', '"٣"', '"0x1"', '"-"'),
    *(r'"\ud800x"', r'"\u0000"', r'"\udfff\ud800"', '"2026-01-01"', '"2026-13-45"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59.999999-14:00"'),
    *('"2026-01-01T00:00:00"', '"2026-01-01T00:00:00+99:99"', '"2026-W01-1"'),
    *('"../../x?y=z#"', '"%00"', '"sorted"', '"FULL_TABLE"', '"INCREMENTAL"'),
    *("[" * n + "]" * n for n in (70, 1500)),
    *(json.dumps(text) for text in (KEY, IN_BASE64, FORGED, "é😀", "x" * 50_000)),
]
NAMES = [
    *("total", "totalPages", "items", "products", "data", "pagination", "error"),
    *("code", "id", "locationId", "updatedAt", "channels", "details", "success"),
    *("bookmarks", "replication_key_value", "checkpoint", "settled", "left", "order"),
    *("streams", "metadata", "breadcrumb", "schema", "type", "selected", "properties"),
    *("", "\ud800", KEY, FORGED, "x" * 5000),
]
HEADERS = {
    "Content-Type": ["text/html", "application/json; charset=utf-16", "\x00", KEY],
    "Content-Encoding": ["gzip", "br", "gzip, gzip", "identity", "\x1b[2J", KEY],
    "Content-Length": ["0", "1", "-1", "999999999999999", "1, 2", "9" * 40, "x"],
    "Transfer-Encoding": ["chunked", "gzip", "x"],
    "Date": ["x", "", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"],
    "Location": ["", "https://me:pw@host.invalid/?x", "//[", "\x1b[2J", "/x", KEY],
    "Retry-After": ["1\x1f", "-1", "0", "1e9", "9" * 400, "0.001", "x", KEY],
    "X-RateLimit-Limit": ["0", "-1", "1", "9" * 400, "x", "\xff", KEY],
    "X-RateLimit-Remaining": ["0", "-1", "9" * 400, "NaN", "1e5", KEY],
    "X-RateLimit-Reset": ["0", "-1", "9" * 14, "9" * 400, "x", KEY, "1.5"],
    "Set-Cookie": ["a=b", "\xff"],
    "X": ["y" * 70_000, "\x1b", "a\r\n b"],
}
STATUSES = [
    *(b"100 C", b"101 S", b"204 N", b"206 P", b"300 M", b"302 F", b"304 N", b"400 B"),
    *(b"401 U", b"403 F", b"404 N", b"405 M", b"408 T", b"409 C", b"410 G", b"418 I"),
    *(b"425 E", b"429 T", b"500 I", b"503 S", b"599 X", b"600 X", b"999 X", b"0 X"),
    *(b"403 " + FORGED[25:].encode(), b"500 " + KEY.encode(), b"200", b"2e2 OK"),
]


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container with each of its keys or indices."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in pairs:
        yield node, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def mutate_json(rng: random.Random, document: Any) -> bytes:
    """Change a few things in a JSON document; what comes out may be no JSON."""
    document = deepcopy(document)
    written: dict[str, str] = {}
    for number in range(rng.choice([1, 1, 1, 2, 4])):
        found = list(places(document))
        if not found:
            break
        # Deep ones are many; those near the top decide.
        part, key = rng.choice(found[: rng.choice([3, 12, len(found)])])
        how = rng.choice(["odd", "odd", "odd", "drop", "name", "double", "swap"])
        if how == "drop":
            del part[key]
        elif how == "name" and isinstance(part, dict):
            part[rng.choice(NAMES)] = part.pop(key)
        elif how == "double" and isinstance(part, list):
            part.append(part[key])
        elif how == "swap":
            other, its_key = rng.choice(found)
            part[key] = deepcopy(other.get(its_key) if isinstance(other, dict) else 7)
        else:
            mark = f"@{number}@"
            written[mark] = rng.choice(ODD)
            part[key] = mark
    text = json.dumps(document)
    for mark, value in written.items():
        text = text.replace(f'"{mark}"', value)
    return text.encode()


def mutate_bytes(rng: random.Random, content: bytes) -> bytes:
    """Change some bytes."""
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(content) + 1)
        cut = rng.choice([0, 1, 1, 9, len(content)])
        new = rng.choice([b"", b"", rng.randbytes(1), b"\x00", b'"', b"}", b"\xff\xfe"])
        content = content[:at] + new + content[at + cut :]
    return content


def answer(
    body: bytes, headers: dict[str, str] | None = None, status: bytes = b"200 OK"
) -> bytes:
    """Write an answer."""
    fields = {"Content-Length": len(body), "Connection": "close", **(headers or {})}
    lines = [f"{name}: {value}".encode("latin-1") for name, value in fields.items()]
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", body])


def mutate_answer(rng: random.Random, good: bytes) -> bytes:
    """Make an odd answer of a right one's body."""
    how = rng.choice(["json", "json", "json", "body", "all", "header", "status"])
    if how == "json":
        return answer(mutate_json(rng, json.loads(good)))
    if how == "body":
        return answer(mutate_bytes(rng, good))
    if how == "all":
        return mutate_bytes(rng, answer(good))
    names = rng.sample(sorted(HEADERS), rng.choice([1, 1, 3]))
    headers = {name: rng.choice(HEADERS[name]) for name in names}
    if how == "header":
        return answer(good, headers)
    said = rng.choice([KEY, IN_BASE64, FORGED, "\ud800", f"{KEY[:9]}\n{KEY[9:]}"])
    errors = [{"error": said}, {"error": {"message": said}}, {"details": said}]
    body = json.dumps(rng.choice([*errors, {"code": "INVALID_API_KEY"}])).encode()
    body = rng.choice([body, body, good, mutate_json(rng, json.loads(body))])
    return answer(body, rng.choice([{}, headers]), rng.choice(STATUSES))


class OddServer(socketserver.ThreadingTCPServer):
    """Answers as the sandbox does, but for some requests.

    Attributes:
        url: Where it listens.
        change: Makes the answer to the request of this number, of the right body.
        asked: How many requests came.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(("127.0.0.1", 0), OddHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.change: Callable[[int, bytes], bytes] = lambda _, body: answer(body)
        self.asked = 0
        self._sandbox = sandbox
        self._bodies: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    def reply(self, path: str) -> bytes:
        """Answer a request; always the same, so that a seed gives the same run."""
        with self._lock:
            self.asked += 1
            if self.asked > MAX_REQUESTS:
                return answer(b"{}", status=b"401 Enough")
            if path not in self._bodies:
                key = {"Authorization": f"Bearer {self._sandbox.api_key}"}
                right = requests.get(self._sandbox.url + path, headers=key, timeout=9)
                self._bodies[path] = right.content
            return self.change(self.asked, self._bodies[path])

    @override
    def __enter__(self) -> Self:
        self._thread.start()
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class OddHandler(socketserver.StreamRequestHandler):
    server: OddServer

    @override
    def handle(self) -> None:
        path = self.rfile.readline().split(b" ")[1].decode()
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.reply(path))


@pytest.fixture(scope="module")
def server() -> Iterator[OddServer]:
    with Sandbox(items=9, locations=2) as sandbox, OddServer(sandbox) as server:
        yield server


@pytest.fixture(scope="module")
def good(server: OddServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A catalog, and the state of a run with it."""
    server.change = lambda _, body: answer(body)
    outcome = run(Runner(tmp_path_factory.mktemp("good")), server).check()
    return {
        "catalog": catalog_of(*KEYS),
        "state": outcome.of("STATE")[-1]["value"],
    }


def run(tap: Runner, server: OddServer, **files: bytes) -> Outcome:
    """Run the tap with these files."""
    server.asked = 0
    files = {"config": config_file(server), **files}
    for name, content in files.items():
        (tap.folder / name).write_bytes(content)
    return tap.start([f"--{name}={tap.folder / name}" for name in files], {})


def config_file(server: OddServer, **settings: object) -> bytes:
    """Write the settings: patience for nothing."""
    config = {
        "api_url": server.url,
        "api_key": KEY,
        "start_date": "2025-01-01",
        "end_date": "2025-01-31",
        "page_size": 5,
        "requests_per_minute": 0,
        "requests_per_hour": 0,
        "rate_limit_max_wait": 0,
        "max_retries": 1,
        "concurrency": 1,
        "request_timeout": 5,
        **settings,
    }
    return json.dumps(config).encode()


def check(outcome: Outcome, server: OddServer) -> None:
    """Check that a run ended well, or with one line, and betrayed nothing."""
    assert server.asked <= MAX_REQUESTS, "it would go on for ever"
    assert outcome.check() if outcome.code == 0 else outcome.failure
    assert outcome.messages is not None, "what was written is JSON"
    for line in outcome.stderr.split("\n"):
        assert line.isprintable()
        assert re.match(r"\d{4}-\d\d-\d\d [\d:,]+ \| [A-Z]+ +\| [^|]+ \| |$", line)
        assert len(line) < 110_000
    for secret in (KEY[:10], IN_BASE64[:10], "me:pw"):
        assert secret not in outcome.stderr


def batches(part: float) -> pytest.MarkDecorator:
    """Cut a part of all examples into batches."""
    count = round(EXAMPLES * part)
    return pytest.mark.parametrize("first", range(0, count, BATCH))


def seeded(kind: str, number: int) -> random.Random:
    """Return the example's own generator, and print what makes it again."""
    print(f"FUZZ_SEED={SEED}: {kind} {number}")  # noqa: T201 - pytest shows the last
    return random.Random(f"{SEED} {kind} {number}")  # noqa: S311 - no secret


@batches(0.6)
def test_answers(tap: Runner, server: OddServer, first: int) -> None:
    for number in range(first, first + BATCH):
        rng = seeded("answers", number)
        start = rng.randrange(1, 9)
        lasts = rng.choice([1, 2, 99])

        def change(
            asked: int,
            body: bytes,
            rng: random.Random = rng,
            odd: range = range(start, start + lasts),
        ) -> bytes:
            return mutate_answer(rng, body) if asked in odd else answer(body)

        server.change = change
        settings = rng.choice([{}, *[{"location_ids": ["loc_001"]}] * 3])
        check(run(tap, server, config=config_file(server, **settings)), server)


@batches(0.2)
@pytest.mark.parametrize("name", ["catalog", "state"])
def test_files(
    tap: Runner, server: OddServer, good: dict[str, Any], name: str, first: int
) -> None:
    server.change = lambda _, body: answer(body)
    for number in range(first, first + BATCH):
        rng = seeded(name, number)
        content = mutate_json(rng, good[name])
        # A key that was changed here is no longer the one that must not be shown.
        if rng.random() < 0.2 and not any(key in content for key in SECRETS):
            content = mutate_bytes(rng, content)
        check(run(tap, server, **{name: content}), server)
