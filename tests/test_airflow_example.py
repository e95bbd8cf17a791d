"""What examples/airflow/ does for a shard; `dev.py airflow` runs it in an Airflow."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from datetime import timedelta
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import dev
from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import TAP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "BETTERDATA_API_KEY_NORTH"
LOCATIONS = ["loc_001"]
STORED = '{"bookmarks": {}}'
# It takes all, and says then what it has stored.
TARGET = f"cat > /dev/null; echo '{STORED}'"


def undecorated(**_settings: object) -> Callable[[Any], Any]:
    return lambda function: function


def no_dag(**_settings: object) -> Callable[[Any], Any]:
    return lambda _function: lambda: None


class Shard:
    """The function of the DAG's task, with a target of the test's and no Airflow."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.patch = monkeypatch
        self.variables: dict[str, str] = {}
        variable = SimpleNamespace(
            get=lambda name, default="": self.variables.get(name, default),
            set=self.variables.__setitem__,
        )
        sdk = ModuleType("airflow.sdk")
        sdk.__dict__.update(Variable=variable, task=undecorated, dag=no_dag)
        monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
        monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
        path = dev.ROOT / "examples" / "airflow" / "betterdata.py"
        spec = importlib.util.spec_from_file_location("betterdata_dag", path)
        assert spec
        assert spec.loader
        self.dag = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.dag)
        (folder / TAP.name).symlink_to(TAP)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def load(self, sandbox: Sandbox, target: str) -> None:
        self.variables[KEY] = sandbox.api_key
        self.patch.setenv("TAP_BETTERDATA_API_URL", sandbox.url)
        program = self.folder / "target-postgres"
        program.write_text(f"#!/bin/sh\n{target}\n", encoding="utf-8")
        program.chmod(0o755)
        self.dag.load(KEY, LOCATIONS)

    @property
    def states(self) -> list[str]:
        return [value for name, value in self.variables.items() if name != KEY]


@pytest.fixture
def shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shard:
    return Shard(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("target", "codes"),
    [
        (f'{TARGET}; printf \'{{"bookmarks": {{"inv\'; kill -9 $$', "tap 0, target -9"),
        (f"{TARGET}; exit 3", "tap 0, target 3"),
    ],
)
def test_the_last_whole_state_is_kept_where_the_target_dies(
    target: str, codes: str, shard: Shard
) -> None:
    with Sandbox(items=5) as sandbox, pytest.raises(RuntimeError, match=codes):
        shard.load(sandbox, target)
    assert [json.loads(state) for state in shard.states] == [json.loads(STORED)]


def test_the_state_is_kept_where_the_tap_fails(shard: Shard) -> None:
    with (
        Sandbox(items=5, missing_permissions="inventory.read") as sandbox,
        pytest.raises(RuntimeError, match="tap 1, target 0"),
    ):
        shard.load(sandbox, TARGET)
    assert [json.loads(state) for state in shard.states] == [json.loads(STORED)]


def test_a_shard_that_takes_too_long_is_ended(
    shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard.dag, "TIMEOUT", timedelta(seconds=2))
    # A first request is let go, and the hour of the second never comes.
    with (
        Sandbox(items=500, per_hour=1) as sandbox,
        pytest.raises(RuntimeError, match=r"tap -?[1-9]\d*, target 0"),
    ):
        shard.load(sandbox, TARGET)
    assert [json.loads(state) for state in shard.states] == [json.loads(STORED)]
