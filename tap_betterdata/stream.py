"""From answers to Singer messages: what all streams of the tap have in common."""

from __future__ import annotations

import time
from abc import abstractmethod
from copy import deepcopy
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from singer_sdk.mapper import RemoveRecordTransform, SameRecordTransform
from singer_sdk.singerlib import ActivateVersionMessage, RecordMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_betterdata.bookmarks import LOCATIONS, LOCATIONS_AS_OF, Bookmarks, read_stamp
from tap_betterdata.client import ApiStream
from tap_betterdata.compat import override
from tap_betterdata.errors import (
    IncompleteRunError,
    InexactError,
    RefusedError,
    TapError,
    UnexpectedAnswerError,
    place,
    redact,
)
from tap_betterdata.pagination.prefetch import Prefetcher
from tap_betterdata.records import Conformer
from tap_betterdata.spool import Spool
from tap_betterdata.writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
    )

    from singer_sdk.helpers.types import Context, Record

    from tap_betterdata.pages import Row

T = TypeVar("T")
C = TypeVar("C")


# How often the state is written while a stream is read: what is lost at most when a
# run is cut short is what was read since.
STATE_EVERY_BATCHES = 10
STATE_EVERY_SECONDS = 10.0


class Answer(TypedDict):
    """What one request, or one page of a sweep, brought.

    Attributes:
        context: What was asked for besides the page, such as `locationId`.
        rows: The rows.
        beside: What the streams of the endpoint use of what stands beside the rows.
    """

    context: dict[str, Any]
    rows: list[Row]
    beside: dict[str, Any]


class BetterDataStream(ApiStream):
    """A stream of the tap.

    A subclass describes its endpoint: `path`, `primary_keys`, `schema`, what to ask
    for (`ask`), and how an answer becomes records (`records_of`).

    Attributes:
        rows: How many records were written.
        least_requests: How many requests the stream's answers take at least.
        complete: Whether everything that was to be read was read, exactly.
        failed: Whether something could not be read at all.
    """

    path: str
    # Whether records are parts of rows. Rows are compared where they are read, their
    # parts are not.
    is_flat = False
    # What the stream keeps in its state beside bookmarks.
    state_fields: frozenset[str] = frozenset({LOCATIONS, LOCATIONS_AS_OF})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make the stream.

        Args:
            *args: As for the base class.
            **kwargs: As for the base class.
        """
        super().__init__(*args, **kwargs)
        self.rows = 0
        self.least_requests = 0
        self.complete = True
        self.failed = False
        self._batches = 0
        self._state_written = time.monotonic()

    @abstractmethod
    def ask(self) -> Iterator[Answer]:
        """Ask the endpoint for all that the run needs of it.

        Yields:
            The answers in order.
        """

    @abstractmethod
    def records_of(self, answer: Answer) -> Iterable[Row]:
        """Make records of an answer.

        Args:
            answer: An answer of the stream's endpoint.

        Returns:
            The records; fields that the schema doesn't know are dropped later.
        """

    # What is asked for, and shared

    def answers(self) -> Iterator[Answer]:
        """Return the endpoint's answers, asked for once in a run.

        Two streams share an endpoint: where both are selected, the one that comes
        first keeps the answers on disk for the other.

        Yields:
            The answers in order.
        """
        kept = self.run.spools.get(self.path)
        if kept is not None:
            yield from kept.read()
            if not kept.whole:
                kind = IncompleteRunError if kept.failed else InexactError
                msg = f"{self.name}: as the other stream of {self.path}"
                self.leave_out(kind(msg))
        elif self.sharers():
            spool = self.run.spools[self.path] = Spool[Answer]()
            yield from spool.fill(self.ask())
            spool.whole, spool.failed = self.complete, self.failed
        else:
            yield from self.ask()

    def sharers(self) -> list[BetterDataStream]:
        """Return the other selected streams of the same endpoint.

        Returns:
            The streams.
        """
        return [
            stream
            for stream in self.tap.streams.values()
            if isinstance(stream, BetterDataStream)
            and stream is not self
            and stream.path == self.path
            and stream.selected
        ]

    def wants(self, answer: Answer) -> bool:
        """Tell whether an answer is for this stream.

        Args:
            answer: An answer that it, or a stream that shares its endpoint, asked for.

        Returns:
            Whether its records are to be written.
        """
        del answer
        return True

    def remember(self, answer: Answer) -> None:
        """Note in the bookmarks that an answer has been read.

        Args:
            answer: The answer; its records are written before the bookmarks are kept.
        """

    def each(
        self,
        contexts: Iterable[dict[str, Any]],
        begin: Callable[[dict[str, Any]], T],
        go_on: Callable[[dict[str, Any], T], Iterator[Answer]],
    ) -> Iterator[Answer]:
        """Ask for one thing after the other; one that is refused costs no other.

        What each begins with is asked for while those before it are still being read,
        so that many small locations don't cost a round trip each.

        Args:
            contexts: What to ask for.
            begin: Asks for the first answer of one of them.
            go_on: Makes all answers of the first one.

        Yields:
            The answers in order.
        """
        refused: set[str | None] = set()
        beginnings = self.prefetcher.ahead(
            partial(_either, begin),
            (c for c in contexts if c.get("locationId") not in refused),
        )
        for context, beginning in beginnings:
            if context.get("locationId") in refused:
                # It was on its way already. What follows a gap must not hide it.
                continue
            try:
                if isinstance(beginning, RefusedError):
                    raise beginning
                yield from go_on(context, beginning)
            except RefusedError as error:
                self._refuse(error, context)
                refused.add(context.get("locationId"))
                if error.whole_endpoint:
                    return

    def _refuse(self, error: RefusedError, context: dict[str, Any]) -> None:
        """Go on without what was refused, and say so."""
        location = context.get("locationId", "")
        if error.not_found and self.run.locations.is_gone(location):
            self.logger.warning("%s. The location is no longer asked for.", error)
        else:
            self.leave_out(error)

    def judge(self, doubts: list[str], context: dict[str, Any]) -> bool:
        """Say so if a list that was read to its end is not known to be whole.

        Args:
            doubts: Why it is not certain.
            context: What was read.

        Returns:
            Whether it is exact.
        """
        if doubts:
            said = f"{place(self.name, context)}: not exact. {'; '.join(doubts)}"
            self.leave_out(InexactError(said))
        return not doubts

    def leave_out(self, error: TapError) -> None:
        """Note that a part of the stream could not be read.

        Args:
            error: Why.
        """
        self.complete = False
        self.failed |= not isinstance(error, InexactError)
        if not self.failed and self.config["on_inexact"] == "warn":
            self.logger.warning("%s", error)
        else:
            self.run.fail(error)

    def location_ids(self) -> list[str]:
        """Return the locations to ask for.

        Returns:
            Their ids; it is said if there may be more.
        """
        locations = self.run.locations
        ids = locations.ids()
        if locations.failed and not locations.configured and not self.is_dry_run:
            msg = (
                f"{self.name}: only the {len(ids)} locations that are known were asked "
                "for, since the inventory, which shows them, could not be read. Set "
                "location_ids to do without it"
            )
            self.leave_out(IncompleteRunError(msg))
        return ids

    # What becomes of it

    def batches(self) -> Iterator[list[Row]]:
        """Read the stream.

        Yields:
            Records as the schema declares them, a list for each answer.
        """
        conform = Conformer(
            self.name, self.schema, self.primary_keys, self.logger, self._left_out
        )
        for answer in self.answers():
            if self.wants(answer):
                records = conform(self.records_of(answer))
                if self.is_flat:
                    self._check_distinct(records)
                # Not before: what can't be read must be asked for again.
                self.remember(answer)
                yield records

    def _check_distinct(self, records: list[Row]) -> None:
        """Check that no two records of an answer have the same key.

        A target would keep one of them.
        """
        known: set[tuple[Any, ...]] = set()
        for record in records:
            key = tuple([record[name] for name in self.primary_keys])
            if key in known:
                named = ", ".join(f"{n} {record[n]!r:.60}" for n in self.primary_keys)
                msg = (
                    f"{self.name}: two records with {named} in one answer. Nothing is "
                    "guessed: tell the tap's developers"
                )
                raise UnexpectedAnswerError(redact(msg))
            known.add(key)

    @override
    def get_records(
        self,
        context: Context | None,  # noqa: ARG002
    ) -> Iterator[Record]:
        """Read the stream, record by record.

        Args:
            context: Not used: the streams have no partitions.

        Yields:
            The records.
        """
        for batch in self.batches():
            yield from batch

    @override
    def _sync_records(
        self,
        context: Context | None = None,  # noqa: ARG002
        *,
        write_messages: bool = True,
    ) -> Generator[dict[str, Any], Any, Any]:
        """Read the stream and write it, page by page.

        The SDK's own method takes each record by itself through conforming, pruning,
        message objects and a flush, which is most of a tap's time, and keeps a
        bookmark that compares time stamps as strings. There is no public hook around
        it. Batches, stream maps, flattening and metrics behave as they do there.

        Args:
            context: Not used: the streams have no partitions.
            write_messages: Whether records are written, or only handed to a batch.

        Yields:
            The records.
        """
        if self.run.end is not None:
            self.leave_out(IncompleteRunError(f"{self.name}: not begun"))
            return
        waited = self.run.rate_limiter.waited
        try:
            with self.get_record_counter() as counter, self.get_sync_timer():
                for batch in self.batches():
                    if write_messages:
                        self._write(batch)
                        self._write_state_now_and_then()
                    self.rows += len(batch)
                    counter.increment(len(batch))
                    yield from batch
                    if self.is_dry_run and self.rows:
                        break
        except TapError as error:
            if self.is_dry_run:
                raise
            if error.ends_run:
                self.run.end = error
            self.leave_out(error)
        self.waited = self.run.rate_limiter.waited - waited
        if write_messages:
            self._activate_version()
            self._write_state()

    # What is remembered

    @cached_property
    def bookmarks(self) -> Bookmarks:
        """The stream's bookmarks: a copy, which becomes the state by `keep`."""
        return Bookmarks(deepcopy(self.stream_state))

    def keep(self) -> None:
        """Make the bookmarks part of the state: what they cover has been written.

        The locations are kept beside them, since a run that reads only what changed
        sees only some.
        """
        locations = self.run.locations
        known = sorted(locations.known)
        bookmarks = self.tap.state.setdefault("bookmarks", {})
        if not locations.configured:
            self.bookmarks.note(None, LOCATIONS, known or None)
            self.bookmarks.note(None, LOCATIONS_AS_OF, locations.as_of)
            for part in bookmarks.values():
                # One that is gone must not come back from another stream's state.
                if LOCATIONS in part:
                    part[LOCATIONS] = known
        # In one step: a signal may come at any time, and write the state.
        bookmarks[self.name] = deepcopy(dict(self.bookmarks.state))

    def recall_locations(self, state: Mapping[str, Any]) -> None:
        """Take the known locations from the state of an earlier run.

        Args:
            state: The stream's part of the state.
        """
        locations = self.run.locations
        locations.known.update(state.get(LOCATIONS, ()))
        stamps = [locations.as_of, state.get(LOCATIONS_AS_OF)]
        locations.as_of = max(
            (stamp for stamp in stamps if read_stamp(stamp)),
            key=read_stamp,  # type: ignore[arg-type]
            default=None,
        )

    def _write_state_now_and_then(self) -> None:
        self._batches += 1
        now = time.monotonic()
        if (
            self._batches >= STATE_EVERY_BATCHES
            or now - self._state_written >= STATE_EVERY_SECONDS
        ):
            self._batches, self._state_written = 0, now
            self._write_state()

    def _write_state(self) -> None:
        self.keep()
        self.tap.state_writer.write_state(self.tap.state)

    @override
    def finalize_state_progress_markers(
        self,
        state: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Write the stream's last state; the SDK calls this after the stream.

        Args:
            state: Not used: there are no progress markers.
        """
        self._write_state()

    def _activate_version(self) -> None:
        """Tell the target which rows are current, if all of them have been written.

        A target deletes all others then. All are written if the stream was read whole
        and exactly, for all locations that there are.
        """
        is_whole = self.complete and self.run.locations.certain
        if is_whole and self._version is not None:
            for stream_map in self.stream_maps:
                if not isinstance(stream_map, RemoveRecordTransform):
                    self.tap.write_message(
                        ActivateVersionMessage(stream_map.stream_alias, self._version)
                    )

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        """Keep the SDK from sending ACTIVATE_VERSION before the first record.

        A target deletes rows of other versions when it comes: it may only come after
        the last record, of a table that was read whole.
        """
        return False

    @cached_property
    def _version(self) -> int | None:
        """The table version that the records get, in seconds since 1970."""
        wanted = self.config.get("emit_activate_version_messages", False)
        if (
            wanted
            and self.replication_method == REPLICATION_FULL_TABLE
            and not self.is_filtered
        ):
            return self.tap.initialized_at // 1000
        return None

    @property
    def is_filtered(self) -> bool:
        """Whether settings keep the stream to a part of what the API has."""
        return bool(self.run.locations.configured)

    @property
    def prefetcher(self) -> Prefetcher:
        """What makes requests ahead: nothing does where a record or two are enough."""
        return Prefetcher() if self.is_dry_run else self.run.prefetcher

    @property
    def is_dry_run(self) -> bool:
        """Whether a record or two are enough, as in the SDK's connection test."""
        return self.ABORT_AT_RECORD_COUNT is not None

    @cached_property
    def _left_out(self) -> frozenset[str]:
        """What the catalog leaves out, found once and not for each record."""
        return frozenset(
            name
            for name in self.schema["properties"]
            if not self.mask.get(("properties", name), True)
        ).union(_missing(self.schema, self.effective_schema))

    @cached_property
    def _is_unmapped(self) -> bool:
        """Whether stream maps and flattening leave the records as they are."""
        return all(
            type(stream_map) is SameRecordTransform
            and not stream_map.flattening_enabled
            for stream_map in self.stream_maps
        )

    def _write(self, batch: list[Row]) -> None:
        extracted = datetime.now(tz=UTC)
        writer = self.tap.message_writer
        if self._is_unmapped and isinstance(writer, LineWriter):
            writer.write_records(
                self.name, batch, version=self._version, extracted=extracted
            )
            return
        messages = [
            RecordMessage(
                stream=stream_map.stream_alias,
                record=mapped,
                version=self._version,
                time_extracted=extracted,
            )
            for record in batch
            for stream_map in self.stream_maps
            if (mapped := stream_map.transform(record)) is not None
        ]
        if isinstance(writer, LineWriter):
            writer.write_messages(messages)
            return
        for message in messages:
            self.tap.write_message(message)

    @override
    def get_replication_key_signpost(
        self,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        """Keep the SDK from adding to the state: bookmarks are the stream's own.

        Args:
            context: Not used.
        """
        return

    @override
    def log_sync_costs(self) -> None:
        """Say what the stream cost; the SDK calls this when all streams are done.

        Raises:
            IncompleteRunError: After the last stream, if anything was left out.
        """
        if self.selected:
            self.logger.info(
                "%d rows, %d requests (the least possible: %d), %d of them retries, "
                "%.0f s waited for the budget.",
                self.rows,
                self.requests,
                self.least_requests,
                self.retries,
                self.waited,
            )
        if self.name == next(reversed(self.tap.streams)):
            if not any(stream.selected for stream in self.tap.streams.values()):
                self.logger.warning("No stream is selected: nothing was read.")
            self.run.finish()


def _either(begin: Callable[[C], T], context: C) -> tuple[C, T | RefusedError]:
    """Begin, or return the refusal: it is the consumer's turn to raise it."""
    try:
        return context, begin(context)
    except RefusedError as error:
        return context, error


def _missing(
    schema: Mapping[str, Any], kept: Mapping[str, Any], path: str = ""
) -> Iterator[str]:
    """Yield the fields of a schema that another one lacks, such as `channels.atp`."""
    for name, declared in schema["properties"].items():
        if name not in kept.get("properties", {}):
            yield f"{path}{name}"
        elif "properties" in declared.get("items", {}):
            inner = kept["properties"][name].get("items", declared["items"])
            yield from _missing(declared["items"], inner, f"{path}{name}.")
