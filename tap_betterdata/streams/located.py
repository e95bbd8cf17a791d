"""Streams whose records belong to locations: those that are set, or all that are seen.

The API has no documented list of locations: unless they are set, they are learned from
the inventory, and remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_betterdata.api.errors import (
    IncompleteRunError,
    UnexpectedAnswerError,
    describe_request,
    name_some,
)
from tap_betterdata.api.redaction import redact
from tap_betterdata.compat import override
from tap_betterdata.state.bookmarks import LOCATIONS, LOCATIONS_AS_OF
from tap_betterdata.state.stamps import read_stamp, write_stamp
from tap_betterdata.streams.partitioned import PartitionedStream

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from tap_betterdata.api.errors import RefusedError
    from tap_betterdata.streams.base import Partition

# Of locations that can't be asked for.
_MOST_NAMED = 10


class LocatedStream(PartitionedStream):
    """A stream that is asked for a location at a time, or may be."""

    permission = "inventory.read"
    has_locations = True

    def location_ids(self) -> list[str]:
        """Return the locations to ask for; it is said if there may be more."""
        locations = self.run.locations
        ids = locations.ids()
        if locations.configured:
            return ids
        if locations.failure:
            msg = (
                f"{self.name}: only the {len(ids)} locations that are known were asked "
                "for, since the inventory, which shows them, could not be read. Set "
                "location_ids to do without it"
            )
            self.record_gap(IncompleteRunError(msg, locations.failure.kind))
        if locations.unusable:
            named = name_some(sorted(locations.unusable), _MOST_NAMED)
            msg = (
                f"{self.name}: no text that can be sent, so not asked for: the "
                f"inventory shows items of location {redact(named)}"
            )
            self.record_gap(IncompleteRunError(msg, "config"))
        return ids

    def check_locations(
        self, asked: str, answered: Iterable[object], mend: str = ""
    ) -> None:
        """Check that the server filters by location, as is documented."""
        for location in answered:
            # As text: some servers write ids as numbers.
            if location is not None and str(location) != asked:
                where = describe_request(self.name, {"locationId": asked})
                msg = (
                    f"{where}: the API answered for location {redact(str(location))}. "
                    f"It does not filter by location: {mend}tell the tap's developers"
                )
                raise UnexpectedAnswerError(msg)

    @override
    def scope_of(self, partition: Partition) -> Hashable:
        """A refusal holds for the location."""
        return partition.get("locationId")

    @override
    def refuse(self, error: RefusedError, partition: Partition) -> None:
        """A location that is gone from the inventory too is no longer asked for."""
        location = partition.get("locationId", "")
        if error.not_found and self.run.locations.forget_if_gone(location):
            self.logger.warning("%s. The location is no longer asked for.", error)
        else:
            super().refuse(error, partition)

    @property
    @override
    def is_part(self) -> bool:
        """Rows of locations that are not set must not be dropped."""
        return bool(self.run.locations.configured)

    @property
    @override
    def is_certain(self) -> bool:
        """Whether the inventory, which shows the locations, was read exactly."""
        return self.run.locations.certain

    @override
    def recall(self, state: Mapping[str, Any]) -> None:
        """Take the known locations from the state of an earlier run."""
        as_of = read_stamp(state.get(LOCATIONS_AS_OF))
        self.run.locations.recall(state.get(LOCATIONS, ()), as_of)

    @override
    def update_state(self) -> None:
        """Keep the locations too: a run that reads what changed sees only some."""
        locations = self.run.locations
        if not locations.configured:
            known, as_of = sorted(locations.known), locations.as_of
            self.bookmarks.note(None, LOCATIONS, known or None)
            self.bookmarks.note(None, LOCATIONS_AS_OF, as_of and write_stamp(as_of))
            for part in self.tap.state.get("bookmarks", {}).values():
                # One that is gone must not come back from another stream's state.
                if LOCATIONS in part:
                    part[LOCATIONS] = known
        super().update_state()
