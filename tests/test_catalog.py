"""The catalog, as the installed command shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from syrupy.extensions.json import JSONSnapshotExtension

from tests.e2e.truth import ALL_KEYS
from tests.running import InstalledRunner

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from tests.running import Row


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """The streams' entries by name."""
    command = InstalledRunner(tmp_path_factory.mktemp("discover"))
    found = json.loads(command(None, "--discover").check().stdout)
    return {entry["tap_stream_id"]: entry for entry in found["streams"]}


@pytest.mark.parametrize("stream", ALL_KEYS)
def test_entry(
    stream: str, catalog: dict[str, Row], snapshot: SnapshotAssertion
) -> None:
    assert catalog[stream] == snapshot(extension_class=JSONSnapshotExtension)


@pytest.mark.parametrize("stream", ALL_KEYS)
def test_every_field_is_described_and_all_but_keys_may_be_null(
    stream: str, catalog: dict[str, Row]
) -> None:
    for name, field in catalog[stream]["schema"]["properties"].items():
        assert field["description"], name
        assert ("null" in field["type"]) == (name not in ALL_KEYS[stream]), name


def test_the_fields_are_those_that_the_sandbox_sends(catalog: dict[str, Row]) -> None:
    assert len(catalog["inventory"]["schema"]["properties"]) == 18
