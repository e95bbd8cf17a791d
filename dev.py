#!/usr/bin/env python3
"""Everything a contributor runs, on a machine with Python and nothing else.

    python3 dev.py demo             run the main job against the sandbox, into CSV
    python3 dev.py report [--postgres URL]  from the API to a report of the stock
    python3 dev.py test [ARGS...]   run all tests; ARGS go to pytest
    python3 dev.py readme           run the README's commands in a clean copy
    python3 dev.py transform [ARGS...]  test dbt's models and the report
    python3 dev.py coverage [ARGS...]  the tests, and how much of the tap they reach
    python3 dev.py lint             ruff and mypy
    python3 dev.py checks [NAME...] spelling, workflows, meltano.yml, Dockerfile
    python3 dev.py docs             generate the reference pages and build the site
    python3 dev.py build            build the package into dist/, and check it
    python3 dev.py airbyte [ARGS...]  the source with Airbyte's own libraries
    python3 dev.py bench [ARGS...]  measure the tap against others; ARGS choose what
    python3 dev.py airflow          run the example for Airflow against the sandbox
    python3 dev.py check            what CI runs, and how much the tests reach
    python3 dev.py lock [ARGS...]   pin the dependencies anew; ARGS go to uv
    python3 dev.py check-lock       are requirements/ as lock made them?

Each command makes the environments that it needs (`.venv-…`, hash-checked from
requirements/) and leaves alone those that are up to date.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import tomllib
except ModuleNotFoundError:  # it came with Python 3.11
    sys.exit(f"dev.py needs Python 3.11 or newer; this is {sys.version.split()[0]}.")

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements"
CSV_FOLDER = ROOT / "output" / "sandbox" / "csv"
STAMP = ".installed"
PACKAGE = "tap_betterdata/"
# What a source distribution holds beside the package.
SDIST_EXTRAS = {
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "pyproject.toml",
}
DIGEST_PREFIX = "# made by `dev.py lock`: sha256:"

# requirements/NAME.txt -> what `uv pip compile` makes it from.
LOCKS: dict[str, tuple[str, ...]] = {
    # pip takes a package that is asked for with an extra for another one.
    "airbyte": ("--group", "airbyte", "--no-strip-extras"),
    "airflow": ("--group", "airflow"),
    "base": ("pyproject.toml",),
    "build": ("--group", "build"),
    "checks": ("--group", "checks"),
    "dbt": ("--group", "dbt"),
    "dev": ("pyproject.toml", "--all-extras", "--group", "dev"),
    "docs": ("--group", "docs"),
    "meltano": ("--group", "meltano"),
    "tap": ("pyproject.toml", "--extra", "sandbox", "--extra", "terminal"),
    "target-csv": ("--group", "target-csv"),
    "target-duckdb": ("--group", "target-duckdb"),
    "target-jsonl": ("--group", "target-jsonl"),
    "target-postgres": ("--group", "target-postgres"),
    "uv": ("--group", "uv"),
}
TARGETS = tuple(name for name in LOCKS if name.startswith("target-"))
TAP = "tap-betterdata"
# For how long a command that is told to stop may take to do so.
STOP_SECONDS = 10
# How Meltano installs a plugin: that entry of meltano.yml, with all of its lines.
PIP_URL = re.compile(r"^( *)pip_url:.*\n(?:\1 +.*\n)*", re.MULTILINE)
# What has no wheels for this Python and later ones. Of a target, the marks in its
# requirements leave nothing to install there.
WITHOUT_WHEELS = {"airflow": (3, 16), "target-duckdb": (3, 14)}


class CommandError(Exception):
    """A command that dev.py ran has failed."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment beside this file.

    Its requirements files go into it in the order of `locks`; with `project`, the tap
    itself is installed too, from this checkout.
    """

    folder: str
    locks: tuple[str, ...]
    project: bool = False

    @property
    def path(self) -> Path:
        """The environment's folder."""
        return ROOT / self.folder

    def executable(self, name: str) -> Path:
        """Tell where one of its commands is."""
        if os.name == "nt":
            return self.path / "Scripts" / f"{name}.exe"
        return self.path / "bin" / name


# What installs all others, in a tenth of pip's time. It is the one that pip installs.
UV = Environment(".venv-uv", ("uv",))
# hatchling comes first, so that the tap is built by what the hashes vouch for.
DEV = Environment(".venv-dev", ("build", "dev"), project=True)
MELTANO = Environment(".venv-meltano", ("meltano",))
# As one types it in the project's folder.
MELTANO_COMMAND = str(MELTANO.executable("meltano").relative_to(ROOT))
CHECKS = Environment(".venv-checks", ("checks",))
DOCS = Environment(".venv-docs", ("docs",))
AIRBYTE = Environment(".venv-airbyte", ("airbyte",))
# Meltano makes that one.
DBT = Environment(".meltano/utilities/dbt/venv", ("dbt",))
AIRFLOW = Environment(".venv-airflow", ("airflow",))

SCHEMA_CHECK = ("check-jsonschema", "--builtin-schema")
# What `checks` runs, by name; none of it needs the network.
CHECK_COMMANDS: dict[str, tuple[str, ...]] = {
    "typos": ("typos",),
    "meltano": (*SCHEMA_CHECK, "vendor.meltano", "meltano.yml"),
    "workflows": (*SCHEMA_CHECK, "vendor.github-workflows", ".github/workflows/*.yml"),
    "forms": (
        *SCHEMA_CHECK,
        "vendor.github-issue-forms",
        ".github/ISSUE_TEMPLATE/[!c]*.yml",
    ),
    "dependabot": (*SCHEMA_CHECK, "vendor.dependabot", ".github/dependabot.yml"),
    "zizmor": ("zizmor", "--offline", "--quiet", "--persona=pedantic", ".github"),
    "dockerfile": ("hadolint", "Dockerfile"),
}


def say(line: str) -> None:
    """Print one line at once, in order with what the commands print."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(
    *command: str | Path, env: dict[str, str] | None = None, alone: bool = False
) -> None:
    """Run a command in the project's folder; Ctrl-C is for it `alone`, or for all."""
    words = [str(word) for word in command]
    shown = shlex.join(words)
    alone = alone and os.name == "posix"
    try:
        process = subprocess.Popen(  # noqa: S603 - this file's words, or the caller's
            words,
            cwd=ROOT,
            # Else each command of a test would compile all that it imports.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **(env or {})},
            process_group=0 if alone else None,
        )
    except OSError as error:
        message = f"could not run {shown}: {error}"
        raise CommandError(message) from error
    try:
        code = process.wait()
    except KeyboardInterrupt:
        if alone:
            process.send_signal(signal.SIGINT)
        # Else Ctrl-C has told it too.
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.terminate()
        raise
    if code:
        message = f"failed with exit code {code}: {shown}"
        raise CommandError(message)


def run_meltano(*words: str) -> None:
    """Run Meltano, which shows a traceback if Ctrl-C ends its plugins too."""
    run(MELTANO.executable("meltano"), *words, env=meltano_env(), alone=True)


# -- environments -------------------------------------------------------------


def dependency_tables() -> dict[str, object]:
    """Read what decides over the installed packages from pyproject.toml."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = content["project"]
    return {
        "build-system": content["build-system"],
        "dependencies": project["dependencies"],
        "dependency-groups": content["dependency-groups"],
        "optional-dependencies": project["optional-dependencies"],
        "requires-python": project["requires-python"],
        "uv": content["tool"]["uv"],
    }


def project_tables() -> dict[str, object]:
    """Read what an installed tap's metadata are made from."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        "build-system": content["build-system"],
        "project": content["project"],
        "hatch": content["tool"]["hatch"],
    }


def digest(*parts: object) -> str:
    """Digest values that JSON can hold."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def lock_path(name: str) -> Path:
    """Tell where a requirements file is."""
    return REQUIREMENTS / f"{name}.txt"


def install_digest(locks: tuple[str, ...], *, project: bool) -> str:
    """Digest all that decides over an environment's content."""
    return digest(
        sys.version,
        sys.base_prefix,
        str(ROOT),
        [lock_path(name).read_text(encoding="utf-8") for name in locks],
        project_tables() if project else None,
    )


def is_stamped(stamp: Path, expected: str) -> bool:
    """Tell whether an install was completed with this very content."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == expected


def make(environment: Environment) -> tuple[str | Path, ...]:
    """Make an empty environment, and return the command that installs into it."""
    python = environment.executable("python")
    if environment is UV:
        run(sys.executable, "-m", "venv", environment.path)
        return (python, "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    uv = UV.executable("uv")
    run(uv, "venv", "--quiet", "--python", sys.executable, environment.path)
    quiet = ("--quiet", "--no-build-isolation")
    return (uv, "pip", "install", *quiet, "--python", python)


def ensure(environment: Environment) -> None:
    """Make an environment, unless it is there and up to date."""
    expected = install_digest(environment.locks, project=environment.project)
    stamp = environment.path / STAMP
    if is_stamped(stamp, expected):
        return
    if environment is not UV:
        ensure(UV)
    named = " and ".join(f"requirements/{name}.txt" for name in environment.locks)
    say(f"Making {environment.folder}, once: it installs what {named} name")
    shutil.rmtree(environment.path, ignore_errors=True)
    install = make(environment)
    for name in environment.locks:
        run(*install, "--require-hashes", "-r", lock_path(name))
    if environment.project:
        run(*install, "--no-deps", "--editable", ROOT)
    stamp.write_text(expected, encoding="utf-8")


def meltano_env() -> dict[str, str]:
    """Return the variables that Meltano is run with."""
    # Meltano installs with the uv from its own environment, which must use this
    # Python and not fetch another one.
    scripts = str(MELTANO.executable("meltano").parent)
    return {
        "MELTANO_PROJECT_ROOT": str(ROOT),
        "PATH": os.pathsep.join((scripts, os.environ.get("PATH", os.defpath))),
        "UV_PYTHON_DOWNLOADS": "never",
    }


def targets(python: tuple[int, int] = sys.version_info[:2]) -> list[str]:
    """Name the targets in meltano.yml that a version of Python can run."""
    return [name for name in TARGETS if python < WITHOUT_WHEELS.get(name, (4, 0))]


def left_out() -> list[str]:
    """Say of each target that is left out why it is."""
    python = "{}.{}".format(*sys.version_info)
    return [
        f"{name} is left out: what it needs has no wheel for Python {python}"
        for name in sorted({*TARGETS} - {*targets()})
    ]


def ensure_plugins(*names: str) -> None:
    """Install Meltano and plugins of meltano.yml, all of them if none is named."""
    if not names:
        for line in left_out():
            say(line)
        names = (TAP, *targets())
    ensure(MELTANO)
    # Not all of meltano.yml: a stream that is selected installs nothing.
    how = [
        match[0]
        for match in PIP_URL.finditer((ROOT / "meltano.yml").read_text("utf-8"))
    ]
    stamps = {
        ROOT / ".meltano" / f"{STAMP}-{name}": digest(
            install_digest(
                (*MELTANO.locks, "build", "tap" if name == TAP else name),
                project=name == TAP,
            ),
            how,
        )
        for name in names
    }
    old = [path for path, expected in stamps.items() if not is_stamped(path, expected)]
    if not old:
        return
    for path in old:
        # What is cut short is no install, of whatever was asked for before either.
        path.unlink(missing_ok=True)
    stale = [path.name.removeprefix(f"{STAMP}-") for path in old]
    say(f"Installing {', '.join(stale)}, each in an environment of its own")
    # Meltano looks at a plugin's pip_url only, not into the files that it names.
    run_meltano("install", "--clean", *stale)
    for path, expected in stamps.items():
        path.write_text(expected, encoding="utf-8")


def loader(name: str) -> Path:
    """Tell where the target is that Meltano has installed."""
    return Environment(f".meltano/loaders/{name}/venv", ()).executable(name)


# -- commands -----------------------------------------------------------------


# What there is to do after the demo, and how.
NEXT = (
    ("look at the rows", "head -n 3 output/sandbox/csv/inventory.csv"),
    (
        "read your own stock: put TAP_BETTERDATA_API_KEY into .env, then",
        f"{MELTANO_COMMAND} --environment=prod run betterdata-to-csv",
    ),
    (
        "choose other streams",
        f"{MELTANO_COMMAND} select {TAP} transfer_recommendations '*'",
    ),
    ("see what can be made of them, with dbt and in a report", "python3 dev.py report"),
    ("all the rest", "README.md"),
)


def count_rows(path: Path) -> int:
    """Count the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.DictReader(lines))


def demo(_arguments: list[str]) -> None:
    """Run the main job against the sandbox, and show its files."""
    ensure_plugins(TAP, "target-csv")
    shutil.rmtree(CSV_FOLDER, ignore_errors=True)
    # Without --full-refresh a second run would bring only what changed since, and
    # target-csv writes its files anew each time.
    # The environment is named, since a variable may name another one.
    job = (
        *("--environment=sandbox", "run", "--full-refresh"),
        *("tap-betterdata", "target-csv"),
    )
    say(f"Running `meltano {' '.join(job)}`")
    run_meltano(*job)
    files = sorted(CSV_FOLDER.glob("*.csv"))
    if not files:
        message = f"the job wrote no files into {CSV_FOLDER}"
        raise CommandError(message)
    say(f"\nThe rows that were read from the sandbox, in {CSV_FOLDER}:")
    for path in files:
        say(f"{count_rows(path):>9,}  {path.relative_to(ROOT)}")
    say("\nNext:")
    for what, how in NEXT:
        say(f"  {what}:\n    {how}")


def report(arguments: list[str]) -> None:
    """Go from the sandbox's API to a report of the stock, through a database.

    Through a DuckDB file, or with `--postgres URL` through that PostgreSQL.
    """
    is_postgres = any(word.startswith("--postgres") for word in arguments)
    target = "target-postgres" if is_postgres else "target-duckdb"
    if target not in targets():
        message = f"{target} can't run here; give --postgres postgresql://…"
        raise CommandError("\n".join([*left_out(), message]))
    ensure_plugins(TAP, target, "dbt")
    script = ROOT / "transform" / "api_to_report.py"
    try:
        run(sys.executable, script, *arguments, env=meltano_env())
    except CommandError:
        # Not with the command's words: a password may be among them.
        message = "not all is well: see above, and the report, if there is one"
        raise CommandError(message) from None


def run_tests(*runner: str, arguments: list[str]) -> None:
    """Run the tests, with all that they need."""
    for environment in (DEV, CHECKS):
        ensure(environment)
    ensure_plugins()
    # File by file, so that what a file's tests share is made once.
    parallel = ("-n", "auto", "--dist", "loadfile")
    run(DEV.executable("python"), *runner, "-m", "pytest", *parallel, *arguments)


def test(arguments: list[str]) -> None:
    """Run the tests."""
    run_tests(arguments=arguments)


def readme(_arguments: list[str]) -> None:
    """Run the README's commands in a clean copy, installs and all."""
    ensure(DEV)
    script = "tests/docs/readme_from_scratch.py"
    run(DEV.executable("python"), "-m", "pytest", script)


def transform(arguments: list[str]) -> None:
    """Test dbt's models and the report on the databases that this Python can have."""
    ensure(DEV)
    databases = {"target-duckdb", "target-postgres"} & {*targets()}
    ensure_plugins(TAP, *sorted(databases), "dbt")
    run(DEV.executable("python"), "-m", "pytest", "transform/tests", *arguments)


def coverage(arguments: list[str]) -> None:
    """Run the tests, and fail when they reach too little of the tap."""
    ensure(DEV)
    tool = DEV.executable("coverage")
    run(tool, "erase")
    run_tests("-m", "coverage", "run", arguments=arguments)
    run(tool, "combine", "--quiet")
    run(tool, "report")


def run_all(environment: Environment, commands: Iterable[tuple[str, ...]]) -> None:
    """Run all commands of an environment, also when one of them fails."""
    ensure(environment)
    failures = []
    for name, *words in commands:
        arguments = [
            found
            for word in words
            for found in (sorted(map(str, ROOT.glob(word))) if "*" in word else [word])
        ]
        try:
            run(environment.executable(name), *arguments)
        except CommandError as error:
            failures.append(str(error))
    if failures:
        raise CommandError("\n".join(failures))


def lint(_arguments: list[str]) -> None:
    """Run the linter, the formatter's check and the type checker, all three."""
    run_all(DEV, (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)))


def checks(arguments: list[str]) -> None:
    """Check what is no Python: all of it, or what is named."""
    unknown = sorted(set(arguments) - CHECK_COMMANDS.keys())
    if unknown:
        known = ", ".join(CHECK_COMMANDS)
        message = f"no such check: {', '.join(unknown)}; there are {known}"
        raise CommandError(message)
    run_all(CHECKS, [CHECK_COMMANDS[name] for name in arguments or CHECK_COMMANDS])


def docs(arguments: list[str]) -> None:
    """Write the pages that come from the code, and build the site into site/."""
    ensure(DEV)
    run(DEV.executable("python"), ROOT / "docs" / "generate.py")
    ensure(DOCS)
    quiet = {"NO_MKDOCS_2_WARNING": "1"}
    mkdocs = DOCS.executable("mkdocs")
    run(mkdocs, "build", "--strict", "--quiet", *arguments, env=quiet)
    run(DEV.executable("python"), ROOT / "docs" / "offline.py", ROOT / "site")


def lock_header(name: str, pins: str) -> str:
    """Make the line that vouches for pins: they are those that were made, from this."""
    return f"{DIGEST_PREFIX}{digest(dependency_tables(), LOCKS[name], pins)}\n"


def lock(arguments: list[str]) -> None:
    """Pin the dependencies anew, keeping the versions that still fit."""
    REQUIREMENTS.mkdir(exist_ok=True)
    ensure(UV)
    compiling = (
        *(UV.executable("uv"), "pip", "compile", "--quiet", "--universal"),
        *("--python-version", "3.11", "--generate-hashes"),
        *("--no-header", "--no-annotate"),
    )
    for name, source in LOCKS.items():
        path = lock_path(name)
        run(*compiling, "-o", path, *arguments, *source)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        pins = "".join(line for line in lines if not line.startswith("#"))
        path.write_text(lock_header(name, pins) + pins, encoding="utf-8")


def is_locked(name: str) -> bool:
    """Tell whether a requirements file is as `lock` made it from pyproject.toml."""
    path = lock_path(name)
    if not path.is_file():
        return False
    header, end, pins = path.read_text(encoding="utf-8").partition("\n")
    return header + end == lock_header(name, pins)


def check_lock(_arguments: list[str]) -> None:
    """Fail when a requirements file is not what `lock` made from pyproject.toml."""
    stale = [f"requirements/{name}.txt" for name in LOCKS if not is_locked(name)]
    if stale:
        message = (
            f"run `python3 dev.py lock`: {', '.join(stale)} changed since it ran, or "
            "pyproject.toml did"
        )
        raise CommandError(message)
    say("requirements/ are as `lock` made them from pyproject.toml")


def bench(arguments: list[str]) -> None:
    """Measure the tap against others; never part of the tests."""
    ensure(DEV)
    run(DEV.executable("python"), "-m", "benchmarks", *arguments)


def airbyte(arguments: list[str]) -> None:
    """Run the source with PyAirbyte, which no environment of ours has room for."""
    if sys.version_info >= (3, 13):
        python = "{}.{}".format(*sys.version_info)
        say(f"PyAirbyte takes Python 3.11 or 3.12; this is {python}: nothing is run")
        return
    ensure(DEV)
    ensure(AIRBYTE)
    # The tests' own fixtures and plugins are the tap's, which isn't installed there.
    alone = (
        "-c",
        os.devnull,
        "--rootdir",
        ROOT,
        "--noconftest",
        "-p",
        "no:cacheprovider",
    )
    with tempfile.TemporaryDirectory() as folder:
        run(
            *(AIRBYTE.executable("python"), "-m", "pytest", *alone),
            *("tests/airbyte/with_pyairbyte.py", *arguments),
            env={
                "AIRBYTE_OFFLINE_MODE": "1",
                "AIRBYTE_LOGGING_ROOT": folder,
                "AIRBYTE_PROJECT_DIR": folder,
                "DO_NOT_TRACK": "1",
            },
        )


def airflow(_arguments: list[str]) -> None:
    """Run the example for Airflow against the sandbox, into a real PostgreSQL."""
    if os.name == "nt" or sys.version_info[:2] >= WITHOUT_WHEELS["airflow"]:
        python = "{}.{} on {}".format(*sys.version_info[:2], sys.platform)
        say(f"airflow is left out: what it needs has no wheel for Python {python}")
        return
    for environment in (DEV, AIRFLOW):
        ensure(environment)
    ensure_plugins("target-postgres")
    words = (AIRFLOW.executable("airflow"), loader("target-postgres"))
    run(DEV.executable("python"), "-m", "tests.airflow", *words)


def check_files(wheel: Path, sdist: Path) -> None:
    """Check that what was built has the package's files, as git knows them."""
    done = subprocess.run(  # noqa: S603 - the words are this file's
        [shutil.which("git") or "git", "ls-files", "-z", PACKAGE],
        cwd=ROOT,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    known = set(filter(None, done.stdout.split("\0")))
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
    with tarfile.open(sdist) as archive:
        sources = {entry.name.partition("/")[2] for entry in archive}
    wrong = (files ^ known) | (sources ^ (known | SDIST_EXTRAS))
    if wrong:
        files_named = ", ".join(sorted(wrong))
        message = f"what was built differs from `git ls-files {PACKAGE}`: {files_named}"
        raise CommandError(message)


def build(_arguments: list[str]) -> None:
    """Build the package into dist/, and check what is in it."""
    ensure(DEV)
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    run(DEV.executable("hatchling"), "build", "--directory", folder)
    sdist, wheel = sorted(folder.iterdir(), key=lambda path: path.suffix)
    check_files(wheel, sdist)
    twine = ("twine", "check", "--strict", str(wheel), str(sdist))
    run_all(CHECKS, (twine, ("check-wheel-contents", str(wheel))))


def check(arguments: list[str]) -> None:
    """Run what CI runs."""
    coverage(arguments)
    for command in (readme, airflow, airbyte, transform):
        command([])
    lint([])
    checks([])
    docs([])
    check_lock([])


COMMANDS = {
    "demo": demo,
    "report": report,
    "test": test,
    "readme": readme,
    "transform": transform,
    "coverage": coverage,
    "lint": lint,
    "checks": checks,
    "docs": docs,
    "build": build,
    "airbyte": airbyte,
    "bench": bench,
    "airflow": airflow,
    "check": check,
    "lock": lock,
    "check-lock": check_lock,
}


# Those that hand arguments on, and the one that has a help text of its own for them.
TAKE_ARGUMENTS = {
    *("report", "test", "transform", "coverage", "airbyte"),
    *("checks", "docs", "bench", "check", "lock"),
}
HAVE_HELP = {"bench"}


def main() -> int:
    """Run the command that the command line names."""
    parser = argparse.ArgumentParser(
        prog="dev.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    # Whatever follows is the command's own, options too.
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command, arguments = options.command, options.arguments
    if arguments[:1] in (["-h"], ["--help"]) and command not in HAVE_HELP:
        takes = " [ARGS...]" if command in TAKE_ARGUMENTS else ""
        say(f"python3 dev.py {command}{takes}\n\n{COMMANDS[command].__doc__}")
        return 0
    if arguments and command not in TAKE_ARGUMENTS:
        parser.error(f"{command} takes no arguments: {shlex.join(arguments)}")
    try:
        COMMANDS[command](arguments)
    except CommandError as error:
        sys.stderr.write(f"dev.py: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"dev.py: {command} was stopped\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
