"""Doing things ahead: what comes is handed out in turn, and nothing is waited for."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from tap_betterdata.pagination.prefetch import Prefetcher, take

if TYPE_CHECKING:
    from collections.abc import Iterator


class EndError(Exception):
    """What ends a run."""


def test_what_has_come_before_the_end_is_handed_out() -> None:
    abort: Future[Any] = Future()

    def task(letter: str) -> str:
        if letter == "b":
            abort.set_exception(EndError())
        return letter

    with ThreadPoolExecutor(1) as executor:
        ahead = Prefetcher(executor, 2, abort).ahead(task, "ab")
        assert next(ahead) == "a"
        # There is one thread: when it has done this, it has done the task before.
        executor.submit(int).result()
        assert abort.done()
        assert next(ahead) == "b"


def test_what_is_under_way_at_the_end_is_not_waited_for() -> None:
    abort: Future[Any] = Future()
    begun, over = Event(), Event()

    def task(_: int) -> None:
        begun.set()
        over.wait(60)

    def end() -> None:
        begun.wait()
        abort.set_exception(EndError())

    with ThreadPoolExecutor(2) as executor:
        ahead = Prefetcher(executor, 1, abort).ahead(task, [1])
        executor.submit(end)
        try:
            with pytest.raises(EndError):
                next(ahead)
        finally:
            over.set()


def test_no_more_is_taken_than_is_said() -> None:
    items = count()
    taken = take(items, 3, Event())
    assert next(items) == 3
    assert [next(taken) for _ in range(4)] == [0, 1, 2, 4]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_what_goes_wrong_is_raised_when_it_is_its_turn(most: int) -> None:
    def items() -> Iterator[int]:
        yield from (0, 1)
        raise EndError

    taken = take(items(), most, Event())
    assert [next(taken), next(taken)] == [0, 1]
    with pytest.raises(EndError):
        next(taken)


def test_nothing_more_is_taken_once_it_is_over() -> None:
    is_over = Event()
    taken = []

    def items() -> Iterator[int]:
        for number in range(9):
            taken.append(number)
            if number == 3:
                is_over.set()
            yield number

    take(items(), 9, is_over)
    assert taken == [0, 1, 2, 3]
