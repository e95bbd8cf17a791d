"""What is read once and needed twice."""

from __future__ import annotations

import resource
import tempfile
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.errors import StorageError
from tap_betterdata.output.shared_pages import SharedPages
from tests.strategies import objects

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@pytest.mark.parametrize("size", [200, 200_000])
def test_what_does_not_fit_is_said_at_once(size: int) -> None:
    spool = SharedPages[dict[str, Any]]()
    with no_file_above(100), pytest.raises(StorageError, match="set TMPDIR"):
        list(spool.fill([{"text": "x" * size}]))
    assert not list(spool.read())


def test_a_folder_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/none")
    with pytest.raises(StorageError, match="No room in /none"):
        SharedPages[dict[str, Any]]()


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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
