"""Streams of list endpoints: whole lists, or only what changed since the last run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from singer_sdk.singerlib.catalog import REPLICATION_INCREMENTAL

from tap_betterdata.api.answers import parse_page
from tap_betterdata.api.client import answered_at
from tap_betterdata.api.errors import BadRequestError, describe_request
from tap_betterdata.compat import override
from tap_betterdata.output.writer import encode_line
from tap_betterdata.pagination.key_set import SentRows
from tap_betterdata.pagination.page import (
    Batch,
    Fields,
    NotSortedError,
    Page,
    count_pages,
    earlier,
)
from tap_betterdata.pagination.paging import PageLimit, Paging
from tap_betterdata.pagination.plain_list import PlainList
from tap_betterdata.pagination.prefetch import Prefetcher, take
from tap_betterdata.pagination.sorted_list import SortedList
from tap_betterdata.state.bookmarks import SORTED, UNSORTED, Bookmarks
from tap_betterdata.state.lists import ListState
from tap_betterdata.state.stamps import read_stamp, write_stamp
from tap_betterdata.streams.base import Partition, RowsPage
from tap_betterdata.streams.partitioned import PartitionedStream

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import requests


Reader = SortedList | PlainList
Begun = tuple[Reader, Iterator[Batch]]
# Of a list that is read before its turn; several of them are kept in memory.
FEW_PAGES = 5
# It may have to be read twice, and its total may lie or be missing.
MOST_TAKEN = 3 * FEW_PAGES


class FirstPage(NamedTuple):
    """The page that a list begins with.

    Attributes:
        is_sorted: Whether the newest rows were asked for.
        limit: How many rows were asked for.
        page: The page.
    """

    is_sorted: bool
    limit: int
    page: Page


class PagedStream(PartitionedStream):
    """A stream of a list endpoint, whose rows are its records.

    Attributes:
        records_key: What the endpoint calls its list.
        row_key: The field that tells the rows of one list apart.
        paging: How a page is asked for.
        max_limit: The largest page that the endpoint takes.
        safe_limits: What is asked for where it refuses its own.
    """

    records_key: str
    row_key = "id"
    paging: Paging = PageLimit()
    max_limit = 100
    # Documented for every list endpoint.
    safe_limits: tuple[int, ...] = (100, 20)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream."""
        super().__init__(*args, **kwargs)
        # What the first list finds out for all: whether the server sorts and which
        # limit it takes. Assumed, and checked: the vendor says that many lists can be
        # sorted, not which ones, and gives more than one largest limit.
        self._sorts: bool | None = None
        self._proof = threading.Event()
        self._is_over = threading.Event()
        self._lists: dict[Hashable, ListState] = {}

    def partitions_to_read(self) -> list[Partition]:
        """Return the endpoint's own parameters, such as `locationId`: a list each."""
        return [{}]

    def envelope_of(self, partition: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the streams of the endpoint use of what stands beside the rows.

        Anything that JSON can hold.
        """
        del partition
        return {}

    def list_state(self, partition: Partition) -> ListState:
        """Return how far one of the lists is that this run reads."""
        return self._lists[_key(partition)]

    def read_state(self, partition: Partition) -> ListState:
        """Read how far a list was sent; a full-table run keeps nothing of it."""
        return ListState(
            self.bookmarks if self._is_incremental else Bookmarks({}),
            partition.get("locationId"),
            self.replication_key or "",
            self._lookback,
        )

    @override
    def pages(self) -> Iterator[RowsPage]:
        """Read one list after the other."""
        partitions = self.partitions_to_read()
        self.run.progress.expect(len(partitions))
        # Here: other threads read the lists, and bookmarks move meanwhile.
        self._lists = {_key(part): self.read_state(part) for part in partitions}
        self._is_over = threading.Event()
        try:
            yield from self.pages_of(partitions)
        finally:
            # An error, or enough: what other threads read is for nobody then.
            self._is_over.set()

    # How a page is asked for

    @cached_property
    def limit(self) -> int:
        """Rows asked for with a page; the fewest requests come of the largest page."""
        return min(self.config.get("page_size") or self.max_limit, self.max_limit)

    def read_page(self, params: Mapping[str, Any], number: int, limit: int) -> Page:
        """Ask for a page.

        Args:
            params: The request's parameters besides the page.
            number: The page's number, from 1.
            limit: How many rows to ask for.

        Raises:
            TapError: If the API does not give it.
        """

        def read(response: requests.Response) -> Page:
            page = parse_page(
                response.content,
                records_key=self.records_key,
                paging=self.paging,
                number=number,
                date=answered_at(response),
            )
            self.check_body(page.envelope)
            return page

        paged = {**params, **self.paging.params(number, limit)}
        return self.request(paged, read, number)

    # How a list begins

    def _first_page(self, partition: Partition) -> FirstPage:
        """Ask for the first page of a list, newest first if the server sorts."""
        if self._sorts is None:
            return self._find_out(partition)
        return self._ask_page_one(partition, self.limit, is_sorted=self._sorts)

    def _ask_page_one(
        self, partition: Partition, limit: int, *, is_sorted: bool
    ) -> FirstPage:
        order = "desc" if is_sorted else ""
        page = self._request_page(partition, order, 1, limit)
        return FirstPage(is_sorted, limit, page)

    def _find_out(self, partition: Partition) -> FirstPage:
        """Find out what the server takes."""
        wanted = self.limit
        sorts = self.replication_key is not None
        attempts = [(wanted, sorts)]
        if sorts:
            attempts.append((wanted, False))
        attempts += [(safe, sorts) for safe in self.safe_limits if safe < wanted]
        refusals: list[BadRequestError] = []
        for limit, is_sorted in attempts:
            if limit == wanted and "limit" in "".join(map(str, refusals)):
                continue
            try:
                first = self._ask_page_one(partition, limit, is_sorted=is_sorted)
            except BadRequestError as error:
                refusals.append(error)
                continue
            if limit < wanted:
                message = "The API refuses pages of %d rows; asking for %d."
                self.logger.warning(message, wanted, limit)
            if sorts and not is_sorted:
                self._warn_of_no_order(f"refuses to sort ({refusals[0]})")
            self._sorts, self.limit = is_sorted, limit
            return first
        raise refusals[0]

    # How it is read

    @override
    def begin(self, partition: Partition, *, is_ahead: bool) -> Begun:
        """Begin with a list: its newest rows first if the server sorts.

        A small one is read to its end if it is not its turn yet, one page after the
        other: several such lists at once take as long as several pages at once.
        """
        state = self.list_state(partition)
        first = self._first_page(partition)
        pages = count_pages(first.page.total or 0, max(len(first.page.rows), 1))
        is_whole = not (first.is_sorted and state.sorted_until)
        if is_whole:
            where = describe_request(self.name, partition)
            self.run.progress.announce(where, max(pages - 1, 0))
        is_taken = is_ahead and is_whole and pages <= FEW_PAGES
        if first.is_sorted:
            self._say_how_it_begins(partition, state, first.page)
            prefetcher = Prefetcher() if is_taken else self.prefetcher
            begun = self._read_sorted(partition, first, prefetcher)
        else:
            begun = self._read_plain(partition, first)
        reader, batches = begun
        return (reader, take(batches, MOST_TAKEN, self._is_over)) if is_taken else begun

    @override
    def pages_from(self, partition: Partition, begun: Begun) -> Iterator[RowsPage]:
        """Read on, and the plain way if the server turns out not to sort."""
        reader, _ = begun
        if isinstance(reader, SortedList) and not self._sorts:
            # Another list has found out since. Nothing of this one has been sent.
            begun = self._read_plain(partition)
        try:
            yield from self._pages(partition, *begun)
        except NotSortedError as error:
            self._sorts = False
            self._warn_of_no_order(str(error))
            plain = self._read_plain(partition, sent=reader.sent)
            yield from self._pages(partition, *plain)

    def _read_sorted(
        self, partition: Partition, first: FirstPage, prefetcher: Prefetcher
    ) -> Begun:
        state = self.list_state(partition)
        reader = SortedList(
            partial(self._request_page, partition),
            self._fields,
            self._sent_rows(),
            size=first.limit,
            lookback=self._lookback,
            bookmark=state.sorted_until,
            checkpoint=state.checkpoint,
            is_full_table=not self._is_incremental,
            max_extra=self.config.get("max_extra_requests"),
            prefetcher=prefetcher,
            proof=self._proof,
        )
        return reader, reader.batches(first.page)

    def _read_plain(
        self,
        partition: Partition,
        first: FirstPage | None = None,
        sent: SentRows | None = None,
    ) -> Begun:
        reader = PlainList(
            partial(self._request_page, partition, ""),
            self._fields,
            sent or self._sent_rows(),
            size=first.limit if first else self.limit,
            lookback=self._lookback,
            bookmark=self.list_state(partition).plain_until,
            max_extra=self.config.get("max_extra_requests"),
        )
        return reader, reader.batches(first.page if first else None)

    def _sent_rows(self) -> SentRows:
        return SentRows(once=not self._is_incremental, content=encode_line)

    def _pages(
        self, partition: Partition, reader: Reader, batches: Iterator[Batch]
    ) -> Iterator[RowsPage]:
        """Hand out what a reader reads, and note how far it is."""
        order = SORTED if isinstance(reader, SortedList) else UNSORTED
        state = self.list_state(partition)
        if order == UNSORTED:
            # No run can go on where an order is missing, not even if this one fails.
            state.note(order, None, None)
        try:
            for batch in batches:
                yield RowsPage(
                    partition=partition,
                    rows=batch.rows,
                    envelope=self.envelope_of(partition),
                )
                # Now they have been written.
                state.note(order, batch.bookmark, batch.checkpoint)
        finally:
            self.least_requests += reader.requests - reader.extra
        self.record_doubts(reader.doubts, partition)
        if not reader.doubts:
            state.reached = reader.bookmark
        state.note(order, state.reached, None)

    def _request_page(
        self, partition: Partition, order: str, number: int, limit: int
    ) -> Page:
        """Ask for a page in an order (`asc`, `desc` or none); say how far that is."""
        # Documented for many lists: `sortBy` and `sortOrder`.
        asked = {"sortBy": self.replication_key, "sortOrder": order} if order else {}
        try:
            page = self.read_page({**partition, **asked}, number, limit)
        except BadRequestError as error:
            if order != "asc":
                raise
            msg = "refuses to sort the oldest rows first"
            raise NotSortedError(msg) from error
        pages = count_pages(page.total or 0, limit) or number
        done = {"asc": pages - number + 1, "desc": 1}.get(order, number)
        # Of what changed nobody knows how much it is; unsorted, all is read for it.
        state = self.list_state(partition)
        is_whole = (state.sorted_until if order else state.plain_until) is None
        self.run.progress.step(
            describe_request(self.name, partition),
            done=done,
            of=None if order and not is_whole else pages,
            total=page.total if is_whole else None,
        )
        return page

    def _warn_of_no_order(self, why: str) -> None:
        self.logger.warning(
            "The API %s. Every run reads the whole list therefore, and one that is cut "
            "short starts over; only what has changed is sent.",
            why,
        )

    @cached_property
    def _fields(self) -> Fields:
        """How to look into rows."""
        key, changed = self.row_key, self.replication_key
        if changed is None:
            return Fields(lambda row: str(row.get(key)))
        return Fields(
            key=lambda row: str(row.get(key)),
            stamp=lambda row: read_stamp(row.get(changed)),
        )

    # What is remembered

    @property
    def _is_incremental(self) -> bool:
        return (
            self.replication_key is not None
            and self.replication_method == REPLICATION_INCREMENTAL
        )

    @property
    def _lookback(self) -> timedelta:
        return timedelta(minutes=self.config["lookback_minutes"])

    def _say_how_it_begins(
        self, partition: Partition, state: ListState, page: Page
    ) -> None:
        where = describe_request(self.name, partition)
        said = "%s: the run before was cut short; %s."
        if state.checkpoint:
            left = state.checkpoint.left
            self.logger.info(said, where, f"going on with the oldest {left} rows")
        elif state.is_cut_by_older:
            how = "it noted how far it was in an older way: starting over"
            self.logger.info(said, where, how)
        bookmark = state.sorted_until
        if bookmark and earlier(page.date, self._lookback) < bookmark:
            # No run could leave it now: rows may lie behind it.
            self.logger.warning(
                "%s: the bookmark %s is newer than the server's time less "
                "lookback_minutes. If its clock was put back, changes may be missed: "
                "run once with --full-refresh. If lookback_minutes was raised, all is "
                "well.",
                where,
                write_stamp(bookmark),
            )


def _key(partition: Partition) -> Hashable:
    return tuple(partition.items())
