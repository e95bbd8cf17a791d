"""dev.py: what it says when it is asked, and how it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import dev
from tests.e2e.commands import clean_env

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60
# The demo, but all that it runs is a command that takes its time. That it has begun is
# said when dev.py waits for it: before that, it may not know yet what to stop.
WAITING = """
import subprocess
import sys
import dev

class Popen(subprocess.Popen):
    def wait(self, timeout=None):
        print("begun", flush=True)
        return super().wait(timeout)

subprocess.Popen = Popen
dev.STOP_SECONDS = 1
dev.COMMANDS["demo"] = lambda _: dev.run("sleep", "90", alone={alone})
sys.exit(dev.main())
"""


def ask(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a dev.py that stands alone: there is nothing that it could run."""
    shutil.copy(dev.ROOT / "dev.py", folder)
    return subprocess.run(  # noqa: S603 - the words are the tests'
        [sys.executable, "dev.py", *words],
        cwd=folder,
        env=clean_env(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )


@pytest.mark.parametrize("command", sorted(dev.COMMANDS.keys() - dev.HAVE_HELP))
@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_runs_nothing(tmp_path: Path, command: str, word: str) -> None:
    done = ask(tmp_path, command, word)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"python3 dev.py {command}")
    assert (dev.COMMANDS[command].__doc__ or "-") in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["dev.py"]


def test_what_takes_no_arguments_says_so(tmp_path: Path) -> None:
    done = ask(tmp_path, "demo", "now")
    assert done.returncode == 2
    assert done.stderr.endswith("demo takes no arguments: now\n")


def test_each_command_is_in_the_help(tmp_path: Path) -> None:
    text = ask(tmp_path, "--help").stdout
    for command in dev.COMMANDS:
        assert f"python3 dev.py {command} " in text
        if f"python3 dev.py {command} [" in text:
            assert command in dev.TAKE_ARGUMENTS


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("is_group", [True, False], ids=["ctrl-c", "dev.py alone"])
def test_ctrl_c_ends_it_without_a_traceback(*, is_group: bool, alone: bool) -> None:
    with subprocess.Popen(  # noqa: S603 - the words are the tests'
        [sys.executable, "-c", WAITING.format(alone=alone), "demo"],
        cwd=dev.ROOT,
        env=clean_env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        if is_group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        # It ends when the command has: the pipes are closed by both.
        _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert said == "dev.py: demo was stopped\n"


# Meltano's plugins


def test_an_install_that_is_cut_short_leaves_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("meltano.yml", "pyproject.toml", "requirements"):
        (tmp_path / name).symlink_to(dev.ROOT / name)
    stamp = tmp_path / ".meltano" / f"{dev.STAMP}-{dev.TAP}"
    stamp.parent.mkdir()
    stamp.write_text("of what was asked for before", encoding="utf-8")
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "ensure", lambda _: None)
    begun = []

    def stop(*words: str) -> None:
        begun.append(words)
        raise KeyboardInterrupt

    monkeypatch.setattr(dev, "run_meltano", stop)
    with pytest.raises(KeyboardInterrupt):
        dev.ensure_plugins(dev.TAP)
    assert begun == [("install", "--clean", dev.TAP)]
    assert not stamp.exists()


def test_what_a_user_selects_installs_nothing() -> None:
    text = (dev.ROOT / "meltano.yml").read_text(encoding="utf-8")
    found = [match[0] for match in dev.PIP_URL.finditer(text)]
    # The tap, the targets and dbt.
    assert len(found) == 2 + len(dev.TARGETS)
    assert all("requirements/" in entry for entry in found)
    changed = text.replace("    - inventory.*\n", "    - alerts_config.*\n")
    assert changed != text
    assert [match[0] for match in dev.PIP_URL.finditer(changed)] == found


def test_a_report_that_fails_tells_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There, the script that it runs is not to be found.
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    monkeypatch.setattr(dev, "ensure_plugins", lambda *_: None)
    with pytest.raises(dev.CommandError, match="not all is well") as caught:
        dev.report(["--postgres", "postgresql://me:secret@localhost/stock"])
    assert "secret" not in str(caught.value)
