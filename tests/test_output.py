"""What goes out when little comes in, or when there is no room for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import TAP, clean_env
from tests.e2e.truth import KEYS, expected_keys, keys_of
from tests.running import PERIODS, InstalledRunner, Outcome, Runner, catalog_of
from tests.running import config_for as settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 60
ATP = {"inventory_atp", "inventory_atp_channels"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=250, locations=2) as sandbox:
        yield sandbox


@pytest.fixture(params=["records", "batches"])
def extra(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Settings for either way of handing over records."""
    return {"batch_config": batches(tmp_path)} if request.param == "batches" else {}


def batches(folder: Path) -> dict[str, Any]:
    return {
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "storage": {"root": folder.as_uri()},
    }


def schemas(outcome: Outcome) -> list[str]:
    return [message["stream"] for message in outcome.of("SCHEMA")]


# SCHEMA


def test_a_refused_key_writes_no_schema(
    tap: Runner, sandbox: Sandbox, extra: dict[str, Any]
) -> None:
    outcome = tap(settings_for(sandbox, api_key="bdk_live_revoked", **extra))
    assert "REVOKED_API_KEY" in outcome.failure
    assert not schemas(outcome)


@pytest.mark.parametrize("kind", [404, 500])
def test_an_endpoint_that_fails_writes_no_schema(
    tap: Runner, sandbox: Sandbox, extra: dict[str, Any], kind: int
) -> None:
    sandbox.faults.add(kind, times=None, path="/inventory/channel-location")
    outcome = tap(settings_for(sandbox, max_retries=0, **extra))
    assert str(kind) in outcome.failure
    assert sorted(schemas(outcome)) == sorted(KEYS.keys() - ATP)


def test_a_refused_location_keeps_no_schema_from_others(
    tap: Runner, sandbox: Sandbox
) -> None:
    sandbox.faults.add(404, times=None, location="loc_001")
    places = ["loc_001", "loc_002"]
    outcome = tap(settings_for(sandbox, location_ids=places, max_retries=0))
    assert "loc_001" in outcome.failure
    assert schemas(outcome) == sorted(KEYS)


def test_an_empty_list_has_a_schema(tap: Runner, extra: dict[str, Any]) -> None:
    with Sandbox(items=0, locations=1) as sandbox:
        outcome = tap(settings_for(sandbox, **extra)).check()
    assert schemas(outcome) == sorted(KEYS)
    assert not outcome.of("RECORD", "inventory")


def test_a_stream_that_has_nothing_to_ask_has_a_schema(
    tap: Runner, sandbox: Sandbox
) -> None:
    days = {"start_date": "2999-01-01", "end_date": None}
    outcome = tap(settings_for(sandbox, **days)).check()
    assert schemas(outcome) == sorted(KEYS)


def test_all_schemas_of_a_stream_come_once_and_first(
    tap: Runner, sandbox: Sandbox, extra: dict[str, Any]
) -> None:
    maps = {"stock": {"__source__": "inventory", "id": "id", "__else__": None}}
    config = settings_for(sandbox, stream_maps=maps, page_size=20, **extra)
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    assert schemas(outcome) == ["inventory", "stock"]
    kinds = [message["type"] for message in outcome.messages]
    assert kinds[:2] == ["SCHEMA", "SCHEMA"]


# STATE


@pytest.mark.parametrize(
    "streams", [(), ("inventory",), ("inventory_atp",), ("inventory_analytics",)]
)
def test_the_last_message_is_the_state(
    tap: Runner, sandbox: Sandbox, streams: tuple[str, ...]
) -> None:
    catalog = catalog_of(*streams)
    first = tap(settings_for(sandbox), catalog=catalog).check()
    assert first.messages[-1]["type"] == "STATE"
    state = first.messages[-1]["value"]
    # Now nothing has changed.
    second = tap(settings_for(sandbox), catalog=catalog, state=state).check()
    assert second.messages[-1] == first.messages[-1]


def test_a_run_that_fails_ends_with_its_state(tap: Runner, sandbox: Sandbox) -> None:
    first = tap(settings_for(sandbox)).check()
    state = first.of("STATE")[-1]["value"]
    sandbox.faults.add(404, times=None, path="/inventory/channel-location")
    second = tap(settings_for(sandbox), state=state)
    assert "404" in second.failure
    assert second.messages[-1]["type"] == "STATE"


def test_many_locations_cost_few_states(tap: Runner) -> None:
    with Sandbox(items=300, locations=300) as sandbox:
        places = [*sandbox.company.location_ids]
        outcome = tap(settings_for(sandbox, location_ids=places)).check()
        keys = expected_keys(sandbox.company, PERIODS)["inventory"]
    assert keys_of("inventory", outcome.records("inventory")) == keys
    # Before it is large, one or two; then one for each stream, and the last.
    assert len(outcome.of("STATE")) < 10


def test_a_small_state_comes_often(tap: Runner, sandbox: Sandbox) -> None:
    config = settings_for(sandbox, page_size=4)
    outcome = tap(config, catalog=catalog_of("inventory")).check()
    assert len(outcome.of("STATE")) >= 5


# No room


def run(
    command: InstalledRunner, config: dict[str, Any], script: str, **files: object
) -> Outcome:
    """Run the command by a script of the shell, where `"$@"` is the command."""
    words = [str(TAP)]
    for name, content in {"config": config, **files}.items():
        path = command.folder / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        words += [f"--{name}", str(path)]
    done = subprocess.run(  # noqa: S603 - the words are the tests'
        ["/bin/sh", "-c", script, "sh", *words],
        cwd=command.folder,
        env=clean_env(),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it")
@pytest.mark.parametrize("state", [{}, {"bookmarks": {"inventory": {}}}])
def test_an_output_that_is_full_is_one_line(
    command: InstalledRunner, sandbox: Sandbox, state: dict[str, Any]
) -> None:
    config = settings_for(sandbox)
    outcome = run(command, config, 'exec "$@" > /dev/full', state=state)
    assert outcome.failure.startswith(
        "Standard output can't be written to (No space left on device): make room"
    )
    assert outcome.code == 1
    assert len(sandbox.requests) < 10


def test_an_output_that_is_for_reading_is_one_line(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    outcome = run(command, settings_for(sandbox), 'exec "$@" 1< /dev/null')
    assert outcome.failure.startswith("Standard output can't be written to (Bad file")
    assert outcome.code == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has it")
@pytest.mark.parametrize("word", ["--discover", "--about"])
def test_a_catalog_that_does_not_fit_is_one_line(
    command: InstalledRunner, sandbox: Sandbox, word: str
) -> None:
    config = settings_for(sandbox)
    outcome = run(command, config, f'exec "$@" {word} > /dev/full')
    assert outcome.failure == (
        "No space left on device: make room where the output goes"
    )


def test_a_batch_file_that_does_not_fit_costs_no_other_stream(
    command: InstalledRunner, sandbox: Sandbox, tmp_path: Path
) -> None:
    config = settings_for(sandbox, batch_config=batches(tmp_path))
    catalog = catalog_of("inventory", "inventory_analytics")
    # So many blocks a file may have.
    script = 'ulimit -f 8; exec "$@"'
    outcome = run(command, config, script, catalog=catalog)
    failure = outcome.failure
    assert failure.startswith(
        f"inventory: no batch file can be written to '{tmp_path.as_uri()}'"
    )
    assert "make room, or set batch_config.storage.root" in failure
    assert outcome.of("BATCH", "inventory_analytics")
    bookmarks = outcome.of("STATE")[-1]["value"]["bookmarks"]
    assert "replication_key_value" not in json.dumps(bookmarks["inventory"])
    assert "2025-01-01" in json.dumps(bookmarks["inventory_analytics"])


def test_batch_files_without_a_folder_are_one_line(
    tap: Runner, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    config = settings_for(sandbox, batch_config=batches(tmp_path / "file" / "folder"))
    outcome = tap(config, catalog=catalog_of("inventory"))
    assert "(Not a directory)" in outcome.failure


def test_shared_pages_that_do_not_fit_cost_no_other_endpoint(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    outcome = run(command, settings_for(sandbox), 'ulimit -f 16; exec "$@"')
    failure = outcome.failure
    assert failure.startswith("inventory_atp_channels: no room in ")
    assert "TMPDIR" in failure
    keys = expected_keys(sandbox.company, PERIODS)
    # The stream that comes first needs no room for itself.
    for stream in KEYS.keys() - {"inventory_atp_channels"}:
        assert keys_of(stream, outcome.records(stream)) == keys[stream]
    assert not outcome.records("inventory_atp_channels")
