"""Every kind of misbehaviour, and which requests meet it."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import pytest

from tap_betterdata.sandbox.faults import KINDS

from .client import TIMEOUT_S

if TYPE_CHECKING:
    from .client import Client, Record, Run

INVENTORY = "/inventory"


def statuses(client: Client, count: int, **params: object) -> list[int]:
    return [client.get(INVENTORY, **params).status_code for _ in range(count)]


def raw_answer(client: Client) -> bytes:
    """Return all bytes that come until the server ends the connection."""
    address = urlsplit(client.sandbox.url)
    with socket.create_connection(
        (address.hostname, address.port), timeout=TIMEOUT_S
    ) as connection:
        key = client.sandbox.api_key
        request = f"GET /api/inventory HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n"
        connection.sendall(request.encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def test_no_content_leaves_nothing_on_the_wire(client: Client) -> None:
    client.sandbox.faults.add(204)
    address = urlsplit(client.sandbox.url)
    connection = http.client.HTTPConnection(
        str(address.hostname), address.port, timeout=TIMEOUT_S
    )
    headers = {"Authorization": f"Bearer {client.sandbox.api_key}"}
    for expected in (204, 200):
        connection.request("GET", "/api/inventory", headers=headers)
        with connection.getresponse() as response:
            assert response.status == expected
            response.read()
    connection.close()


def test_nth(client: Client) -> None:
    client.sandbox.faults.add("500", nth=3)
    assert statuses(client, 5) == [200, 200, 500, 200, 200]


def test_nth_and_times(client: Client) -> None:
    client.sandbox.faults.add(502, nth=2, times=2)
    assert statuses(client, 5) == [200, 502, 502, 200, 200]


def test_first_and_for_ever(client: Client) -> None:
    client.sandbox.faults.add("503", times=None)
    assert statuses(client, 3) == [503] * 3
    client.sandbox.faults.clear()
    assert statuses(client, 1) == [200]


def test_every(client: Client) -> None:
    client.sandbox.faults.add("500", every=2)
    assert statuses(client, 6) == [200, 500] * 3


def test_every_from_the_nth_so_many_times(client: Client) -> None:
    client.sandbox.faults.add("500", nth=2, every=2, times=2)
    assert statuses(client, 8) == [200, 500, 200, 500, 200, 200, 200, 200]


def test_rate_is_drawn_by_the_seed(run: Run) -> None:
    seen = []
    for seed in (1, 1, 2):
        client = run(f"seed={seed}&items=1")
        client.sandbox.faults.add("500", rate=0.3)
        seen.append(statuses(client, 60))
    assert seen[0] == seen[1] != seen[2]
    assert 5 < seen[0].count(500) < 35


def test_path_and_location(client: Client) -> None:
    client.sandbox.faults.add("500", path="/inventory/analytics")
    client.sandbox.faults.add("503", location="loc_002", nth=2)
    assert statuses(client, 3) == [200] * 3
    assert statuses(client, 3, locationId="loc_001") == [200] * 3
    assert statuses(client, 3, locationId="loc_002") == [200, 503, 200]
    assert client.get("/inventory/analytics").status_code == 500


def test_the_first_of_two_faults_wins_and_both_count(client: Client) -> None:
    client.sandbox.faults.add("500", nth=2)
    client.sandbox.faults.add("502", nth=3)
    assert statuses(client, 4) == [200, 500, 502, 200]


def test_faults_in_the_query(run: Run) -> None:
    client = run("items=5&fault=500@2;408&fault=reset@4x2;502@6x*")
    assert statuses(client, 3) == [408, 500, 200]
    for _ in range(2):
        with pytest.raises(OSError, match="reset"):
            client.get(INVENTORY)
    assert statuses(client, 3) == [502] * 3


@pytest.mark.parametrize(
    "spec", ["boom", "500@0", "500@x", "@3", "500x0", "99", "600", "reset@@1"]
)
def test_bad_faults_in_the_query(run: Run, spec: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        run(f"fault={spec}")


def test_error_rate(run: Run) -> None:
    outcomes = []
    client = run("items=1&error_rate=0.5")
    for _ in range(100):
        try:
            outcomes.append(str(client.get(INVENTORY).status_code))
        except OSError as error:
            outcomes.append("reset" if "reset" in str(error) else "cut")
    assert set(outcomes) == {"200", "500", "502", "503", "reset", "cut"}
    assert 30 < outcomes.count("200") < 70


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("400", "VALIDATION_ERROR"),
        ("401", "INVALID_API_KEY"),
        ("403", "FORBIDDEN"),
        ("404", "NOT_FOUND"),
        ("408", "REQUEST_TIMEOUT"),
        ("425", "TOO_EARLY"),
        ("429", "RATE_LIMIT_EXCEEDED"),
        ("500", "INTERNAL_ERROR"),
        ("503", "SERVICE_UNAVAILABLE"),
        ("599", "UNKNOWN"),
    ],
)
def test_statuses(client: Client, kind: str, code: str) -> None:
    client.sandbox.faults.add(kind)
    assert client.code(INVENTORY) == (int(kind), code)


def test_details_of_statuses(client: Client) -> None:
    faults = client.sandbox.faults
    faults.add("429", times=1)
    faults.add("429", nth=2, retry_after=None)
    faults.add("503", nth=3, retry_after="7", code="DOWN", message="Back soon")
    found = [client.get(INVENTORY) for _ in range(3)]
    assert [answer.headers.get("Retry-After") for answer in found] == ["1", None, "7"]
    assert found[2].json() == {"error": "Back soon", "code": "DOWN", "details": {}}


def test_reset(client: Client) -> None:
    client.sandbox.faults.add("reset")
    with pytest.raises(ConnectionResetError):
        raw_answer(client)
    assert client.sandbox.requests[0].status == 0
    client.read(INVENTORY)


def test_close(client: Client) -> None:
    client.sandbox.faults.add("close")
    assert raw_answer(client) == b""
    assert client.sandbox.requests[0].status == 0


def test_cut(client: Client) -> None:
    client.sandbox.faults.add("cut")
    head, _, body = raw_answer(client).partition(b"\r\n\r\n")
    promised = len(client.get(INVENTORY).content)
    assert f"Content-Length: {promised}\r\n".encode() in head
    assert len(body) == promised // 2
    client.sandbox.faults.add("cut")
    with pytest.raises(OSError, match="IncompleteRead"):
        client.get(INVENTORY)


def test_cut_json(client: Client) -> None:
    whole = client.get(INVENTORY).content
    client.sandbox.faults.add("cut_json")
    response = client.get(INVENTORY)
    assert response.status_code == 200
    assert response.content == whole[: len(whole) // 2]
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(response.content)


@pytest.mark.parametrize(
    ("kind", "body"), [("empty", b""), ("null", b"null"), ("list", b"[]")]
)
def test_other_bodies(client: Client, kind: str, body: bytes) -> None:
    client.sandbox.faults.add(kind)
    response = client.get(INVENTORY)
    assert (response.status_code, response.content) == (200, body)


def test_html(client: Client) -> None:
    client.sandbox.faults.add("html")
    response = client.get(INVENTORY)
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
    assert response.text.startswith("<!doctype html>")


def test_error200(client: Client) -> None:
    client.sandbox.faults.add("error200")
    assert list(client.read(INVENTORY)) == ["error"]


def test_raw(client: Client) -> None:
    client.sandbox.faults.add(
        "raw", body='{"items": [NaN]}', status=203, headers={"X-Odd": "yes"}
    )
    response = client.get(INVENTORY)
    assert (response.status_code, response.text) == (203, '{"items": [NaN]}')
    assert response.headers["X-Odd"] == "yes"


def test_redirect(client: Client) -> None:
    client.sandbox.faults.add("redirect", to="http://127.0.0.1:1/elsewhere")
    response = client.get(INVENTORY)
    assert response.status_code == 302
    assert response.headers["Location"] == "http://127.0.0.1:1/elsewhere"


def test_echo_auth(client: Client) -> None:
    client.sandbox.faults.add("echo_auth")
    client.sandbox.faults.add("echo_auth", nth=2, status=500)
    for status in (400, 500):
        response = client.get(INVENTORY)
        assert response.status_code == status
        assert f"Bearer {client.sandbox.api_key}" in response.json()["error"]


def payloads(client: Client, kind: str) -> list[Record]:
    """Return the three payloads with a fault."""
    client.sandbox.faults.add(kind, times=3, delta=-2, value="12,5")
    return [
        client.read(INVENTORY, limit=10),
        client.read("/inventory/channel-location", locationId="loc_001"),
        client.read("/inventory/analytics", fromDate="2025-01-01", toDate="2025-01-31"),
    ]


def test_no_list(client: Client) -> None:
    inventory, atp, analytics = payloads(client, "no_list")
    assert list(inventory) == ["pagination"]
    assert "products" not in atp
    assert list(analytics) == ["period"]


def test_no_pagination(client: Client) -> None:
    inventory, atp, _ = payloads(client, "no_pagination")
    assert list(inventory) == ["items"]
    assert "pagination" not in atp


def test_no_total(client: Client) -> None:
    for payload in payloads(client, "no_total")[:2]:
        assert list(payload["pagination"]) == ["page", "pageSize", "totalPages"]


def test_total_pages(client: Client) -> None:
    inventory, atp, _ = payloads(client, "total_pages")
    assert inventory["pagination"]["totalPages"] == 13 - 2
    assert atp["pagination"]["totalPages"] == 1 - 2
    client.sandbox.faults.add("total_pages")
    assert client.read(INVENTORY, limit=10)["pagination"]["totalPages"] == 14


def test_string_numbers(client: Client) -> None:
    for payload in payloads(client, "string_numbers")[:2]:
        assert {type(value) for value in payload["pagination"].values()} == {str}
    assert client.read(INVENTORY)["pagination"]["total"] == 130


def test_bad_number(client: Client) -> None:
    inventory, atp, analytics = payloads(client, "bad_number")
    assert inventory["items"][0]["quantityOnHand"] == "12,5"
    assert isinstance(inventory["items"][1]["quantityOnHand"], int)
    assert atp["products"][0]["totalOnHand"] == "12,5"
    assert analytics["analytics"]["totalValue"] == "12,5"
    client.sandbox.faults.add("bad_number", field="unitCost", value=msgspec.Raw(b"NaN"))
    assert b'"unitCost":NaN' in client.get(INVENTORY).content
    # The company itself is as it was.
    assert client.read(INVENTORY)["items"][0] == client.sandbox.company.item(
        "item_0000001"
    )


def test_extra_field(client: Client) -> None:
    inventory, atp, analytics = payloads(client, "extra_field")
    records = [*inventory["items"], *atp["products"], analytics["analytics"]]
    assert {record["shelfColour"] for record in records} == {"12,5"}
    assert "shelfColour" not in client.read(INVENTORY)["items"][0]


def test_stale_page(client: Client) -> None:
    second = client.read(INVENTORY, page=2)
    client.sandbox.faults.add("stale_page", times=2)
    assert client.read(INVENTORY, page=3) == second
    assert client.read(INVENTORY)["pagination"]["page"] == 1
    assert client.read(INVENTORY, page=3) != second


def test_page_size(client: Client) -> None:
    client.sandbox.faults.add("page_size", times=2)
    payload = client.read(INVENTORY, limit=100)
    assert len(payload["items"]) == payload["pagination"]["pageSize"] == 50
    assert len(client.read(INVENTORY)["items"]) == 10
    assert len(client.read(INVENTORY)["items"]) == 20


def test_flaws_do_not_mend_errors(client: Client) -> None:
    client.sandbox.faults.add("extra_field", times=None)
    assert client.code(INVENTORY, page="x") == (400, "VALIDATION_ERROR")
    assert client.code("/nowhere") == (404, "NOT_FOUND")


def test_slow(client: Client) -> None:
    client.sandbox.faults.add("slow", seconds=0.2)
    start = time.monotonic()
    client.read(INVENTORY)
    assert time.monotonic() - start >= 0.2


def test_drip(client: Client) -> None:
    client.read(INVENTORY, limit=1)
    client.sandbox.faults.add("drip", seconds=0.0005)
    address = urlsplit(client.sandbox.url)
    connection = http.client.HTTPConnection(
        str(address.hostname), address.port, timeout=TIMEOUT_S
    )
    start = time.monotonic()
    connection.request(
        "GET",
        "/api/inventory?limit=1",
        headers={"Authorization": f"Bearer {client.sandbox.api_key}"},
    )
    response = connection.getresponse()
    headers_after = time.monotonic() - start
    body = response.read()
    body_after = time.monotonic() - start
    assert body == client.get(INVENTORY, limit=1).content
    assert body_after > len(body) * 0.0005
    # The headers come at once, the body bit by bit.
    assert headers_after < body_after / 2
    connection.close()


@pytest.mark.parametrize("kind", ["slow", "drip"])
def test_stopping_does_not_wait(run: Run, kind: str) -> None:
    threads = threading.active_count()
    client = run("items=10")
    client.sandbox.faults.add(kind, seconds=60)
    address = urlsplit(client.sandbox.url)
    connection = socket.create_connection((address.hostname, address.port))
    key = client.sandbox.api_key
    request = f"GET /api/inventory HTTP/1.1\r\nAuthorization: Bearer {key}\r\n\r\n"
    connection.sendall(request.encode())
    while not client.sandbox.requests:
        time.sleep(0.005)
    client.sandbox.stop()
    # The client is not left waiting either.
    connection.settimeout(1)
    with connection:
        while connection.recv(65536):
            pass
    # The fault would keep its thread for a minute, longer than the client waits.
    ends = time.monotonic() + TIMEOUT_S
    while threading.active_count() > threads and time.monotonic() < ends:
        time.sleep(0.005)
    assert threading.active_count() <= threads


def test_unknown_kinds(client: Client) -> None:
    with pytest.raises(ValueError, match=r"unknown fault 'boom'; known: .*cut_json"):
        client.sandbox.faults.add("boom")


def test_every_kind_can_be_ordered(client: Client) -> None:
    for kind in KINDS:
        client.sandbox.faults.add(kind, nth=10**6)
    client.read(INVENTORY)


def test_a_client_that_goes_away_does_no_harm(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    address = urlsplit(client.sandbox.url)
    client.sandbox.faults.add("slow", seconds=0.05)
    connection = socket.create_connection((address.hostname, address.port))
    connection.sendall(b"GET /api/inventory HTTP/1.1\r\n\r\n")
    time.sleep(0.02)
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()
    time.sleep(0.1)
    client.read(INVENTORY)
    assert capfd.readouterr() == ("", "")
