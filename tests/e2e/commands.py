"""Running the installed commands, and nothing of a developer's own settings."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 120
TAP = Path(sysconfig.get_path("scripts"), "tap-betterdata")
OURS = ("MELTANO_", "TAP_BETTERDATA_", "TARGET_")


def clean_env(**extra: str) -> dict[str, str]:
    """Take this process's environment without what would configure the commands."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return {**kept, **extra}


def run(
    *words: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    seconds: int = SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run a command that must succeed, and return its output."""
    done = subprocess.run(  # noqa: S603 - the words are the tests'
        words,
        cwd=cwd,
        env=clean_env() if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        encoding="utf-8",
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-10000:]
    return done


def pipe(tap: list[str | Path], target: list[str | Path], cwd: Path) -> str:
    """Run `tap | target` as a shell would, and return the states that were stored."""
    env = clean_env()
    with (
        (cwd / "tap.log").open("wb") as tap_log,
        (cwd / "target.log").open("wb") as target_log,
        subprocess.Popen(  # noqa: S603 - the words are the tests'
            tap, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=tap_log
        ) as source,
        subprocess.Popen(  # noqa: S603 - the words are the tests'
            target,
            cwd=cwd,
            env=env,
            stdin=source.stdout,
            stdout=subprocess.PIPE,
            stderr=target_log,
        ) as sink,
    ):
        assert source.stdout is not None
        # The target alone holds the pipe now: if it ends, the tap notices.
        source.stdout.close()
        output, _ = sink.communicate(timeout=SECONDS)
        source.wait(SECONDS)
    codes = (source.returncode, sink.returncode)
    assert codes == (0, 0), logs(cwd)
    return output.decode()


def logs(folder: Path) -> str:
    """Read the ends of both logs of a pipe."""
    texts = (
        (folder / name).read_text(encoding="utf-8", errors="replace")
        for name in ("tap.log", "target.log")
    )
    return "\n---\n".join(text[-5000:] for text in texts)


def shell(
    script: str, folder: Path, env: Mapping[str, str], seconds: int = SECONDS
) -> str:
    """Run commands in one shell, as a reader would; return what they say."""
    words = ("/bin/bash", "-euo", "pipefail", "-c", script)
    return run(*words, cwd=folder, env=env, seconds=seconds).stdout
