"""The tap as a user meets it: the installed command, its settings, its requests."""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tap_betterdata.streams import STREAMS
from tap_betterdata.streams.paged import MOST_TAKEN
from tests.e2e.truth import ALL_KEYS, KEYS, expected_keys, keys_of
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

SETTINGS = {
    "api_key",
    "api_url",
    "location_ids",
    "start_date",
    "end_date",
    "analytics_granularity",
    "page_size",
    "request_timeout",
    "user_agent",
    "requests_per_minute",
    "requests_per_hour",
    "rate_limit_max_wait",
    "max_retries",
    "concurrency",
    "lookback_minutes",
    "analytics_lookback_periods",
    "max_extra_requests",
    "on_inexact",
    "emit_activate_version_messages",
}
INVENTORY, ATP, ANALYTICS = (
    "/inventory",
    "/inventory/channel-location",
    "/inventory/analytics",
)
# Nobody answers there: whoever asks all the same is found out.
NOWHERE = "http://127.0.0.1:9/api"
OFFLINE = {
    "HTTPS_PROXY": NOWHERE,
    "HTTP_PROXY": NOWHERE,
    "TAP_BETTERDATA_API_URL": NOWHERE,
}
KEY = "key-THAT-nobody-may-see-4711"


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=120, locations=2, api_key=KEY) as sandbox:
        yield sandbox


def asked(sandbox: Sandbox) -> dict[str, int]:
    """Count the requests for each endpoint."""
    return Counter(request.path for request in sandbox.requests)


# Without a config


def test_discover_needs_nothing(command: InstalledRunner) -> None:
    outcome = command(None, "--discover", **OFFLINE).check()
    assert not outcome.lines("WARNING")
    streams = json.loads(outcome.stdout)["streams"]
    assert {stream["tap_stream_id"] for stream in streams} == ALL_KEYS.keys()
    for stream in streams:
        name = stream["tap_stream_id"]
        assert tuple(stream["key_properties"]) == ALL_KEYS[name]
        (top,) = (m["metadata"] for m in stream["metadata"] if not m["breadcrumb"])
        assert top["selected"] is top["selected-by-default"] is (name in KEYS)


def test_about_needs_nothing(command: InstalledRunner) -> None:
    outcome = command(None, "--about", **OFFLINE).check()
    assert "tap-betterdata" in outcome.stdout
    assert all(name in outcome.stdout for name in SETTINGS)


def test_every_setting_is_described(command: InstalledRunner) -> None:
    outcome = command(None, "--about", "--format=json", **OFFLINE).check()
    about = json.loads(outcome.stdout)
    assert about["name"] == "tap-betterdata"
    settings = about["settings"]["properties"]
    assert settings.keys() >= SETTINGS
    for name in SETTINGS:
        assert settings[name]["title"]
        assert settings[name]["description"]
    assert settings["api_key"]["secret"]
    assert {"catalog", "discover", "state", "batch"} <= set(about["capabilities"])


def test_version(command: InstalledRunner) -> None:
    outcome = command(None, "--version").check()
    assert outcome.stdout.startswith("tap-betterdata v0.")


# The key


def test_test_says_that_the_key_works(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    outcome = command(config_for(sandbox), "--test").check()
    assert "The key works" in outcome.stdout + outcome.stderr
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("bdk_live_wrong", "check api_key"),
        ("bdk_live_expired", "expired"),
        ("bdk_live_noscope", "give the key the permission inventory.read"),
    ],
)
def test_test_says_that_the_key_does_not_work(
    command: InstalledRunner, sandbox: Sandbox, key: str, said: str
) -> None:
    outcome = command(config_for(sandbox, api_key=key), "--test")
    assert said in outcome.failure
    assert len(sandbox.requests) == 1


NO_PROXY = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), "")


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were looked up: there is no network, and none is found."""
    hosts: list[str] = []

    def look_up(host: str, *_: object, **__: object) -> None:
        hosts.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return hosts


@pytest.mark.usefixtures("looked_up")
def test_a_run_without_a_network_says_what_it_can_not_find(tap: Runner) -> None:
    outcome = tap({"api_key": KEY, "max_retries": 0}, **NO_PROXY)
    said = "inventory, page 1: can't find app.betterdata.co, in 1 tries"
    assert said in outcome.failure
    assert not outcome.of("SCHEMA")


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "inventory, page 1: can't find app.betterdata.co, in 2 tries"),
        ({"https_proxy": "http://me:s3cret@proxy"}, "page 1: can't find the proxy, in"),
    ],
)
def test_without_a_network_it_is_tried_twice_at_most(
    tap: Runner, looked_up: list[str], env: dict[str, str], said: str
) -> None:
    outcome = tap({"api_key": KEY}, "--test", **{**NO_PROXY, **env})
    assert said in outcome.failure
    assert len(looked_up) == 2
    (line,) = outcome.lines("WARNING")
    assert line.endswith("(retry 1 of 1).")
    assert "Error" not in outcome.stderr
    assert "s3cret" not in outcome.stderr


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (8, 2)])
@pytest.mark.usefixtures("no_waits")
def test_what_fails_is_tried_twice_at_most(
    tap: Runner, sandbox: Sandbox, retries: int, requests: int
) -> None:
    sandbox.faults.add(503, times=None)
    outcome = tap(config_for(sandbox, max_retries=retries), "--test")
    assert "503" in outcome.failure
    assert len(sandbox.requests) == requests


def test_the_schemas_can_be_tested(command: InstalledRunner, sandbox: Sandbox) -> None:
    outcome = command(config_for(sandbox), "--test=schema").check()
    assert {message["stream"] for message in outcome.of("SCHEMA")} == KEYS.keys()
    assert not sandbox.requests


# Where settings come from


def check_settings(outcome: Outcome, sandbox: Sandbox) -> None:
    """Check that all the settings of the next two tests were heeded."""
    outcome.check()
    assert {row["locationId"] for row in outcome.records("inventory_atp")} == {
        "loc_002"
    }
    starts = [row["periodFrom"] for row in outcome.records("inventory_analytics")]
    assert starts == ["2025-01-01", "2025-01-06"]
    assert sandbox.requests[0].params["limit"] == "50"
    assert sandbox.requests[0].headers["User-Agent"] == "keeper"


def variables(sandbox: Sandbox) -> dict[str, str]:
    return {
        "TAP_BETTERDATA_API_KEY": sandbox.api_key,
        "TAP_BETTERDATA_API_URL": sandbox.url,
        "TAP_BETTERDATA_LOCATION_IDS": '["loc_002"]',
        "TAP_BETTERDATA_START_DATE": "2025-01-01",
        "TAP_BETTERDATA_END_DATE": "2025-01-12",
        "TAP_BETTERDATA_ANALYTICS_GRANULARITY": "week",
        "TAP_BETTERDATA_PAGE_SIZE": "50",
        "TAP_BETTERDATA_USER_AGENT": "keeper",
    }


def test_settings_come_from_a_file(command: InstalledRunner, sandbox: Sandbox) -> None:
    settings: dict[str, Any] = {
        name.removeprefix("TAP_BETTERDATA_").lower(): value
        for name, value in variables(sandbox).items()
    }
    settings |= {"location_ids": ["loc_002"], "page_size": 50}
    check_settings(command(settings), sandbox)


def test_settings_come_from_variables(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    outcome = command(None, "--config=ENV", **variables(sandbox))
    check_settings(outcome, sandbox)


def test_settings_come_from_a_dotenv_file(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    lines = (f"{name}='{value}'\n" for name, value in variables(sandbox).items())
    (command.folder / ".env").write_text("".join(lines), encoding="utf-8")
    check_settings(command(None, "--config=ENV"), sandbox)


def test_the_sandbox_comes_with_the_tap(command: InstalledRunner) -> None:
    config = {"api_url": "sandbox:?items=7&locations=1", "end_date": "2025-01-31"}
    outcome = command({**config, "start_date": "2025-01-01"}).check()
    assert len(outcome.records("inventory")) == 7


# Bad input


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"analytics_granularity": "hour"}, ["analytics_granularity", "hour", "month"]),
        (
            {"start_date": "2025-02-02", "end_date": "2025-02-01"},
            ["start_date 2025-02-02", "end_date 2025-02-01"],
        ),
        ({"start_date": "2025-02-30"}, ["start_date", "2025-02-30"]),
        ({"end_date": "tomorrow"}, ["end_date", "tomorrow"]),
        ({"page_size": 0}, ["page_size"]),
        ({"page_size": "many"}, ["page_size", "many"]),
        ({"location_ids": "loc_001"}, ["location_ids"]),
        ({"max_retries": -1}, ["max_retries"]),
        ({"api_url": "http://example.com/api"}, ["api_url", "https"]),
        ({"api_url": "http://127.0.0.1.example.com"}, ["api_url", "https"]),
        ({"api_url": "http://localhost.example.com"}, ["api_url", "https"]),
        ({"api_url": "http://user@example.com"}, ["api_url", "https"]),
        ({"api_url": "ftp://example.com/api"}, ["api_url", "https"]),
        ({"api_url": "example.com"}, ["api_url", "https"]),
        ({"api_url": "https://"}, ["api_url", "https"]),
        ({"api_url": "https://[::1"}, ["api_url", "https"]),
        ({"api_url": "sandbox:?itmes=3"}, ["itmes", "items"]),
        ({"api_url": NOWHERE}, ["connection", "api_url"]),
        ({"api_key": ""}, ["api_key"]),
        ({"api_key": None}, ["api_key"]),
        ({"api_key": f"{KEY}\n"}, ["api_key"]),
        ({"api_key": "ключ"}, ["api_key"]),
        ({"start_date": "2025-01-01garbage"}, ["2025-01-01garbage"]),
        ({"end_date": "2025-01-011"}, ["2025-01-011"]),
        ({"user_agent": "сборщик"}, ["сборщик"]),
        ({"user_agent": "a\nb"}, ["user_agent"]),
        ({"location_ids": [None]}, ["location_ids"]),
    ],
)
def test_bad_settings_end_in_one_line(
    tap: Runner, settings: dict[str, Any], words: list[str]
) -> None:
    outcome = tap({"api_key": KEY, "api_url": NOWHERE, "max_retries": 0, **settings})
    line = outcome.failure
    assert all(word in line for word in words), line
    assert KEY not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("key", [4711471147114711, [KEY], {"key": KEY}, True, 47.11])
def test_a_key_of_the_wrong_type_is_not_shown(tap: Runner, key: object) -> None:
    outcome = tap({"api_key": key})
    assert "api_key" in outcome.failure
    assert "4711" not in outcome.stdout + outcome.stderr
    assert "47.11" not in outcome.stdout + outcome.stderr


def test_a_missing_key_is_said(command: InstalledRunner) -> None:
    assert "api_key" in command({}).failure
    assert "api_key" in command(None).failure


@pytest.mark.parametrize("content", ['{"api_key"', "api_key: x", "", '["x"]', "3"])
def test_a_config_file_that_holds_no_object(
    command: InstalledRunner, content: str
) -> None:
    (command.folder / "mine.json").write_text(content, encoding="utf-8")
    line = command(None, "--config=mine.json").failure
    assert "mine.json" in line
    assert "JSON" in line


def test_a_config_file_that_is_not_there(command: InstalledRunner) -> None:
    assert "mine.json" in command(None, "--config=mine.json").failure


@pytest.mark.parametrize("option", ["catalog", "state"])
def test_other_files_that_hold_no_json(command: InstalledRunner, option: str) -> None:
    (command.folder / "mine.json").write_text('{"bookmarks', encoding="utf-8")
    line = command({"api_key": KEY}, f"--{option}=mine.json").failure
    assert "JSON" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAGE_SIZE", "many"),
        ("MAX_RETRIES", "2.5"),
        ("LOCATION_IDS", "[1]"),
        ("LOCATION_IDS", '["loc_001"'),
        ("EMIT_ACTIVATE_VERSION_MESSAGES", "maybe"),
        ("STREAM_MAPS", "{'x'}"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(
    command: InstalledRunner, name: str, value: str
) -> None:
    env = {"TAP_BETTERDATA_API_KEY": KEY, f"TAP_BETTERDATA_{name}": value}
    outcome = command(None, "--config=ENV", **env)
    assert name.lower() in outcome.failure.lower()


@pytest.mark.parametrize("value", ['["loc_001", "loc_002"]', "loc_001, loc_002,"])
def test_locations_come_from_a_variable(
    command: InstalledRunner, sandbox: Sandbox, value: str
) -> None:
    env = {
        f"TAP_BETTERDATA_{name.upper()}": str(setting)
        for name, setting in config_for(sandbox).items()
    }
    outcome = command(
        None, "--config=ENV", **{**env, "TAP_BETTERDATA_LOCATION_IDS": value}
    )
    assert not outcome.check().lines("WARNING")
    assert {r.params["locationId"] for r in sandbox.requests} == {"loc_001", "loc_002"}


def test_settings_that_are_null_are_not_set(tap: Runner, sandbox: Sandbox) -> None:
    names = SETTINGS - {"api_key", "api_url", "start_date", "end_date"}
    config = {**config_for(sandbox), **dict.fromkeys(names)}
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    assert len(outcome.records("inventory")) == 120


def test_that_nothing_is_selected_is_said(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox), catalog=catalog_of()).check()
    assert any("No stream is selected" in line for line in outcome.lines("WARNING"))


def test_the_key_of_one_location_is_tested_there(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, location_ids=["loc_002"])
    outcome = command(config, "--test").check()
    assert "in location loc_002" in outcome.stdout
    assert sandbox.requests[0].params["locationId"] == "loc_002"


def test_a_wrong_key(command: InstalledRunner, sandbox: Sandbox) -> None:
    outcome = command(config_for(sandbox, api_key=f"{KEY}-wrong"))
    assert "INVALID_API_KEY" in outcome.failure
    assert "Admin > Integrations > API Keys" in outcome.failure
    assert KEY not in outcome.stdout + outcome.stderr


def test_a_missing_permission(command: InstalledRunner, sandbox: Sandbox) -> None:
    outcome = command(config_for(sandbox, api_key="bdk_live_noscope"))
    assert "INSUFFICIENT_SCOPE" in outcome.failure
    assert "give the key the permission inventory.read" in outcome.failure


def test_an_unknown_location_among_good_ones(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    locations = ["loc_001", "loc_999", "loc_002"]
    outcome = command(config_for(sandbox, location_ids=locations))
    for stream in ("inventory", "inventory_analytics", "inventory_atp"):
        assert f"{stream}, location loc_999" in outcome.failure
    for stream, keys in expected_keys(sandbox.company, PERIODS).items():
        assert keys_of(stream, outcome.records(stream)) == keys, stream


# Secrets


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("echo_auth", {"status": 400}),
    ("echo_auth", {"status": 401}),
    ("echo_auth", {"status": 403}),
    ("echo_auth", {"status": 500}),
    ("raw", {"body": json.dumps({"error": f"Down for Bearer {KEY}"})}),
    ("raw", {"body": json.dumps({"error": f"no {KEY}, sorry"}), "status": 502}),
    ("raw", {"body": json.dumps({"items": f"{KEY}"})}),
    ("raw", {"body": json.dumps({"items": [], "pagination": {"total": KEY}})}),
    ("raw", {"body": KEY, "status": 500}),
    ("raw", {"body": KEY}),
    ("redirect", {"to": f"https://elsewhere.test/?key={KEY}"}),
    ("redirect", {"to": f"https://{KEY}.elsewhere.test/"}),
    *((kind, {}) for kind in ("reset", "close", "cut", "cut_json", "html", "empty")),
    *((kind, {}) for kind in ("null", "list", "error200", "no_list", "bad_number")),
    *((str(status), {}) for status in (400, 401, 403, 404, 408, 409, 425, 500, 503)),
]


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize(
    ("kind", "more"), FAULTS, ids=[f"{n}-{fault[0]}" for n, fault in enumerate(FAULTS)]
)
def test_the_key_is_in_no_output(
    tap: Runner, sandbox: Sandbox, kind: str, more: dict[str, Any]
) -> None:
    sandbox.faults.add(kind, times=None, **more)
    outcome = tap(config_for(sandbox, max_retries=1))
    assert KEY not in outcome.stdout + outcome.stderr


@pytest.mark.parametrize(
    "kind", ["echo_auth", "reset", "401", "cut_json", "bad_number"]
)
def test_the_key_is_in_no_output_with_debugging_on(
    command: InstalledRunner, sandbox: Sandbox, kind: str
) -> None:
    sandbox.faults.add(kind, nth=2, times=None)
    env = {"TAP_BETTERDATA_LOGLEVEL": "DEBUG"}
    outcome = command(config_for(sandbox, max_retries=0), **env)
    assert outcome.code == 1
    assert outcome.lines("DEBUG")
    assert KEY not in outcome.stdout + outcome.stderr


def test_the_key_is_in_no_output_when_all_is_well(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    env = {"TAP_BETTERDATA_LOGLEVEL": "DEBUG", **variables(sandbox)}
    outcome = command(None, "--config=ENV", **env)
    check_settings(outcome, sandbox)
    assert KEY not in outcome.stdout + outcome.stderr


def test_another_version_of_the_api_works_throughout(
    tap: Runner, sandbox: Sandbox
) -> None:
    paths: list[str] = []

    def serve(request: Any) -> None:
        paths.append(request.path)
        request.path = request.path.removeprefix("/v2")

    sandbox.before_request = serve
    declared = {
        "name": "adjustments",
        "path": "/inventory/adjustments",
        "records_key": "entries",
        "key_fields": ["id"],
        "paging": "offset",
    }
    config = config_for(sandbox, api_url=f"{sandbox.url}/v2", extra_streams=[declared])
    catalog = catalog_of(*ALL_KEYS)
    # What is declared is not in that catalog, which then selects all but it.
    outcome = tap(config, catalog=catalog).check()
    assert {m["stream"] for m in outcome.of("RECORD")} == ALL_KEYS.keys()
    outcome = tap(config).check()
    assert outcome.records("adjustments")
    assert "The key works" in tap(config, "--test").check().stdout
    assert all(path.startswith("/v2/") for path in paths)
    asked = {declared["path"], *(stream.path for stream in STREAMS)}
    assert set(paths) == {f"/v2{path}" for path in asked}


# What it costs


def test_a_hundred_thousand_items_cost_a_thousand_requests(
    command: InstalledRunner,
) -> None:
    with Sandbox(items=100_000, locations=3) as sandbox:
        config = config_for(sandbox)
        outcome = command(config, catalog=catalog_of("inventory")).check()
        # The page behind a last one that is full shows that it is the last.
        assert asked(sandbox) == {INVENTORY: 1001}
        ids = sorted(row["id"] for row in outcome.records("inventory"))
        assert ids == [f"item_{number:07}" for number in range(1, 100_001)]


def test_both_streams_of_an_endpoint_cost_one(tap: Runner) -> None:
    with Sandbox(items=1000, locations=5, products_per_location=200) as sandbox:
        locations = sandbox.company.location_ids
        config = config_for(sandbox, location_ids=locations)
        streams = ("inventory_atp", "inventory_atp_channels")
        outcome = tap(config, catalog=catalog_of(*streams)).check()
        assert asked(sandbox) == {ATP: 5}
        keys = expected_keys(sandbox.company, [])
        for stream in streams:
            assert keys_of(stream, outcome.records(stream)) == keys[stream]
        assert len(keys["inventory_atp"]) == 1000


@pytest.mark.parametrize(
    ("stream", "cost"),
    [
        ("inventory_atp", {ATP: 2}),
        ("inventory_atp_channels", {ATP: 2}),
        ("inventory_analytics", {ANALYTICS: 4}),
        ("inventory_analytics_categories", {ANALYTICS: 4}),
    ],
)
def test_a_stream_that_is_not_selected_costs_nothing(
    tap: Runner, sandbox: Sandbox, stream: str, cost: dict[str, int]
) -> None:
    config = config_for(sandbox, location_ids=["loc_001", "loc_002"])
    outcome = tap(config, catalog=catalog_of(stream)).check()
    assert asked(sandbox) == cost
    assert {message["stream"] for message in outcome.of("RECORD")} == {stream}


def test_analytics_streams_share_their_requests(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, location_ids=["loc_001", "loc_002"])
    streams = ("inventory_analytics", "inventory_analytics_categories")
    tap(config, catalog=catalog_of(*streams)).check()
    assert asked(sandbox) == {ANALYTICS: 4}


@pytest.mark.parametrize(
    ("items", "requests"),
    [(0, 1), (1, 1), (99, 1), (100, 1), (101, 2), (199, 2), (200, 3)],
)
def test_no_request_is_needless(tap: Runner, items: int, requests: int) -> None:
    with Sandbox(items=items, locations=1) as sandbox:
        config = config_for(sandbox)
        outcome = tap(config, catalog=catalog_of("inventory")).check()
        assert asked(sandbox) == {INVENTORY: requests}
        assert len(outcome.records("inventory")) == items


@pytest.mark.parametrize(
    ("products", "requests"), [(1, 1), (199, 1), (200, 1), (201, 2), (399, 2), (400, 3)]
)
def test_no_request_for_products_is_needless(
    tap: Runner, products: int, requests: int
) -> None:
    options = {"items": products, "products_per_location": products}
    with Sandbox(locations=1, **options) as sandbox:
        config = config_for(sandbox, location_ids=["loc_001"])
        outcome = tap(config, catalog=catalog_of("inventory_atp")).check()
        assert asked(sandbox) == {ATP: requests}
        assert len(outcome.records("inventory_atp")) == products


@pytest.mark.parametrize(
    ("stream", "products"), [("inventory", 250), ("inventory_atp", 450)]
)
def test_small_lists_are_read_beside_each_other(
    tap: Runner, stream: str, products: int
) -> None:
    options = {"products_per_location": products, "latency_ms": 50}
    with Sandbox(items=4 * products, locations=4, **options) as sandbox:
        ids = sandbox.company.location_ids
        config = config_for(sandbox, location_ids=ids)
        outcome = tap(config, catalog=catalog_of(stream)).check()
        # They are written one after the other all the same.
        came = [row["locationId"] for row in outcome.records(stream)]
        assert came == [location for location in ids for _ in range(products)]
        asked_for = [request.params["locationId"] for request in sandbox.requests]
        first, second, third = (
            [n for n, location in enumerate(asked_for) if location == wanted]
            for wanted in ids[:3]
        )
        # What the first list finds out is known before another is begun.
        assert first[-1] < second[0]
        assert third[1] < second[-1]


def test_a_list_that_does_not_say_how_long_it_is_is_not_kept_whole(tap: Runner) -> None:
    options = {"items": 15_000, "products_per_location": 5000, "latency_ms": 5}
    with Sandbox(locations=3, **options) as sandbox:
        ids = sandbox.company.location_ids
        sandbox.faults.add("no_total", path=ATP, times=None)
        config = config_for(sandbox, location_ids=ids, on_inexact="warn")
        outcome = tap(config, catalog=catalog_of("inventory_atp")).check()
        assert len(outcome.records("inventory_atp")) == 15_000
        asked_for = [request.params["locationId"] for request in sandbox.requests]
        before = asked_for[: len(asked_for) - asked_for[::-1].index(ids[1])]
        # Some more are asked for as soon as it is its turn.
        assert before.count(ids[2]) <= MOST_TAKEN


def test_an_error_ends_what_others_have_begun(tap: Runner) -> None:
    options = {"items": 4000, "products_per_location": 500, "latency_ms": 50}
    with Sandbox(locations=8, **options) as sandbox:
        ids = sandbox.company.location_ids
        sandbox.faults.add(500, path=INVENTORY, location=ids[1], times=None)
        config = config_for(sandbox, location_ids=ids, max_retries=0)
        # The other stream keeps the run going.
        assert tap(config, catalog=catalog_of("inventory", "inventory_atp")).failure
        # The first list, the error, and a page or two of each of six others.
        assert asked(sandbox)[INVENTORY] <= 6 + 1 + 2 * 6


def test_what_one_list_finds_out_is_known_to_the_others(tap: Runner) -> None:
    # The first one has a row alone, which shows nothing of an order.
    with Sandbox(items=500, locations=5, sort="ignore") as sandbox:
        ids = sandbox.company.location_ids
        for item in [*sandbox.company.items(ids[0])][1:]:
            sandbox.company.delete(item["id"])
        config = config_for(sandbox, location_ids=ids)
        outcome = tap(config, catalog=catalog_of("inventory"))
        (said,) = outcome.lines("WARNING")
        assert "does not sort" in said
        assert {row["id"] for row in outcome.records("inventory")} == {
            row["id"] for row in sandbox.company.items()
        }


def test_a_location_that_is_refused_finds_nothing_out(tap: Runner) -> None:
    refused = "loc_001,loc_003"
    with Sandbox(
        items=800, locations=8, sort="reject", forbidden_locations=refused, latency_ms=9
    ) as sandbox:
        config = config_for(sandbox, location_ids=sandbox.company.location_ids)
        outcome = tap(config, catalog=catalog_of("inventory"))
        assert "loc_001" in outcome.failure
        (said,) = outcome.lines("WARNING")
        assert "refuses to sort" in said
        # The first one that is not refused is asked once for an order.
        sorts = [r for r in sandbox.requests if "sortBy" in r.params]
        assert [r.params["locationId"] for r in sorts] == ["loc_001", "loc_002"]


def test_an_empty_location_costs_one_request(tap: Runner) -> None:
    with Sandbox(items=1, locations=2) as sandbox:
        config = config_for(sandbox, location_ids=["loc_002"])
        outcome = tap(config, catalog=catalog_of("inventory", "inventory_atp")).check()
        assert asked(sandbox) == {INVENTORY: 1, ATP: 1}
        assert not outcome.of("RECORD")


def test_locations_are_learned_in_the_same_pass(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_for(sandbox)).check()
    assert asked(sandbox) == {INVENTORY: 2, ATP: 2, ANALYTICS: 4}
    for stream, keys in expected_keys(sandbox.company, PERIODS).items():
        assert keys_of(stream, outcome.records(stream)) == keys, stream


@pytest.mark.parametrize("stream", ["inventory_atp", "inventory_analytics"])
def test_learning_the_locations_alone_is_said(
    tap: Runner, sandbox: Sandbox, stream: str
) -> None:
    outcome = tap(config_for(sandbox), catalog=catalog_of(stream)).check()
    assert asked(sandbox)[INVENTORY] == 2
    assert {message["stream"] for message in outcome.of("RECORD")} == {stream}
    keys = expected_keys(sandbox.company, PERIODS)[stream]
    assert keys_of(stream, outcome.records(stream)) == keys
    (line,) = (line for line in outcome.lines("INFO") if "learn" in line)
    assert "location_ids" in line


def test_locations_that_are_set_are_not_learned(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, location_ids=["loc_002"])
    outcome = tap(config).check()
    assert {r.params.get("locationId") for r in sandbox.requests} == {"loc_002"}
    for stream in KEYS:
        assert {row["locationId"] for row in outcome.records(stream)} == {"loc_002"}


@pytest.mark.parametrize(
    ("page_size", "inventory", "atp"),
    [(None, "100", "200"), (7, "7", "7"), (150, "100", "150")],
)
def test_the_page_size_keeps_to_the_maximum(
    tap: Runner,
    sandbox: Sandbox,
    page_size: int | None,
    inventory: str,
    atp: str,
) -> None:
    settings = {} if page_size is None else {"page_size": page_size}
    outcome = tap(config_for(sandbox, **settings)).check()
    limits = {(r.path, r.params.get("limit")) for r in sandbox.requests}
    assert limits == {(INVENTORY, inventory), (ATP, atp), (ANALYTICS, None)}
    keys = expected_keys(sandbox.company, PERIODS)
    assert keys_of("inventory", outcome.records("inventory")) == keys["inventory"]


def test_a_limit_that_is_refused_is_lowered(tap: Runner) -> None:
    with Sandbox(items=450, locations=1, products_per_location=250) as sandbox:
        refuse_limits_above(sandbox, 100)
        outcome = tap(config_for(sandbox, location_ids=["loc_001"])).check()
        keys = expected_keys(sandbox.company, PERIODS)
        for stream in KEYS:
            assert keys_of(stream, outcome.records(stream)) == keys[stream], stream
        assert asked(sandbox)[ATP] == 1 + 3
        assert any("100" in line for line in outcome.lines("WARNING"))


@pytest.mark.parametrize("message", ["limit is too large", "page size too large"])
@pytest.mark.parametrize(("most", "pages"), [(100, 3), (50, 13)])
def test_a_limit_is_lowered_once_for_all_locations(
    tap: Runner, message: str, most: int, pages: int
) -> None:
    with Sandbox(items=2000, locations=8, products_per_location=250) as sandbox:
        refuse_limits_above(sandbox, most, path=ATP, message=message)
        outcome = tap(config_for(sandbox), catalog=catalog_of("inventory_atp")).check()
        keys = expected_keys(sandbox.company, PERIODS)["inventory_atp"]
        assert keys_of("inventory_atp", outcome.records("inventory_atp")) == keys
        refused = {100: 1, 50: 2}[most]
        assert asked(sandbox)[ATP] == refused + 8 * pages
        assert len(outcome.lines("WARNING")) == 1


def test_an_inventory_that_takes_less_is_read_all_the_same(tap: Runner) -> None:
    with Sandbox(items=100, locations=2) as sandbox:
        refuse_limits_above(sandbox, 50, message="Validation failed")
        config = config_for(sandbox, location_ids=["loc_001", "loc_002"])
        outcome = tap(config, catalog=catalog_of("inventory")).check()
        assert len(outcome.records("inventory")) == 100
        assert asked(sandbox)[INVENTORY] == 2 + 2 * 3


def atp_page(number: int, channel: str = "", kind: str = "") -> str:
    """Return the body of one of two pages, which describes its own channel."""
    product = {"productMasterId": f"p{number}", "channels": [{"channelId": channel}]}
    described = {"channelId": channel, "channelType": kind}
    return json.dumps(
        {
            "products": [product] if channel else [],
            "channels": [described] if channel else [],
            "pagination": {"page": number, "pageSize": 1, "total": 2, "totalPages": 2},
        }
    )


@pytest.mark.parametrize(("second", "warnings"), [("B", 0), ("A", 1)])
def test_channels_are_put_together_from_all_pages(
    tap: Runner, sandbox: Sandbox, second: str, warnings: int
) -> None:
    sandbox.faults.add("raw", nth=1, body=atp_page(1, "A", "SHOP"))
    sandbox.faults.add("raw", nth=2, body=atp_page(2, second, "MARKET"))
    sandbox.faults.add("raw", nth=3, body=atp_page(3))
    config = config_for(sandbox, page_size=1, location_ids=["loc_001"])
    outcome = tap(config, catalog=catalog_of("inventory_atp_channels")).check()
    rows = outcome.records("inventory_atp_channels")
    assert [(r["productMasterId"], r["channelId"]) for r in rows] == [
        ("p1", "A"),
        ("p2", second),
    ]
    assert rows[1]["channelType"] == "MARKET"
    assert len(outcome.lines("WARNING")) == warnings
    if not warnings:
        assert rows[0]["channelType"] == "SHOP"


def test_products_of_another_location_are_found_out(
    tap: Runner, sandbox: Sandbox
) -> None:
    body = {"products": [{"productMasterId": "p", "locationId": "loc_002"}]}
    sandbox.faults.add("raw", path=ATP, times=None, body=json.dumps(body))
    config = config_for(sandbox, location_ids=["loc_001"])
    outcome = tap(config, catalog=catalog_of("inventory_atp"))
    assert "does not filter by location" in outcome.failure


def refuse_limits_above(
    sandbox: Sandbox,
    most: int,
    path: str | None = None,
    message: str = "limit is too large",
) -> None:
    """Answer 400 to whoever asks for more rows than that."""

    def refuse(request: Any) -> None:
        if path in {None, request.path} and int(request.params.get("limit", 0)) > most:
            sandbox.faults.add(400, path=request.path, message=message)

    sandbox.before_request = refuse


@pytest.mark.parametrize(
    ("stream", "path", "requests"),
    [("inventory", INVENTORY, 5), ("inventory_atp", ATP, 5)],
)
def test_a_smaller_page_than_asked_for_is_trusted(
    tap: Runner, stream: str, path: str, requests: int
) -> None:
    with Sandbox(items=230, locations=1, products_per_location=230) as sandbox:

        def clamp(request: Any) -> None:
            request.params["limit"] = str(min(int(request.params["limit"]), 50))

        sandbox.before_request = clamp
        config = config_for(sandbox, location_ids=["loc_001"])
        outcome = tap(config, catalog=catalog_of(stream)).check()
        assert asked(sandbox) == {path: requests}
        keys = expected_keys(sandbox.company, PERIODS)[stream]
        assert keys_of(stream, outcome.records(stream)) == keys


def test_pages_that_are_never_as_large_as_asked_for_are_not_trusted(
    tap: Runner, sandbox: Sandbox
) -> None:
    # Half as many rows, whatever is asked for.
    sandbox.faults.add("page_size", times=None, path=INVENTORY)
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory"))
    assert "not exact" in outcome.failure
    assert "changes the size of its pages" in outcome.failure
    assert len(sandbox.requests) < 10


@pytest.mark.parametrize("kind", ["string_numbers", "no_total", "extra_field"])
def test_oddities_cost_no_record(tap: Runner, sandbox: Sandbox, kind: str) -> None:
    sandbox.faults.add(kind, times=None)
    config = config_for(sandbox)
    outcome = tap(config, catalog=catalog_of("inventory", "inventory_atp"))
    items = sorted(outcome.records("inventory"), key=lambda row: row["id"])
    assert items == list(sandbox.company.items())
    if kind == "extra_field":
        warnings = [line for line in outcome.lines("WARNING") if "shelfColour" in line]
        assert len(warnings) == 2, "one for each stream"


def test_pages_that_repeat_end_in_one_line(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.faults.add("stale_page", times=None, path=INVENTORY)
    outcome = tap(config_for(sandbox, page_size=10))
    assert "inventory" in outcome.failure
    ids = keys_of("inventory", outcome.records("inventory"))
    assert len(ids) == len(set(ids))


def test_a_quantity_that_cannot_be_read_ends_in_one_line(
    tap: Runner, sandbox: Sandbox
) -> None:
    sandbox.company.update("item_0000007", totalValue="many")
    line = tap(config_for(sandbox), catalog=catalog_of("inventory")).failure
    for word in ("inventory", "item_0000007", "totalValue", "'many'"):
        assert word in line


def test_a_quantity_as_text_is_a_number(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.faults.add("bad_number", path=INVENTORY, value="10.50")
    outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
    assert '"quantityOnHand":10.50,' in outcome.stdout


def test_odd_text_and_large_numbers_get_through(tap: Runner) -> None:
    with Sandbox(items=1, locations=1) as sandbox:
        body = (
            rb'{"items": [{"id": "a\ud800", "unitCost": 10.50, "totalValue": %d}], '
            rb'"pagination": {"total": 1}}'
        )
        sandbox.faults.add("raw", body=body % 10**30, times=None)
        outcome = tap(config_for(sandbox), catalog=catalog_of("inventory")).check()
        (item,) = outcome.records("inventory")
        assert item == {
            "id": "a\ud800",
            "unitCost": item["unitCost"],
            "totalValue": 10**30,
        }
        assert str(item["unitCost"]) == "10.50"


def test_a_server_that_ignores_the_location_is_found_out(
    tap: Runner, sandbox: Sandbox
) -> None:
    def forget_location(request: Any) -> None:
        request.params.pop("locationId", None)

    sandbox.before_request = forget_location
    outcome = tap(
        config_for(sandbox, location_ids=["loc_001"]), catalog=catalog_of("inventory")
    )
    assert "does not filter by location" in outcome.failure


@pytest.mark.parametrize(
    "granularity", ["day", "week", "month", "quarter", "year", "range"]
)
def test_each_granularity(tap: Runner, sandbox: Sandbox, granularity: str) -> None:
    config = config_for(
        sandbox,
        analytics_granularity=granularity,
        start_date="2024-12-30",
        end_date="2025-01-02",
        location_ids=["loc_001"],
    )
    catalog = catalog_of("inventory_analytics", "inventory_analytics_categories")
    outcome = tap(config, catalog=catalog).check()
    periods = {
        "day": ["2024-12-30", "2024-12-31", "2025-01-01", "2025-01-02"],
        "week": ["2024-12-30"],
        "range": ["2024-12-30"],
    }.get(granularity, ["2024-12-30", "2025-01-01"])
    records = outcome.records("inventory_analytics")
    assert [row["periodFrom"] for row in records] == periods
    assert records[-1]["periodTo"] == "2025-01-02"
    assert {row["granularity"] for row in records} == {granularity}
    asked_for = [request.params["fromDate"] for request in sandbox.requests]
    assert sorted(asked_for) == periods
