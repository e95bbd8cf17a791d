"""A sweep back through a moving list misses nothing, at next to no cost."""

from __future__ import annotations

import math
import random
from collections import Counter
from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, assume, find, given, settings
from hypothesis import strategies as st

from tap_betterdata import backward
from tap_betterdata.pages import Page
from tap_betterdata.sandbox import Sandbox
from tests.running import Outcome, Runner, catalog_of, config_for
from tests.sweep_model import (
    EPOCH,
    EXAMPLES,
    Change,
    Model,
    Whole,
    churn,
    run,
    thorough,
    whole_of,
)
from tests.test_sweep import extras, lying, of_size, said_size, schedules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_betterdata.pages import Row
    from tap_betterdata.sandbox import Request


INVENTORY = catalog_of("inventory")


@pytest.fixture(autouse=True, scope="module")
def _short_lists() -> Iterator[None]:
    """Let short lists do, which hypothesis shrinks to; not in runs of their own."""
    with patch.object(backward, "LEAST_PAGES", 3):
        yield


def page_of(*ages: int | None, **said: Any) -> Page:
    """Make a page of rows that were changed so many seconds ago."""
    rows: list[Row] = [
        {"updatedAt": None if age is None else EPOCH - timedelta(seconds=age)}
        for age in ages
    ]
    defaults = {"number": 1, "size": 4, "total": 17, "total_pages": None}
    return Page(rows=rows, **{**defaults, **said})


@pytest.mark.parametrize(
    "page",
    [
        page_of(0, 1, 2, 3),
        page_of(0, 1, 2, 3, total_pages=5),
        page_of(0, 1, 2, 3, total=20, number=3),
        page_of(0, 1, 2, 2),
        # The newest stands alone on the last page, if the oldest come first.
        page_of(0, 1, 1, 1),
    ],
)
def test_a_long_list_that_is_sorted_suits(page: Page) -> None:
    assert backward.suits(page, itemgetter("updatedAt"))


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page_of(0, 1, 2, 3, total=None), id="no total"),
        pytest.param(page_of(0, 1, 2, 3, size=5), id="a page that is not full"),
        pytest.param(page_of(0, 1, 2, 3, total=8), id="two pages"),
        pytest.param(page_of(0, 1, 2, 3, total=20, number=4), id="one page is left"),
        pytest.param(page_of(0, 1, 2, 3, total_pages=6), id="another number of pages"),
        pytest.param(page_of(0, None, 2, 3), id="a row without a time stamp"),
        pytest.param(page_of(1, 0, 2, 3), id="no order"),
        pytest.param(page_of(0, 0, 0, 0), id="rows of one age"),
        pytest.param(page_of(0, 1, 1, 1, total=20), id="that may lie on two pages"),
    ],
)
def test_other_lists_do_not_suit(page: Page) -> None:
    assert not backward.suits(page, itemgetter("updatedAt"))


@st.composite
def wholes(
    draw: st.DrawFn,
    /,
    kind: type[Whole] = Whole,
    sweep: type[backward.BackwardSweep] = backward.BackwardSweep,
    **fixed: Any,
) -> tuple[Model, Whole]:
    width = fixed.pop("width", 1)
    size = draw(st.integers(1, 6))
    model = Model(
        count=draw(st.integers(2 * size + 1, 40)),
        size=size,
        changes=draw(schedules()),
        width=width,
        picks=draw(st.lists(st.integers(0, 7), min_size=1, max_size=12))
        if width > 1
        else (0,),
        same=draw(st.sampled_from([1, 1, 100, 300])),
        mirrored=draw(st.booleans()),
        **fixed,
    )
    whole = whole_of(model, kind, sweep, extra=draw(extras))
    assume(whole is not None)
    assert whole is not None
    return model, whole


@settings(thorough, max_examples=EXAMPLES // 2)
@given(wholes())
def test_nothing_is_missed_in_silence(case: tuple[Model, Whole]) -> None:
    outcome = run(*case)
    assert outcome.honest, outcome.missing


@settings(thorough, max_examples=EXAMPLES // 2)
@given(wholes(width=4))
def test_nothing_is_missed_with_pages_in_flight(case: tuple[Model, Whole]) -> None:
    model, _ = case
    outcome = run(*case)
    assert outcome.honest or model.came_and_went(within=2 * model.width), (
        outcome.missing
    )


class Bottomless(backward.BackwardSweep):
    """Takes the oldest page as it was at the beginning."""

    def _ask(self, read: Callable[..., Page], *number: int) -> Page:
        return self.bottom if number == (1,) else super()._ask(read, *number)


class Frontless(Whole):
    """Doesn't look at the front."""

    def _front(self) -> Iterator[list[Row]]:
        return iter([])


class Trusting(backward.BackwardSweep):
    """Takes pages in flight as if they had been asked for one by one."""

    def _heed(self, page: Page, moved: int) -> None:
        del page
        self.moved += moved


class Hasty(backward.BackwardSweep):
    """Takes two pages that meet at rows of one age for neighbours."""

    def _hides_rows(self, page: Page) -> bool:
        del page
        return False


class Believing(backward.BackwardSweep):
    """Believes that there were only deletions where the total fell as rows moved."""

    def _is_calm(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("kind", "sweep", "width"),
    [
        (Whole, Bottomless, 1),
        (Frontless, backward.BackwardSweep, 1),
        (Whole, Trusting, 4),
    ],
)
def test_each_step_is_what_keeps_the_promise(
    kind: type[Whole], sweep: type[backward.BackwardSweep], width: int
) -> None:
    find(
        wholes(kind, sweep, width=width),
        lambda case: not run(*case).honest,
        settings=settings(
            max_examples=20000, deadline=None, database=None, phases=[Phase.generate]
        ),
        random=random.Random(0),  # noqa: S311 - nothing secret
    )


def test_only_deletions_are_told_by_totals() -> None:
    changes = [Change(3, "delete", 0.05), Change(3, "update", 0.5)]

    def is_honest(sweep: type[backward.BackwardSweep]) -> bool:
        model = Model(58, 4, changes=changes, width=4, picks=(1, 0, 3, 0, 0))
        whole = whole_of(model, Whole, sweep)
        assert whole
        return run(model, whole).honest

    assert is_honest(backward.BackwardSweep)
    assert not is_honest(Believing)


def test_a_row_that_was_missed_may_go_to_the_front_before_it_is_found() -> None:
    changes = [Change(6, "delete", 0.39), Change(10, "update", 0.27)]
    model = Model(17, 2, changes=changes, width=4, picks=(0, 1, 1, 0, 3))
    whole = whole_of(model)
    assert whole
    assert run(model, whole).honest


def test_a_front_without_a_total_proves_nothing() -> None:
    def untotalled(page: dict[str, Any]) -> dict[str, Any]:
        return {**page, "total": None} if page["request"] > 5 else page

    changes = [Change(3, "update", 0.9)]
    whole = whole_of(Model(17, 4, changes=changes, wrap=untotalled))
    assert whole
    list(whole)
    assert not whole.back.exact


def test_a_move_hides_behind_rows_of_one_age() -> None:
    # As long as the row on the newest page that is as old as others is not met.
    changes = [Change(4, "delete", 0.7)]
    model = Model(7, 2, changes=changes, mirrored=False, width=3, picks=[1, 0])
    ages = [1, 100, 100, 100, 204, 205, 206]
    for row, age in zip(model.rows, ages, strict=True):
        row["updatedAt"] = EPOCH - timedelta(seconds=age)
    model.rows.sort(key=model.sort_key)
    whole = whole_of(model)
    assert whole
    assert run(model, whole).honest


def test_a_row_that_was_missed_may_be_drawn_a_page_further() -> None:
    places = {6: 0.71, 9: 0.38, 12: 0.51, 16: 0.95}
    changes = [Change(moment, "delete", where) for moment, where in places.items()]
    changes.append(Change(12, "delete", 0.35))
    model = Model(25, 2, changes=changes, width=4, picks=(3, 7, 1, 2, 5))
    whole = whole_of(model)
    assert whole
    assert run(model, whole).honest


def test_rows_of_one_age_where_pages_meet_are_searched() -> None:
    def read(sweep: type[backward.BackwardSweep]) -> Whole:
        model = Model(12, 4, same=100, mirrored=False)
        whole = whole_of(model, Whole, sweep)
        assert whole
        run(model, whole)
        return whole

    assert read(backward.BackwardSweep).exact
    assert not read(Hasty).exact


# What it costs


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("rows", [201, 300, 301, 999, 1000, 1001])
def test_still_list_costs_no_extra_request(
    rows: int,
    width: int,
    mirrored: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    model = Model(rows, 100, width=width, mirrored=mirrored)
    whole = whole_of(model)
    assert whole
    outcome = run(model, whole)
    assert whole.exact
    assert not outcome.missing
    assert whole.requests == model.requests == math.ceil(rows / 100)
    assert whole.back.least_requests == whole.requests
    assert whole.extra_requests == 0


@pytest.mark.parametrize("width", [1, 4, 8])
@pytest.mark.parametrize("moment", [2, 3, 4, 20, 50, 99, 100])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.49, 0.51, 0.7, 0.999])
def test_one_deletion_in_100_pages_costs_at_most_5(
    where: float, moment: int, width: int
) -> None:
    changes = [Change(moment, "delete", where)]
    model = Model(1000, 10, changes=changes, width=width, picks=[1, 0, 3, 0, 0])
    whole = whole_of(model)
    assert whole
    outcome = run(model, whole)
    assert whole.exact
    assert not outcome.missing
    assert whole.requests - 100 <= 5


@pytest.mark.parametrize("spread", [False, True])
@pytest.mark.parametrize("width", [1, 8])
def test_steady_churn_costs_next_to_nothing(
    width: int,
    spread: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    for seed in range(10):
        changes = churn(300, every=5, seed=seed, spread=spread)
        picks = [0, 0, 1, 0, 2, 0, 0, 1]
        model = Model(14_980, 50, changes=changes, width=width, picks=picks)
        whole = whole_of(model)
        assert whole
        outcome = run(model, whole)
        assert whole.exact
        assert not outcome.missing
        assert whole.requests <= 300 + 20


# Servers that are wrong


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lying(total=45, total_pages=5), id="total too low"),
        pytest.param(lying(total=200, total_pages=20), id="total too high"),
        pytest.param(lying(rows=of_size(5, 4)), id="halved later in silence"),
        pytest.param(
            lying(rows=of_size(5, 4), size=said_size(5, 4)), id="halved later"
        ),
        pytest.param(
            lying(rows=of_size(20, 4), size=said_size(20, 4)), id="doubled later"
        ),
        pytest.param(
            lying(rows=lambda page: page["all"][:10]), id="the same for each number"
        ),
        pytest.param(
            lying(rows=lambda page: page["rows"][:: -1 if page["number"] == 4 else 1]),
            id="one page is turned",
        ),
        pytest.param(
            lying(rows=lambda page: page["rows"][page["number"] == 4 :]),
            id="one page is short",
        ),
        pytest.param(
            lying(rows=lambda page: page["rows"] if page["number"] != 4 else []),
            id="one page is empty",
        ),
        pytest.param(
            lying(
                rows=lambda page: (
                    [] if (page["number"], page["request"]) == (9, 3) else page["rows"]
                )
            ),
            id="the first page read back is empty",
        ),
        pytest.param(
            lying(
                rows=lambda page: [
                    {**row, "updatedAt": None} if page["number"] == 4 else row
                    for row in page["rows"]
                ]
            ),
            id="one page has no versions",
        ),
    ],
)
def test_lies(wrap: Callable[[dict[str, Any]], dict[str, Any]], width: int) -> None:
    model = Model(95, 10, width=width, wrap=wrap)
    whole = whole_of(model)
    assert whole
    run(model, whole)
    assert whole.doubts


@pytest.mark.parametrize("stale", range(3, 20))
def test_one_page_that_is_out_of_date(stale: int) -> None:
    def rows(page: dict[str, Any]) -> list[Row]:
        if page["request"] != stale:
            return list(page["rows"])
        first = page["number"] * 10
        return list(page["all"][first : first + 10])

    model = Model(200, 10, wrap=lying(rows=rows))
    whole = whole_of(model)
    assert whole
    outcome = run(model, whole)
    assert outcome.honest


# A whole run


def inventory(outcome: Outcome) -> list[dict[str, Any]]:
    return sorted(outcome.records("inventory"), key=lambda row: str(row["id"]))


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_long_list_is_read_from_its_end(tap: Runner, concurrency: int) -> None:
    with Sandbox(items=2037, locations=1) as sandbox:
        config = config_for(sandbox, concurrency=concurrency)
        outcome = tap(config, catalog=INVENTORY).check()
        assert inventory(outcome) == list(sandbox.company.items())
        asked = [request.params for request in sandbox.requests]
        orders = [(params["sortOrder"], params["page"]) for params in asked]
        assert orders[:2] == [("desc", "1"), ("asc", "1")]
        assert sorted(orders[2:]) == sorted(("asc", str(n)) for n in range(2, 21))
        stamps = [row["updatedAt"] for row in outcome.records("inventory")]
        assert stamps == sorted(stamps, reverse=True)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_busy_list_is_exact(tap: Runner, concurrency: int) -> None:
    with Sandbox(items=2537, locations=1) as sandbox:
        before = {item["id"]: item for item in sandbox.company.items()}
        touched: set[str] = set()
        moments = random.Random(1)  # noqa: S311 - nothing secret

        def change(request: Request) -> None:
            """Change the list between any two requests."""
            if request.number < 2:
                return
            items = [item["id"] for item in sandbox.company.items()]
            gone, changed = moments.sample(items, 2)
            touched.update((gone, changed))
            sandbox.company.delete(gone)
            sandbox.company.update(changed, quantityOnHand=4711)
            sandbox.company.insert("loc_001")

        sandbox.before_request = change
        config = config_for(sandbox, concurrency=concurrency)
        outcome = tap(config, catalog=INVENTORY).check()
        came = {row["id"]: row for row in outcome.records("inventory")}
        assert len(came) == len(outcome.records("inventory"))
        there = {item["id"] for item in sandbox.company.items()} & before.keys()
        assert there <= came.keys()
        assert all(came[key] == before[key] for key in there - touched)
        assert len(sandbox.requests) <= 26 + 12


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_server_that_sorts_one_way_is_read_that_way(
    tap: Runner, concurrency: int
) -> None:
    with Sandbox(items=2037, locations=2, sort="down") as sandbox:
        places = sandbox.company.location_ids
        config = config_for(
            sandbox, concurrency=concurrency, location_ids=places, page_size=20
        )
        outcome = tap(config, catalog=INVENTORY).check()
        assert inventory(outcome) == list(sandbox.company.items())
        asked = Counter(request.params["sortOrder"] for request in sandbox.requests)
        rows = [len(list(sandbox.company.items(place))) for place in places]
        pages = sum(math.ceil(count / 20) for count in rows)
        assert asked == {"desc": pages, "asc": 1}
