"""A server with one list that changes between its answers, and a target behind it.

The server keeps what docs/assumptions.md assumes: a change gives a row a time stamp of
now, or of a moment less than the lookback ago (late commits; the coarseness of the
stamps is part of it), and rows of one stamp keep their order, which may differ between
the two orders. Several requests may be in flight and are answered in any order.
"""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, settings

from tap_betterdata.pagination.key_set import SentRows
from tap_betterdata.pagination.page import Fields, Page
from tap_betterdata.pagination.plain_list import PlainList
from tap_betterdata.pagination.prefetch import Prefetcher
from tap_betterdata.pagination.sorted_list import SortedList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_betterdata.pagination.page import Batch, Checkpoint

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LOOKBACK = timedelta(minutes=10)

EXAMPLES = int(os.environ.get("LIST_EXAMPLES", "500"))
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class Row(NamedTuple):
    """A row of the list.

    Attributes:
        id: Its key.
        updated: When it last changed; None if it never did.
        value: How often it has changed.
    """

    id: str
    updated: datetime | None
    value: int = 0


FIELDS = Fields(key=lambda row: row.id, stamp=lambda row: row.updated)
UNSTAMPED = Fields(key=lambda row: row.id)


class Change(NamedTuple):
    """What happens right before a request is answered.

    Attributes:
        answer: Before which answer, counted over all runs from 1.
        kind: `insert`, `delete` or `update`.
        where: Which row: a number from 0 up to 1, its place from the oldest on.
        lag: By how many seconds its time stamp lies behind.
        rows: How many rows it concerns, from `where` on.
    """

    answer: int
    kind: str
    where: float
    lag: float = 0.0
    rows: int = 1


class CutError(Exception):
    """The run is cut short at a request."""


@dataclass
class Server:
    """The list and its server.

    Attributes:
        stamps: When the rows of the beginning were changed, in seconds before `EPOCH`.
        size: How many rows a page has at most.
        changes: What happens.
        step: How many seconds lie between two answers.
        grain: How coarse the stamps are, in seconds.
        mirrored: Whether rows of one stamp turn with the order.
        slow_clock: Whether the stamps lie years behind, an hour apart.
        lie: Changes a page on its way out.
        order: Sorts in a way of its own, whatever is asked for: a key for rows.
        cut: At which answer the run is cut short.
    """

    stamps: Sequence[float | None]
    size: int = 3
    changes: Sequence[Change] = ()
    step: float = 1.0
    grain: float = 0.0
    mirrored: bool = True
    slow_clock: bool = False
    lie: Callable[[Page, Server], Page] | None = None
    order: Callable[[Row], Any] | None = None
    cut: int | None = None
    answers: int = 0
    made: int = 0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Fill the list."""
        self.pending = defaultdict(list)
        for change in self.changes:
            self.pending[change.answer].append(change)
        self.rows: dict[str, Row] = {}
        # Deleted or changed since the mark was set.
        self.touched: set[str] = set()
        for age in self.stamps:
            moment = None if age is None else EPOCH - timedelta(seconds=age)
            self._put(self._new_id(), moment, 0)

    def _new_id(self) -> str:
        self.made += 1
        # In no order.
        return f"{self.made * 7919 % 10007:05}-{self.made}"

    def _put(self, key: str, updated: datetime | None, value: int) -> None:
        self.rows[key] = Row(key, updated, value)

    @property
    def now(self) -> datetime:
        """The server's time."""
        return EPOCH + timedelta(seconds=self.answers * self.step)

    def _stamp(self, lag: float) -> datetime:
        if self.slow_clock:
            self.made += 1
            return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=self.made)
        moment = self.now - timedelta(seconds=lag)
        if self.grain:
            seconds = (moment - EPOCH).total_seconds() // self.grain * self.grain
            moment = EPOCH + timedelta(seconds=seconds)
        return moment

    def oldest_first(self, *, mirrored: bool = True) -> list[Row]:
        """Return the rows; those of one stamp by their ids, or the other way round."""
        rows = sorted(self.rows.values(), key=lambda row: row.id, reverse=not mirrored)
        return sorted(
            rows, key=lambda row: row.updated or datetime.min.replace(tzinfo=UTC)
        )

    def apply(self, change: Change) -> None:
        """Let a change happen."""
        rows = self.oldest_first()
        first = int(change.where * len(rows))
        if change.kind == "insert":
            for _ in range(change.rows):
                key = self._new_id()
                self.touched.add(key)
                self._put(key, self._stamp(change.lag), 0)
            return
        for row in rows[first : first + change.rows]:
            self.touched.add(row.id)
            if change.kind == "delete":
                del self.rows[row.id]
            else:
                self._put(row.id, self._stamp(change.lag), row.value + 1)

    def request(self, order: str, number: int, size: int) -> Page:
        """Answer a request."""
        self.answers += 1
        if self.cut == self.answers:
            raise CutError
        self.asked.append((order, number))
        for change in self.pending[self.answers]:
            self.apply(change)
        size = min(size, self.size)
        if self.order is not None:
            rows = sorted(self.rows.values(), key=self.order)
        elif order == "asc":
            rows = self.oldest_first()
        else:
            rows = self.oldest_first(mirrored=self.mirrored)[::-1]
        page = Page(
            number=number,
            rows=rows[(number - 1) * size : number * size],
            total=len(rows),
            date=self.now.replace(microsecond=0),
        )
        return self.lie(page, self) if self.lie else page


class Flight(Executor):
    """Requests in flight: answered when one is waited for, in an order of its own."""

    def __init__(self, picks: Sequence[int] = (0,)) -> None:
        """Begin with nothing in flight.

        Args:
            picks: Which of those in flight is answered next, over and over.
        """
        self._picks = cycle(picks)
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Take a request on its way."""
        future = _Landing(self)
        future.set_running_or_notify_cancel()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def land(self, future: Future[Any]) -> None:
        """Answer requests until this one is answered."""
        while not future.done():
            index = next(self._picks) % len(self._waiting)
            other, task = self._waiting.pop(index)
            try:
                other.set_result(task())
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                other.set_exception(error)


class _Landing(Future[Any]):
    def __init__(self, flight: Flight) -> None:
        super().__init__()
        self._flight = flight

    def result(self, timeout: float | None = None) -> Any:
        self._flight.land(self)
        return super().result(timeout)


@dataclass
class Target:
    """What runs have sent, by key, and the state that the last one left.

    Attributes:
        is_full_table: Whether runs read the whole list.
        sent: All rows of the last run, in order.
    """

    server: Server
    width: int = 1
    picks: Sequence[int] = (0,)
    is_full_table: bool = False
    max_extra: int | None = None
    limit: int = 3
    rows: dict[str, Row] = field(default_factory=dict)
    bookmark: datetime | None = None
    checkpoint: Checkpoint | None = None
    sent: list[Row] = field(default_factory=list)

    def run(self, **options: Any) -> SortedList:
        """Read the list, and keep what came and how far it is."""
        self.server.touched = set()
        reader = SortedList(
            self.server.request,
            FIELDS,
            SentRows(once=self.is_full_table),
            **{
                "size": self.limit,
                "lookback": LOOKBACK,
                "bookmark": self.bookmark,
                "checkpoint": self.checkpoint,
                "is_full_table": self.is_full_table,
                "max_extra": self.max_extra,
                "prefetcher": Prefetcher(Flight(self.picks), self.width)
                if self.width > 1
                else Prefetcher(),
                **options,
            },
        )
        first = self.server.request("desc", 1, reader.size)
        self.take(reader.batches(first))
        if not reader.doubts and not self.is_full_table:
            self._advance(reader.bookmark)
        self.checkpoint = None
        return reader

    def run_plain(self, *, fields: Fields = FIELDS, **options: Any) -> PlainList:
        """Read the list the plain way."""
        self.server.touched = set()
        reader = PlainList(
            lambda number, size: self.server.request("", number, size),
            fields,
            SentRows(once=self.is_full_table),
            **{"size": self.limit, "lookback": LOOKBACK, **options},
        )
        self.take(reader.batches())
        return reader

    def take(self, batches: Iterator[Batch]) -> None:
        """Write what a run sends."""
        self.sent = []
        for batch in batches:
            for row in batch.rows:
                self.sent.append(row)
                self.rows[row.id] = row
            if not self.is_full_table:
                self.checkpoint = batch.checkpoint
                self._advance(batch.bookmark)

    def _advance(self, bookmark: datetime | None) -> None:
        if bookmark is not None:
            self.bookmark = max(bookmark, self.bookmark or bookmark)

    def missing(self, *, steady: bool = False) -> list[Row]:
        """Return the rows of the server that this target lacks, or has an old one of.

        Args:
            steady: Only those that were there and didn't change during the last run.
        """
        return [
            row
            for row in self.server.rows.values()
            if self.rows.get(row.id) != row
            and not (steady and row.id in self.server.touched)
        ]

    def overdue(self) -> list[Row]:
        """Return what the target lacks although the bookmark says that it came."""
        bookmark = self.bookmark
        return [
            row
            for row in self.missing()
            if bookmark is not None and (row.updated is None or row.updated <= bookmark)
        ]


def churn(pages: int, *, every: int = 5, seed: int = 0) -> list[Change]:
    """Return an insert, a deletion and two updates at random every few answers."""
    random = Random(seed)  # noqa: S311 - nothing secret
    return [
        Change(answer, kind, random.random())
        for answer in range(3, pages + 3, every)
        for kind in ("insert", "delete", "update", "update")
    ]
