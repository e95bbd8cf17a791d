"""Streams of list endpoints: whole lists, or only what changed since the last run."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_betterdata.backward import BackwardSweep, suits
from tap_betterdata.bookmarks import earlier, read_stamp, write_stamp
from tap_betterdata.compat import override
from tap_betterdata.errors import BadRequestError, UnexpectedAnswerError, place
from tap_betterdata.pages import count_pages
from tap_betterdata.reading import Reading, is_turned
from tap_betterdata.resume import Rest, read_rest
from tap_betterdata.seen import Seen
from tap_betterdata.stream import Answer, BetterDataStream
from tap_betterdata.sweep import PagesRepeatError, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    from tap_betterdata.pages import Page, Row

# What is kept in the state besides bookmarks: that items without a time stamp were
# seen, and how far a sweep came that did not end.
UNSTAMPED = "unstamped"
REST = "rest"

# Documented for every list endpoint (20 and 100), for one that refuses its own.
SAFE_LIMITS = (100, 20)
# Of each list, before it is its turn.
MOST_PAGES_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a list begins with.

    Attributes:
        is_sorted: Whether the newest rows were asked for first.
        first: The first page.
        begun: Pages that have been asked for already, by their numbers.
    """

    is_sorted: bool
    first: Page
    begun: dict[int, Future[Page]]


class PagedStream(BetterDataStream):
    """A stream of a list endpoint.

    Attributes:
        row_key: The field that tells the rows of one list apart.
    """

    row_key: str
    state_fields = BetterDataStream.state_fields | {UNSTAMPED, REST}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream.

        Args:
            *args: As for the base class.
            **kwargs: As for the base class.
        """
        super().__init__(*args, **kwargs)
        # What the first list finds out for all: whether the server sorts and which
        # limit it takes. Assumed, and checked: the vendor says that many lists can be
        # sorted, not which ones, and gives more than one largest limit.
        self._finding_out = threading.Lock()
        self._sorts: bool | None = None
        self._read_whole: set[str | None] = set()
        # Of all lists: a row whose key is enough by itself may move between them.
        self._given = Seen()
        self._turns: bool | None = None

    @abstractmethod
    def contexts(self) -> list[dict[str, Any]]:
        """Return what is asked for besides pages: one list each.

        Returns:
            The endpoint's own parameters, such as `locationId`.
        """

    def beside(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the streams of the endpoint use of what stands beside the rows.

        Args:
            context: The list's parameters.

        Returns:
            Anything that JSON can hold.
        """
        del context
        return {}

    @override
    def ask(self) -> Iterator[Answer]:
        """Read one list after the other."""
        contexts = self.contexts()
        # Decided here, since the lists are begun by other threads.
        places = [context.get("locationId") for context in contexts]
        if self.run.workers.count > 1 and not self.is_dry_run:
            self._read_whole = {
                place
                for place, context in zip(places, contexts, strict=True)
                if self.since(context) is None
                and self.bookmarks.noted(place, REST) is None
            }
        return self.each(contexts, self._begin, self._go_on)

    def _begin(self, context: dict[str, Any]) -> Beginning:
        """Ask for the first page of a list, newest first if the server sorts."""
        with self._finding_out:
            if self._sorts is None:
                return self._begin_first(context)
        is_sorted = self._sorts
        asked = self._sorted(context) if is_sorted else context
        first = self.read_page(asked, 1)
        return Beginning(is_sorted, first, self._read_on(context, asked, first))

    def _begin_first(self, context: dict[str, Any]) -> Beginning:
        """Find out what the server takes."""
        wanted = self.limit or 0
        sorts = self.replication_key is not None
        attempts = [(wanted, sorts)]
        if sorts:
            attempts.append((wanted, False))
        attempts += [(safe, sorts) for safe in SAFE_LIMITS if safe < wanted]
        refusals: list[BadRequestError] = []
        for limit, is_sorted in attempts:
            if limit == wanted and "limit" in "".join(map(str, refusals)):
                continue
            self.limit = limit
            asked = self._sorted(context) if is_sorted else context
            try:
                first = self.read_page(asked, 1)
            except BadRequestError as error:
                refusals.append(error)
                continue
            self._sorts = is_sorted
            if limit < wanted:
                message = "The API refuses pages of %d rows; asking for %d."
                self.logger.warning(message, wanted, limit)
            if sorts and not is_sorted:
                self._warn_of_no_order(f"refuses to sort ({refusals[0]})")
            return Beginning(is_sorted, first, self._read_on(context, asked, first))
        self.limit = wanted
        raise refusals[0]

    def _read_on(
        self, context: dict[str, Any], asked: dict[str, Any], first: Page
    ) -> dict[int, Future[Page]]:
        """Ask for a few pages more of a list that is read whole, when its turn comes.

        Many lists of a few pages would else be read one after the other.
        """
        if context.get("locationId") not in self._read_whole:
            return {}
        if suits(first, self._changed_at):
            # It is read from its other end.
            return {}
        pages = count_pages(first.total or 0, max(first.size, 1))
        return {
            number: self.run.workers.begin(partial(self._read, asked, number))
            for number in range(2, min(pages, MOST_PAGES_AHEAD) + 1)
        }

    def _go_on(self, context: dict[str, Any], beginning: Beginning) -> Iterator[Answer]:
        is_sorted, first = beginning.is_sorted, beginning.first
        where = place(self.name, context)
        read = partial(self._read, self._sorted(context) if is_sorted else context)
        reading = Reading(
            read=read,
            sweep=partial(self._sweep, read, beginning.begun, newest_first=is_sorted),
            backward=partial(self._backward, context),
            key=self._key,
            version=self._changed_at,
            since=self.since(context),
            stops_early=self._stops_early(context),
            sorts=partial(self._is_sorting, context),
            say=partial(self.logger.info, "%s: %s.", where),
            lookback=self._lookback,
            started=self.run.started_at,
            rest=self._rest(context, is_sorted=is_sorted),
            given=self._given if self._is_keyed_by_row else Seen(),
        )
        self.run.progress.begin(where, (first.total_pages or 1) - 1)
        try:
            for rows in reading.rows(first):
                left = reading.left
                yield Answer(context=context, rows=rows, beside=self.beside(context))
                # Now they have been written.
                self._note_rest(context, left)
        except PagesRepeatError as error:
            msg = f"{where}: {error}"
            raise UnexpectedAnswerError(msg) from error
        finally:
            for page in beginning.begun.values():
                page.cancel()
        for sweep in reading.sweeps:
            self.judge(sweep, context)
        if is_sorted and not reading.ordered:
            self._give_up_sorting(f"does not sort by {self.replication_key}")
        self._note_rest(context, reading.left)
        if reading.is_exact:
            self.remember_reading(context, reading)

    def _sweep(
        self,
        read: Callable[[int], Page],
        begun: dict[int, Future[Page]],
        first: Page,
        **options: Any,
    ) -> Sweep:
        """Prepare a sweep that has its first page in hand."""
        return self.sweep(
            _after(first, read),
            begun,
            key=self._key,
            version=self._changed_at if self.replication_key else None,
            extra=self.config.get("max_extra_requests"),
            started_at=self.run.server_now(),
            **options,
        )

    def _backward(self, context: dict[str, Any], first: Page) -> BackwardSweep | None:
        """Prepare a sweep from the newest rows to the oldest, if the list suits it.

        Args:
            context: The list's parameters.
            first: Its first page, as it came.

        Returns:
            The sweep; None if the list doesn't suit, or the server can't be asked.
        """
        if self._turns is False or not suits(first, self._changed_at):
            return None
        bottom = self._read_oldest(context, first)
        if bottom is None or None in map(self._changed_at, bottom.rows):
            return None
        last = first.total_pages
        read = partial(self._read, self._sorted(context, "asc"), last=last)
        return BackwardSweep(
            first,
            bottom,
            partial(self._read, self._sorted(context), 1),
            read,
            partial(self.read_ahead, read, {}),
            key=self._key,
            version=self._changed_at,
            extra=self.config.get("max_extra_requests"),
        )

    def _read(
        self, context: dict[str, Any], number: int, *, last: int | None = None
    ) -> Page:
        """Read a page, and say how far that is.

        Args:
            context: The list's parameters.
            number: The page's number.
            last: Where the way back through the list began, if it goes back.

        Returns:
            The page.
        """
        page = self.read_page(context, number)
        done = number if last is None else last - number + 1
        self.run.progress.step(
            place(self.name, context),
            done=done,
            of=page.total_pages or number,
            rows=min(done * page.size, page.total or done * page.size),
            total=page.total,
        )
        return page

    # Only what changed

    def _sorted(self, context: dict[str, Any], order: str = "desc") -> dict[str, Any]:
        """Documented for many lists: `sortBy` and `sortOrder`."""
        return {**context, "sortBy": self.replication_key, "sortOrder": order}

    def _is_sorting(self, context: dict[str, Any], newest: Page) -> bool:
        """Look, once in a run, whether the oldest rows come first if asked for.

        Args:
            context: The list's parameters.
            newest: The page that came with the newest rows asked for.

        Returns:
            Whether they do.
        """
        return self._turns or self._read_oldest(context, newest) is not None

    def _read_oldest(self, context: dict[str, Any], newest: Page) -> Page | None:
        """Return the first page, oldest first, if the list turns when it is asked to.

        Args:
            context: The list's parameters.
            newest: The page that came with the newest rows asked for.

        Returns:
            The page; None if the server doesn't sort.
        """
        self._turns = False
        try:
            oldest = self.read_page(self._sorted(context, "asc"), 1)
        except BadRequestError:
            return None
        self._turns = is_turned(newest, oldest, self._key, self._changed_at)
        return oldest if self._turns else None

    def _give_up_sorting(self, why: str) -> None:
        if self._sorts:
            self._sorts = False
            self._warn_of_no_order(why)

    def _warn_of_no_order(self, why: str) -> None:
        self.logger.warning(
            "The API %s. Every run reads the whole list therefore, and one that is cut "
            "short starts over; only what has changed is sent.",
            why,
        )

    @property
    def _is_keyed_by_row(self) -> bool:
        # A catalog makes a list of the keys.
        return list(self.primary_keys) == [self.row_key]

    @property
    def _is_incremental(self) -> bool:
        return self.replication_method == REPLICATION_INCREMENTAL

    @property
    def _lookback(self) -> timedelta:
        return timedelta(minutes=self.config["lookback_minutes"])

    def since(self, context: Mapping[str, Any]) -> datetime | None:
        """Return from when on rows are sent.

        Args:
            context: The list's parameters.

        Returns:
            The bookmark less the lookback; None if there is none.
        """
        if not self._is_incremental:
            return None
        return self.before(self.bookmarks.get(context.get("locationId")))

    def before(self, stamp: str | None) -> datetime | None:
        """Return the time that lies the lookback before a time stamp.

        Args:
            stamp: The time stamp, if there is one.

        Returns:
            The time, if there is one.
        """
        time = read_stamp(stamp)
        return time and earlier(time, self._lookback)

    def _stops_early(self, context: Mapping[str, Any]) -> bool:
        if not self.bookmarks.concerns(context.get("locationId"), UNSTAMPED):
            return True
        self.logger.info(
            "%s: items without %s have been seen, which stand anywhere in the list: "
            "all pages are read.",
            place(self.name, context),
            self.replication_key,
        )
        return False

    def _key(self, row: Row) -> str:
        return str(row.get(self.row_key))

    @cached_property
    def _changed_at(self) -> Callable[[Row], datetime | None]:
        """Returns when a row was changed, if it says so."""
        field = self.replication_key or ""
        return lambda row: read_stamp(row.get(field))

    def _rest(self, context: Mapping[str, Any], *, is_sorted: bool) -> Rest | None:
        """Return what a run that was cut short has sent, if this one can go on."""
        note = self.bookmarks.noted(context.get("locationId"), REST)
        if note is None or not self._is_incremental:
            return None
        rest = read_rest(note) if is_sorted else None
        since = self.since(context)
        if rest and since and rest.top < since:
            # A later run has read it all.
            return None
        self.logger.info(
            "%s: the run before was cut short; %s.",
            place(self.name, context),
            f"going on behind {rest.rows} rows" if rest else "starting over",
        )
        return rest

    def _note_rest(self, context: Mapping[str, Any], left: Rest | None) -> None:
        if self._is_incremental:
            note = left and left.as_note()
            self.bookmarks.note(context.get("locationId"), REST, note)

    def remember_reading(self, context: Mapping[str, Any], reading: Reading) -> None:
        """Move the bookmark, but not past the run's start: changes may have come.

        Args:
            context: The list's parameters.
            reading: What was read, exactly.
        """
        if self.replication_key is None or not self._is_incremental:
            return
        location = context.get("locationId")
        self._note_rest(context, None)
        self.bookmarks.note(location, UNSTAMPED, bool(reading.unstamped) or None)
        if reading.newest is not None:
            reached = write_stamp(self.run.before_start(reading.newest))
            self.bookmarks.advance(location, self.replication_key, reached)


def _after(first: Page, read: Callable[[int], Page]) -> Callable[[int], Page]:
    """Return a reader that has read one page already."""
    in_hand = {first.number: first}

    def read_page(number: int) -> Page:
        return in_hand.pop(number, None) or read(number)

    return read_page
