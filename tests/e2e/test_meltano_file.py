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
    (tap,) = project["plugins"]["extractors"]
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
    (tap,) = project["plugins"]["extractors"]
    assert sorted(tap["capabilities"]) == sorted(about["capabilities"])


def test_no_definition_is_left_to_a_hub(project: dict[str, Any]) -> None:
    plugins = [plugin for group in project["plugins"].values() for plugin in group]
    needed = {"namespace", "pip_url", "executable", "settings"}
    assert all(needed <= plugin.keys() for plugin in plugins)
    assert not any("inherit_from" in plugin for plugin in plugins)
