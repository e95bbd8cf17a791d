"""meltano.yml says of the tap what the tap says of itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import dev
from tests.e2e.commands import TAP, run

if TYPE_CHECKING:
    from pathlib import Path

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
    text = (dev.ROOT / "meltano.yml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


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
