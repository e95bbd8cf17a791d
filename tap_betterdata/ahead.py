"""Doing several things at once, and handing out what comes back in order."""

from __future__ import annotations

import queue
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

T = TypeVar("T")

# What takes less is done in its turn: threads would only be in each other's way.
SLOW_S = 0.005


def fly(
    read_ahead: Callable[[Iterable[int]], Iterator[T]],
    numbers: Iterable[int],
    throw_away: Callable[[int], object],
) -> Generator[T]:
    """Read pages ahead, and count those that were asked for in vain.

    Args:
        read_ahead: Takes numbers only as it asks for their pages; whether it is a
            generator or not, it is closed at the end.
        numbers: Which pages.
        throw_away: Takes, at the end, how many were asked for and not handed out.

    Yields:
        The pages.
    """
    under_way = 0

    def begun() -> Iterator[int]:
        nonlocal under_way
        for number in numbers:
            under_way += 1
            yield number

    flight = read_ahead(begun())
    try:
        for page in flight:
            under_way -= 1
            yield page
    finally:
        close = getattr(flight, "close", None)
        if close is not None:
            close()
        throw_away(under_way)


class Workers:
    """A few threads that do what they are given, once it proves slow.

    The threads are daemons, unlike those of `concurrent.futures`: an exit must not
    wait for a server that is slow to answer.
    """

    def __init__(
        self, count: int, is_fatal: Callable[[BaseException], bool] = lambda _: False
    ) -> None:
        """Make the pool; its threads start when there is work.

        Args:
            count: How many things are done at once, at least 1.
            is_fatal: Tells whether an error makes all that is awaited useless.
        """
        self.count = count
        self._is_fatal = is_fatal
        self._end: Future[Any] = Future()
        # None ends a thread.
        self._tasks: queue.SimpleQueue[
            tuple[Future[object], Callable[[], object]] | None
        ] = queue.SimpleQueue()
        self._threads = 0
        self._is_slow = False
        self._took: float | None = None  # seconds, what was done last
        self._lock = threading.Lock()

    def ahead(self, tasks: Iterable[Callable[[], T] | Future[T]]) -> Iterator[T]:
        """Run tasks a few ahead of the one whose result is handed out.

        The tasks are taken from the iterable only as they are begun, so a consumer
        that is slow, or stops, keeps later ones from being begun at all.

        Args:
            tasks: What to do, or what has been begun already.

        Yields:
            The results, in the order of the tasks.

        Raises:
            BaseException: What a task raised, when it is that task's turn; at once if
                it is fatal.
        """
        waiting: deque[Future[T]] = deque()
        remaining = iter(tasks)
        try:
            while True:
                if not (self._is_slow or waiting):
                    waiting.extend(map(self._do, islice(remaining, 1)))
                if self._is_slow:
                    more = islice(remaining, self.count - len(waiting))
                    waiting.extend(map(self._begun, more))
                if not waiting:
                    return
                self._await(waiting[0])
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """Let the threads end when what they have begun is done."""
        for _ in range(self._threads):
            self._tasks.put(None)
        self._threads = 0

    def begin(self, task: Callable[[], T]) -> Future[T]:
        """Begin a task; it waits for its turn if there is enough to do.

        Args:
            task: What to do.

        Returns:
            Its result, when there is one.
        """
        future: Future[T] = Future()
        self._tasks.put((future, task))  # type: ignore[arg-type]
        if self._is_slow or not self._threads:
            self._start_threads(1)
        return future

    def _begun(self, task: Callable[[], T] | Future[T]) -> Future[T]:
        return task if isinstance(task, Future) else self.begin(task)

    def _await(self, future: Future[T]) -> None:
        """Wait until there is a result, or something fatal has happened."""
        if not future.done():
            wait([future, self._end], return_when=FIRST_COMPLETED)
        if self._end.done():
            self._end.result()

    def _do(self, task: Callable[[], T] | Future[T]) -> Future[T]:
        """Do a task here and now, or await it, and heed how long it takes."""
        began = monotonic()
        if isinstance(task, Future):
            future = task
            self._await(future)
        else:
            future = Future()
            self._run(future, task)
        took = monotonic() - began
        # Once may be chance, and the first time there is a connection to open.
        before = took / 4 if self._took is None else self._took
        self._took = took
        if min(before, took) > SLOW_S:
            self._is_slow = True
            self._start_threads(self._tasks.qsize())
        return future

    def _start_threads(self, wanted: int) -> None:
        # Tasks may begin others, so several threads may come here.
        with self._lock:
            wanted = min(wanted, self.count - self._threads)
            self._threads += wanted
        for _ in range(wanted):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while (work := self._tasks.get()) is not None:
            self._run(*work)

    def _run(self, future: Future[Any], task: Callable[[], object]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = task()
        except BaseException as error:  # noqa: BLE001 - raised where it is awaited
            future.set_exception(error)
            if self._is_fatal(error):
                with suppress(InvalidStateError):
                    self._end.set_exception(error)
        else:
            future.set_result(result)
