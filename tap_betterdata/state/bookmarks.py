"""What a run remembers for the next one: bookmarks, small and checked.

A stream's state is one object, in the SDK's shape, so that Meltano and other tools
read it:

    {"replication_key": "updatedAt", "replication_key_value": "2026-11-21T08:00:00Z"}

with one such object for each location under `partitions` where locations are set.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from tap_betterdata.api.errors import StateError
from tap_betterdata.api.redaction import quote, redact
from tap_betterdata.state.periods import Granularity
from tap_betterdata.state.stamps import are_dates, read_stamp

_KEY = "replication_key"
_VALUE = "replication_key_value"
_PARTITIONS = "partitions"
# What is kept beside where the locations had to be learned.
LOCATIONS = "locations"
LOCATIONS_AS_OF = "locations_as_of"
# How a list was read that left a bookmark; older versions didn't say.
ORDER = "order"
SORTED = "sorted"
UNSORTED = "unsorted"
# How far a list was sent by a run that was cut short.
CHECKPOINT = "checkpoint"
# What older versions noted; it is dropped.
OLD_CHECKPOINT = "rest"
UNSTAMPED = "unstamped"
# What bookmarks of periods were made with.
GRANULARITY = "granularity"
START = "start_date"


class Bookmarks:
    """The bookmarks of one stream, one for each location or one for all.

    A bookmark is a date or a time stamp; a location is None where all are meant. The
    stream's part of the state, `state`, is changed in place.
    """

    def __init__(self, state: MutableMapping[str, Any]) -> None:
        """Open a stream's bookmarks."""
        self.state = state

    def get(self, location: str | None) -> str | None:
        """Return a location's bookmark, or that of all locations if that is later."""
        values = [place.get(_VALUE) for place in (self.state, self._place(location))]
        return max(filter(None, values), key=_moment, default=None)

    def get_in_order(
        self, location: str | None, order: str
    ) -> tuple[datetime | None, bool]:
        """Return a bookmark as `get` does, if a list left it that was read in an order.

        Beside it stands whether an older version wrote it, which didn't say the order.
        """
        found = [
            (_moment(place[_VALUE]), ORDER not in place)
            for place in (self.state, self._place(location))
            if place.get(_VALUE) and place.get(ORDER, order) == order
        ]
        return max(found, default=(None, False))

    def advance(
        self, location: str | None, key: str, value: str, order: str | None = None
    ) -> None:
        """Bookmark a field's value; in one order a bookmark never goes back."""
        place = self._place(location, make=True)
        before = place.get(_VALUE)
        if (
            before is None
            or place.get(ORDER) != order
            or _moment(before) < _moment(value)
        ):
            place.update({_KEY: key, _VALUE: value})
            self.note(location, ORDER, order)

    def values(self) -> list[str]:
        """Return all bookmarks, in no order."""
        places = _all_places(self.state)
        return [place[_VALUE] for place in places if place.get(_VALUE)]

    def forget(self) -> None:
        """Start over: drop the bookmarks of all locations."""
        for name in (_KEY, _VALUE, _PARTITIONS):
            self.state.pop(name, None)

    def note(self, location: str | None, name: str, value: object) -> None:
        """Keep something beside a bookmark; None drops it."""
        if value is None:
            self._place(location).pop(name, None)
        else:
            self._place(location, make=True)[name] = value

    def noted(self, location: str | None, name: str) -> Any:
        """Return what is kept beside a bookmark, or None."""
        return self._place(location).get(name)

    def _place(
        self, location: str | None, *, make: bool = False
    ) -> MutableMapping[str, Any]:
        if location is None:
            return self.state
        partitions: list[MutableMapping[str, Any]] = self.state.get(_PARTITIONS, [])
        for partition in partitions:
            if partition["context"] == {"locationId": location}:
                return partition
        partition = {"context": {"locationId": location}}
        if make:
            self.state.setdefault(_PARTITIONS, partitions).append(partition)
        return partition


def _all_places(state: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [state, *state.get(_PARTITIONS, ())]


def as_date(value: str | None) -> date | None:
    """Read a bookmark that is a date, if there is one."""
    return None if value is None else _moment(value).date()


def _moment(value: str) -> datetime:
    """Read a bookmark: a time stamp, or the date that a period begins with."""
    moment = read_stamp(f"{value}T00:00:00Z" if are_dates([value]) else value)
    if moment is None:
        msg = f"{quote(value)} is no date or time"
        raise ValueError(msg)
    return moment


# What is handed to the tap


class _Context(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    location_id: str


class _Checkpoint(msgspec.Struct, forbid_unknown_fields=True):
    settled: str
    left: Annotated[int, msgspec.Meta(ge=0)]

    def __post_init__(self) -> None:
        _check_reached(self.settled)


class _Place(msgspec.Struct):
    """What is kept for one location or for all: the constants above, as a type."""

    replication_key: str | None = None
    replication_key_value: str | None = None
    locations: list[str] = []
    locations_as_of: str | None = None
    order: Literal["sorted", "unsorted"] | None = None
    checkpoint: _Checkpoint | None = None
    rest: Any = None
    unstamped: Any = None
    granularity: Granularity | None = None
    start_date: date | None = None

    def __post_init__(self) -> None:
        for reached in (self.replication_key_value, self.locations_as_of):
            if reached is not None:
                _check_reached(reached)


class _Partition(_Place, kw_only=True):
    context: _Context


class _StreamState(_Place):
    partitions: list[_Partition] = []


_KNOWN = {*_StreamState.__struct_fields__, *_Partition.__struct_fields__}


def _check_reached(value: str) -> None:
    if _moment(value) > datetime.now(tz=UTC) + timedelta(days=1):
        msg = f"no run can have reached {quote(value)}"
        raise ValueError(msg)


def read_bookmarks(state: object) -> Mapping[str, Any]:
    """Return the streams' parts of a state that was handed to the tap, by name.

    Raises:
        StateError: If it isn't a state.
    """
    if isinstance(state, Mapping):
        bookmarks = state.get("bookmarks", {})
        if isinstance(bookmarks, Mapping) and (
            bookmarks or set(state) <= {"bookmarks"}
        ):
            return bookmarks
    raise _state_error(quote(state), "the tap")


def check_state(stream: str, state: Any, key: str | None) -> list[str]:
    """Check a stream's part of a state; name the fields that mean nothing here.

    Raises:
        StateError: If a bookmark has another shape, or is that of another field than
            `key`: ignoring it would read too little or too much in silence.
    """
    try:
        checked = msgspec.convert(state, _StreamState)
    except ValueError as error:
        raise _state_error(redact(str(error)), stream) from error
    for place in (checked, *checked.partitions):
        if place.replication_key_value and place.replication_key != key:
            what = f"a bookmark of {quote(place.replication_key)}, which is not {key}"
            raise _state_error(what, stream)
    names = {name for place in _all_places(state) for name in place}
    return sorted(names - _KNOWN)


def _state_error(what: str, stream: str) -> StateError:
    msg = (
        f"The state of {stream} holds what this version can't read ({what}). Run with "
        "the state that the tap wrote last, or without one (meltano run "
        "--full-refresh) to read everything again"
    )
    return StateError(msg)
