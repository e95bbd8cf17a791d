"""The package: what is in it, and that it works where nothing else is installed."""

from __future__ import annotations

import email
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
import yaml

import dev
from tests.e2e.commands import clean_env, run
from tests.e2e.truth import ALL_KEYS

if TYPE_CHECKING:
    from email.message import Message

PROJECT = tomllib.loads((dev.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
VERSION = PROJECT["project"]["version"]


@dataclass(frozen=True)
class Built:
    """What was built from a clean copy of the project.

    Attributes:
        source: The package's files in the copy.
        wheel: The wheel.
        sdist: The source distribution.
    """

    source: set[str]
    wheel: Path
    sdist: Path

    @property
    def wheel_names(self) -> set[str]:
        """The names of the wheel's files."""
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    @property
    def sdist_names(self) -> set[str]:
        """The names of the source distribution's files, below its folder."""
        with tarfile.open(self.sdist) as archive:
            names = [PurePosixPath(entry.name) for entry in archive]
        return {str(PurePosixPath(*name.parts[1:])) for name in names}

    @property
    def metadata(self) -> Message:
        """The wheel's metadata."""
        with zipfile.ZipFile(self.wheel) as archive:
            name = f"tap_betterdata-{VERSION}.dist-info/METADATA"
            return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    git = shutil.which("git")
    assert git, "a clean copy takes git"
    folder = tmp_path_factory.mktemp("clean")
    words = ("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    listed = run(git, *words, cwd=dev.ROOT).stdout.split("\0")
    names = {name for name in listed if name and (dev.ROOT / name).is_file()}
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(dev.ROOT / name, folder / name)
    run(sys.executable, "-m", "hatchling", "build", cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    source = {name for name in names if name.startswith("tap_betterdata/")}
    return Built(source, wheel, sdist)


@pytest.fixture(scope="module")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment with the base dependencies and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    scripts = folder / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (scripts / "python", "-m", "pip", "--disable-pip-version-check")
    base = dev.lock_path("base")
    run(*pip, "install", "-q", "--require-hashes", "-r", base, cwd=folder)
    run(*pip, "install", "-q", "--no-deps", "--no-index", built.wheel, cwd=folder)
    run(*pip, "check", cwd=folder)
    return scripts / "tap-betterdata"


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    info = f"tap_betterdata-{VERSION}.dist-info"
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert built.wheel_names == built.source | {f"{info}/{name}" for name in about}


def test_what_was_built_is_compared_with_git(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = shutil.which("git")
    assert git
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    run(git, "init", "-q", cwd=root)
    run(git, "add", "tap_betterdata", cwd=root)
    monkeypatch.setattr(dev, "ROOT", root)
    dev.check_files(built.wheel, built.sdist)
    (root / "tap_betterdata" / "notes.json").touch()
    for name, is_known in (("notes.json", True), ("tap.py", False)):
        words = ("add",) if is_known else ("rm", "--cached", "-q")
        run(git, *words, f"tap_betterdata/{name}", cwd=root)
        with pytest.raises(dev.CommandError, match=f": tap_betterdata/{name}$"):
            dev.check_files(built.wheel, built.sdist)
        run(git, "reset", "-q", cwd=root)
        run(git, "add", "tap_betterdata", ":!tap_betterdata/notes.json", cwd=root)


def test_what_is_released_is_built_where_nothing_else_ran() -> None:
    path = dev.ROOT / ".github" / "workflows" / "release.yml"
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    runs = {
        name: [step["run"].split(":")[0] for step in job["steps"] if "run" in step]
        for name, job in jobs.items()
    }
    assert runs["check"] == ["python3 dev.py check"]
    built, compared = runs["build"]
    assert built == "python3 dev.py build"
    assert compared.startswith("test -f ")
    needs = {name: job.get("needs") for name, job in jobs.items()}
    assert needs == {
        "check": None,
        "build": "check",
        "attest": "build",
        "publish": "attest",
    }


def test_what_is_no_python_is_in_it(built: Built) -> None:
    for name in ("py.typed", "sandbox/names.json"):
        assert f"tap_betterdata/{name}" in built.wheel_names
        assert f"tap_betterdata/{name}" in built.sdist_names


def test_the_sdist_holds_what_a_build_needs_and_nothing_else(built: Built) -> None:
    about = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md"}
    assert built.sdist_names == built.source | about | {"pyproject.toml"}


def test_a_wheel_from_the_sdist_is_the_same(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", cwd=folder)
    (wheel,) = (folder / "dist").iterdir()
    assert wheel.name == built.wheel.name
    assert wheel.read_bytes() == built.wheel.read_bytes()


def test_the_metadata_say_what_it_is(built: Built) -> None:
    metadata = built.metadata
    assert metadata["Name"] == "tap-betterdata"
    assert metadata["Version"] == VERSION
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "meltano_sdk" in metadata["Keywords"]
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_the_checkers_find_nothing(built: Built) -> None:
    dev.ensure(dev.CHECKS)
    folder = built.wheel.parent
    twine = dev.CHECKS.executable("twine")
    run(twine, "check", "--strict", built.wheel, built.sdist, cwd=folder)
    run(dev.CHECKS.executable("check-wheel-contents"), built.wheel, cwd=folder)


def test_the_version_is_right(bare: Path, tmp_path: Path) -> None:
    output = run(bare, "--version", cwd=tmp_path).stdout
    assert output.startswith(f"tap-betterdata v{VERSION},")


def test_discovery_needs_no_extra(bare: Path, tmp_path: Path) -> None:
    catalog = json.loads(run(bare, "--discover", cwd=tmp_path).stdout)
    assert {stream["tap_stream_id"] for stream in catalog["streams"]} == ALL_KEYS.keys()


def test_the_source_needs_nothing_of_airbytes(bare: Path, tmp_path: Path) -> None:
    source = bare.with_name("source-betterdata")
    said = json.loads(run(source, "spec", cwd=tmp_path).stdout)
    assert said["type"] == "SPEC"


def test_the_sandbox_names_its_extra(bare: Path, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - the words are the test's
        [bare, "--config=ENV"],
        cwd=tmp_path,
        env=clean_env(TAP_BETTERDATA_API_URL="sandbox:"),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 1
    assert "tap-betterdata[sandbox]" in done.stderr.splitlines()[-1]


# The image


def test_the_image_is_made_of_files_that_are_there() -> None:
    lines = (dev.ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    kept = (dev.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    own = [name for names in copied for name in names if "--from" not in names[0]]
    assert len(own) == 6
    for name in own:
        assert (dev.ROOT / name).exists(), name
        assert f"!{name}" in kept, name


def test_the_image_holds_the_base_dependencies_and_runs_without_rights() -> None:
    text = (dev.ROOT / "Dockerfile").read_text(encoding="utf-8")
    _, final = text.split("\nFROM ")[-2:]
    assert "\nUSER 10001\n" in final
    assert "pip install" not in final
    used = re.findall(r"-r (requirements/\S+)", text)
    assert used == ["requirements/base.txt", "requirements/build.txt"]
    assert text.count("--require-hashes") == len(used)
