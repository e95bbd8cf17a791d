"""What goes wrong in a read: which stream, of what type, and what is read even so."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.airbyte.running import Said, configured, output
from tests.e2e.commands import clean_env
from tests.running import config_for

if TYPE_CHECKING:
    from tap_betterdata.sandbox import Sandbox
    from tests.airbyte.running import Json, Source

ATP = "/inventory/channel-location"
ANALYTICS = "/inventory/analytics"
SECONDS = 60
STREAM_STATE = {
    "stream_descriptor": {"name": "inventory"},
    "stream_state": {"order": 7},
}
UNNAMED_STATE = {"stream_descriptor": {"name": ["inventory"]}, "stream_state": {"n": 1}}


def read(source: Source, config: Json, *streams: str, **files: Any) -> Said:
    """Read these streams incrementally where they can be."""
    catalog = configured(*streams)
    return source("read", config=config, catalog=catalog, **files)


def refused(said: Said) -> str:
    """Check that nothing was begun, and return the line that says why."""
    assert (said.code, said.stderr, said.statuses) == (1, "", [])
    assert not said.of("RECORD")
    ((stream, kind, line),) = said.errors
    assert (stream, kind) == (None, "config_error")
    assert said.logged("ERROR") == [line]
    return line


@pytest.mark.parametrize(
    ("states", "named"),
    [
        ({"inventory": {"updatedAt": "2025-01-01"}}, "required field `type`"),
        ([{"type": "LEGACY", "data": {}}], "Invalid enum value 'LEGACY'"),
        ([{"type": "GLOBAL", "global": {"stream_states": []}}], "value 'GLOBAL'"),
        ([{"type": "STREAM"}], "required field `stream`"),
        ([{"type": "STREAM", "stream": STREAM_STATE}], "The state of inventory"),
        ([{"type": "STREAM", "stream": UNNAMED_STATE}], "stream_descriptor.name"),
        (["no message"], "Expected `object`, got `str`"),
        ("no list", "Expected `object`, got `str`"),
    ],
)
def test_a_state_of_another_kind_is_not_passed_over(
    source: Source, sandbox: Sandbox, states: object, named: str
) -> None:
    said = read(source, config_for(sandbox), "inventory", state=states)
    assert named in refused(said)
    assert not sandbox.requests


def test_a_stream_that_there_is_not_is_said(source: Source, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory")
    catalog["streams"][0]["stream"]["name"] = "stock"
    line = refused(source("read", config=config, catalog=catalog))
    assert "selects 'stock', which this tap does not have" in line
    assert "inventory_atp" in line


def test_a_stream_that_is_configured_twice_is_said(
    source: Source, sandbox: Sandbox
) -> None:
    """Which of the two is meant, nobody can tell."""
    catalog = configured("inventory", "inventory")
    line = refused(source("read", config=config_for(sandbox), catalog=catalog))
    assert line.endswith("configures the stream 'inventory' twice")


def test_a_mode_that_there_is_not_is_said(source: Source, sandbox: Sandbox) -> None:
    catalog = configured("inventory_atp")
    catalog["streams"][0]["sync_mode"] = "mirror"
    line = refused(source("read", config=config_for(sandbox), catalog=catalog))
    assert "Invalid enum value 'mirror' - at `$.streams[0].sync_mode`" in line
    assert line.endswith("sync_mode (full_refresh or incremental)")


@pytest.mark.parametrize(
    "catalog",
    [
        {},
        {"streams": 7},
        {"streams": [{"stream": {"name": "inventory"}, "sync_mode": "incremental"}]},
        {"streams": [{"stream": {"name": "inventory", "json_schema": {}}}]},
        {"streams": ["inventory"]},
    ],
)
def test_what_is_no_configured_catalog_is_said(
    source: Source, sandbox: Sandbox, catalog: Json
) -> None:
    said = source("read", config=config_for(sandbox), catalog=catalog)
    assert "not a configured catalog" in refused(said)


def test_a_setting_that_cannot_be_used_is_said(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory")
    said = source("read", config={**config, "concurrency": 0}, catalog=catalog)
    assert refused(said) == "concurrency is 0: it takes a whole number from 1 to 32"


def test_a_key_that_is_refused_ends_all_streams(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, api_key="bdk_live_revoked")
    said = read(source, config, "inventory", "inventory_atp")
    assert (said.code, said.stderr) == (1, "")
    assert said.statuses == [
        ("inventory", "STARTED"),
        ("inventory", "INCOMPLETE"),
        ("inventory_atp", "STARTED"),
        ("inventory_atp", "INCOMPLETE"),
    ]
    (first, second) = said.errors
    assert first[:2] == ("inventory", "config_error")
    assert "REVOKED_API_KEY" in first[2]
    assert second == ("inventory_atp", "config_error", "inventory_atp: not begun")
    assert not said.of("STATE")
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("fault", "kind", "line"),
    [
        ({"kind": 503}, "transient_error", "503"),
        ({"kind": 403}, "config_error", "FORBIDDEN"),
        ({"kind": "bad_number"}, "config_error", "which is not a number"),
        ({"kind": "no_total"}, "transient_error", "not exact"),
    ],
)
def test_one_stream_fails_and_the_others_are_read(
    source: Source, sandbox: Sandbox, fault: dict[str, Any], kind: str, line: str
) -> None:
    sandbox.faults.add(**fault, times=None, path=ATP)
    config = config_for(sandbox, max_retries=0)
    said = read(source, config, "inventory_atp", "inventory", "inventory_analytics")
    assert (said.code, said.stderr) == (1, "")
    ended = dict(said.statuses)
    assert ended == {
        "inventory": "COMPLETE",
        "inventory_analytics": "COMPLETE",
        "inventory_atp": "INCOMPLETE",
    }
    ((stream, failure_type, message),) = said.errors
    assert (stream, failure_type) == ("inventory_atp", kind)
    assert line in message
    assert said.logged("ERROR") == [message]
    assert len(said.records("inventory")) == 250


@pytest.mark.parametrize(
    ("path", "fault", "kind"),
    [
        (ATP, 403, "config_error"),
        (ATP, 503, "transient_error"),
        (ATP, "no_total", "transient_error"),
        ("/inventory", 403, "config_error"),
        ("/inventory", 503, "transient_error"),
        ("/inventory", 418, "system_error"),
    ],
)
@pytest.mark.parametrize("names", [("inventory",), ()])
def test_what_fails_because_another_stream_did_has_its_type(  # noqa: PLR0913, PLR0917
    source: Source,
    sandbox: Sandbox,
    path: str,
    fault: str | int,
    kind: str,
    names: tuple[str, ...],
) -> None:
    """Another try mends nothing for a stream that needs what is refused."""
    sandbox.faults.add(fault, times=None, path=path)
    config = config_for(sandbox, max_retries=0)
    said = read(source, config, *names, "inventory_atp", "inventory_atp_channels")
    assert said.code == 1
    types = {stream: failure_type for stream, failure_type, _ in said.errors}
    failed = {"inventory_atp", "inventory_atp_channels"}
    assert types == dict.fromkeys(failed | ({*names} if path != ATP else set()), kind)


def test_a_location_that_cannot_be_asked_for_is_mended_where_it_stands(
    source: Source, sandbox: Sandbox
) -> None:
    items = [{"id": "a", "locationId": "\ud800", "updatedAt": "2025-01-01T00:00:00Z"}]
    pages = {"page": 1, "limit": 100, "total": 1, "totalPages": 1}
    body = json.dumps({"items": items, "pagination": pages})
    sandbox.faults.add("raw", body=body, path="/inventory", times=None)
    said = read(source, config_for(sandbox), "inventory", "inventory_atp")
    ((stream, kind, line),) = said.errors
    assert (stream, kind) == ("inventory_atp", "config_error")
    assert "no text that can be sent" in line


def test_an_answer_that_contradicts_itself_is_no_fault_of_the_users(
    source: Source, sandbox: Sandbox
) -> None:
    body = json.dumps(
        {"analytics": {"totalUnits": 1}, "period": {"from": "1999-01-01"}}
    )
    sandbox.faults.add("raw", body=body, path=ANALYTICS, times=None)
    said = read(source, config_for(sandbox), "inventory_analytics")
    ((_, kind, line),) = said.errors
    assert kind == "system_error"
    assert "answered for a period from 1999-01-01" in line


def test_what_is_inexact_is_complete_if_that_is_wanted(
    source: Source, sandbox: Sandbox
) -> None:
    sandbox.faults.add("no_total", times=None, path=ATP)
    config = config_for(sandbox, on_inexact="warn")
    said = read(source, config, "inventory_atp").check()
    assert said.statuses[-1] == ("inventory_atp", "COMPLETE")
    assert any("not exact" in line for line in said.logged("WARN"))


def test_what_was_read_before_a_failure_is_not_read_again(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, page_size=20, max_retries=0, concurrency=1)
    sandbox.faults.add(500, nth=9, path="/inventory")
    first = read(source, config, "inventory")
    assert first.statuses[-1] == ("inventory", "INCOMPLETE")
    second = read(source, config, "inventory", state=first.state).check()
    ids = [{r["id"] for r in said.records("inventory")} for said in (first, second)]
    assert len(ids[0] | ids[1]) == 250
    assert len(ids[1]) < 250


@pytest.mark.parametrize("command", ["check", "read"])
def test_the_key_is_nowhere(source: Source, sandbox: Sandbox, command: str) -> None:
    config = config_for(sandbox, max_retries=0)
    catalog = configured("inventory", "inventory_atp")
    sandbox.faults.add("echo_auth", times=None)
    files = {"catalog": catalog} if command == "read" else {}
    said = source(
        command, config=config, **files, env={"TAP_BETTERDATA_LOGLEVEL": "DEBUG"}
    )
    assert b"Cannot accept" in said.stdout
    assert sandbox.api_key.encode() not in said.stdout
    assert said.stderr == ""


# Standard output


def shell(source: Source, words: str, **files: object) -> Said:
    """Read with a shell before it, which has the words in place of `"$@"`."""
    done = subprocess.run(  # noqa: S603 - the words are the tests'
        ["/bin/sh", "-c", words, "sh", *source.words("read", **files)],
        cwd=source.folder,
        env=clean_env(),
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    return Said(done.returncode, done.stdout, done.stderr.decode())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it")
def test_a_full_disk_is_said_beside_it(source: Source, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory")
    for given in (catalog, "no catalog"):
        said = shell(source, 'exec "$@" > /dev/full', config=config, catalog=given)
        assert said.code == 1
        (line,) = said.stderr.splitlines()
        assert line.startswith("Standard output can't be written to")


def test_a_disk_that_fills_while_a_stream_is_read_is_said_beside_it(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, page_size=20)
    catalog = configured("inventory", "inventory_atp")
    words = 'ulimit -f 40; exec "$@" > messages'
    said = shell(source, words, config=config, catalog=catalog)
    assert said.code == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith("Standard output can't be written to (File too large)")


def test_an_output_that_is_closed_is_said_beside_it(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox)
    catalog = configured("inventory")
    said = shell(source, 'exec "$@" >&-', config=config, catalog=catalog)
    assert said.code == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith("Standard output is closed")


def test_a_reader_that_is_gone_is_no_error_of_the_sources(
    source: Source, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, page_size=1)
    catalog = configured("inventory")
    with source.started(config=config, catalog=catalog) as process:
        for _ in range(20):
            output(process).readline()
        output(process).close()
        assert process.wait(SECONDS) == 141
    assert source.stderr == ""
