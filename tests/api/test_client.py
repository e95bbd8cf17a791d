"""Every kind of fault, once and for good: nothing is lost in silence."""

from __future__ import annotations

import socket
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.api.errors import UnavailableError
from tap_betterdata.output.writer import encode_line
from tap_betterdata.sandbox import Sandbox
from tap_betterdata.streams.base import BetterDataStream
from tap_betterdata.streams.inventory import InventoryStream
from tap_betterdata.tap import TapBetterData
from tests.api.serving import CERTIFICATE, Server
from tests.e2e.truth import expected_keys, keys_of
from tests.running import (
    PERIODS,
    InstalledRunner,
    Outcome,
    Runner,
    catalog_of,
    config_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("no_waits")


@pytest.fixture
def waits(no_waits: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Retries wait for longer than a test may take."""
    monkeypatch.setattr(BetterDataStream, "backoff_jitter", lambda *_: 120.0)


ENDPOINTS = {
    "/inventory": "inventory",
    "/inventory/channel-location": "inventory_atp",
    "/inventory/analytics": "inventory_analytics",
}
SHARED = {
    "/inventory": {"inventory"},
    "/inventory/channel-location": {"inventory_atp", "inventory_atp_channels"},
    "/inventory/analytics": {"inventory_analytics", "inventory_analytics_categories"},
}
endpoints = pytest.mark.parametrize("path", ENDPOINTS, ids=ENDPOINTS.get)

GZIP = {"Content-Encoding": "gzip"}


@dataclass(frozen=True)
class Case:
    """A fault, and what is said when it stays.

    Attributes:
        kind: The sandbox's name for it.
        said: Words of the last line.
        more: What the sandbox needs to know besides.
    """

    kind: str
    said: tuple[str, ...]
    more: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The test's id."""
        return "-".join([self.kind, *map(str, self.more.values())][:2])


PASSING = [
    Case("408", ("408", "Request Timeout")),
    Case("425", ("425", "Too Early")),
    Case("500", ("500", "INTERNAL_ERROR")),
    Case("501", ("501", "Not Implemented")),
    Case("502", ("502", "Bad Gateway")),
    Case("503", ("503", "Service Unavailable")),
    Case("504", ("504", "Gateway Timeout")),
    Case("500", ("500", "very odd"), {"message": "very odd"}),
    Case("reset", ("connection",)),
    Case("close", ("connection",)),
    Case("cut", ("connection",)),
    Case("cut_json", ("not complete JSON",)),
    Case("html", ("HTML",)),
    Case("empty", ("an empty body",)),
    Case("null", ("JSON that is not an object",)),
    Case("list", ("JSON that is not an object",)),
    Case("error200", ("an error with status 200", "Something went wrong")),
    Case("no_list", ("answered 200 with no ",)),
    Case("204", ("204", "No Content")),
    Case("206", ("206", "Partial Content")),
    Case("raw", ("connection",), {"body": "not gzip", "headers": GZIP}),
]
LASTING = [
    Case("401", ("401", "INVALID_API_KEY", "check api_key")),
    Case("401", ("set api_key",), {"code": "MISSING_AUTHORIZATION"}),
    Case("401", ("key has expired",), {"code": "EXPIRED_API_KEY"}),
    Case("401", ("key was revoked",), {"code": "REVOKED_API_KEY"}),
    Case("401", ("check api_key",), {"code": "UNAUTHORIZED"}),
    Case("403", ("403", "FORBIDDEN", "inventory.read")),
    Case(
        "403",
        ("give the key the permission inventory.read",),
        {"code": "INSUFFICIENT_SCOPE"},
    ),
    Case("403", ("address",), {"code": "IP_RESTRICTION"}),
    Case("403", ("organization is inactive",), {"code": "INACTIVE_ORGANIZATION"}),
    Case("404", ("404", "NOT_FOUND", "check location_ids and api_url")),
    Case("405", ("405", "Method Not Allowed")),
    Case("409", ("409", "CONFLICT", "try again later")),
    Case("418", ("418",)),
    Case("redirect", ("302", "redirect", "api_url")),
    Case("redirect", ("elsewhere.test",), {"to": "https://elsewhere.test/x"}),
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=230, locations=2) as sandbox:
        yield sandbox


def check_complete(outcome: Outcome, sandbox: Sandbox) -> None:
    """Check that each record of each stream was written exactly once."""
    outcome.check()
    for stream, keys in expected_keys(sandbox.company, PERIODS).items():
        assert keys_of(stream, outcome.records(stream)) == keys, stream
    items = sorted(outcome.records("inventory"), key=lambda row: row["id"])
    assert items == list(sandbox.company.items())


def check_nothing_twice(outcome: Outcome, sandbox: Sandbox) -> set[str]:
    """Check that what was written is true, and return the incomplete streams."""
    incomplete = set()
    for stream, keys in expected_keys(sandbox.company, PERIODS).items():
        written = keys_of(stream, outcome.records(stream))
        assert len(written) == len(set(written)), stream
        assert set(written) <= set(keys), stream
        if written != keys:
            incomplete.add(stream)
    return incomplete


@endpoints
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("case", PASSING, ids=str)
def test_what_passes_costs_a_retry(
    tap: Runner, sandbox: Sandbox, path: str, case: Case, concurrency: int
) -> None:
    fault = sandbox.faults.add(case.kind, nth=2, path=path, **case.more)
    outcome = tap(config_for(sandbox, max_retries=1, concurrency=concurrency))
    check_complete(outcome, sandbox)
    assert fault.fired == 1


@endpoints
@pytest.mark.parametrize("case", PASSING, ids=str)
def test_what_does_not_pass_ends_in_one_line(
    tap: Runner, sandbox: Sandbox, path: str, case: Case
) -> None:
    fault = sandbox.faults.add(case.kind, nth=2, times=None, path=path, **case.more)
    outcome = tap(config_for(sandbox, max_retries=2, concurrency=1))
    line = outcome.failure
    for word in (ENDPOINTS[path], "3 tries", *case.said):
        assert word in line
    assert fault.fired >= 3
    assert check_nothing_twice(outcome, sandbox) >= SHARED[path]


@endpoints
@pytest.mark.parametrize("case", LASTING, ids=str)
def test_what_will_not_pass_is_not_tried_again(
    tap: Runner, sandbox: Sandbox, path: str, case: Case
) -> None:
    fault = sandbox.faults.add(case.kind, path=path, **case.more)
    config = config_for(sandbox, location_ids=["loc_001"], concurrency=1)
    outcome = tap(config)
    line = outcome.failure
    for word in (ENDPOINTS[path], *case.said):
        assert word in line
    assert fault.fired == 1
    assert not outcome.lines("WARNING")
    tried = [request for request in sandbox.requests if request.path == path]
    assert tried[0].params not in [request.params for request in tried[1:]]
    assert check_nothing_twice(outcome, sandbox) >= SHARED[path]


@endpoints
def test_a_request_that_is_wrong_is_not_tried_again(
    tap: Runner, sandbox: Sandbox, path: str
) -> None:
    fault = sandbox.faults.add(400, times=None, path=path)
    outcome = tap(config_for(sandbox, location_ids=["loc_001"], concurrency=1))
    for word in (ENDPOINTS[path], "400", "VALIDATION_ERROR", "check the settings"):
        assert word in outcome.failure
    # Smaller pages, or no order, may be all that it takes, where there are pages.
    assert fault.fired <= 3
    assert check_nothing_twice(outcome, sandbox) >= SHARED[path]


def test_an_inventory_that_cannot_be_read_is_not_read_for_locations_too(
    tap: Runner, sandbox: Sandbox
) -> None:
    fault = sandbox.faults.add(500, times=None, path="/inventory")
    outcome = tap(config_for(sandbox, max_retries=2, concurrency=1))
    assert "3 tries" in outcome.failure
    assert fault.fired == 3


@pytest.mark.parametrize(
    ("kind", "said"), [("slow", "no answer in time"), ("drip", "request_timeout")]
)
@pytest.mark.parametrize("times", [1, None])
def test_slow_answers(
    tap: Runner, sandbox: Sandbox, kind: str, said: str, times: int | None
) -> None:
    seconds = {"slow": 30, "drip": 0.05}[kind]
    sandbox.faults.add(kind, nth=2, times=times, path="/inventory", seconds=seconds)
    config = config_for(sandbox, request_timeout=1, max_retries=1)
    outcome = tap(config)
    if times:
        check_complete(outcome, sandbox)
    else:
        assert said in outcome.failure
        assert "inventory, page " in outcome.failure
        assert "inventory" in check_nothing_twice(outcome, sandbox)


@endpoints
def test_being_limited_is_no_failure(tap: Runner, sandbox: Sandbox, path: str) -> None:
    fault = sandbox.faults.add(429, nth=2, times=4, path=path, retry_after="0.01")
    check_complete(tap(config_for(sandbox, max_retries=0)), sandbox)
    assert fault.fired == 4


def test_the_summary_counts_every_request(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.faults.add(429, nth=2, times=4, retry_after="0.01")
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
    (line,) = (line for line in outcome.lines("INFO") if " rows, " in line)
    assert f"{len(sandbox.requests)} requests (the least possible: 3)" in line
    assert "4 of them retries" in line


@endpoints
def test_being_limited_for_too_long_ends_the_run(
    tap: Runner, sandbox: Sandbox, path: str
) -> None:
    fault = sandbox.faults.add(429, nth=2, times=None, path=path, retry_after="600")
    outcome = tap(config_for(sandbox, rate_limit_max_wait=60, concurrency=1))
    assert ENDPOINTS[path] in outcome.failure
    assert "rate_limit_max_wait" in outcome.failure
    assert fault.fired == 1
    assert check_nothing_twice(outcome, sandbox) >= SHARED[path]


@pytest.mark.parametrize("places", [None, ["loc_001", "loc_002"]])
def test_a_refused_key_ends_the_run_at_once(
    tap: Runner, sandbox: Sandbox, places: list[str] | None
) -> None:
    config = config_for(sandbox, api_key="bdk_live_wrong", location_ids=places)
    line = tap({k: v for k, v in config.items() if v is not None}).failure
    assert "INVALID_API_KEY" in line
    assert "bdk_" in line
    assert "inventory_atp: not begun" in line
    assert len(sandbox.requests) == 1


@pytest.mark.usefixtures("waits")
def test_a_key_that_is_revoked_meanwhile_ends_the_run_at_once(
    tap: Runner, sandbox: Sandbox
) -> None:
    # Of those in flight the first is tried again after a pause; the next one says that
    # it's of no use.
    sandbox.faults.add(503, nth=3, times=1)
    sandbox.faults.add(401, nth=4, times=None, code="REVOKED_API_KEY")
    outcome = tap(config_for(sandbox, max_retries=20, page_size=20, concurrency=4))
    assert "REVOKED_API_KEY" in outcome.failure
    assert len(sandbox.requests) <= 2 + 4


@pytest.mark.parametrize("key", ["expired", "revoked", "badip", "inactive"])
def test_a_key_of_no_use_ends_the_run_at_once(
    tap: Runner, sandbox: Sandbox, key: str
) -> None:
    config = config_for(sandbox, api_key=f"bdk_live_{key}", location_ids=["loc_001"])
    assert "key" in tap(config).failure
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("status", [403, 404])
def test_a_refused_location_costs_no_other(
    tap: Runner, sandbox: Sandbox, status: int
) -> None:
    sandbox.faults.add(status, times=None, location="loc_001")
    config = config_for(sandbox, location_ids=["loc_001", "loc_002"])
    outcome = tap(config)
    line = outcome.failure
    truth = expected_keys(sandbox.company, PERIODS)
    truth["inventory"] = sorted((i["id"],) for i in sandbox.company.items("loc_002"))
    for stream, keys in truth.items():
        here = [key for key in keys if key[0] != "loc_001"]
        assert keys_of(stream, outcome.records(stream)) == here, stream
    for stream in ENDPOINTS.values():
        assert f"{stream}, location loc_001" in line


@pytest.mark.parametrize("path", list(ENDPOINTS)[1:])
def test_a_refused_endpoint_costs_no_other(tap: Runner, path: str) -> None:
    with Sandbox(items=60, locations=5) as sandbox:
        code = "INSUFFICIENT_SCOPE"
        fault = sandbox.faults.add(403, times=None, path=path, code=code)
        outcome = tap(config_for(sandbox, concurrency=1))
        assert ENDPOINTS[path] in outcome.failure
        assert check_nothing_twice(outcome, sandbox) == SHARED[path]
        assert fault.fired <= 2, "one refusal is enough for each stream"


@pytest.mark.parametrize("path", list(ENDPOINTS)[1:])
def test_an_endpoint_that_stays_broken_costs_no_other(
    tap: Runner, sandbox: Sandbox, path: str
) -> None:
    sandbox.faults.add(500, times=None, path=path)
    outcome = tap(config_for(sandbox, max_retries=0))
    assert ENDPOINTS[path] in outcome.failure
    assert check_nothing_twice(outcome, sandbox) == SHARED[path]


def test_everything_that_is_left_out_is_listed(tap: Runner) -> None:
    with Sandbox(items=60, locations=4) as sandbox:
        forbidden = sandbox.company.location_ids[:2]
        for location in forbidden:
            sandbox.faults.add(403, times=None, location=location)
        config = config_for(sandbox, location_ids=sandbox.company.location_ids)
        line = tap(config).failure
    for stream in ENDPOINTS.values():
        for location in forbidden:
            assert f"{stream}, location {location}" in line


def test_what_a_server_says_is_cut(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.faults.add(403, message="very odd " * 1000)
    line = tap(config_for(sandbox, location_ids=["loc_001"])).failure
    assert "very odd very odd" in line
    assert line.count("very odd") < 40


def test_random_errors_lose_nothing(tap: Runner) -> None:
    with Sandbox(items=9000, locations=2, error_rate=0.15, seed=3) as sandbox:
        check_complete(tap(config_for(sandbox)), sandbox)
        assert {0, 500, 502, 503} <= {r.status for r in sandbox.requests}


def test_a_thousand_pages_survive_random_errors(tap: Runner) -> None:
    with Sandbox(items=100_000, locations=5, error_rate=0.05, seed=7) as sandbox:
        outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
        expected = [item["id"] for item in sandbox.company.items()]
    assert sorted(row["id"] for row in outcome.records("inventory")) == expected
    # One in twenty fails, and is asked for again; nothing else is.
    assert 1020 < len(sandbox.requests) < 1100


def test_errors_may_be_objects(tap: Runner) -> None:
    with Sandbox(error_shape="object") as sandbox:
        outcome = tap(config_for(sandbox, api_key="bdk_live_expired"))
    assert "EXPIRED_API_KEY: API key has expired" in outcome.failure


def test_the_pauses_between_tries_grow_to_a_minute(
    tap: Runner, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def note(_: object, pause: float) -> float:
        pauses.append(pause)
        return 0

    # In place of what the SDK adds at random.
    monkeypatch.setattr(BetterDataStream, "backoff_jitter", note)
    sandbox.faults.add(503, path="/inventory", times=8)
    outcome = tap(config_for(sandbox, max_retries=8, concurrency=1))
    check_complete(outcome, sandbox)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_certificate_that_is_not_trusted_is_not_tried_again(tap: Runner) -> None:
    with Server(certificate=CERTIFICATE) as server:
        config = {"api_url": server.url, "api_key": "bdk_1", "max_retries": 1}
        line = tap(config, catalog=catalog_of("inventory")).failure
    assert line.startswith("inventory, page 1: no secure connection to 127.0.0.1:")
    assert "in 1 tries over 0 s. Check api_url and this machine's certif" in line


def test_without_any_answer_nothing_else_is_asked_for(tap: Runner) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    outcome = tap({"api_url": url, "api_key": "bdk_1", "max_retries": 1})
    assert outcome.failure.startswith("inventory, page 1: no connection to 127.0.0.1:")
    assert "inventory_atp: not begun" in outcome.failure


def test_each_retry_says_why(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.faults.add(503, path="/inventory", times=2)
    outcome = tap(config_for(sandbox, concurrency=1))
    check_complete(outcome, sandbox)
    lines = outcome.lines("WARNING")
    assert len(lines) == 2
    assert all(
        line.startswith("inventory, page 1: the API answered 503 SE") for line in lines
    )


def test_each_of_many_retries_names_its_request(tap: Runner, sandbox: Sandbox) -> None:
    for path in ENDPOINTS:
        for location in sandbox.company.location_ids:
            sandbox.faults.add(503, path=path, location=location)
    places = [*sandbox.company.location_ids]
    outcome = tap(config_for(sandbox, location_ids=places))
    check_complete(outcome, sandbox)
    named = {line.split(": the API", 1)[0] for line in outcome.lines("WARNING")}
    assert len(named) == len(ENDPOINTS) * len(places)
    assert {f"inventory_atp, location {place}, page 1" for place in places} <= named


@pytest.mark.parametrize("total", [10**17, 10**18 - 1])
def test_a_total_beyond_all_measure_is_no_hang(
    tap: Runner, sandbox: Sandbox, total: int
) -> None:
    row = max(sandbox.company.items(), key=lambda item: item["updatedAt"])
    numbers = {"page": 1, "limit": 100, "total": total, "totalPages": total}
    body = encode_line({"items": [row], "pagination": numbers})
    sandbox.faults.add("raw", path="/inventory", body=body)
    limits = {"requests_per_minute": 100_000, "requests_per_hour": 1_000_000}
    config = config_for(sandbox, **limits)
    outcome = tap(config, catalog=catalog_of("inventory"))
    keys = expected_keys(sandbox.company, PERIODS)["inventory"]
    assert keys_of("inventory", outcome.records("inventory")) == keys
    assert any("requests to make" in line for line in outcome.lines("INFO"))


def test_requests_are_sent_as_documented(tap: Runner, sandbox: Sandbox) -> None:
    tap(config_for(sandbox, user_agent="stock-keeper/7")).check()
    for request in sandbox.requests:
        assert request.method == "GET"
        assert request.headers["Authorization"] == f"Bearer {sandbox.api_key}"
        assert request.headers["Content-Type"] == "application/json"
        assert request.headers["User-Agent"] == "stock-keeper/7"


def test_pages_differ_in_their_number_alone(tap: Runner, sandbox: Sandbox) -> None:
    locations = sandbox.company.location_ids
    config = config_for(sandbox, page_size=11, location_ids=locations)
    tap(config, catalog=catalog_of("inventory")).check()
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for request in sandbox.requests:
        params = dict(request.params)
        place, order = params["locationId"], params["sortOrder"]
        asked[place, order].append(int(params.pop("page")))
        assert params == {
            "locationId": place,
            "sortBy": "updatedAt",
            "sortOrder": order,
            "limit": "11",
        }
    # The newest rows first; the others from the oldest on, as far as they go.
    for place in locations:
        rows = len(list(sandbox.company.items(place)))
        assert asked.pop((place, "desc")) == [1]
        assert sorted(asked.pop((place, "asc"))) == list(range(1, -(-rows // 11)))
    assert not asked


def test_what_nobody_waits_for_is_not_tried_again(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    # The endpoint is refused while the other location's page is asked for.
    path = "/inventory/channel-location"
    code = "INSUFFICIENT_SCOPE"
    sandbox.faults.add(403, path=path, code=code, location="loc_001", times=None)
    fault = sandbox.faults.add(503, path=path, location="loc_002", times=None)
    config = config_for(sandbox, location_ids=["loc_001", "loc_002"])
    outcome = command(config, catalog=catalog_of("inventory_atp"))
    assert outcome.code == 1
    assert code in outcome.stderr
    assert fault.fired < 9


def test_the_tap_says_its_name_and_version(tap: Runner, sandbox: Sandbox) -> None:
    tap(config_for(sandbox)).check()
    for request in sandbox.requests:
        assert request.headers["User-Agent"].startswith("tap-betterdata/")


def test_a_run_that_is_over_tries_nothing_again(sandbox: Sandbox) -> None:
    tap = TapBetterData(config=config_for(sandbox))
    (inventory,) = (s for s in tap.discover_streams() if isinstance(s, InventoryStream))
    sandbox.faults.add(503, times=None)
    sandbox.before_request = lambda _: tap.run.connection.close()
    with pytest.raises(UnavailableError, match=r"503.*, in 1 tries"):
        inventory.read_page({}, 1, 100)
    assert inventory.retries == 0
