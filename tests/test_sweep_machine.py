"""What a sweep promises, with the list and the server in hypothesis's hands.

Rules insert, delete and update rows, and answer one of the requests that are under way,
in any sequence; at the end the sweep must have missed nothing in silence.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tap_betterdata import backward
from tests.sweep_model import (
    EPOCH,
    ORDERS,
    Change,
    Model,
    Outcome,
    run,
    sweep_of,
    thorough,
    whole_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from tap_betterdata.pages import Page

# Where nothing but the count tells, one change must be understood before the next.
APART = 16
ASKING, DONE = "asking", "done"

places = st.integers(0, 999).map(lambda n: n / 1000)


class HeldModel(Model):
    """A model that answers only when it is told to.

    The sweep runs in a thread of its own, and never while the machine does: either it
    waits for an answer, or the machine waits until it does so again.
    """

    def __post_init__(self) -> None:
        """Fill the list."""
        super().__post_init__()
        self.asked: list[tuple[int, float, bool]] = []
        self.answers: dict[int, Page] = {}
        self.turn: SimpleQueue[str] = SimpleQueue()
        self.go_on: SimpleQueue[None] = SimpleQueue()

    def answer_one(self, pick: int) -> bool:
        """Answer one of the requests under way.

        Returns:
            Whether the sweep goes on.
        """
        number, started, turned = self.asked.pop(pick % len(self.asked))
        self.answers[number] = self.answer(number, started, turned=turned)
        self.go_on.put(None)
        return self.turn.get(timeout=60) == ASKING

    def read(self, number: int, *, turned: bool = False) -> Page:
        """Read a page by itself."""
        return next(self.read_ahead([number], turned=turned))

    def read_ahead(
        self, numbers: Iterable[int], *, turned: bool = False
    ) -> Iterator[Page]:
        """Read pages, several in flight, answered as the machine wants it."""
        remaining = iter(numbers)
        order: list[int] = []
        try:
            while True:
                while (
                    len(order) < self.width and (n := next(remaining, None)) is not None
                ):
                    self.clock += 1
                    self.asked.append((n, self.clock, turned))
                    order.append(n)
                if not order:
                    return
                while order[0] not in self.answers:
                    self.turn.put(ASKING)
                    self.go_on.get()
                yield self.answers.pop(order.pop(0))
        finally:
            # Requests that are still under way are cancelled.
            self.asked = [asked for asked in self.asked if asked[0] not in order]
            for number in order:
                self.answers.pop(number, None)


class SweepMachine(RuleBasedStateMachine):
    """A sweep, and all that can happen meanwhile."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.goes_on = False
        self.calm = APART
        self.began = False
        self.outcomes: list[Outcome | BaseException] = []

    @initialize(
        count=st.integers(0, 40),
        size=st.integers(1, 6),
        order=st.sampled_from(["newest", "newest", *sorted(ORDERS)]),
        width=st.sampled_from([1, 1, 4]),
        same=st.sampled_from([1, 1, 300, 1000]),
        mirrored=st.booleans(),
        newest_first=st.booleans(),
        goes_back=st.booleans(),
    )
    def begin(  # noqa: PLR0913 - a list and a sweep have so many sides
        self,
        count: int,
        size: int,
        order: str,
        width: int,
        same: int,
        *,
        mirrored: bool,
        newest_first: bool,
        goes_back: bool,
    ) -> None:
        """Start the sweep; it asks for its first page."""
        self.model = HeldModel(
            count, size, order, width=width, same=same, mirrored=mirrored
        )
        self.began = True
        self.is_newest = newest_first and order == "newest"
        self.goes_back = goes_back and self.is_newest
        self.thread = threading.Thread(
            target=self._sweep, args=(newest_first,), daemon=True
        )
        self.thread.start()
        self.goes_on = self.model.turn.get(timeout=60) == ASKING
        # Before the first answer nothing has begun.
        self._answer(0)

    def _sweep(self, newest_first: bool) -> None:  # noqa: FBT001 - of a thread
        try:
            whole = whole_of(self.model) if self.goes_back else None
            if whole:
                self.outcomes.append(run(self.model, whole))
            else:
                self.goes_back = False
                self.model.requests = 0
                sweep = sweep_of(
                    self.model, newest_first=newest_first, started_at=EPOCH
                )
                self.outcomes.append(run(self.model, sweep))
        except BaseException as error:  # noqa: BLE001 - raised by the machine
            self.outcomes.append(error)
        self.model.turn.put(DONE)

    def _answer(self, pick: int) -> None:
        self.goes_on = self.model.answer_one(pick)
        self.calm += 1

    @precondition(lambda self: self.goes_on)
    @rule(picks=st.lists(st.integers(0, 7), min_size=1, max_size=6))
    def answer(self, picks: list[int]) -> None:
        """Answer some requests."""
        for pick in picks:
            if self.goes_on:
                self._answer(pick)

    @rule(kind=st.sampled_from(["insert", "delete", "update"]), where=places)
    def change(self, kind: str, where: float) -> None:
        """Change a row, unless the sweep is over or must understand another first."""
        if self.goes_on and (self.is_newest or self.calm >= APART):
            self.model.apply(Change(0, kind, where))
            self.calm = 0

    def teardown(self) -> None:
        """Answer what is left to answer, and look what came of it."""
        if not self.began:
            return
        while self.goes_on:
            self._answer(0)
        self.thread.join(timeout=60)
        outcome = self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        excused = (
            self.model.came_and_went(within=2 * self.model.width)
            if self.is_newest
            else self.model.changed_twice
        )
        assert outcome.honest or excused, outcome.missing


def test_whatever_happens_nothing_is_missed_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backward, "LEAST_PAGES", 3)
    run_state_machine_as_test(
        SweepMachine, settings=settings(thorough, stateful_step_count=25)
    )
