"""Streams that are read in partitions, such as locations, one after the other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

from tap_betterdata.api.errors import RefusedError
from tap_betterdata.streams.base import BetterDataStream

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from tap_betterdata.streams.base import Partition, RowsPage

T = TypeVar("T")


class PartitionedStream(BetterDataStream):
    """A stream whose partitions may be refused, each by itself."""

    def pages_of(
        self,
        partitions: Iterable[Partition],
        first_page: Callable[[Partition], T],
        all_pages: Callable[[Partition, T], Iterator[RowsPage]],
    ) -> Iterator[RowsPage]:
        """Read one partition after the other; one that is refused costs no other.

        Their first pages are asked for while those before them are still being read,
        so that many small partitions don't cost a round trip each.
        """
        refused: set[Hashable] = set()
        firsts = self.prefetcher.ahead(
            partial(_either, first_page),
            (p for p in partitions if self.scope_of(p) not in refused),
        )
        for partition, first in firsts:
            scope = self.scope_of(partition)
            if scope in refused:
                # It was on its way already. What follows a gap must not hide it.
                continue
            try:
                if isinstance(first, RefusedError):
                    raise first
                yield from all_pages(partition, first)
            except RefusedError as error:
                self.refuse(error, partition)
                refused.add(scope)
                if error.whole_endpoint:
                    return

    def scope_of(self, partition: Partition) -> Hashable:
        """Return what a refusal of a partition holds for."""
        return tuple(partition.items())

    def refuse(self, error: RefusedError, partition: Partition) -> None:
        """Go on without what was refused, and say so."""
        del partition
        self.record_gap(error)


def _either(
    first_page: Callable[[Partition], T], partition: Partition
) -> tuple[Partition, T | RefusedError]:
    """Ask, or return the refusal: it is the consumer's turn to raise it."""
    try:
        return partition, first_page(partition)
    except RefusedError as error:
        return partition, error
