"""What a sweep promises, over lists that change between any two requests."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from itertools import count, product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tap_betterdata import sweep as sweep_module
from tap_betterdata.seen import Seen, fingerprint
from tap_betterdata.sweep import PagesRepeatError, Sweep
from tap_betterdata.walk import Lost
from tests.sweep_model import (
    EPOCH,
    EXAMPLES,
    NEVER,
    ORDERS,
    Change,
    Model,
    churn,
    run,
    sweep_of,
    thorough,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_betterdata.pages import Page, Row
    from tap_betterdata.walk import Walk

kinds = st.sampled_from(["insert", "delete", "update"])
places = st.integers(0, 999).map(lambda n: n / 1000)


@st.composite
def schedules(draw: st.DrawFn, *, apart: int = 0) -> list[Change]:
    """Changes at random moments; with `apart`, never more than one in so many."""
    moments = draw(st.lists(st.integers(2, 80 if apart else 30), max_size=14))
    if apart:
        moments = [apart * n + 2 for n in sorted({n // apart for n in moments})]
    return [Change(moment, draw(kinds), draw(places)) for moment in moments]


@st.composite
def models(draw: st.DrawFn, /, *, apart: int = 0, **fixed: Any) -> Model:
    width = fixed.pop("width", 1)
    return Model(
        count=draw(st.integers(0, 40)),
        size=draw(st.integers(1, 6)),
        changes=draw(schedules(apart=apart)),
        width=width,
        picks=draw(st.lists(st.integers(0, 7), min_size=1, max_size=12))
        if width > 1
        else (0,),
        same=draw(st.sampled_from([1, 1, 1000])),
        **fixed,
    )


extras = st.sampled_from([None, 0, 3, 1000])


@settings(thorough, max_examples=EXAMPLES // 2)
@given(models(order="newest"), extras)
def test_newest_first_misses_nothing_in_silence(
    model: Model, extra: int | None
) -> None:
    outcome = run(model, sweep_of(model, newest_first=True, extra=extra))
    assert outcome.honest, outcome.missing


@settings(thorough, max_examples=EXAMPLES // 2)
@given(models(order="newest", width=4), extras)
def test_newest_first_with_pages_in_flight(model: Model, extra: int | None) -> None:
    outcome = run(model, sweep_of(model, newest_first=True, extra=extra))
    assert outcome.honest or model.came_and_went(within=2 * model.width), (
        outcome.missing
    )


FIXED_ORDERS = ["id", "newest id", "rank"]


def in_orders(orders: list[str], **options: Any) -> st.SearchStrategy[Model]:
    return st.sampled_from(orders).flatmap(lambda o: models(order=o, **options))


one_change = st.one_of(
    in_orders(sorted(ORDERS), apart=10), in_orders(sorted(ORDERS), width=3, apart=16)
)


@settings(thorough, max_examples=EXAMPLES // 2)
@given(one_change, st.booleans(), extras)
def test_any_order_with_one_change_at_a_time(
    model: Model,
    newest_first: bool,  # noqa: FBT001 - hypothesis draws it
    extra: int | None,
) -> None:
    outcome = run(model, sweep_of(model, newest_first=newest_first, extra=extra))
    moves = model.order not in FIXED_ORDERS
    assert outcome.honest or (moves and model.changed_twice), outcome.missing


@settings(thorough, max_examples=EXAMPLES // 4)
@given(in_orders(FIXED_ORDERS), st.booleans())
def test_what_slips_by_in_silence_takes_two_opposite_changes_at_once(
    model: Model,
    newest_first: bool,  # noqa: FBT001 - hypothesis draws it
) -> None:
    outcome = run(model, sweep_of(model, newest_first=newest_first))
    moments = {
        kind: [change.request for change in model.changes if change.kind == kind]
        for kind in ("insert", "delete")
    }
    # From one page to the next, and while a few are read again.
    together = any(
        abs(came - went) <= 4
        for came, went in product(moments["insert"], moments["delete"])
    )
    assert outcome.honest or together, outcome.missing


@settings(thorough, max_examples=EXAMPLES // 4)
@given(models(order="newest"), st.integers(-1000, 0), extras)
def test_early_stop_misses_nothing_newer(
    model: Model, seconds: int, extra: int | None
) -> None:
    stop = EPOCH + timedelta(seconds=seconds // model.same)
    due = {r["id"] for r in model.rows if (r["updatedAt"] or NEVER) >= stop}
    sweep = sweep_of(model, newest_first=True, stop_before=stop, extra=extra)
    outcome = run(model, sweep)
    assert sweep.doubts or not sweep.exact or not outcome.missing & due


@settings(thorough, max_examples=EXAMPLES // 4)
@given(models(order="newest"), st.integers(1, 5))
def test_later_start_misses_nothing_further_back(model: Model, start: int) -> None:
    due = {row["id"] for row in model.rows[(start - 1) * model.size :]}
    front = model.rows[0]["updatedAt"] if model.rows else None
    sweep = sweep_of(model, newest_first=True, start_page=start, front=front)
    outcome = run(model, sweep)
    assert not sweep.exact or not outcome.missing & due


@pytest.mark.parametrize(
    ("rows", "size", "width", "picks", "undated", "changes"),
    [
        pytest.param(
            33,
            4,
            4,
            [1, 1, 0],
            0,
            [(2, "delete", 0.0), (5, "insert", 0.0), (5, "update", 0.125)],
            id="a row that gives a place away goes to the front",
        ),
        pytest.param(
            14,
            4,
            3,
            [3, 0, 0, 0],
            0,
            [(2, "delete", 0.02), (4, "update", 0.65), (5, "update", 0.27)],
            id="a page in flight shows a row in its old place",
        ),
        pytest.param(
            52,
            2,
            6,
            [5, 3, 2, 1, 0],
            0,
            [(4, "delete", 0.24), (13, "insert", 0.0)],
            id="an insert hides what a deletion had told",
        ),
        pytest.param(
            10,
            4,
            1,
            [0],
            7,
            [(2, "delete", 0.65), (3, "insert", 0.0), (4, "update", 0.94)],
            id="rows without a version are passed twice",
        ),
    ],
)
def test_cases_that_were_hard(  # noqa: PLR0913, PLR0917 - a case has so many sides
    rows: int,
    size: int,
    width: int,
    picks: list[int],
    undated: int,
    changes: list[tuple[int, str, float]],
) -> None:
    schedule = [Change(*change) for change in changes]
    model = Model(
        rows, size, changes=schedule, width=width, picks=picks, undated=undated
    )
    sweep = sweep_of(model, newest_first=True, extra=100)
    assert not run(model, sweep).missing
    assert sweep.exact
    assert sweep.ordered


# That the properties above notice what they are there for


class Unmended(Sweep):
    """Doesn't look again where the total fell."""

    def _bridge(self, *_: Any, **__: Any) -> Lost:
        return Lost()


class Frontless(Sweep):
    """Doesn't look at the front again."""

    def _go(self, walk: Walk, number: int) -> Iterator[list[Row]]:
        yield from super()._go(walk, number)
        walk.settled = True


class Countless(Sweep):
    """Doesn't compare what came with the total."""

    def _missing(self, *_: Any) -> int:
        return 0


class Trusting(Sweep):
    """Takes pages in flight as if they had been asked for one by one."""

    def _is_overtaken(self, *_: Any) -> bool:
        return False


@pytest.mark.parametrize(
    ("kind", "strategy", "newest_first"),
    [
        (Unmended, models(order="newest"), True),
        (Frontless, models(order="newest"), True),
        (Trusting, models(order="newest", width=4), True),
        (Countless, in_orders(["oldest"], apart=10), False),
    ],
)
def test_mending_is_what_keeps_the_promise(
    kind: type[Sweep],
    strategy: st.SearchStrategy[Model],
    newest_first: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    def breaks(model: Model) -> bool:
        sweep = sweep_of(model, kind, newest_first=newest_first)
        return not run(model, sweep).honest and not model.changed_twice

    find(
        strategy,
        breaks,
        settings=settings(
            max_examples=20000, deadline=None, database=None, phases=[Phase.generate]
        ),
        random=random.Random(0),  # noqa: S311 - nothing secret
    )


# What it costs


@pytest.mark.parametrize("order", ["newest", "id"])
@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("rows", [0, 1, 99, 100, 101, 1000, 1001])
def test_still_list_costs_no_extra_request(order: str, width: int, rows: int) -> None:
    model = Model(rows, 100, order, width=width)
    sweep = sweep_of(model, newest_first=order == "newest")
    outcome = run(model, sweep)
    assert sweep.exact
    assert [row["id"] for row in outcome.came] == [row["id"] for row in model.rows]
    assert sweep.requests == model.requests == max(1, math.ceil(rows / 100))
    assert sweep.least_requests == sweep.requests
    assert sweep.extra_requests == 0


@pytest.mark.parametrize("order", ["newest", "id"])
@pytest.mark.parametrize("width", [1, 4, 8])
@pytest.mark.parametrize("moment", [2, 3, 20, 50, 99, 100])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.49, 0.51, 0.7, 0.999])
def test_one_deletion_in_100_pages_costs_at_most_5(
    order: str, width: int, moment: int, where: float
) -> None:
    model = Model(
        1000,
        10,
        order,
        [Change(moment, "delete", where)],
        width=width,
        picks=[1, 0, 3, 0, 0],
    )
    sweep = sweep_of(model, newest_first=order == "newest")
    outcome = run(model, sweep)
    assert sweep.exact
    assert not outcome.missing
    assert sweep.requests - 100 <= 5
    assert sweep.extra_requests <= 5


def test_steady_churn_costs_next_to_nothing_newest_first() -> None:
    requests = []
    for seed in range(20):
        model = Model(3000, 10, changes=churn(300, every=5, seed=seed))
        outcome = run(model, sweep_of(model, newest_first=True))
        assert outcome.sweep.exact
        assert not outcome.missing
        requests.append(outcome.sweep.requests)
    assert max(requests) <= 330
    assert sum(requests) / len(requests) <= 325


def test_many_keys_take_few_bytes() -> None:
    seen = Seen()
    for number in range(100_000):
        assert seen.add(fingerprint(f"item-{number}"))
    assert not seen.add(fingerprint("item-77"))
    assert fingerprint("item-77") in seen
    assert fingerprint("item") not in seen
    assert "item" not in seen
    assert len(seen) == 100_000
    shelves = seen._shelves.values()  # noqa: SLF001 - that is what it is for
    assert sum(shelf.buffer_info()[1] * 8 for shelf in shelves) < 1_000_000


# Of two versions


def test_of_two_versions_in_hand_the_newer_comes() -> None:
    old = {"id": "1", "updatedAt": EPOCH, "value": 0}
    new = {"id": "1", "updatedAt": EPOCH + timedelta(1), "value": 1}
    for rows in ([old, new], [new, old]):
        model = Model(0, 10, wrap=lying(rows=rows, total=1))
        sweep = sweep_of(model)
        assert list(sweep) == [[new]]
        assert sweep.exact


# Servers that lie


def lying(**answers: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def wrap(page: dict[str, Any]) -> dict[str, Any]:
        changes = {k: v(page) if callable(v) else v for k, v in answers.items()}
        return {**page, **changes}

    return wrap


def of_size(size: int, start: int = 1) -> Callable[[dict[str, Any]], list[Row]]:
    """Give pages of another size from a request on."""

    def rows(page: dict[str, Any]) -> list[Row]:
        if page["request"] < start:
            return list(page["rows"])
        first = (page["number"] - 1) * size
        return list(page["all"][first : first + size])

    return rows


def said_size(size: int, start: int) -> Callable[[dict[str, Any]], int]:
    return lambda page: size if page["request"] >= start else 10


def endless(page: dict[str, Any]) -> list[Row]:
    return [
        {"id": f"{page['number']}-{n}", "updatedAt": EPOCH, "value": 0}
        for n in range(10)
    ]


EXACT, LOUD = True, False


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize(
    ("wrap", "exact", "requests"),
    [
        pytest.param(lying(total_pages=3), EXACT, 10, id="too few pages"),
        pytest.param(lying(total_pages=1), EXACT, 10, id="one page"),
        pytest.param(lying(total_pages=None), EXACT, 10, id="no pages"),
        pytest.param(lying(total_pages=20), EXACT, 11, id="too many pages"),
        pytest.param(lying(total=None), LOUD, 10, id="no total"),
        pytest.param(lying(total=None, total_pages=None), LOUD, 11, id="nothing"),
        pytest.param(lying(total=0, total_pages=0), LOUD, 11, id="total 0"),
        pytest.param(lying(total=45), LOUD, 11, id="total too low"),
        pytest.param(lying(total=200), LOUD, 11, id="total too high"),
        pytest.param(lying(total=2000), LOUD, 11, id="total much too high"),
        pytest.param(
            lying(rows=of_size(5), size=5, total_pages=19), EXACT, 19, id="halved"
        ),
        pytest.param(lying(rows=of_size(5)), EXACT, 19, id="halved in silence"),
        pytest.param(
            lying(rows=of_size(5, 4), size=said_size(5, 4)),
            EXACT,
            17,
            id="halved later",
        ),
        pytest.param(
            lying(rows=of_size(5, 4)), LOUD, None, id="halved later in silence"
        ),
        pytest.param(
            lying(rows=of_size(20, 4), size=said_size(20, 4)),
            EXACT,
            9,
            id="doubled later",
        ),
        pytest.param(
            lying(rows=lambda page: page["rows"] or page["all"][-5:], total_pages=20),
            EXACT,
            11,
            id="last page over and over",
        ),
    ],
)
def test_lies(
    wrap: Callable[[dict[str, Any]], dict[str, Any]],
    exact: bool,  # noqa: FBT001 - a parameter of the test
    requests: int | None,
    newest_first: bool,  # noqa: FBT001 - a parameter of the test
    width: int,
) -> None:
    model = Model(95, 10, width=width, wrap=wrap)
    sweep = sweep_of(model, newest_first=newest_first)
    outcome = run(model, sweep)
    assert sweep.exact == exact
    if exact:
        assert not outcome.missing
        assert sweep.doubts == []
    if requests is not None:
        assert not outcome.missing
        assert model.requests <= requests + (width - 1) * 2
        assert width > 1 or model.requests == requests


@pytest.mark.parametrize("newest_first", [True, False])
def test_same_page_for_each_number(newest_first: bool) -> None:  # noqa: FBT001
    model = Model(95, 10, wrap=lying(rows=lambda page: page["all"][:10]))
    with pytest.raises(PagesRepeatError, match="page 1 and as page 2"):
        list(sweep_of(model, newest_first=newest_first))
    assert model.requests == 4


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("stale", [2, 3, 5, 9])
def test_one_page_that_is_out_of_date(
    stale: int,
    newest_first: bool,  # noqa: FBT001 - a parameter of the test
    width: int,
) -> None:
    def rows(page: dict[str, Any]) -> list[Row]:
        if page["request"] != stale:
            return list(page["rows"])
        first = max(0, page["number"] - 2) * 10
        return list(page["all"][first : first + 10])

    model = Model(200, 10, width=width, wrap=lying(rows=rows))
    outcome = run(model, sweep_of(model, newest_first=newest_first))
    assert outcome.honest
    assert not outcome.missing


def test_rows_that_move_by_a_page_with_nothing_to_spare_are_said() -> None:
    changes = [Change(5, "insert", 0.0) for _ in range(10)]
    model = Model(200, 10, changes=changes)
    outcome = run(model, sweep_of(model, newest_first=True, extra=0))
    assert not outcome.missing
    assert not outcome.sweep.exact
    assert "had the same rows" in outcome.sweep.doubts[0]


@pytest.mark.parametrize("total", [30, None])
def test_pages_without_end(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "MOST_PAGES", 50)
    model = Model(0, 10, wrap=lying(rows=endless, total=total, total_pages=total))
    sweep = sweep_of(model)
    for _ in sweep:
        assert model.requests < 100
    assert not sweep.exact
    assert sweep.doubts


def test_one_short_page_needs_no_total() -> None:
    model = Model(7, 10, wrap=lying(total=None, total_pages=None))
    sweep = sweep_of(model)
    assert not run(model, sweep).missing
    assert sweep.exact


def test_short_page_in_the_middle_is_loud() -> None:
    def rows(page: dict[str, Any]) -> list[Row]:
        return list(page["rows"][: 4 if page["number"] == 5 else None])

    model = Model(95, 10, wrap=lying(rows=rows))
    sweep = sweep_of(model, newest_first=True)
    assert len(run(model, sweep).missing) == 6
    assert sweep.doubts == ["By the totals 95 rows should have come, but 89 did."]


def test_rows_without_version_at_the_end_keep_the_order() -> None:
    model = Model(95, 10, undated=9)
    sweep = sweep_of(model, newest_first=True, stop_before=NEVER)
    assert not run(model, sweep).missing
    assert (sweep.ordered, sweep.stopped, sweep.exact) == (True, False, True)


def test_early_stop_takes_the_fewest_requests() -> None:
    model = Model(1000, 10, width=8)
    stop = model.rows[24]["updatedAt"]
    sweep = sweep_of(model, newest_first=True, stop_before=stop)
    run(model, sweep)
    assert (sweep.stopped, sweep.exact, sweep.ordered) == (True, True, True)
    assert sweep.requests == model.requests == sweep.least_requests == 3


@pytest.mark.parametrize("order", ["oldest", "rank"])
def test_no_early_stop_out_of_order(order: str) -> None:
    model = Model(200, 10, order, width=4)
    sweep = sweep_of(model, newest_first=True, stop_before=EPOCH)
    assert not run(model, sweep).missing
    assert (sweep.stopped, sweep.exact, sweep.ordered) == (False, True, False)
    assert sweep.requests == 20


def test_what_cannot_be_mended_is_said_with_numbers() -> None:
    changes = [Change(moment, "delete", 0.0) for moment in range(3, 30)]
    model = Model(200, 5, changes=changes)
    sweep = sweep_of(model, newest_first=True, extra=0)
    assert run(model, sweep).missing
    assert sweep.doubts[0].startswith("Rows moved between pages at 27 places")
    assert sweep.doubts[0].endswith("up to 27 rows may be missing.")


def test_what_reading_raises_is_let_through() -> None:
    def read(number: int) -> Page:
        raise ConnectionError(number)

    sweep = Sweep(read, lambda _numbers: iter(()), str)
    with pytest.raises(ConnectionError):
        list(sweep)
    assert not sweep.exact


def test_flight_is_cancelled_when_the_sweep_is_dropped() -> None:
    model = Model(1000, 10, width=4)
    rows = sweep_of(model).rows()
    for _ in range(5):
        next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert model.requests < 12


def test_more_than_the_server_says_is_read_up_to_the_allowance() -> None:
    numbers = count()
    wrap = lying(
        rows=lambda _: [{"id": str(next(numbers)), "updatedAt": None, "value": 0}],
        total=5,
        size=1,
    )
    sweep = sweep_of(Model(0, 1, wrap=wrap), extra=7)
    assert len(list(sweep)) == 5
    assert sweep.exact


@pytest.mark.parametrize("spread", [True, False])
@pytest.mark.parametrize("order", ["id", "rank"])
def test_churn_out_of_order_is_loud(order: str, *, spread: bool) -> None:
    for seed in range(10):
        changes = churn(50, every=5, seed=seed, spread=spread)
        model = Model(500, 10, order, changes)
        assert run(model, sweep_of(model, started_at=EPOCH)).honest


def test_updates_in_place_are_told_from_moves_by_a_few_looks() -> None:
    changes = [Change(moment, "update", 0.5) for moment in range(10, 90)]
    model = Model(1000, 10, "id", changes)
    sweep = sweep_of(model, started_at=EPOCH)
    assert not run(model, sweep).missing
    assert sweep.exact
    assert sweep.extra_requests == 5


def test_rows_of_one_import_need_no_second_reading() -> None:
    changes = [Change(5, "update", 0.9), Change(9, "update", 0.95)]
    model = Model(1000, 10, changes=changes, same=10_000)
    sweep = sweep_of(model, newest_first=True, started_at=EPOCH + timedelta(hours=1))
    assert not run(model, sweep).missing
    assert sweep.exact
    assert sweep.extra_requests == 1
