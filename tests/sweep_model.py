"""A paged list in memory whose rows change between its requests, and sweeps over it.

`SWEEP_EXAMPLES=50000` has the tests run so many examples instead of 2,000.
"""

from __future__ import annotations

import os
from bisect import insort
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import cycle
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, settings

from tap_betterdata.backward import BackwardSweep, suits
from tap_betterdata.pages import Page
from tap_betterdata.sweep import PagesRepeatError, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_betterdata.pages import Row

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = EPOCH - timedelta(days=9999)


class Change(NamedTuple):
    """What happens to the list right before a request is answered.

    Attributes:
        request: Which request, from 2 on: before the first nothing has begun.
        kind: `insert`, `delete` or `update`.
        where: Which row: a number from 0 up to 1, its place in the list.
    """

    request: int
    kind: str
    where: float


def _name(row: Row) -> tuple[Any, ...]:
    return row["name"], row["id"]


def _oldest(row: Row) -> tuple[Any, ...]:
    return row["updatedAt"] or NEVER, row["id"]


def _newest(row: Row) -> tuple[Any, ...]:
    return -((row["updatedAt"] or NEVER) - EPOCH).total_seconds(), row["id"]


ORDERS: dict[str, Callable[[Row], tuple[Any, ...]]] = {
    "newest": _newest,
    "oldest": _oldest,
    "id": lambda row: (row["id"],),
    "newest id": lambda row: (-int(row["id"]),),
    "name": _name,
    "rank": lambda row: (row["rank"],),
}


@dataclass
class Model:
    """The list and its server.

    Attributes:
        count: How many rows there are at first.
        size: How many rows a page has.
        order: How the rows are sorted.
        changes: What happens, and when.
        width: How many requests are in flight at once.
        picks: Which of those in flight is answered next, over and over.
        same: How many rows share a version at first.
        undated: Each how many-th row has no version at first; 0 for none.
        mirrored: Whether rows of one version turn with the rest when the oldest are
            asked for first.
        wrap: Changes a page on its way out: a server that lies.
        requests: How many requests were answered.
        gone: The rows that were deleted.
        values: The values that each row has had since the first request.
        touched: During which requests each row was changed.
    """

    count: int
    size: int
    order: str = "newest"
    changes: Sequence[Change] = ()
    width: int = 1
    picks: Sequence[int] = (0,)
    same: int = 1
    undated: int = 0
    mirrored: bool = True
    wrap: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    requests: int = 0
    gone: dict[str, int] = field(default_factory=dict)
    values: dict[str, set[int]] = field(default_factory=dict)
    touched: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill the list."""
        self.clock = 0.0
        self.made = 0
        self.sort_key = ORDERS[self.order]
        self.pending = defaultdict(list)
        for change in self.changes:
            self.pending[change.request].append(change)
        self.rows: list[Row] = [
            self._new(EPOCH - timedelta(seconds=self._mix(n) // self.same))
            for n in range(self.count)
        ]
        if self.undated:
            for row in self.rows[:: self.undated]:
                row["updatedAt"] = None
        self.rows.sort(key=self.sort_key)
        self.first = {row["id"] for row in self.rows}

    def _mix(self, number: int) -> int:
        return number * 7919 % 1009

    def _new(self, updated: datetime) -> Row:
        self.made += 1
        mixed = self._mix(self.made)
        row = {
            "id": f"{self.made:06}",
            "name": f"{mixed % 97:02}",
            "rank": (self.made * 613 % 1013, self.made),
            "updatedAt": updated,
            "value": 0,
        }
        self.values[str(row["id"])] = {0}
        return row

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=1 + self.requests)

    def apply(self, change: Change) -> None:
        """Let a change happen."""
        place = int(change.where * len(self.rows))
        if change.kind == "insert":
            row = self._new(self.now)
            insort(self.rows, row, key=self.sort_key)
        elif not self.rows:
            return
        elif change.kind == "delete":
            row = self.rows.pop(place)
            self.gone[row["id"]] = self.requests
        else:
            row = {**self.rows.pop(place), "updatedAt": self.now}
            row["value"] += 1
            row["name"] = f"{self._mix(row['value'] + place) % 97:02}"
            self.values[row["id"]].add(row["value"])
            insort(self.rows, row, key=self.sort_key)
        self.touched.setdefault(row["id"], []).append(self.requests)

    def answer(self, number: int, started: float, *, turned: bool = False) -> Page:
        """Answer a request, with the other end of the list first if it is turned."""
        self.requests += 1
        for change in self.pending[self.requests]:
            self.apply(change)
        self.clock += 1
        total = len(self.rows)
        rows = self.rows
        if turned:
            rows = rows[::-1] if self.mirrored else sorted(rows, key=_oldest)
        page: dict[str, Any] = {
            "rows": rows[(number - 1) * self.size : number * self.size],
            "size": self.size,
            "total": total,
            "total_pages": -(-total // self.size),
        }
        if self.wrap:
            extra = {"number": number, "all": rows, "request": self.requests}
            page = {k: v for k, v in self.wrap({**page, **extra}).items() if k in page}
        return Page(number=number, started=started, ended=self.clock, **page)

    def read(self, number: int, *, turned: bool = False) -> Page:
        """Read a page by itself."""
        self.clock += 1
        return self.answer(number, self.clock, turned=turned)

    def read_ahead(
        self, numbers: Iterable[int], *, turned: bool = False
    ) -> Iterator[Page]:
        """Read pages, several in flight, answered in any order."""
        remaining = iter(numbers)
        picks = cycle(self.picks)
        begun: list[tuple[int, float]] = []
        order: list[int] = []
        answers: dict[int, Page] = {}
        while True:
            while len(order) < self.width and (n := next(remaining, None)) is not None:
                self.clock += 1
                begun.append((n, self.clock))
                order.append(n)
            if not order:
                return
            while order[0] not in answers:
                number, started = begun.pop(next(picks) % len(begun))
                answers[number] = self.answer(number, started, turned=turned)
            yield answers.pop(order.pop(0))

    def steady(self) -> set[str]:
        """Return the rows that were there from the first request to the last."""
        return self.first - self.gone.keys()

    def came_and_went(self, *, within: int) -> bool:
        """Say whether a row changed and was deleted so many requests later at most."""
        return any(
            self.gone[key] - moment <= within
            for key, moments in self.touched.items()
            if key in self.gone
            for moment in moments[:-1]
        )

    @property
    def changed_twice(self) -> bool:
        """Whether a row was changed more than once."""
        return any(len(moments) > 1 for moments in self.touched.values())


EXAMPLES = int(os.environ.get("SWEEP_EXAMPLES", "2000"))
thorough = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def sweep_of(model: Model, kind: type[Sweep] = Sweep, **options: Any) -> Sweep:
    return kind(
        model.read,
        model.read_ahead,
        lambda row: row["id"],
        lambda row: row["updatedAt"],
        **options,
    )


class Whole:
    """A sweep back through the list, and over its front again where rows moved."""

    def __init__(self, back: BackwardSweep, model: Model) -> None:
        """Begin with the sweep back."""
        self.back = back
        self.sweeps: list[BackwardSweep | Sweep] = [back]
        self._model = model
        self._given: set[str] = set()

    def __iter__(self) -> Iterator[list[Row]]:
        """Read."""
        for rows in self.back:
            yield self._new(rows)
        if self.back.settled or not self.back.ordered:
            self.back.agree()
        else:
            yield from self._front()

    def _front(self) -> Iterator[list[Row]]:
        front = sweep_of(self._model, newest_first=True, stop_before=self.back.newest)
        self.sweeps.append(front)
        for rows in front:
            if new := self._new(rows):
                yield new
        self.back.agree(front)

    def _new(self, rows: list[Row]) -> list[Row]:
        new = [row for row in rows if row["id"] not in self._given]
        self._given.update(row["id"] for row in new)
        return new

    @property
    def distinct(self) -> int:
        return len(self._given)

    @property
    def exact(self) -> bool:
        return all(sweep.exact for sweep in self.sweeps)

    @property
    def doubts(self) -> list[str]:
        return [doubt for sweep in self.sweeps for doubt in sweep.doubts]

    @property
    def requests(self) -> int:
        return sum(sweep.requests for sweep in self.sweeps)

    @property
    def extra_requests(self) -> int:
        return sum(sweep.extra_requests for sweep in self.sweeps)

    @property
    def allowance(self) -> int:
        return sum(sweep.allowance for sweep in self.sweeps)


def whole_of(
    model: Model,
    kind: type[Whole] = Whole,
    sweep: type[BackwardSweep] = BackwardSweep,
    **options: Any,
) -> Whole | None:
    """Prepare to read from the newest rows to the oldest, if the list suits that."""
    top = model.read(1)
    if not suits(top, lambda row: row["updatedAt"]):
        return None
    back = sweep(
        top,
        model.read(1, turned=True),
        partial(model.read, 1),
        partial(model.read, turned=True),
        partial(model.read_ahead, turned=True),
        lambda row: row["id"],
        lambda row: row["updatedAt"],
        **options,
    )
    return kind(back, model)


@dataclass
class Outcome:
    """What a sweep came to."""

    sweep: Sweep | Whole
    came: list[Row]
    missing: set[str]

    @property
    def honest(self) -> bool:
        return not self.missing or not self.sweep.exact


def run(model: Model, sweep: Sweep | Whole) -> Outcome:
    """Sweep, and check what holds whatever happens."""
    came: list[Row] = []
    repeats = False
    try:
        for rows in sweep:
            assert rows
            came.extend(rows)
    except PagesRepeatError:
        repeats = True
    times = Counter(row["id"] for row in came)
    assert set(times.values()) <= {1}
    assert all(row["value"] in model.values[row["id"]] for row in came)
    # Requests that were cancelled while they waited count as well.
    assert model.requests <= sweep.requests <= model.requests + 100
    assert sweep.extra_requests <= sweep.allowance + 100
    assert sweep.distinct == len(came)
    assert sweep.exact != (repeats or bool(sweep.doubts))
    return Outcome(sweep, came, model.steady() - times.keys())


def churn(pages: int, *, every: int, seed: int, spread: bool = False) -> list[Change]:
    """Return an insert, a delete and two updates for every so many pages.

    Args:
        pages: Of the list.
        every: So many.
        seed: For the places and moments.
        spread: Whether they come each at a moment of its own, not all four at once.
    """
    random = Random(seed)  # noqa: S311 - nothing secret
    changes = []
    for start in range(2, pages + 1, every):
        at_once = start + random.randrange(every)
        for kind in ("insert", "delete", "update", "update"):
            moment = start + random.randrange(every) if spread else at_once
            changes.append(Change(moment, kind, random.random()))
    return changes
