"""meltano.yml says of the tap what the tap says of itself."""

from __future__ import annotations

import difflib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import dev
from tests.e2e.commands import TAP, run
from tests.e2e.project import copy_project, read_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Meltano

FOLDER = "$MELTANO_PROJECT_ROOT/output/$MELTANO_ENVIRONMENT"
KINDS = {
    "array": {"array"},
    "boolean": {"boolean"},
    "integer": {"integer"},
    "object": {"object"},
    "string": {"date_iso8601", "options", "string"},
}


@pytest.fixture(scope="module")
def about(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("about")
    output = run(TAP, "--about", "--format=json", cwd=folder).stdout
    content: dict[str, Any] = json.loads(output)
    return content


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return read_project()


@pytest.fixture(scope="module")
def settings(project: dict[str, Any]) -> dict[str, Any]:
    tap, _ = project["plugins"]["extractors"]
    return {setting["name"]: setting for setting in tap["settings"]}


def test_every_setting_is_there(
    about: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert sorted(settings) == sorted(about["settings"]["properties"])


def test_kinds_and_options_fit(about: dict[str, Any], settings: dict[str, Any]) -> None:
    for name, schema in about["settings"]["properties"].items():
        (type_,) = set(schema["type"]) - {"null"}
        setting = settings[name]
        assert setting["kind"] in KINDS[type_], name
        values = [option["value"] for option in setting.get("options", ())]
        assert values == schema.get("enum", []), name


def test_secrets_are_sensitive(about: dict[str, Any], settings: dict[str, Any]) -> None:
    secrets = {
        name
        for name, schema in about["settings"]["properties"].items()
        if schema.get("secret")
    }
    assert {name for name, one in settings.items() if one.get("sensitive")} == secrets


def test_every_capability_is_there(
    about: dict[str, Any], project: dict[str, Any]
) -> None:
    tap, full = project["plugins"]["extractors"]
    assert sorted(tap["capabilities"]) == sorted(about["capabilities"])
    # Without that one, Meltano hands it no state: each run reads everything.
    assert sorted([*full["capabilities"], "state"]) == sorted(about["capabilities"])


def test_no_definition_is_left_to_a_hub(project: dict[str, Any]) -> None:
    plugins = [plugin for group in project["plugins"].values() for plugin in group]
    needed = {"namespace", "pip_url", "executable", "settings"}
    whole = {plugin["name"] for plugin in plugins if needed <= plugin.keys()}
    for plugin in plugins:
        assert plugin.get("inherit_from", plugin["name"]) in whole


def test_every_environment_has_its_own_place(project: dict[str, Any]) -> None:
    tap, _ = project["plugins"]["extractors"]
    values = {
        (loader["name"], setting["name"]): setting.get("value", "")
        for loader in project["plugins"]["loaders"]
        for setting in loader["settings"]
    }
    places = {
        name: value for name, value in values.items() if "$MELTANO_" in str(value)
    }
    schema = "$MELTANO_EXTRACT__LOAD_SCHEMA"
    assert places == {
        ("target-csv", "output_path"): f"{FOLDER}/csv",
        ("target-duckdb", "filepath"): f"{FOLDER}/betterdata.duckdb",
        ("target-duckdb", "default_target_schema"): schema,
        ("target-jsonl", "destination_path"): f"{FOLDER}/jsonl",
        ("target-postgres", "default_target_schema"): schema,
    }
    assert tap["load_schema"] == "tap_betterdata_$MELTANO_ENVIRONMENT"
    own = {
        environment["name"]: plugin["load_schema"]
        for environment in project["environments"]
        for plugin in environment["config"]["plugins"]["extractors"]
        if "load_schema" in plugin
    }
    assert own == {"prod": "tap_betterdata"}


def test_dbt_reads_where_the_target_writes(project: dict[str, Any]) -> None:
    tap, _ = project["plugins"]["extractors"]
    dbt, *children = project["plugins"]["utilities"]
    values = {setting["name"]: setting.get("value") for setting in dbt["settings"]}
    assert values["duckdb_filepath"] == f"{FOLDER}/betterdata.duckdb"
    assert values["source_schema"] == tap["load_schema"]
    assert [child["config"]["target"] for child in children] == ["duckdb", "postgres"]
    own = {
        environment["name"]: plugin["config"]["source_schema"]
        for environment in project["environments"]
        for plugin in environment["config"]["plugins"].get("utilities", [])
    }
    assert own == {"prod": "tap_betterdata"}


CHANGES = {
    "select tap-betterdata alerts_config cooldownMinutes": [
        "    - alerts_config.cooldownMinutes",
    ],
    "schedule add of-this-test --job betterdata-to-postgres --interval @daily": [
        "- name: of-this-test",
        "  interval: '@daily'",
        "  job: betterdata-to-postgres",
    ],
    "config set tap-betterdata lookback_minutes 12": ["      lookback_minutes: 12"],
    "config set target-csv file_naming_scheme x.csv": [
        "      file_naming_scheme: x.csv",
    ],
}


@pytest.mark.meltano
@pytest.mark.parametrize("command", CHANGES)
def test_meltano_changes_no_more_than_it_is_asked_to(
    meltano: Meltano, command: str
) -> None:
    path = meltano.folder / "meltano.yml"
    shutil.copy(dev.ROOT / "meltano.yml", path)
    before = path.read_text(encoding="utf-8").splitlines()
    meltano(*command.split())
    after = path.read_text(encoding="utf-8").splitlines()
    diff = [*difflib.ndiff(before, after)]
    assert not [line for line in diff if line.startswith("- ")]
    added = [line[2:] for line in diff if line.startswith("+ ")]
    # A block that was not there before begins with its name.
    if added[0].strip() in {"schedules:", "config:"}:
        added = added[1:]
    assert added == CHANGES[command]


def test_what_a_user_selects_is_not_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_project(tmp_path)
    fresh = (tmp_path / "meltano.yml").read_text(encoding="utf-8")
    theirs = yaml.safe_load(fresh)
    theirs["plugins"]["extractors"][0]["select"] = ["alerts_config.*"]
    theirs["environments"][0]["config"]["plugins"]["extractors"][0]["select"] = ["*.*"]
    theirs["schedules"] = [{"name": "nightly", "job": "a", "interval": "@daily"}]
    (tmp_path / "meltano.yml").write_text(yaml.safe_dump(theirs), encoding="utf-8")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    (tmp_path / "copy").mkdir()
    copy_project(tmp_path / "copy")
    copied = (tmp_path / "copy" / "meltano.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(copied) == yaml.safe_load(fresh)
