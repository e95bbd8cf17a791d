"""Streams that are read in partitions, such as locations, one after the other."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

from tap_betterdata.api.errors import RefusedError
from tap_betterdata.streams.base import BetterDataStream

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterable, Iterator

    from tap_betterdata.streams.base import Partition, RowsPage


class PartitionedStream(BetterDataStream):
    """A stream whose partitions may be refused, each by itself."""

    @abstractmethod
    def begin(self, partition: Partition, *, is_ahead: bool) -> Any:
        """Ask for the beginning of a partition; other threads do that.

        Args:
            partition: What is asked for.
            is_ahead: Whether it is not its turn yet.
        """

    @abstractmethod
    def pages_from(self, partition: Partition, begun: Any) -> Iterator[RowsPage]:
        """Read a partition that was begun with; it is its turn."""

    def pages_of(self, partitions: Iterable[Partition]) -> Iterator[RowsPage]:
        """Read one partition after the other; one that is refused costs no other.

        What the first one that is not refused finds out of the server is known to the
        others. From then on they are begun while those before them are still being
        read, so that many small ones don't cost a few round trips each.
        """
        refused: set[Hashable] = set()
        wanted = (p for p in partitions if self.scope_of(p) not in refused)
        for partition, begun in self._begin_each(wanted, refused):
            scope = self.scope_of(partition)
            if scope in refused:
                # It was on its way already. What follows a gap must not hide it.
                continue
            try:
                if isinstance(begun, RefusedError):
                    raise begun
                yield from self.pages_from(partition, begun)
            except RefusedError as error:
                self.refuse(error, partition)
                refused.add(scope)
                if error.whole_endpoint:
                    return

    def _begin_each(
        self, wanted: Iterator[Partition], refused: Container[Hashable]
    ) -> Iterator[tuple[Partition, Any]]:
        for partition in wanted:
            yield self._begin(partition, is_ahead=False)
            if self.scope_of(partition) not in refused:
                break
        is_ahead = self.prefetcher.executor is not None
        begin = partial(self._begin, is_ahead=is_ahead)
        yield from self.prefetcher.ahead(begin, wanted)

    def _begin(self, partition: Partition, *, is_ahead: bool) -> tuple[Partition, Any]:
        """Begin, or return the refusal: it is raised when it is its turn."""
        try:
            return partition, self.begin(partition, is_ahead=is_ahead)
        except RefusedError as error:
            return partition, error

    def scope_of(self, partition: Partition) -> Hashable:
        """Return what a refusal of a partition holds for."""
        return tuple(partition.items())

    def refuse(self, error: RefusedError, partition: Partition) -> None:
        """Go on without what was refused, and say so."""
        del partition
        self.record_gap(error)
