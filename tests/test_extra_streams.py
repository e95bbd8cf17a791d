"""Lists that nobody documented: read like the others, with nothing guessed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tap_betterdata.tap import TapBetterData
from tests.running import InstalledRunner, Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.running import Config

PATH = "/inventory/adjustments"
NAME = "inventory_adjustments"
DECLARED: dict[str, Any] = {
    "name": NAME,
    "path": PATH,
    "records_key": "entries",
    "key_fields": ["id"],
    "paging": "offset",
}
ALERTS = {
    "name": "alerts",
    "path": "/admin/alerts/history",
    "records_key": "items",
    "key_fields": ["id"],
    "paging": "page",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """250 adjustments and 375 alerts."""
    with Sandbox(items=750, locations=2) as sandbox:
        yield sandbox


def config_with(sandbox: Sandbox, *entries: object, **settings: object) -> Config:
    return config_for(sandbox, extra_streams=[*entries], **settings)


def catalog_with(config: Config, *selected: str) -> dict[str, Any]:
    """Return the catalog of a tap that has more streams, some of them selected."""
    catalog: dict[str, Any] = TapBetterData(
        config=config, validate_config=False
    ).catalog_dict
    (own,) = (catalog_of(*selected)["streams"],)
    more = [e for e in catalog["streams"] if e["tap_stream_id"] in selected]
    known = {entry["tap_stream_id"] for entry in own}
    return {"streams": own + [e for e in more if e["tap_stream_id"] not in known]}


def run(tap: Runner, sandbox: Sandbox, **changes: object) -> Outcome:
    """Read the adjustments alone, with another declaration."""
    config = config_with(sandbox, {**DECLARED, **changes})
    return tap(config, catalog=catalog_with(config, NAME))


def check_rows(outcome: Outcome, rows: list[dict[str, Any]], name: str = NAME) -> None:
    """Check that each row came once, whole, beside its key."""
    records = sorted(outcome.records(name), key=lambda record: record["id"])
    expected = sorted(rows, key=lambda row: row["id"])
    assert records == [{"id": row["id"], "data": row} for row in expected]


# What comes of it


@pytest.mark.parametrize(
    ("declared", "rows", "params"),
    [
        (
            DECLARED,
            "adjustments",
            [{"limit": "100", "offset": str(n)} for n in (0, 100, 200)],
        ),
        (ALERTS, "alerts", [{"limit": "100", "page": str(n)} for n in (1, 2, 3, 4)]),
    ],
)
def test_a_list_comes_whole_with_the_fewest_requests(
    tap: Runner,
    sandbox: Sandbox,
    declared: dict[str, Any],
    rows: str,
    params: list[dict[str, str]],
) -> None:
    config = config_with(sandbox, declared, emit_activate_version_messages=True)
    name = declared["name"]
    outcome = tap(config, catalog=catalog_with(config, name)).check()
    check_rows(outcome, sandbox.company.plain_list(rows), name)
    assert [dict(request.params) for request in sandbox.requests] == params
    assert {request.path for request in sandbox.requests} == {declared["path"]}
    assert len(outcome.of("ACTIVATE_VERSION")) == 1
    (schema,) = outcome.of("SCHEMA")
    assert schema["key_properties"] == ["id"]
    assert schema["schema"]["properties"].keys() == {"id", "data"}
    assert schema["schema"]["properties"]["data"]["additionalProperties"] is True
    assert not outcome.lines("WARNING")


def test_it_is_read_if_it_is_declared(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_with(sandbox, DECLARED)).check()
    check_rows(outcome, sandbox.company.plain_list("adjustments"))
    assert len(outcome.records("inventory")) == 750


def test_not_selected_it_costs_nothing(tap: Runner, sandbox: Sandbox) -> None:
    config = config_with(sandbox, DECLARED, ALERTS)
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    assert {request.path for request in sandbox.requests} == {"/inventory"}
    assert {message["stream"] for message in outcome.of("RECORD")} == {"inventory"}


def test_numbers_keep_their_digits_within_data(tap: Runner, sandbox: Sandbox) -> None:
    entry = sandbox.company.plain_list("adjustments")[0]
    entry |= {"deltaQty": 2**70, "lot": {"cost": [0.5]}, "id": "txn_0000000"}
    line = next(
        x for x in run(tap, sandbox).check().stdout.splitlines() if "0000000" in x
    )
    assert f'"deltaQty":{2**70},' in line
    assert '"lot":{"cost":[0.5]}' in line


def test_a_key_of_several_fields(tap: Runner, sandbox: Sandbox) -> None:
    entries = sandbox.company.plain_list("adjustments")
    for number, entry in enumerate(entries):
        entry |= {"id": number // 2, "line": number % 2}
    outcome = run(tap, sandbox, key_fields=["id", "line"]).check()
    keys = {(record["id"], record["line"]) for record in outcome.records(NAME)}
    assert keys == {(str(n // 2), str(n % 2)) for n in range(250)}
    assert [record["data"] for record in outcome.records(NAME)] == entries


def test_params_are_sent(tap: Runner, sandbox: Sandbox) -> None:
    entry = sandbox.company.plain_list("adjustments")[5]
    params = {"inventoryItemId": entry["inventoryItemId"]}
    check_rows(run(tap, sandbox, params=params).check(), [entry])


def test_two_lists_of_one_path_are_two(tap: Runner, sandbox: Sandbox) -> None:
    entries = sandbox.company.plain_list("adjustments")[:2]
    declared = [
        {
            **DECLARED,
            "name": f"list_{n}",
            "params": {"inventoryItemId": e["inventoryItemId"]},
        }
        for n, e in enumerate(entries)
    ]
    config = config_with(sandbox, *declared)
    outcome = tap(config, catalog=catalog_with(config, "list_0", "list_1")).check()
    for number, entry in enumerate(entries):
        check_rows(outcome, [entry], f"list_{number}")


@pytest.mark.parametrize("page_size", [7, 60])
def test_the_size_of_its_pages(tap: Runner, sandbox: Sandbox, page_size: int) -> None:
    outcome = run(tap, sandbox, page_size=page_size).check()
    check_rows(outcome, sandbox.company.plain_list("adjustments"))
    assert {request.params["limit"] for request in sandbox.requests} == {str(page_size)}
    assert len(sandbox.requests) == -(-250 // page_size)


def test_a_list_without_pages(tap: Runner, sandbox: Sandbox) -> None:
    entries = sandbox.company.plain_list("adjustments")
    del entries[50:]
    config = config_with(sandbox, {**DECLARED, "paging": "none"}, page_size=10)
    outcome = tap(config, catalog=catalog_with(config, NAME)).check()
    check_rows(outcome, entries)
    assert [dict(request.params) for request in sandbox.requests] == [{}]


def test_pages_that_were_not_declared_are_found_out(
    tap: Runner, sandbox: Sandbox
) -> None:
    outcome = run(tap, sandbox, paging="none")
    assert "at least 200 of 250 rows are missing" in outcome.failure
    assert len(outcome.records(NAME)) == 50


def without_total(sandbox: Sandbox) -> None:
    sandbox.faults.add("no_total", times=None, path=PATH)


def test_without_a_total_it_ends_at_a_short_page_and_is_not_exact(
    tap: Runner, sandbox: Sandbox
) -> None:
    without_total(sandbox)
    outcome = run(tap, sandbox)
    assert "the API gives no total to hold the rows against" in outcome.failure
    check_rows(outcome, sandbox.company.plain_list("adjustments"))
    assert len(sandbox.requests) == 3
    config = config_with(sandbox, DECLARED, on_inexact="warn")
    outcome = tap(config, catalog=catalog_with(config, NAME)).check()
    assert any("not exact" in line for line in outcome.lines("WARNING"))


@pytest.mark.parametrize("paging", ["none", "offset"])
def test_without_a_total_nothing_is_dropped(
    tap: Runner, sandbox: Sandbox, paging: str
) -> None:
    without_total(sandbox)
    declared = {**DECLARED, "paging": paging}
    config = config_with(sandbox, declared, emit_activate_version_messages=True)
    outcome = tap(config, catalog=catalog_with(config, NAME))
    assert "not exact" in outcome.failure
    assert not outcome.of("ACTIVATE_VERSION")


# What goes wrong


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_costs_that_stream_alone(
    tap: Runner, sandbox: Sandbox, status: int
) -> None:
    sandbox.faults.add(status, times=None, path=PATH)
    config = config_with(sandbox, DECLARED, ALERTS)
    outcome = tap(config, catalog=catalog_with(config, NAME, "alerts", "inventory"))
    assert f"{NAME}, page 1: the API answered {status}" in outcome.failure
    assert "location_ids" not in outcome.failure
    if status == 403:
        assert f"the permission that {PATH} asks for" in outcome.failure
    check_rows(outcome, sandbox.company.plain_list("alerts"), "alerts")
    assert len(outcome.records("inventory")) == 750


@pytest.mark.usefixtures("no_waits")
def test_a_wrong_list_name_says_what_there_is(tap: Runner, sandbox: Sandbox) -> None:
    outcome = run(tap, sandbox, records_key="adjustments")
    said = (
        "no list under adjustments or data; its fields: entries, total, limit, offset"
    )
    assert said in outcome.failure


@pytest.mark.parametrize("rows", [1, 250])
def test_a_missing_key_field_is_one_line(
    tap: Runner, sandbox: Sandbox, rows: int
) -> None:
    for entry in sandbox.company.plain_list("adjustments")[:rows]:
        entry["txnId"] = entry.pop("id")
    outcome = run(tap, sandbox)
    assert f"{NAME}: a record has no id, which key_fields names" in outcome.failure
    assert "createdAt, txnId" in outcome.failure
    assert len(sandbox.requests) == 1


def test_a_key_that_is_no_text_is_one_line(tap: Runner, sandbox: Sandbox) -> None:
    sandbox.company.plain_list("adjustments")[3]["id"] = ["txn"]
    assert "in the field id, which is not text" in run(tap, sandbox).failure


def test_a_key_that_is_not_unique_is_found_out(tap: Runner, sandbox: Sandbox) -> None:
    outcome = run(tap, sandbox, key_fields=["transactionType"])
    assert "not exact" in outcome.failure


@pytest.mark.usefixtures("no_waits")
def test_faults_are_ridden_out(tap: Runner, sandbox: Sandbox) -> None:
    for kind in (500, "cut_json", "no_list"):
        sandbox.faults.add(kind, path=PATH)
    check_rows(run(tap, sandbox).check(), sandbox.company.plain_list("adjustments"))


def test_a_smaller_limit_is_learned(tap: Runner, sandbox: Sandbox) -> None:
    def clamp(request: Any) -> None:
        request.params["limit"] = str(min(int(request.params["limit"]), 40))

    sandbox.before_request = clamp
    check_rows(run(tap, sandbox).check(), sandbox.company.plain_list("adjustments"))
    assert len(sandbox.requests) == 7


def test_what_moves_meanwhile_is_read_again(tap: Runner, sandbox: Sandbox) -> None:
    entries = sandbox.company.plain_list("adjustments")
    before = list(entries)

    def take_out(request: Any) -> None:
        if request.params["offset"] == "100":
            sandbox.before_request = None
            del entries[0]

    sandbox.before_request = take_out
    check_rows(run(tap, sandbox).check(), before)
    assert len(sandbox.requests) == 4


def test_too_much_movement_is_not_exact(tap: Runner, sandbox: Sandbox) -> None:
    entries = sandbox.company.plain_list("adjustments")

    def take_out(_: Any) -> None:
        del entries[0]

    sandbox.before_request = take_out
    assert "not exact" in run(tap, sandbox).failure


# What is declared


WRONG: list[tuple[str, object, str]] = [
    (
        "name",
        "Adjustments",
        "extra_streams[0].name is 'Adjustments': it takes small letters",
    ),
    (
        "name",
        "inventory",
        "extra_streams[0].name is 'inventory': there is such a stream",
    ),
    (
        "path",
        "https://example.com/x",
        "extra_streams[0].path is 'https://example.com/x'",
    ),
    ("path", "//example.com/x", "extra_streams[0].path is '//example.com/x'"),
    ("path", "inventory/adjustments", "it takes what follows api_url"),
    ("path", "/inventory/../admin", "without host, .. or ?"),
    ("path", "/inventory/%2e%2e/admin", "without host, .. or ?"),
    ("path", "/inventory/./adjustments", "without host, .. or ?"),
    ("path", "/inventory/adjustments/", "without host, .. or ?"),
    ("path", "/inventory/adjustments?limit=1", "without host, .. or ?"),
    ("path", "/inventory\n", "without host, .. or ?"),
    ("path", "/{api_key}", "without host, .. or ?"),
    ("path", "/@example.com", "without host, .. or ?"),
    ("path", "/forecast", "extra_streams[0].path is '/forecast': that computes anew"),
    ("path", "/Forecast", "that computes anew"),
    ("path", "/inventory", "to read that, select inventory"),
    ("path", "/admin/alerts/config", "to read that, select alerts_config"),
    ("path", "/inventory/analytics", "inventory_analytics or inventory_analytics_cat"),
    (
        "records_key",
        "",
        "extra_streams[0].records_key is '': it takes a text in quotes",
    ),
    ("key_fields", [], "extra_streams[0].key_fields is empty: name the fields"),
    (
        "key_fields",
        "id",
        "extra_streams[0].key_fields is 'id': it takes a list of texts",
    ),
    ("key_fields", ["id", 7], "extra_streams[0].key_fields holds 7: it takes a text"),
    ("key_fields", ["id", "id"], "extra_streams[0].key_fields holds a field twice"),
    (
        "key_fields",
        ["data"],
        "extra_streams[0].key_fields holds a field twice, or data",
    ),
    (
        "paging",
        "cursor",
        "extra_streams[0].paging is 'cursor': it takes page, offset or none",
    ),
    ("page_size", 0, "extra_streams[0].page_size is 0: it takes a whole number from 1"),
    ("page_size", "50", "extra_streams[0].page_size is '50': it takes a whole number"),
    ("params", {"status": 7}, "extra_streams[0].params.status is 7: it takes a text"),
    (
        "params",
        {"limit": "7"},
        "extra_streams[0].params holds limit, which paging sets",
    ),
    ("params", ["x"], "extra_streams[0].params is"),
    (
        "record_key",
        "x",
        "holds 'record_key' (did you mean records_key?): it takes name,",
    ),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_what_is_wrong_is_said(
    tap: Runner, sandbox: Sandbox, name: str, value: object, said: str
) -> None:
    config = config_with(sandbox, {**DECLARED, name: value})
    outcome = tap(config)
    assert said in outcome.failure
    # To say what the streams are, the same is wrong.
    assert said in tap(config, "--discover").failure
    assert not sandbox.requests


def test_what_is_missing_is_said(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_with(sandbox, DECLARED, {"name": "x", "path": "/x"}))
    said = (
        "extra_streams[1] lacks records_key, key_fields, paging: it takes name, path, "
    )
    assert outcome.failure.count(said) == 1


@pytest.mark.parametrize("value", ["inventory_adjustments", "{}", "[1]"])
def test_another_kind_is_said(tap: Runner, sandbox: Sandbox, value: str) -> None:
    env = {"TAP_BETTERDATA_EXTRA_STREAMS": value}
    outcome = tap(config_for(sandbox), "--config=ENV", **env)
    assert "TAP_BETTERDATA_EXTRA_STREAMS" in outcome.failure
    assert "it takes a" in outcome.failure


def test_a_name_is_taken_once(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap(config_with(sandbox, DECLARED, DECLARED))
    assert "extra_streams[1].name is 'inventory_adjustments'" in outcome.failure


def test_pages_have_no_size_without_pages(tap: Runner, sandbox: Sandbox) -> None:
    declared = {**DECLARED, "paging": "none", "page_size": 10}
    outcome = tap(config_with(sandbox, declared))
    assert (
        "extra_streams[0].page_size is set, but there are no pages" in outcome.failure
    )


def test_a_variable_declares_it_and_discovery_shows_it(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    env = {"TAP_BETTERDATA_EXTRA_STREAMS": json.dumps([DECLARED])}
    found = command(None, "--config=ENV", "--discover", **env).check()
    entries = {e["tap_stream_id"]: e for e in json.loads(found.stdout)["streams"]}
    assert entries[NAME]["key_properties"] == ["id"]
    assert not sandbox.requests
