"""Several things at once, in order, and never more than are wanted."""

from __future__ import annotations

import threading
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata import ahead
from tap_betterdata.ahead import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 10


class OddError(Exception):
    """What a task raises."""


def fail() -> int:
    raise OddError


def zero() -> int:
    return 0


@given(st.integers(1, 5), st.integers(0, 20))
def test_results_come_in_the_order_of_the_tasks(workers: int, tasks: int) -> None:
    results = Workers(workers).ahead(partial(int, n) for n in range(tasks))
    assert list(results) == list(range(tasks))


def test_a_slow_task_keeps_its_place() -> None:
    go = threading.Event()

    def slow() -> str:
        assert go.wait(SECONDS)
        return "slow"

    def quick() -> str:
        go.set()
        return "quick"

    # The one can end only if the other runs beside it.
    tasks: list[Callable[[], str]] = [str, slow, quick]
    assert list(Workers(2).ahead(tasks)) == ["", "slow", "quick"]


def test_a_fatal_error_comes_at_once() -> None:
    go_on = threading.Event()

    def hang() -> int:
        assert go_on.wait(SECONDS)
        return 1

    workers = Workers(2, lambda error: isinstance(error, OddError))
    with pytest.raises(OddError):
        list(workers.ahead(iter((zero, hang, fail))))
    # And for all that is awaited later.
    with pytest.raises(OddError):
        list(workers.ahead(iter((zero,))))
    go_on.set()


def test_an_error_that_is_not_fatal_waits_for_its_turn() -> None:
    results = Workers(2, lambda _: False).ahead(iter((zero, fail)))
    assert next(results) == 0
    with pytest.raises(OddError):
        next(results)


def test_what_has_been_begun_is_not_begun_again() -> None:
    workers = Workers(3)
    numbers = count()
    begun = workers.begin(numbers.__next__)
    assert begun.result(SECONDS) == 0
    assert list(workers.ahead(iter((begun, numbers.__next__)))) == [0, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_than_allowed_run_at_once(workers: int) -> None:
    lock = threading.Lock()
    full = threading.Barrier(workers)
    running = 0
    most = 0

    def task() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(SECONDS)
        with lock:
            running -= 1

    list(Workers(workers).ahead([zero, *[task] * (4 * workers)]))
    assert most == workers


def times(monkeypatch: pytest.MonkeyPatch, *took: float) -> list[int]:
    """Return which threads do tasks that take so long."""
    now = iter([at for seconds in took for at in (0.0, seconds)])
    monkeypatch.setattr(ahead, "SLOW_S", 0.005)
    monkeypatch.setattr(ahead, "monotonic", lambda: next(now))
    return list(Workers(8).ahead([threading.get_ident] * 20))


def test_what_is_quick_is_done_without_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Nor does one that is slow by chance begin them.
    took = [0.019, *[0.001, 0.009] * 10]
    assert set(times(monkeypatch, *took)) == {threading.get_ident()}


@pytest.mark.parametrize(
    "took", [(0.021,), (0.019, 0.006), (0.001, 0.001, 0.009, 0.009)]
)
def test_what_is_slow_is_done_by_threads(
    monkeypatch: pytest.MonkeyPatch, took: tuple[float, ...]
) -> None:
    here = threading.get_ident()
    done_by = times(monkeypatch, *took)
    assert set(done_by[: len(took)]) == {here}
    assert here not in done_by[len(took) :]


def test_what_is_quick_raises_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "SLOW_S", SECONDS)
    results = Workers(2).ahead([zero, fail, zero])
    assert next(results) == 0
    with pytest.raises(OddError):
        next(results)
    assert not list(results)


def test_a_slow_start_is_awaited_with_all_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tasks that were begun before it was known that they are slow get threads."""
    monkeypatch.setattr(ahead, "SLOW_S", SECONDS)
    workers = Workers(3)
    together = threading.Barrier(2)
    begun = [workers.begin(lambda: together.wait(SECONDS)) for _ in range(2)]
    monkeypatch.setattr(ahead, "SLOW_S", 0.0)
    assert list(workers.ahead([zero])) == [0]
    assert {future.result(SECONDS) for future in begun} == {0, 1}


def test_tasks_are_taken_only_as_they_are_begun() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Callable[[], int]]:
        for number in count():
            taken.append(number)
            yield partial(int, number)

    results = Workers(3).ahead(tasks())
    assert not taken
    for number in range(5):
        assert next(results) == number
        assert len(taken) <= number + 3


def test_a_consumer_that_stops_keeps_later_tasks_from_being_begun() -> None:
    hold, begun = threading.Event(), []

    def task(number: int) -> int:
        begun.append(number)
        if number:
            hold.wait(SECONDS)
        return number

    workers = Workers(2)
    results = workers.ahead(partial(task, number) for number in range(100))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    hold.set()
    # The pool is free for others, and what was given up does not come back.
    assert list(workers.ahead([partial(int, 7), partial(int, 8)])) == [7, 8]
    assert set(begun) <= {0, 1}


def test_an_error_comes_when_it_is_its_tasks_turn() -> None:
    tasks: list[Callable[[], int]] = [partial(int, 1), fail, partial(int, 3)]
    results = Workers(3).ahead(tasks)
    assert next(results) == 1
    with pytest.raises(OddError):
        next(results)
    assert not list(results)


def test_the_pool_outlives_an_error() -> None:
    workers = Workers(1)
    with pytest.raises(OddError):
        list(workers.ahead([fail]))
    assert list(workers.ahead([partial(int, 1)])) == [1]


def test_threads_do_not_hold_up_an_exit() -> None:
    tasks: list[Callable[[], object]] = [zero, threading.current_thread]
    _, thread = Workers(1).ahead(tasks)
    assert isinstance(thread, threading.Thread)
    assert thread.daemon
