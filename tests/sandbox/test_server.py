"""Starting, stopping, recording, options, and the command."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import requests

from tap_betterdata.sandbox import Request, Sandbox
from tap_betterdata.sandbox.options import Options

from .client import TIMEOUT_S

if TYPE_CHECKING:
    from .client import Client, Run


def test_context_manager() -> None:
    with Sandbox(items=3) as sandbox:
        url = sandbox.url
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/api")
        key = {"Authorization": f"Bearer {sandbox.api_key}"}
        answer = requests.get(f"{url}/inventory", headers=key, timeout=TIMEOUT_S)
        assert answer.json()["pagination"]["total"] == 3
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=TIMEOUT_S)
    with pytest.raises(RuntimeError):
        _ = sandbox.url


def test_stop_drops_idle_connections(run: Run) -> None:
    client = run("items=3")
    client.read("/inventory")
    url = client.sandbox.url
    client.sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        client.session.get(f"{url}/inventory", timeout=TIMEOUT_S)
    client.sandbox.stop()  # A second time does no harm.


def test_start_again(run: Run) -> None:
    client = run("items=3")
    client.sandbox.company.insert()
    client.sandbox.stop()
    client.sandbox.start()
    assert client.read("/inventory")["pagination"]["total"] == 4


def test_requests_are_recorded(client: Client) -> None:
    start = time.monotonic()
    client.session.headers["X-Trace"] = "abc"
    client.get("/inventory", page=2, locationId="loc_001")
    client.get("/nowhere")
    first, second = client.sandbox.requests
    assert (first.number, second.number) == (1, 2)
    assert (first.path, second.path) == ("/inventory", "/nowhere")
    assert (first.status, second.status) == (200, 404)
    assert first.params == {"page": "2", "locationId": "loc_001"}
    assert first.headers["X-Trace"] == "abc"
    assert first.headers["User-Agent"].startswith("python-requests")
    assert start <= first.time <= second.time <= time.monotonic()


def test_counts_for_other_processes(client: Client) -> None:
    client.get("/inventory")
    client.get("/inventory", page="x")
    client.get("/inventory/analytics")
    url = client.sandbox.url.removesuffix("/api") + "/_sandbox/requests"
    for _ in range(2):
        assert requests.get(url, timeout=TIMEOUT_S).json() == {
            "total": 3,
            "paths": {
                "/inventory": {"200": 1, "400": 1},
                "/inventory/analytics": {"400": 1},
            },
        }


def test_before_request_can_change_the_data(client: Client) -> None:
    def hook(request: Request) -> None:
        if request.number == 2:
            client.sandbox.company.delete("item_0000001")
            client.sandbox.faults.add("500", nth=2)

    client.sandbox.before_request = hook
    first = client.read("/inventory", page=1)["items"]
    second = client.read("/inventory", page=2)
    assert second["pagination"]["total"] == 129
    assert first[-1]["id"] == "item_0000020"
    assert second["items"][0]["id"] == "item_0000022"
    assert client.get("/inventory").status_code == 500


def test_before_request_never_runs_twice_at_a_time(client: Client) -> None:
    inside = threading.Semaphore()

    def hook(_request: Request) -> None:
        assert inside.acquire(blocking=False)
        time.sleep(0.005)
        inside.release()

    client.sandbox.before_request = hook
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/inventory"), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    numbers = [request.number for request in client.sandbox.requests]
    assert numbers == list(range(1, 25))


def test_connections_are_kept_alive(client: Client) -> None:
    address = urlsplit(client.sandbox.url)
    key = client.sandbox.api_key
    request = f"GET /api/inventory HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.settimeout(TIMEOUT_S)
        for _ in range(20):
            connection.sendall(request.encode())
            received = b""
            while not received.endswith(b"}}"):
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 OK\r\n")


def test_head_leaves_the_connection_usable(client: Client) -> None:
    address = urlsplit(client.sandbox.url)
    connection = http.client.HTTPConnection(
        str(address.hostname), address.port, timeout=TIMEOUT_S
    )
    key = {"Authorization": f"Bearer {client.sandbox.api_key}"}
    for method, status in (("HEAD", 405), ("GET", 200)):
        connection.request(method, "/api/inventory", headers=key)
        response = connection.getresponse()
        assert response.status == status
        response.read()
    connection.close()


def test_latency(run: Run) -> None:
    client = run("items=3&latency_ms=80")
    start = time.monotonic()
    client.read("/inventory")
    assert time.monotonic() - start >= 0.08


def test_requests_wait_side_by_side(run: Run) -> None:
    client = run("items=3&latency_ms=60000")
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(client.get, "/inventory") for _ in range(5)]
        # One after the other, the second would come a minute later.
        while len(client.sandbox.requests) < 5:
            assert not any(answer.done() for answer in answers)
            time.sleep(0.005)
        client.sandbox.stop()
    assert all(answer.exception() for answer in answers)


def test_query_is_read(run: Run) -> None:
    client = run("items=7&locations=2&rate_headers=0&latency_ms=0.5&api_key=k")
    options = client.sandbox.options
    assert (options.items, options.locations, options.rate_headers) == (7, 2, False)
    assert (options.latency_ms, options.api_key) == (0.5, "k")
    assert client.sandbox.company.total == 7


def test_defaults() -> None:
    sandbox = Sandbox()
    assert sandbox.options == Options() == Sandbox.from_query("").options
    assert sandbox.company.total == 500
    assert len(sandbox.company.location_ids) == 4


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("itmes=5", "unknown sandbox option 'itmes'; known options: items, loc"),
        ("port=5", "unknown sandbox option 'port'"),
        ("items=many", r"malformed sandbox option: .*items.*; known options: items"),
        ("items=-1", r"malformed sandbox option: .*items"),
        ("locations=0", r"malformed sandbox option: .*locations"),
        ("sort=maybe", r"malformed sandbox option: .*sort"),
        ("error_rate=1.5", r"malformed sandbox option: .*error_rate"),
        ("window_s=0", r"malformed sandbox option: .*window_s"),
        ("rate_headers=maybe", r"malformed sandbox option: .*rate_headers"),
        ("items=1&items=2", "'items' is given twice"),
        ("items", "malformed sandbox query 'items'"),
        ("items=9&products_per_location=3", "products_per_location needs items >= 12"),
    ],
)
def test_bad_queries(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Sandbox.from_query(query)
    assert "\n" not in str(caught.value)


def test_bad_choices() -> None:
    with pytest.raises(ValueError, match="unknown sandbox option 'colour'"):
        Sandbox(colour="blue")
    with pytest.raises(ValueError, match="items"):
        Sandbox(items=[1])


def _command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "tap_betterdata.sandbox", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command(number: signal.Signals) -> None:
    with _command("--port", "0", "--query", "items=42&api_key=k") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url, key = (part.split("=", 1)[1] for part in line.split())
        answer = requests.get(
            f"{url}/inventory",
            headers={"Authorization": f"Bearer {key}"},
            timeout=TIMEOUT_S,
        )
        assert answer.json()["pagination"]["total"] == 42
        process.send_signal(number)
        rest, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_command_with_a_bad_query() -> None:
    with _command("--query", "itmes=42") as process:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 2
    assert "unknown sandbox option 'itmes'" in errors
    assert "Traceback" not in errors
