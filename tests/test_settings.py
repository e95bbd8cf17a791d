"""The settings, the files and variables that they come from, and what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.errors import SettingsError
from tap_betterdata.sandbox import Sandbox
from tap_betterdata.settings import SCHEMA as OWN
from tap_betterdata.settings import check, check_url, without_unset
from tap_betterdata.tap import TapBetterData
from tests.running import InstalledRunner, Outcome, Runner, catalog_of, config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-THAT-nobody-may-see-4711"
# Nobody answers there.
NOWHERE = "http://127.0.0.1:9/api"
BASE = {"api_key": KEY, "api_url": NOWHERE, "max_retries": 0}
EXAMPLE = Path(__file__).parent.parent / ".env.example"

SCHEMA = deepcopy(OWN)
TapBetterData.append_builtin_config(SCHEMA)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(items=20, locations=2, api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def _forget_requests(sandbox: Sandbox) -> None:
    sandbox.requests.clear()


def variables(config: dict[str, Any]) -> dict[str, str]:
    """Return a config as variables."""
    return {f"TAP_BETTERDATA_{name.upper()}": str(config[name]) for name in config}


# What is not set

NOT_SET = dict.fromkeys(SCHEMA["properties"], "")


def test_an_empty_variable_is_an_unset_one(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    outcome = tap(config, "--config=ENV", **variables(NOT_SET)).check()
    assert len(outcome.records("inventory")) == 20
    assert not outcome.lines("WARNING")


def test_an_empty_setting_is_an_unset_one(tap: Runner, sandbox: Sandbox) -> None:
    outcome = tap({**NOT_SET, **config_for(sandbox)}).check()
    assert len(outcome.records("inventory")) == 20


@pytest.mark.parametrize("unset", ["", None])
def test_neither_is_the_key(tap: Runner, unset: str | None) -> None:
    line = tap({"api_key": unset, "api_url": unset}).failure
    assert line.startswith("api_key is missing")


def test_the_example_of_an_env_file_works_with_the_sandbox(
    command: InstalledRunner,
) -> None:
    shutil.copy(EXAMPLE, command.folder / ".env")
    config = {"api_url": "sandbox:?items=7&locations=1", "start_date": "2026-10-01"}
    outcome = command(config, "--config=ENV").check()
    assert len(outcome.records("inventory")) == 7


# Files


def put(folder: Path, content: bytes) -> str:
    (folder / "mine.json").write_bytes(content)
    return str(folder / "mine.json")


def with_file(
    tap: Runner, option: str, content: bytes, config: dict[str, Any]
) -> Outcome:
    """Run the tap with this file."""
    path = put(tap.folder, content)
    return tap(None if option == "config" else config, f"--{option}", path)


@pytest.mark.parametrize("option", ["config", "catalog", "state"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_any_unicode_is_read(
    tap: Runner, sandbox: Sandbox, option: str, encoding: str
) -> None:
    config = config_for(sandbox, location_ids=["loc_001"], user_agent="keeper")
    stamp = "2999-01-01T00:00:00Z"
    state = {"bookmarks": {"inventory_atp": {}, "gone": {"möbel": stamp}}}
    content = {"config": config, "catalog": catalog_of("inventory"), "state": state}
    text = json.dumps(content[option], ensure_ascii=False)
    outcome = with_file(tap, option, text.encode(encoding), config).check()
    assert outcome.records("inventory")
    assert bool(outcome.of("SCHEMA", "inventory_atp")) == (option != "catalog")
    assert ("gone" in outcome.stderr) == (option == "state")
    assert sandbox.requests[0].headers["User-Agent"] == "keeper"


DEEP = 5000


@pytest.mark.parametrize("option", ["config", "catalog", "state"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"bookmarks": "é"}'.encode("latin-1"), "UTF-8"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b'{"bookmarks": {"inventory": NaN}}', "NaN"),
        (b'{"streams": [-Infinity]}', "-Infinity"),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "levels deep"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "levels deep"),
        (b'{"bookmarks', "not JSON"),
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tap: Runner, option: str, content: bytes, said: str
) -> None:
    line = with_file(tap, option, content, BASE).failure
    assert line.startswith(f"--{option} {tap.folder / 'mine.json'}: ")
    assert said in line


@pytest.mark.parametrize("option", ["config", "catalog", "state"])
def test_a_folder_is_no_file(tap: Runner, option: str) -> None:
    config = None if option == "config" else BASE
    outcome = tap(config, f"--{option}", str(tap.folder))
    assert outcome.code
    assert str(tap.folder) in outcome.stderr
    assert f"--{option}" in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.parametrize("option", ["catalog", "state"])
def test_a_dash_is_standard_input(tap: Runner, sandbox: Sandbox, option: str) -> None:
    config = tap.folder / "config.json"
    config.write_text(json.dumps(config_for(sandbox)), encoding="utf-8")
    catalog = catalog_of("inventory_atp")
    content = {"catalog": catalog, "state": {"bookmarks": {"stock": {}}}}[option]
    arguments = ["--config", str(config), f"--{option}", "-"]
    outcome = tap.start(arguments, {}, json.dumps(content)).check()
    is_read = {
        "catalog": not outcome.records("inventory"),
        "state": "bookmarks of stock" in outcome.stderr,
    }
    assert is_read[option]
    line = tap.start(arguments, {}, "none").failure
    assert line.startswith(f"--{option} -: not JSON")


@pytest.mark.parametrize("wrong", [[1], None, "x", 3])
@pytest.mark.parametrize("stream", ["foo", "inventory"])
def test_a_state_of_another_shape_is_named(
    tap: Runner, stream: str, wrong: object
) -> None:
    line = tap(BASE, state={"bookmarks": {stream: wrong}}).failure
    assert line.startswith(f"--state {tap.folder / 'state.json'}: ")
    assert stream in line


@pytest.mark.parametrize(
    "wrong",
    [
        {"bookmarks": {}},
        BASE,
        {},
        {"streams": []},
        {"streams": {"inventory": {}}},
        {"streams": [3]},
        {"streams": [{"stream": "inventory"}]},
        {"streams": [{"tap_stream_id": "inventory", "schema": {"type": 3}}]},
        {"streams": [{"tap_stream_id": "inventory", "replication_key": {}}]},
        {"streams": [{"tap_stream_id": "inventory", "stream": "stock"}]},
        *(
            {"streams": [{"tap_stream_id": "inventory", "key_properties": keys}]}
            for keys in (True, 1.5, "id", {"id": 1}, [["id"]])
        ),
    ],
)
def test_a_wrong_file_is_no_catalog(tap: Runner, wrong: dict[str, Any]) -> None:
    line = tap(BASE, catalog=wrong).failure
    assert line.startswith(f"--catalog {tap.folder / 'catalog.json'}: not a catalog")


@pytest.mark.parametrize("top", [[], ""])
def test_how_a_catalog_may_name_the_stream_itself(
    tap: Runner, sandbox: Sandbox, top: object
) -> None:
    catalog = catalog_of("inventory")
    for stream in catalog["streams"]:
        for part in stream["metadata"]:
            part["breadcrumb"] = part["breadcrumb"] or top
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    assert {row["stream"] for row in outcome.of("RECORD")} == {"inventory"}


def entry(name: str, **metadata: object) -> dict[str, Any]:
    return {
        "tap_stream_id": name,
        "schema": {"properties": {}},
        "metadata": [{"breadcrumb": [], "metadata": metadata}] if metadata else [],
    }


@pytest.mark.parametrize("metadata", [{"selected": True}, {}])
def test_a_selected_stream_that_is_not_there_is_named(
    tap: Runner, sandbox: Sandbox, metadata: dict[str, Any]
) -> None:
    catalog = catalog_of("inventory")
    catalog["streams"].append(entry("inventory_lots", **metadata))
    line = tap(config_for(sandbox), catalog=catalog).failure
    assert "'inventory_lots'" in line
    assert "inventory_atp" in line
    assert not sandbox.requests


def test_a_deselected_stream_may_be_gone(tap: Runner, sandbox: Sandbox) -> None:
    catalog = catalog_of("inventory")
    catalog["streams"].append(entry("inventory_lots", selected=False))
    outcome = tap(config_for(sandbox), catalog=catalog).check()
    assert len(outcome.records("inventory")) == 20


# Variables


def write_env(folder: Path, content: dict[str, Any], encoding: str = "utf-8") -> None:
    lines = (f"{name}='{value}'\n" for name, value in variables(content).items())
    (folder / ".env").write_text("".join(lines), encoding=encoding)


def test_an_env_file_above_is_not_read(
    command: InstalledRunner, sandbox: Sandbox
) -> None:
    write_env(command.folder, {"api_url": sandbox.url})
    below = InstalledRunner(command.folder / "below")
    below.folder.mkdir()
    settings = {"api_key": KEY, "api_url": NOWHERE, "max_retries": 0}
    outcome = below(None, "--config=ENV", **variables(settings))
    assert "127.0.0.1" in outcome.failure
    assert ".env" not in outcome.stderr
    del settings["api_url"]
    outcome = below({"api_url": NOWHERE}, "--config=ENV", **variables(settings))
    assert outcome.failure
    assert not sandbox.requests


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_env_file_where_it_is_started_is_named(
    command: InstalledRunner, sandbox: Sandbox, encoding: str
) -> None:
    write_env(command.folder, config_for(sandbox), encoding)
    # A variable goes before the file; an empty one does not.
    env = {"TAP_BETTERDATA_USER_AGENT": "keeper", "TAP_BETTERDATA_API_URL": ""}
    outcome = command(None, "--config=ENV", **env).check()
    assert len(outcome.records("inventory")) == 20
    assert sandbox.requests[0].headers["User-Agent"] == "keeper"
    assert any(str(command.folder / ".env") in line for line in outcome.lines("INFO"))
    assert KEY not in outcome.stdout + outcome.stderr


def test_an_env_file_that_cannot_be_read_is_named(command: InstalledRunner) -> None:
    (command.folder / ".env").write_bytes("X=é".encode("latin-1"))
    assert ".env: not a text" in command(None, "--config=ENV").failure


@pytest.mark.parametrize(
    ("text", "wanted"), [("true", True), ("ON", True), (" no ", False), ("0", False)]
)
def test_flags_come_from_variables(
    monkeypatch: pytest.MonkeyPatch, text: str, wanted: object
) -> None:
    monkeypatch.setenv("TAP_BETTERDATA_EMIT_ACTIVATE_VERSION_MESSAGES", text)
    monkeypatch.setenv("TAP_BETTERDATA_STREAM_MAPS", '{"inventory": null}')
    config = TapBetterData(config=BASE, parse_env_config=True).config
    assert config["emit_activate_version_messages"] is wanted
    assert config["stream_maps"] == {"inventory": None}


# Unknown ones


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("locations", "location_ids"),
        ("apikey", "api_key"),
        ("API_KEY", None),
        ("colour", None),
    ],
)
def test_an_unknown_setting_is_named(
    tap: Runner, sandbox: Sandbox, name: str, meant: str | None
) -> None:
    outcome = tap({**config_for(sandbox), name: "a-secret"}).check()
    (line,) = outcome.lines("WARNING")
    assert f"'{name}'" in line
    assert ("did you mean" in line) == bool(meant)
    assert (meant or "") in line
    assert "a-secret" not in outcome.stderr


@pytest.mark.parametrize(
    ("name", "meant"), [("LOCATIONS", "LOCATION_IDS"), ("APIKEY", "API_KEY")]
)
def test_an_unknown_variable_is_named(
    tap: Runner, sandbox: Sandbox, name: str, meant: str
) -> None:
    env = {f"TAP_BETTERDATA_{name}": "a-secret"}
    outcome = tap(config_for(sandbox), "--config=ENV", **env).check()
    (line,) = outcome.lines("WARNING")
    assert f"'TAP_BETTERDATA_{name}' (did you mean TAP_BETTERDATA_{meant}?)" in line
    assert "a-secret" not in outcome.stderr
    assert not tap(config_for(sandbox), **env).lines("WARNING")


def test_what_meltano_and_the_sdk_set_is_known(tap: Runner, sandbox: Sandbox) -> None:
    env = {
        "TAP_BETTERDATA_LOGLEVEL": "INFO",
        "TAP_BETTERDATA__SELECT": "[]",
        "TAP_BETTERDATA_BATCH_CONFIG_STORAGE_ROOT": "file:///tmp",
    }
    more = {"_catalog": "x", "flattening_enabled": False, "stream_maps": {}}
    config = {**config_for(sandbox), **more}
    assert not tap(config, "--config=ENV", **env).check().lines("WARNING")


def test_many_unknown_settings_are_one_line(tap: Runner, sandbox: Sandbox) -> None:
    many = {f"colour_{number}" * 999: 1 for number in range(2000)}
    (line,) = tap({**config_for(sandbox), **many}).lines("WARNING")
    assert "and 1990 more" in line
    assert len(line) < 2000


# What is wrong with them

WHOLE = "a whole number from 1 to 200"
DATE = "it takes a date, YYYY-MM-DD, such as 2026-01-31"
COPY = "copy the whole key anew, and nothing around it"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_key": f"{KEY}\n"}, f"api_key holds a line break: {COPY}"),
        ({"api_key": f"{KEY[:9]}\r{KEY[9:]}"}, f"api_key holds a line break: {COPY}"),
        ({"api_key": f" {KEY}"}, f"api_key holds a blank: {COPY}"),
        ({"api_key": "  "}, f"api_key holds a blank: {COPY}"),
        (
            {"api_key": f"{KEY}…"},
            f"api_key holds an ellipsis (…), so it was cut short: {COPY}",
        ),
        ({"api_key": f"{KEY}é"}, f"api_key holds a character that no key has: {COPY}"),
        ({"api_key": [KEY]}, "api_key is not a text: write the key in quotes"),
        ({"start_date": "01/06/2026"}, f"start_date is '01/06/2026': {DATE}"),
        ({"end_date": "2026-02-30"}, f"end_date is '2026-02-30': {DATE}"),
        ({"end_date": 20260101}, f"end_date is 20260101: {DATE}"),
        ({"page_size": 0}, f"page_size is 0: it takes {WHOLE}"),
        ({"page_size": 201}, f"page_size is 201: it takes {WHOLE}"),
        ({"page_size": 10.5}, f"page_size is 10.5: it takes {WHOLE}"),
        ({"page_size": True}, f"page_size is true: it takes {WHOLE}"),
        ({"page_size": "50"}, f"page_size is '50': it takes {WHOLE}, without quotes"),
        (
            {"requests_per_hour": -1},
            "requests_per_hour is -1: it takes a whole number, 0 or more",
        ),
        (
            {"emit_activate_version_messages": "true"},
            (
                "emit_activate_version_messages is 'true': it takes true or false, "
                "without quotes"
            ),
        ),
        ({"on_inexact": "ignore"}, "on_inexact is 'ignore': it takes fail or warn"),
        (
            {"location_ids": "loc_001"},
            (
                "location_ids is 'loc_001': it takes a list of texts, such as "
                '["loc_001", "loc_002"]'
            ),
        ),
        (
            {"location_ids": ["loc_001", 2]},
            "location_ids holds 2: it takes a text in quotes, not an empty one",
        ),
        (
            {"user_agent": "a\nb"},
            (
                "user_agent is 'a\\nb': it takes a text of ASCII letters, digits and "
                "punctuation, on one line"
            ),
        ),
        ({"stream_maps": "x"}, "stream_maps is 'x': it takes a JSON object"),
        (
            {"stream_maps": {"inventory": 3}},
            (
                "stream_maps.inventory is 3: it takes what `tap-betterdata --about` "
                "says of it"
            ),
        ),
        (
            {"batch_config": {"encoding": {"format": "xml"}}},
            "batch_config.encoding.format is 'xml': it takes jsonl or parquet",
        ),
        (
            {"page_size": 0, "max_retries": 101},
            (
                f"page_size is 0: it takes {WHOLE}; max_retries is 101: it takes a "
                "whole number from 0 to 100"
            ),
        ),
        (
            {"user_agent": f"{KEY}\n"},
            (
                "user_agent is '***\\n': it takes a text of ASCII letters, digits and "
                "punctuation, on one line"
            ),
        ),
    ],
)
def test_what_is_wrong_is_said_in_words(
    tap: Runner, settings: dict[str, Any], said: str
) -> None:
    outcome = tap({**BASE, **settings})
    assert outcome.failure == said
    assert KEY not in outcome.stderr


@pytest.mark.parametrize("source", ["file", "variable"])
def test_the_key_is_blanked_whoever_logs_it(
    tap: Runner, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    def tell(*_: object) -> None:
        logging.getLogger("anyone").warning("the key is %s", KEY)

    monkeypatch.setattr(TapBetterData, "load_state", tell)
    if source == "file":
        outcome = tap(BASE)
    else:
        config = {**BASE, "api_key": ""}
        outcome = tap(config, "--config=ENV", TAP_BETTERDATA_API_KEY=KEY)
    assert "the key is ***" in outcome.stderr
    assert KEY not in outcome.stderr


def test_the_key_is_blanked_before_a_value_is_cut(tap: Runner) -> None:
    outcome = tap({**BASE, "user_agent": f"{'x' * 40}{KEY}{'x' * 40}\n"})
    assert "user_agent is 'xxx" in outcome.failure
    assert KEY[:8] not in outcome.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PAGE_SIZE", "many", f"is 'many': it takes {WHOLE}"),
        ("PAGE_SIZE", "0", f"is 0: it takes {WHOLE}"),
        ("MAX_RETRIES", "2.5", "is '2.5': it takes a whole number from 0 to 100"),
        ("LOCATION_IDS", "[1]", "holds 1: it takes a text in quotes"),
        ("LOCATION_IDS", '["loc_001"', "is '[\"loc_001\"': it takes a list"),
        ("EMIT_ACTIVATE_VERSION_MESSAGES", "maybe", "is 'maybe': it takes true or"),
        ("STREAM_MAPS", "{'x'}", "is \"{'x'}\": it takes a JSON object"),
        ("STREAM_MAPS", '{"a":' * DEEP, "it takes a JSON object"),
        ("START_DATE", "01/06/2026", f"is '01/06/2026': {DATE}"),
        ("API_KEY", f"{KEY}\n", f"holds a line break: {COPY}"),
    ],
)
def test_a_variable_is_named_as_such(
    tap: Runner, name: str, value: str, said: str
) -> None:
    outcome = tap(BASE, "--config=ENV", **{f"TAP_BETTERDATA_{name}": value})
    assert outcome.failure.startswith(f"TAP_BETTERDATA_{name} ")
    assert said in outcome.failure
    assert "without quotes" not in outcome.failure
    assert KEY not in outcome.stderr


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(SCHEMA["properties"])), value=JSON)
def test_any_value_passes_or_is_named(name: str, value: Any) -> None:
    config = without_unset({**BASE, "user_agent": KEY, name: value})
    try:
        check(config, SCHEMA)
    except SettingsError as error:
        line = str(error)
        assert line.startswith(name)
        assert KEY not in line
        assert "\n" not in line
        assert "does not match" not in line


# The URL


@pytest.mark.parametrize(
    "url",
    [
        "https://app.betterdata.co/api",
        "HTTPS://app.betterdata.co",
        "http://localhost:8080/api",
        "http://127.0.0.1",
        "http://127.9.9.9:1/",
        "http://[::1]:8080/api",
        "sandbox:",
        "sandbox:?items=3",
    ],
)
def test_urls_that_the_key_may_go_to(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.invalid\\@127.0.0.1/",
        "http://api.invalid\\\\@localhost/",
        "http://api.invalid/@127.0.0.1",
        "http://api.invalid?@127.0.0.1/",
        "http://api.invalid#@127.0.0.1/",
        "http://127.0.0.1.api.invalid/",
        "http://127.0.0.1@api.invalid/",
        "http://localhost%2eapi.invalid/",
        "http://0x7f000001/",
        " http://api.invalid/",
        "http:\\\\127.0.0.1/",
        "http:127.0.0.1",
        "//127.0.0.1/",
        "file:///etc/passwd",
        "https://",
        "https:///api",
        "https://[::1",
        "https://a b/",
    ],
)
def test_urls_that_the_key_may_not_go_to(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^api_url must .*https://"):
        check_url(url)


@pytest.mark.parametrize(
    "user", ["keeper:s3cret@", "s3cret@", ":s3cret@", "a%40b:s3cret@", "a@b:s3cret@"]
)
def test_a_password_in_the_url_is_refused_and_not_shown(tap: Runner, user: str) -> None:
    for url in (f"https://{user}127.0.0.1:9/api", f"http://{user}127.0.0.1:9/api"):
        for word in ("--discover", "--test", ""):
            env = {"TAP_BETTERDATA_LOGLEVEL": "DEBUG"}
            outcome = tap({**BASE, "api_url": url}, *filter(None, [word]), **env)
            assert "s3cret" not in outcome.stdout + outcome.stderr
            if word != "--discover":
                assert "without a user or password" in outcome.failure


@pytest.mark.parametrize(
    ("batches", "missing"),
    [
        ({"encoding": {"format": "jsonl"}}, "storage.root"),
        ({"encoding": {"format": "jsonl"}, "storage": {"prefix": "x"}}, "storage.root"),
        ({"storage": {"root": "file:///tmp"}}, "encoding.format"),
        ({"encoding": None, "storage": {"root": "file:///tmp"}}, "encoding.format"),
        ({"batch_size": 10}, "encoding.format"),
    ],
)
def test_batches_without_a_part_of_their_settings(
    tap: Runner, batches: dict[str, Any], missing: str
) -> None:
    failure = tap({**BASE, "batch_config": batches}).failure
    assert failure.startswith(f"batch_config.{missing} is missing: set it, such as to")


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_that_are_not_there(tap: Runner, name: str) -> None:
    path = str(tap.folder / "none.pem")
    env = {"REQUESTS_CA_BUNDLE": "", name: path}
    outcome = tap({**BASE, "api_url": "https://127.0.0.1:9/api"}, **env)
    assert outcome.failure == (
        f"{name} is {path!r}: there is no such file of certificates"
    )
    # Plain http on this machine needs none.
    assert "127.0.0.1" in tap(BASE, **env).failure


# Dates


def test_a_start_that_is_still_to_come_stops_analytics_alone(
    tap: Runner, sandbox: Sandbox
) -> None:
    tomorrow = (datetime.now(tz=UTC) + timedelta(days=1)).date().isoformat()
    config = config_for(sandbox, start_date=tomorrow, end_date=None)
    outcome = tap(config).check()
    assert len(outcome.records("inventory")) == 20
    assert outcome.records("inventory_atp")
    assert not outcome.records("inventory_analytics")
    (line,) = outcome.lines("WARNING")
    assert line.startswith(f"The start_date {tomorrow} is still to come")
    assert "end_date" not in outcome.stderr
    again = tap(config, state=outcome.of("STATE")[-1]["value"]).check()
    assert "end_date" not in again.stderr


def test_a_start_that_is_still_to_come_is_nothing_to_inventory(
    tap: Runner, sandbox: Sandbox
) -> None:
    config = config_for(sandbox, start_date="2999-01-01", end_date=None)
    outcome = tap(config, catalog=catalog_of("inventory", "inventory_atp")).check()
    assert not outcome.lines("WARNING")


def test_an_end_that_is_set_is_blamed(tap: Runner, sandbox: Sandbox) -> None:
    config = config_for(sandbox, start_date="2999-01-02", end_date="2999-01-01")
    line = tap(config).failure
    assert line == "start_date 2999-01-02 lies after end_date 2999-01-01"
