"""Doing things a few ahead of the one whose result is handed out."""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Executor, Future
    from threading import Event

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class Prefetcher:
    """What tasks are run ahead with.

    Attributes:
        executor: Runs them; None to run each when its result is asked for.
        width: How many are under way at most.
        abort: Holds an error once something has made all that is awaited useless.
    """

    executor: Executor | None = None
    width: int = 1
    abort: Future[Any] | None = None

    def ahead(self, task: Callable[[A], R], arguments: Iterable[A]) -> Prefetch[A, R]:
        """Prepare to do a task for each argument; none begins before it is asked."""
        return Prefetch(self, task, iter(arguments))


@dataclass
class Prefetch(Generic[A, R]):
    """Results of a task in order, with a few of them under way.

    Arguments are taken only as their tasks begin, so that a consumer that is slow, or
    stops, keeps later ones from being begun.
    """

    prefetcher: Prefetcher
    task: Callable[[A], R]
    remaining: Iterator[A]
    _under_way: deque[Future[R]] = field(default_factory=deque, init=False)

    def __iter__(self) -> Iterator[R]:
        """Hand out the results, or raise what the task whose turn it is raised."""
        return self

    def __next__(self) -> R:
        """Wait for the next result, but no longer than it is of use."""
        executor, abort = self.prefetcher.executor, self.prefetcher.abort
        if executor is None:
            return self.task(next(self.remaining))
        room = self.prefetcher.width - len(self._under_way)
        for argument in islice(self.remaining, room):
            self._under_way.append(executor.submit(self.task, argument))
        if not self._under_way:
            raise StopIteration
        first = self._under_way.popleft()
        if abort is not None:
            wait([first, abort], return_when=FIRST_COMPLETED)
            # What has come is of use whatever went wrong since.
            if not first.done():
                abort.result()
        return first.result()

    def discard(self) -> int:
        """Give up what is under way, and return how many tasks had begun in vain."""
        begun = sum(not future.cancel() for future in self._under_way)
        self._under_way.clear()
        self.remaining = iter(())
        return begun


def take(items: Iterator[R], most: int, is_over: Event) -> Iterator[R]:
    """Take so many items now, and hand them out later, before those that are left.

    What is raised meanwhile is raised when it is its turn. No more are taken once it
    `is_over` for the one that they are for.
    """
    taken = deque[R]()
    failure: Exception | None = None
    try:
        for item in islice(items, most):
            taken.append(item)
            if is_over.is_set():
                break
    except Exception as error:  # noqa: BLE001 - raised below
        failure = error

    def hand_out() -> Iterator[R]:
        while taken:
            yield taken.popleft()
        if failure is not None:
            raise failure
        yield from items

    return hand_out()
