"""The rooms of the house: a module imports from rooms below its own, never upwards."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import tap_betterdata

ROOT = Path(tap_betterdata.__file__).parent
# From below.
ROOMS = (
    *("compat", "pagination", "api", "state", "output", "streams"),
    *("inputs", "setting_faults", "settings", "tap", "__main__", "airbyte"),
)
# It stands alone: it imports nothing, and only this room starts it, if it is asked for.
ALONE, STARTED_BY = "sandbox", "api"
MODULES = sorted(ROOT.rglob("*.py"))


def room_of(module: str) -> str:
    """Return the room of a module such as `tap_betterdata.api.client`."""
    return [*module.split("."), "__init__"][1]


def imports(path: Path) -> list[tuple[str, bool]]:
    """Return the package's modules that a file imports, and whether lazily."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lazy = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, (ast.FunctionDef, ast.AsyncFunctionDef))
        for inner in ast.walk(outer)
    }
    found = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import hides where it goes"
            # `from tap_betterdata import streams` names a room, too.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(name, node in lazy) for name in names]
    return [found for found in found if found[0].split(".")[0] == "tap_betterdata"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    room = path.relative_to(ROOT).with_suffix("").parts[0]
    for module, is_lazy in imports(path):
        other = room_of(module)
        if other == ALONE != room:
            is_right = is_lazy and room == STARTED_BY
        elif room == ALONE:
            is_right = other == ALONE
        else:
            is_right = ROOMS.index(other) <= ROOMS.index(room)
        assert is_right, f"{room} imports {module}"


def test_every_room_is_known() -> None:
    rooms = {path.relative_to(ROOT).with_suffix("").parts[0] for path in MODULES}
    assert rooms - {"__init__"} == {*ROOMS, ALONE}
