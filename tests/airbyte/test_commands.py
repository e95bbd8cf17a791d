"""What the source says of itself: spec, check and discover."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from tap_betterdata.settings import SCHEMA
from tests.airbyte.running import SECONDS, SOURCE, Json, configured
from tests.e2e.commands import clean_env
from tests.e2e.truth import ALL_KEYS
from tests.running import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from syrupy.assertion import SnapshotAssertion

    from tap_betterdata.sandbox import Sandbox
    from tests.airbyte.running import Source

KEY = "bdk_live_4711secret"


def test_spec(source: Source, snapshot: SnapshotAssertion) -> None:
    said = source("spec").check()
    assert said.timeless == snapshot(extension_class=JSONSnapshotExtension)
    assert said.stderr == ""


def schemas_in(schema: Json) -> Iterator[Json]:
    yield schema
    for inner in (*schema.get("properties", {}).values(), schema.get("items")):
        if inner:
            yield from schemas_in(inner)


def test_the_spec_is_the_settings_in_plain_types(source: Source) -> None:
    (spec,) = source("spec").check().of("SPEC")
    schema = spec["connectionSpecification"]
    own = set(SCHEMA["properties"]) - {"emit_activate_version_messages"}
    assert set(schema["properties"]) == own
    assert [p["order"] for p in schema["properties"].values()] == [*range(len(own))]
    secret = [n for n, p in schema["properties"].items() if p.get("airbyte_secret")]
    assert secret == ["api_key"]
    for name, declared in schema["properties"].items():
        assert declared["title"], name
        assert declared["description"], name
    for inner in schemas_in(schema):
        assert isinstance(inner["type"], str)
        assert not {"if", "else", "secret", "writeOnly"} & inner.keys()
        assert inner.get("additionalProperties") is not False


def test_check_takes_one_request(source: Source, sandbox: Sandbox) -> None:
    said = source("check", config=config_for(sandbox)).check()
    line = f"The key works: {sandbox.url} shows 250 stock items."
    assert said.timeless == [
        {
            "type": "CONNECTION_STATUS",
            "connectionStatus": {"status": "SUCCEEDED", "message": line},
        }
    ]
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"api_key": "bdk_live_expired"}, "EXPIRED_API_KEY"),
        ({"api_key": ""}, "api_key is missing"),
        ({"api_url": "http://example.com"}, "api_url must begin with https://"),
        ({"api_url": "http://127.0.0.1:9/api", "max_retries": 0}, "no connection to"),
        ({"page_size": "many"}, "page_size is 'many'"),
    ],
)
def test_what_does_not_work_is_one_line_and_no_failure_of_the_check(
    source: Source, sandbox: Sandbox, settings: Json, line: str
) -> None:
    said = source("check", config=config_for(sandbox, **settings))
    assert (said.code, said.stderr) == (0, "")
    (status,) = said.of("CONNECTION_STATUS")
    assert status["status"] == "FAILED"
    assert line in status["message"]
    assert "\n" not in status["message"]


def test_check_says_that_there_is_no_file(source: Source) -> None:
    done = subprocess.run(  # noqa: S603 - the words are the test's
        [SOURCE, "check", "--config", "none.json"],
        cwd=source.folder,
        env=clean_env(),
        capture_output=True,
        check=True,
    )
    status = json.loads(done.stdout.splitlines()[-1])["connectionStatus"]
    assert status == {
        "status": "FAILED",
        "message": "--config none.json: No such file or directory",
    }


def test_discover(source: Source, snapshot: SnapshotAssertion) -> None:
    said = source("discover", config={"api_key": KEY}).check()
    assert said.timeless == snapshot(extension_class=JSONSnapshotExtension)


def test_the_streams_are_the_taps(source: Source) -> None:
    (catalog,) = source("discover", config={"api_key": KEY}).check().of("CATALOG")
    streams = {stream["name"]: stream for stream in catalog["streams"]}
    keys = {
        name: tuple(key for (key,) in stream.get("source_defined_primary_key", ()))
        for name, stream in streams.items()
    }
    assert keys == ALL_KEYS
    for stream in streams.values():
        modes: list[Any] = stream["supported_sync_modes"]
        is_incremental = "incremental" in modes
        assert modes[0] == "full_refresh"
        assert stream["is_resumable"] is is_incremental
        assert stream.get("source_defined_cursor", False) is is_incremental
        assert ("default_cursor_field" in stream) is is_incremental
        for schema in schemas_in(stream["json_schema"]):
            assert schema.get("additionalProperties") is not False
    assert streams["inventory"]["default_cursor_field"] == ["updatedAt"]


def test_discover_knows_the_declared_lists(source: Source) -> None:
    declared = {
        "name": "adjustments",
        "path": "/inventory/adjustments",
        "records_key": "adjustments",
        "key_fields": ["id"],
        "paging": "page",
    }
    config = {"api_key": KEY, "extra_streams": [declared]}
    (catalog,) = source("discover", config=config).check().of("CATALOG")
    (stream,) = [s for s in catalog["streams"] if s["name"] == "adjustments"]
    assert stream["json_schema"]["properties"]["data"]["additionalProperties"] is True
    assert stream["supported_sync_modes"] == ["full_refresh"]


def test_singers_settings_are_none_of_the_sources(
    source: Source, sandbox: Sandbox
) -> None:
    maps = {"inventory": {"id": "'changed'"}}
    batches = {
        "encoding": {"format": "jsonl"},
        "storage": {"root": f"file://{source.folder}"},
    }
    config = config_for(
        sandbox, stream_maps=maps, batch_config=batches, flattening_enabled=True
    )
    catalog = configured("inventory")
    said = source("read", config=config, catalog=catalog).check()
    ids = sorted(record["id"] for record in said.records("inventory"))
    assert ids == sorted(item["id"] for item in sandbox.company.items())
    (line, *_) = said.logged("WARN")
    assert "ignored: 'stream_maps', 'batch_config', 'flattening_enabled'" in line


@pytest.mark.parametrize("words", [[], ["write"], ["read", "--config", "c"]])
def test_a_wrong_command_line_is_said_beside_the_messages(
    source: Source, words: list[str]
) -> None:
    done = subprocess.run(  # noqa: S603 - the words are the test's
        [SOURCE, *words],
        cwd=source.folder,
        env=clean_env(),
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "source-betterdata" in done.stderr


@pytest.mark.parametrize("command", ["check", "discover"])
def test_who_has_the_answer_may_end_it(
    source: Source, sandbox: Sandbox, command: str
) -> None:
    """PyAirbyte does, and takes an end by the signal itself for none that failed."""
    impatient = (
        "import os, signal\n"
        "from tap_betterdata.airbyte import messages, source\n"
        "write = messages.AirbyteWriter.write\n"
        "def written(*args):\n"
        "    write(*args)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "messages.AirbyteWriter.write = written\n"
        "source.main()\n"
    )
    (_, *words) = source.words(command, config=config_for(sandbox))
    done = subprocess.run(  # noqa: S603 - the words are the test's
        [sys.executable, "-c", impatient, *words],
        cwd=source.folder,
        env=clean_env(),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, "")
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert kinds[-1] in {"CONNECTION_STATUS", "CATALOG"}
