"""Reading a list again: what changed since, and what a run that was cut short left."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_betterdata import backward
from tap_betterdata.backward import BackwardSweep, suits
from tap_betterdata.compat import override
from tap_betterdata.reading import Reading, is_turned
from tap_betterdata.resume import read_rest
from tap_betterdata.sweep import Sweep
from tests.sweep_model import EPOCH, Change, Model

if TYPE_CHECKING:
    from datetime import datetime

    from tap_betterdata.pages import Page, Row

EXAMPLES = int(os.environ.get("READING_EXAMPLES", "150"))
thorough = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# What the model calls a moment is a second, one for each request.
LOOKBACK = timedelta(seconds=2)


def _key(row: Row) -> str:
    return str(row["id"])


def _version(row: Row) -> datetime | None:
    version: datetime | None = row["updatedAt"]
    return version


@dataclass
class Reader:
    """Reads a model over and over, keeps what comes and what a state would hold.

    Attributes:
        model: The list.
        sent: The newest value of each row that came.
        bookmark: What the last run that ended well reached.
        rest: What a run that was cut short left, as the state has it.
    """

    model: Model
    sent: dict[str, int] = field(default_factory=dict)
    bookmark: datetime | None = None
    rest: dict[str, Any] | None = None

    def reading(self, started: datetime, **options: Any) -> Reading:
        return Reading(
            read=self.model.read,
            sweep=self._sweep,
            backward=self._backward,
            key=_key,
            version=_version,
            since=self.bookmark and self.bookmark - LOOKBACK,
            stops_early=True,
            sorts=lambda newest: is_turned(newest, self._oldest(), _key, _version),
            say=lambda _: None,
            lookback=LOOKBACK,
            started=started,
            rest=read_rest(self.rest),
            **options,
        )

    def _sweep(self, first: Page, **options: Any) -> Sweep:
        in_hand = {first.number: first}
        return Sweep(
            read=lambda number: in_hand.pop(number, None) or self.model.read(number),
            read_ahead=self.model.read_ahead,
            key=_key,
            version=_version,
            **{"newest_first": True, **options},
        )

    def _backward(self, first: Page) -> BackwardSweep | None:
        with patch.object(backward, "LEAST_PAGES", 3):
            if not suits(first, _version):
                return None
        oldest = self._oldest()
        if not is_turned(first, oldest, _key, _version):
            return None
        read = partial(self.model.read, turned=True)
        ahead = partial(self.model.read_ahead, turned=True)
        return BackwardSweep(
            first, oldest, partial(self.model.read, 1), read, ahead, _key, _version
        )

    def _oldest(self) -> Page:
        """Ask for the oldest first, which a server that doesn't sort ignores."""
        return self.model.read(1, turned=self.model.order == "newest")

    def run(self, cut: int | None = None, behind: int = 0) -> Reading:
        """Read once.

        Args:
            cut: After how many batches the run is cut short; None for never.
            behind: How many batches before that the state was written.

        Returns:
            The reading.
        """
        started = self.model.now
        before = {row["id"]: row["value"] for row in self.model.rows}
        self.model.gone.clear()
        reading = self.reading(started)
        counts: Counter[str] = Counter()
        states = [self.rest]
        for rows in reading.rows(self.model.read(1)):
            counts.update(row["id"] for row in rows)
            self.sent |= {row["id"]: row["value"] for row in rows}
            states.append(reading.left.as_note() if reading.left else None)
            if len(states) - 1 == cut:
                self.rest = states[max(0, len(states) - 1 - behind)]
                return reading
        assert not [key for key, count in counts.items() if count > 1]
        if reading.is_exact:
            self._check(before)
            self.rest = None
            if reading.newest is not None:
                self.bookmark = min(reading.newest, started)
        else:
            self.rest = reading.left.as_note() if reading.left else None
        return reading

    def _check(self, before: dict[str, int]) -> None:
        """Check that all that was there throughout has come, as new as it was."""
        steady = before.keys() - self.model.gone.keys()
        stale = [key for key in steady if self.sent.get(key, -1) < before[key]]
        assert not stale, stale


KINDS = ("insert", "update", "delete")
places = st.integers(0, 999).map(lambda n: n / 1000)


@st.composite
def changes(
    draw: st.DrawFn, kinds: tuple[str, ...], moments: tuple[int, int]
) -> Change:
    return Change(
        draw(st.integers(*moments)), draw(st.sampled_from(kinds)), draw(places)
    )


@st.composite
def histories(
    draw: st.DrawFn, /, *, kinds: tuple[str, ...] = KINDS, **fixed: Any
) -> tuple[Reader, list[tuple[int, int, list[Change]]]]:
    """A list that changes while it is read, and runs that are cut short."""
    model = Model(
        count=draw(st.integers(0, 40)),
        size=draw(st.integers(2, 6)),
        changes=draw(st.lists(changes(kinds, (2, 60)), max_size=12)),
        same=draw(st.sampled_from([1, 1, 1000])),
        mirrored=draw(st.booleans()),
        **fixed,
    )
    runs = st.tuples(
        st.integers(1, 12),
        st.integers(0, 3),
        st.lists(changes(KINDS, (0, 0)), max_size=8),
    )
    return Reader(model), draw(st.lists(runs, max_size=5))


def follow(reader: Reader, runs: list[tuple[int, int, list[Change]]]) -> None:
    """Let a history happen; at its end a run is not cut, and another one is calm."""
    for cut, behind, between in runs:
        reader.run(cut=cut, behind=behind)
        reader.model.requests += 10
        for change in between:
            reader.model.apply(change)
    reader.run()
    reader.model.pending.clear()
    reader.model.requests += 10
    reading = reader.run()
    if reader.model.order == "newest":
        assert reading.is_exact


@thorough
@given(histories())
def test_nothing_is_lost_where_the_order_is_honoured(
    history: tuple[Reader, list[Any]],
) -> None:
    follow(*history)


@thorough
@given(
    st.sampled_from([("insert", "update"), ("delete",)]).flatmap(
        lambda kinds: histories(kinds=kinds, width=4, picks=(2, 0, 3, 1))
    )
)
def test_nothing_is_lost_with_pages_in_flight(
    history: tuple[Reader, list[Any]],
) -> None:
    follow(*history)


@thorough
@given(
    st.sampled_from(["id", "oldest", "rank", "newest id"]).flatmap(
        lambda order: histories(kinds=("insert",), order=order)
    )
)
def test_nothing_is_lost_where_the_order_is_not_honoured(
    history: tuple[Reader, list[Any]],
) -> None:
    follow(*history)


@pytest.mark.parametrize("place", range(4, 36))
def test_nothing_is_lost_where_the_order_breaks_off(place: int) -> None:
    """A list that looks sorted from both ends, but holds a row that is out of place."""
    model = Model(count=40, size=4)
    model.rows[place] = {**model.rows[place], "updatedAt": EPOCH}
    reader = Reader(model)
    assert reader.run().is_exact
    assert reader.sent.keys() == {row["id"] for row in model.rows}


@pytest.mark.parametrize("moment", range(2, 12))
def test_what_changes_while_the_place_is_looked_for_is_not_lost(moment: int) -> None:
    model = Model(count=40, size=4)
    reader = Reader(model)
    reader.run(cut=5)
    model.pending[model.requests + moment].append(Change(0, "update", 0.99))
    assert reader.run().is_exact


class Coarse(Model):
    """A list whose clock moves on with every tenth request only."""

    @property
    @override
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=(1 + self.requests) // 10)


@pytest.mark.parametrize("moment", range(2, 12))
def test_a_clock_that_stands_while_the_place_is_looked_for(moment: int) -> None:
    model = Coarse(count=40, size=4)
    reader = Reader(model)
    reader.run(cut=5)
    model.requests = 100
    for _ in range(8):
        model.apply(Change(0, "update", 0.99))
    model.pending[model.requests + moment].append(Change(0, "update", 0.8))
    assert reader.run().is_exact


def test_a_state_covers_nothing_that_pages_in_flight_may_have_missed() -> None:
    for moment, cut, where in product(range(3, 9), range(1, 9), (0.6, 0.9)):
        model = Model(
            count=58,
            size=4,
            changes=[Change(moment, "delete", where)],
            width=4,
            picks=(1, 0, 3, 0, 0),
        )
        reader = Reader(model)
        reader.run(cut=cut)
        assert reader.run().is_exact
