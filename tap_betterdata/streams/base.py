"""From answers to Singer messages: what all streams of the tap have in common."""

from __future__ import annotations

from abc import abstractmethod
from copy import deepcopy
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from singer_sdk.singerlib import StateMessage
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE

from tap_betterdata.api.client import ApiStream
from tap_betterdata.api.errors import (
    IncompleteRunError,
    InexactError,
    StorageError,
    TapError,
    describe_request,
)
from tap_betterdata.api.redaction import redact
from tap_betterdata.compat import override
from tap_betterdata.output.maps import map_records
from tap_betterdata.output.rows import RowReader
from tap_betterdata.output.selection import deselected_fields
from tap_betterdata.output.shared_pages import SharedPages
from tap_betterdata.pagination.prefetch import Prefetcher
from tap_betterdata.state.bookmarks import Bookmarks
from tap_betterdata.state.pace import StatePace

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig
    from singer_sdk.helpers.types import Context
    from singer_sdk.tap_base import Tap

    from tap_betterdata.api.answers import Row
    from tap_betterdata.streams.run_context import RunContext

Partition = dict[str, Any]


class RowsPage(TypedDict):
    """What one answer brought."""

    # What was asked for besides the page, such as `locationId`.
    partition: Partition
    rows: list[Row]
    # What the streams of the endpoint use of what stands beside the rows.
    envelope: dict[str, Any]


class BetterDataStream(ApiStream):
    """A stream of the tap.

    A subclass describes its endpoint: `path`, `primary_keys`, `schema`, what to ask
    for (`pages`), and how an answer becomes records (`records_of`).

    Attributes:
        failure: Why something could not be read at all, the first reason.
    """

    name: str
    path: str
    # Whether records are parts of rows.
    is_flat = False
    # The SDK would send ACTIVATE_VERSION before the first record. A target deletes rows
    # of other versions when it comes: that is for after the last one.
    emit_activate_version_messages = False

    def __init__(self, tap: Tap, run: RunContext) -> None:
        """Make the stream of a run."""
        super().__init__(tap, run.connection)
        self.run = run
        # What `Progress` says of it.
        self.rows = 0
        self.least_requests = 0
        self.waited = self.seconds = 0.0
        self.complete = True
        self.failure: TapError | None = None
        self._awaits_first_page = False
        self._pace = StatePace()
        self._warnings: set[str] = set()

    @abstractmethod
    def pages(self) -> Iterator[RowsPage]:
        """Ask the endpoint for all that the run needs of it."""

    def records_of(self, page: RowsPage) -> Iterable[Row]:
        """Make records of an answer; fields that the schema lacks are dropped later."""
        return page["rows"]

    def shared_pages(self) -> Iterator[RowsPage]:
        """Return the endpoint's answers, asked for once in a run.

        Two streams share an endpoint: where both are selected, the one that comes
        first keeps the answers on disk for the other.
        """
        kept = self.run.shared_pages.get(self.path)
        if kept is not None:
            try:
                yield from kept.read()
            except StorageError as error:
                error.args = (f"{self.name}: {error}",)
                raise
            # The first of them is the one that asked.
            other = self.siblings()[0]
            msg = f"{self.name}: as the other stream of {self.path}"
            if other.failure:
                self.record_gap(IncompleteRunError(msg, other.failure.kind))
            elif not other.complete:
                self.record_gap(InexactError(msg))
        elif self.siblings():
            shared = self.run.shared_pages[self.path] = SharedPages[RowsPage]()
            yield from shared.fill(self.pages())
        else:
            yield from self.pages()

    def siblings(self) -> list[BetterDataStream]:
        """Return the other selected streams of the same endpoint."""
        return [
            stream
            for stream in self.tap.streams.values()
            if isinstance(stream, BetterDataStream)
            and stream.path == self.path
            # Two lists of one path that are declared may differ in their parameters.
            and type(stream) is not type(self)
            and stream.selected
        ]

    def wants(self, page: RowsPage) -> bool:
        """Tell whether an answer is for this stream, or for a sibling alone."""
        del page
        return True

    def bookmark_page(self, page: RowsPage) -> None:
        """Move the bookmarks past an answer; they are kept when it is written."""

    def record_gap(self, error: TapError) -> None:
        """Note that a part of the stream could not be read."""
        self.complete = False
        if not isinstance(error, InexactError):
            self.failure = self.failure or error
        if self.failure is None and self.config["on_inexact"] == "warn":
            self.logger.warning("%s", error)
        else:
            self.run.fail(error)

    def record_doubts(self, doubts: list[str], partition: Partition) -> None:
        """Say so if what was read to its end is not known to be whole."""
        if doubts:
            where = describe_request(self.name, partition)
            self.record_gap(InexactError(f"{where}: not exact. {'; '.join(doubts)}"))

    def warn_once(self, message: str, *args: object) -> None:
        """Warn of something, the first time that it is found in this run."""
        if message not in self._warnings:
            self._warnings.add(message)
            self.logger.warning(message, *args)

    @property
    def prefetcher(self) -> Prefetcher:
        """What makes requests ahead: nothing does where a record or two are enough."""
        return Prefetcher() if self.is_dry_run else self.connection.prefetcher

    # What becomes of it

    def record_pages(self) -> Iterator[list[Row]]:
        """Read the stream: records as the schema declares them, a list an answer."""
        if (fatal := self.connection.fatal_error) is not None:
            msg = f"{self.name}: not begun"
            raise IncompleteRunError(msg, fatal.kind)
        deselected = deselected_fields(self.mask, self.schema, self.effective_schema)
        conform = RowReader(
            self.name, self.schema, self.primary_keys, self.logger, deselected
        )
        for page in self.shared_pages():
            if self.wants(page):
                records = conform(self.records_of(page))
                yield records
                self.rows += len(records)
                # Not before: what can't be read or written must be asked for again.
                self.bookmark_page(page)

    @override
    def get_records(self, context: Context | None) -> Iterator[Row]:
        """Read the stream, record by record, for whoever wants no messages."""
        del context
        for records in self.record_pages():
            yield from records

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
        """
        try:
            with self.get_record_counter() as counter, self.get_sync_timer():
                for records in self.record_pages():
                    self._begin_writing()
                    if write_messages:
                        self._write(records)
                    else:
                        # The SDK's batches take them; otherwise it looks at none.
                        yield from records
                    counter.increment(len(records))
                    if self.is_dry_run and records:
                        break
                if self.failure is None:
                    self._begin_writing()
        except TapError as error:
            if self.is_dry_run:
                raise
            if error.ends_run:
                self.connection.fatal_error = error
            self.record_gap(error)
        if write_messages:
            self._activate_version()
            self._write_state()

    @override
    def _write_schema_message(self) -> None:
        """Wait with SCHEMA until the first page has come.

        Where a target rewrites its files, it does so at SCHEMA: a run that brings
        nothing must leave them alone. There is no public hook for it.
        """
        if self._has_maps and not self._awaits_first_page:
            super()._write_schema_message()

    @property
    def _has_maps(self) -> bool:
        """Whether the catalog selects it; the SDK's tests take all streams."""
        return self.name in self.tap.mapper.stream_maps

    def _begin_writing(self) -> None:
        if self._awaits_first_page:
            self._awaits_first_page = False
            self._write_schema_message()

    @override
    def get_batches(
        self, batch_config: BatchConfig, context: Context | None = None
    ) -> Iterator[tuple[BaseBatchFileEncoding, list[str]]]:
        """Write the stream into files; one that can't be written costs no other."""
        try:
            yield from super().get_batches(batch_config, context)
        except OSError as error:
            root = batch_config.storage.root
            msg = (
                f"{self.name}: no batch file can be written to {root!r} "
                f"({error.strerror or error}): make room, or set "
                "batch_config.storage.root to another folder"
            )
            self.record_gap(StorageError(redact(msg)))
            # They may cover rows that are in no file.
            del self.bookmarks

    def _write(self, records: list[Row]) -> None:
        extracted = datetime.now(tz=UTC)
        for stream_map in self.stream_maps if self._has_maps else ():
            mapped = map_records(stream_map, records, self.name, self.primary_keys)
            self.run.writer.write_records(
                stream_map.stream_alias,
                mapped,
                version=self._version,
                extracted=extracted,
            )
        if self._pace.is_due(is_large=self.run.writer.is_state_large):
            self._write_state()

    # ACTIVATE_VERSION

    @property
    def is_part(self) -> bool:
        """Whether settings keep the stream to a part of what the API has."""
        return False

    @property
    def is_certain(self) -> bool:
        """Whether it is certain that all partitions are known."""
        return True

    def _activate_version(self) -> None:
        """Tell the target which rows are current, if all of them have been written."""
        if self.complete and self.is_certain and self._version is not None:
            self._write_activate_version_message(self._version)

    @cached_property
    def _version(self) -> int | None:
        """The table version that the records get, in seconds since 1970."""
        is_wanted = self.config.get("emit_activate_version_messages", False)
        is_whole = (
            self.replication_method == REPLICATION_FULL_TABLE and not self.is_part
        )
        return self.tap.initialized_at // 1000 if is_wanted and is_whole else None

    @property
    def is_dry_run(self) -> bool:
        """Whether a record or two are enough, as in the SDK's connection test."""
        return self.ABORT_AT_RECORD_COUNT is not None

    # What is remembered

    @cached_property
    def bookmarks(self) -> Bookmarks:
        """The stream's bookmarks: a copy, which becomes the state by `update_state`."""
        return Bookmarks(deepcopy(self.stream_state))

    def recall(self, state: Mapping[str, Any]) -> None:
        """Take from the stream's part of an earlier state what others need of it."""

    def update_state(self) -> None:
        """Make the bookmarks part of the state: what they cover has been written."""
        # In one step: a signal may come at any time, and write the state.
        self.tap.state.setdefault("bookmarks", {})[self.name] = deepcopy(
            dict(self.bookmarks.state)
        )

    def _write_state(self) -> None:
        self._pace.restart()
        self.update_state()
        self.tap.state_writer.write_state(self.tap.state)

    @override
    def finalize_state_progress_markers(
        self,
        state: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Write the stream's last state; the SDK calls this after the stream."""
        self._write_state()
        self.run.end_stream()

    @override
    def get_replication_key_signpost(
        self,
        context: Context | None = None,  # noqa: ARG002
    ) -> None:
        """Keep the SDK from adding to the state: bookmarks are the stream's own.

        The SDK calls this when it begins to read the stream.
        """
        self._awaits_first_page = True
        if not self.is_dry_run:
            self.run.begin_stream(self)

    @override
    def log_sync_costs(self) -> None:
        """Say what all streams cost, and end the run, after the last one.

        The SDK calls this for each stream when all are done.
        """
        streams = self.tap.streams
        if self.name == next(reversed(streams)):
            read = [stream for stream in streams.values() if stream.selected]
            self.run.progress.sum_up(
                stream for stream in read if isinstance(stream, BetterDataStream)
            )
            if not read:
                self.logger.warning("No stream is selected: nothing was read.")
            # Even if it says nothing new: targets forget it when a record comes.
            self.tap.write_message(StateMessage(self.tap.state))
            self.run.finish()
