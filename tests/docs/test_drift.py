"""The docs, the Hub's definition and CI say what the code says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft7Validator

import dev
from tap_betterdata.api import errors
from tap_betterdata.sandbox import Sandbox
from tests.docs.pages import DOCS, TEXTS, blocks, table
from tests.e2e.commands import run
from tests.running import Runner, config_for

if TYPE_CHECKING:
    from pathlib import Path

HUB = dev.ROOT / "hub" / "tap-betterdata.yml"
GENERATED = ("docs/settings.md", "docs/streams.md", "hub/tap-betterdata.yml")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")

# What the Hub demands of an extractor's definition.
HUB_TEXTS = (
    "description",
    "domain_url",
    "executable",
    "label",
    "log_parser",
    "name",
    "namespace",
    "pip_url",
    "repo",
    "variant",
)
HUB_SETTING = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "label": {"type": "string"},
        "description": {"type": "string"},
        "kind": {
            "enum": [
                "array",
                "boolean",
                "date_iso8601",
                "decimal",
                "email",
                "file",
                "hidden",
                "integer",
                "oauth",
                "object",
                "options",
                "password",
                "string",
            ]
        },
        "options": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "label": {"type": "string"},
                    "value": {"type": "string"},
                },
            },
        },
        "sensitive": {"type": "boolean"},
        "value": {},
    },
}
HUB_SCHEMA = {
    "type": "object",
    "required": ["name", "namespace", "variant", "quality"],
    "additionalProperties": False,
    "properties": {
        **{name: {"type": "string"} for name in HUB_TEXTS},
        "logo_url": {"type": ["string", "null"]},
        "keywords": {"type": "array", "items": {"type": "string"}},
        "maintenance_status": {
            "enum": ["active", "beta", "development", "inactive", "unknown"]
        },
        "quality": {"enum": ["gold", "silver", "bronze", "unknown"]},
        "supported_python_versions": {
            "type": "array",
            "items": {"type": "string", "pattern": r"^3\.\d+$"},
        },
        "capabilities": {
            "type": "array",
            "items": {
                "enum": [
                    "about",
                    "activate-version",
                    "batch",
                    "catalog",
                    "discover",
                    "log-based",
                    "properties",
                    "schema-flattening",
                    "state",
                    "stream-maps",
                    "structured-logging",
                    "test",
                ]
            },
        },
        "settings_group_validation": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "string"}},
        },
        "settings": {"type": "array", "items": HUB_SETTING},
    },
}


@pytest.fixture(scope="module")
def hub() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(HUB.read_text(encoding="utf-8"))
    return content


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def generate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the words are the tests'
        [sys.executable, dev.ROOT / "docs" / "generate.py", *words],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )


# What is generated


def test_what_is_generated_is_what_the_code_says() -> None:
    done = generate("--check")
    assert done.returncode == 0, f"{done.stderr}run `python3 dev.py docs`"


@pytest.mark.parametrize("name", GENERATED)
def test_a_change_of_what_is_generated_is_noticed(name: str, tmp_path: Path) -> None:
    for each in GENERATED:
        (tmp_path / each).parent.mkdir(exist_ok=True)
        shutil.copy(dev.ROOT / each, tmp_path / each)
    text = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(text.replace("string", "text", 1), encoding="utf-8")
    done = generate("--check", "--root", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.strip() == f"Not what the code says: {name}"


# The Hub


def test_the_hubs_definition_is_valid(hub: dict[str, Any]) -> None:
    Draft7Validator.check_schema(HUB_SCHEMA)
    assert not [e.message for e in Draft7Validator(HUB_SCHEMA).iter_errors(hub)]


def test_the_hubs_definition_is_the_taps(
    hub: dict[str, Any], about: dict[str, Any]
) -> None:
    settings = {setting["name"]: setting for setting in hub["settings"]}
    assert settings.keys() == about["settings"]["properties"].keys()
    assert sorted(hub["capabilities"]) == sorted(about["capabilities"])
    assert hub["supported_python_versions"] == about["supported_python_versions"]
    for name, schema in about["settings"]["properties"].items():
        assert settings[name].get("value") == schema.get("default"), name
        assert settings[name].get("sensitive", False) is schema.get("secret", False)
        assert settings[name]["label"], name
        assert settings[name]["description"], name


def test_the_hubs_definition_is_meltano_ymls(
    hub: dict[str, Any], project: dict[str, Any]
) -> None:
    tap, *_ = project["plugins"]["extractors"]
    for name in ("name", "namespace", "label", "description", "executable"):
        assert hub[name] == tap[name]
    kinds = {
        s["name"]: s["kind"].replace("password", "string") for s in hub["settings"]
    }
    assert kinds == {s["name"]: s["kind"] for s in tap["settings"]}


# meltano.yml


def test_meltano_yml_selects_what_is_selected_by_default(
    catalog: dict[str, Any],
) -> None:
    # As it was committed: a user's own choice is nobody else's.
    git = shutil.which("git")
    assert git
    shipped = run(git, "show", "HEAD:meltano.yml", cwd=dev.ROOT).stdout
    tap, *_ = yaml.safe_load(shipped)["plugins"]["extractors"]
    chosen = [
        name
        for name, entry in catalog.items()
        for item in entry["metadata"]
        if not item["breadcrumb"] and item["metadata"]["selected-by-default"]
    ]
    assert tap["select"] == [f"{name}.*" for name in chosen]
    assert len(chosen) == 5


def test_meltano_yml_describes_the_taps_own_settings(
    own_settings: dict[str, dict[str, Any]], project: dict[str, Any]
) -> None:
    tap, *_ = project["plugins"]["extractors"]
    described = {s["name"]: s for s in tap["settings"] if "description" in s}
    assert list(described) == list(own_settings)
    for name, schema in own_settings.items():
        setting = described[name]
        assert setting["label"] == schema["title"], name
        # The defaults are the tap's: one here would be a second one.
        assert "value" not in setting, name
        # It says less than the tap does, in its own words, but the same: its numbers
        # and its code are the tap's.
        words = re.findall(r"\d+|`[^`]+`", setting["description"])
        assert all(word.strip("`") in schema["description"] for word in words), name
        assert re.fullmatch(r"[A-Z][^.]*(\.\w[^.]*)?\.", setting["description"]), name


# What is written by hand


def test_each_capability_has_its_section(about: dict[str, Any]) -> None:
    headings = re.findall(r"^## (.*)$", read("capabilities.md"), re.MULTILINE)
    named = [name for line in headings for name in re.findall(r"`([^`]+)`", line)]
    assert sorted(named) == sorted(about["capabilities"])


def test_each_capability_names_its_tests() -> None:
    for section in read("capabilities.md").split("\n## ")[1:]:
        assert TEST.search(section), section.splitlines()[0]


def test_each_error_is_explained() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.TapError)
    }
    named = set(re.findall(r"`(\w+Error)`", read("errors.md")))
    assert named == classes - {"TapError"}


def test_each_code_is_explained() -> None:
    named = set(re.findall(r"`([A-Z_]{8,})`", read("errors.md")))
    codes = set(vars(errors)["_ADVICE"])
    assert codes <= named
    assert named - codes == {"HTTPS_PROXY", "REQUESTS_CA_BUNDLE"}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_the_tests_that_are_named_are_there(page: Path) -> None:
    for path, name in TEST.findall(page.read_text(encoding="utf-8")):
        file = dev.ROOT / path
        assert file.is_file(), path
        assert f"def {name}(" in file.read_text(encoding="utf-8"), f"{path}::{name}"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/how-it-works.md"])
def test_the_modules_that_are_named_are_there(page: str) -> None:
    text = (dev.ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/]+\.py\b", text))
    assert named
    for name in named:
        assert next(dev.ROOT.glob(name), None) or next(
            (dev.ROOT / "tap_betterdata").rglob(name), None
        ), name


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/how-it-works.md"])
def test_the_rooms_are_named(page: str) -> None:
    text = (dev.ROOT / page).read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (dev.ROOT / "tap_betterdata").glob("*/*.py")}
    assert {room for room in rooms if f"{room}/" in text} >= rooms - {"sandbox"}


def test_each_assumption_names_its_tests_or_that_there_can_be_none() -> None:
    rows = [line for line in read("assumptions.md").splitlines() if line[:2] == "| "]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        assert len(cells) == 4, row
        if cells[0] != "Assumed":
            assert TEST.search(cells[3]) or cells[1:] == [
                "not possible",
                "nothing shows it",
                "—",
            ], row


def test_settings_that_are_named_are_there(about: dict[str, Any]) -> None:
    known = about["settings"]["properties"].keys()
    for page in TEXTS:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"\bTAP_BETTERDATA_([A-Z_]+)", text):
            assert name == "LOGLEVEL" or name.lower() in known, f"{page}: {name}"
        for block in blocks(page):
            if block.language == "json" and '"api_url"' in block.text:
                assert json.loads(block.text).keys() <= known, str(block)


def test_streams_that_are_named_are_there(catalog: dict[str, Any]) -> None:
    for page in TEXTS:
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"`(inventory(?:_[a-z]+)*)`", text))
        # That one is declared in the docs.
        assert named <= {*catalog, "inventory_adjustments"}, page


def test_what_the_docs_declare_can_be_read(tmp_path: Path) -> None:
    (block,) = (
        block
        for block in blocks(DOCS / "howto" / "extra-streams.md")
        if block.language == "json"
    )
    with Sandbox(items=30) as sandbox:
        (declared,) = json.loads(block.text)["extra_streams"]
        outcome = Runner(tmp_path)(
            config_for(sandbox, extra_streams=[declared])
        ).check()
        rows = sandbox.company.plain_list("adjustments")
    records = outcome.records(declared["name"])
    assert records == [{"id": row["id"], "data": row} for row in rows]


def test_what_an_entry_declares_is_explained(about: dict[str, Any]) -> None:
    fields = about["settings"]["properties"]["extra_streams"]["items"]["properties"]
    page = DOCS / "howto" / "extra-streams.md"
    named = [cell.strip("`") for cell, _ in table(page, "Field", "What it says")]
    assert named == list(fields)


# CI


def test_ci_runs_the_pythons_that_are_supported(about: dict[str, Any]) -> None:
    text = (dev.ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    matrix = yaml.safe_load(text)["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == about["supported_python_versions"]


def test_actions_are_pinned() -> None:
    for path in sorted((dev.ROOT / ".github" / "workflows").iterdir()):
        for used in re.findall(r"uses: (.*)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", used), path
