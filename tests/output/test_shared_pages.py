"""What is read once and needed twice."""

from __future__ import annotations

import json
import subprocess
import tempfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.errors import StorageError
from tap_betterdata.output.shared_pages import SharedPages
from tap_betterdata.sandbox import Sandbox
from tests.e2e.commands import TAP, clean_env
from tests.e2e.truth import expected_keys, keys_of
from tests.running import PERIODS, Outcome, config_for
from tests.strategies import objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@given(st.lists(objects, max_size=4))
def test_what_is_kept_is_read_again_as_often_as_needed(
    answers: list[dict[str, Any]],
) -> None:
    spool = SharedPages[dict[str, Any]]()
    assert list(spool.fill(answers)) == answers
    assert list(spool.read()) == answers
    assert list(spool.read()) == answers


def test_digits_are_kept() -> None:
    spool = SharedPages[dict[str, Any]]()
    list(spool.fill([{"cost": Decimal("10.50"), "units": 2**70}]))
    (answer,) = spool.read()
    assert str(answer["cost"]) == "10.50"
    assert answer["units"] == 2**70


def test_answers_are_passed_on_as_they_come() -> None:
    spool = SharedPages[dict[str, Any]]()
    asked: list[int] = []

    def answers() -> Iterator[dict[str, Any]]:
        for number in range(3):
            asked.append(number)
            yield {"n": number}

    for number, answer in enumerate(spool.fill(answers())):
        assert answer == {"n": number}
        assert asked[-1] == number


def test_a_folder_that_takes_nothing_costs_the_first_reader_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    spool = SharedPages[dict[str, Any]]()
    assert list(spool.fill([{"n": 1}, {"n": 2}])) == [{"n": 1}, {"n": 2}]
    with pytest.raises(StorageError, match=r"missing for .*: No such file.*TMPDIR"):
        next(spool.read())


@pytest.mark.parametrize("blocks", [2, 100])
def test_a_disk_that_is_full_costs_only_the_second_reader(
    tmp_path: Path, blocks: int
) -> None:
    with Sandbox(items=2_000, locations=3) as sandbox:
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config_for(sandbox)), encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - the words are the test's
            [
                "/bin/sh",
                "-c",
                f'ulimit -f {blocks}; exec "$0" --config="$1"',
                TAP,
                path,
            ],
            cwd=tmp_path,
            env=clean_env(TMPDIR=str(tmp_path)),
            capture_output=True,
            check=False,
            encoding="utf-8",
            timeout=60,
        )
        truth = expected_keys(sandbox.company, PERIODS)
    outcome = Outcome(done.returncode, done.stdout, done.stderr)
    # The limit is in blocks of 512 bytes; what analytics keeps is small.
    failed = {"inventory_atp_channels"}
    failed |= {"inventory_analytics_categories"} if blocks < 100 else set()
    assert outcome.failure == "; ".join(
        f"{stream}: no room in {tmp_path} for the answers that it shares with another "
        "stream: File too large. Make room there, or set TMPDIR to another folder, "
        "then run again"
        for stream in sorted(failed)
    )
    for stream, keys in truth.items():
        expected = [] if stream in failed else keys
        assert keys_of(stream, outcome.records(stream)) == expected, stream
