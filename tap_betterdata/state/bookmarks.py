"""What a run remembers for the next one: bookmarks, small and checked.

A stream's state is one object, in the SDK's shape, so that Meltano and other tools
read it:

    {"replication_key": "updatedAt", "replication_key_value": "2026-11-21T08:00:00Z"}

with one such object for each location under `partitions` where locations are set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import msgspec

from tap_betterdata.api.errors import StateError
from tap_betterdata.api.redaction import quote
from tap_betterdata.state.periods import GRANULARITIES

_KEY = "replication_key"
_VALUE = "replication_key_value"
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

_DATES = list[date]
_STAMPS = list[Annotated[datetime, msgspec.Meta(tz=True)]]
# Where these stand, msgspec reads +0530 for +05:30, which is none by RFC 3339.
_SIGNS = frozenset("+-")
# In these years a time in another zone may be none that a `datetime` can hold.
_ENDS = frozenset({MINYEAR, MAXYEAR})


def read_stamp(text: object) -> datetime | None:
    """Read a time stamp by RFC 3339 as a point in time; this says what one is.

    Time stamps with and without fractions, with `Z` or an offset, compare as times
    that way, not as strings.

    Args:
        text: Such as `2024-03-15T00:00:00Z`; without an offset it is taken as UTC.

    Returns:
        The time in UTC, or None if it can't be read.
    """
    if not isinstance(text, str) or text[-5:-4] in _SIGNS:
        return None
    try:
        stamp = msgspec.convert(text, datetime)
        zone = stamp.tzinfo
        if zone is UTC:
            return stamp
        if zone is not None:
            return stamp.astimezone(UTC)
    except (OverflowError, ValueError):
        return None
    return stamp.replace(tzinfo=UTC)


def normalize_stamp(text: str) -> str | None:
    """Return a time stamp as written, but with `T` and `Z`; None if it is none."""
    if read_stamp(text) is None:
        return None
    text = text.upper().replace(" ", "T")
    return text if text[-1] == "Z" or text[-6] in _SIGNS else f"{text}Z"


def are_normal_stamps(texts: list[str]) -> bool:
    """Tell at once whether texts are time stamps as they should be written.

    False may be wrong for the years 1 and 9999, which are rare.
    """
    try:
        stamps = msgspec.convert(texts, _STAMPS)
    except ValueError:
        return False
    written = "".join(texts)
    return (
        (written.isupper() and " " not in written)
        and _SIGNS.isdisjoint([text[-5] for text in texts])
        and _ENDS.isdisjoint([stamp.year for stamp in stamps])
    )


def are_dates(texts: list[str]) -> bool:
    """Tell whether texts are dates by RFC 3339: `2024-03-15`, and nothing else."""
    try:
        msgspec.convert(texts, _DATES)
    except ValueError:
        return False
    return True


def write_stamp(stamp: datetime) -> str:
    """Write a point in time, in UTC.

    Args:
        stamp: An aware time.

    Returns:
        Such as `2024-03-15T00:00:00Z`; fractions only where there are any.
    """
    return stamp.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Bookmarks:
    """The bookmarks of one stream, one for each location or one for all.

    Attributes:
        state: The stream's part of the state; it is changed in place.
    """

    def __init__(self, state: MutableMapping[str, Any]) -> None:
        """Open a stream's bookmarks.

        Args:
            state: The stream's part of the state.
        """
        self.state = state

    def get(self, location: str | None) -> str | None:
        """Return a bookmark.

        Args:
            location: The location, or None for the bookmark of all locations.

        Returns:
            What was bookmarked. A location without a bookmark of its own has that
            of all locations, and has the later one if there are two.
        """
        own = self._place(location).get(_VALUE) if location else None
        return max(
            filter(None, (own, self.state.get(_VALUE))),
            key=_moment,
            default=None,
        )

    def advance(self, location: str | None, key: str, value: str) -> None:
        """Move a bookmark forward; it never goes back.

        Args:
            location: The location, or None for the bookmark of all locations.
            key: The field that is bookmarked.
            value: Its value, a date or a time stamp.
        """
        place = self._place(location, make=True)
        before = place.get(_VALUE)
        if before is None or _moment(before) < _moment(value):
            place[_KEY] = key
            place[_VALUE] = value

    def values(self) -> list[str]:
        """Return all bookmarks.

        Returns:
            Their values, in no order.
        """
        places = (self.state, *self.state.get("partitions", ()))
        return [place[_VALUE] for place in places if place.get(_VALUE)]

    def forget(self) -> None:
        """Start over: drop the bookmarks of all locations."""
        for name in (_KEY, _VALUE, "partitions"):
            self.state.pop(name, None)

    def note(self, location: str | None, name: str, value: object) -> None:
        """Keep something beside a bookmark, or drop it.

        Args:
            location: The location, or None for all locations.
            name: What it is called in the state.
            value: The value; None to drop it.
        """
        if value is None:
            self._place(location).pop(name, None)
        else:
            self._place(location, make=True)[name] = value

    def noted(self, location: str | None, name: str) -> Any:
        """Return what is kept beside a bookmark.

        Args:
            location: The location, or None for all locations.
            name: What it is called in the state.

        Returns:
            The value, or None.
        """
        return self._place(location).get(name)

    def reached(self, location: str | None, order: str) -> tuple[datetime | None, bool]:
        """Return up to when a list has been sent that was read in this order.

        Args:
            location: The location, or None for the list of all locations.
            order: `SORTED` or `UNSORTED`; a bookmark of the other way doesn't count.

        Returns:
            The later one of the location's own and that of all locations, if there is
            any; and whether an older version wrote it, which did not say how it read.
        """
        places = [self.state, self._place(location)]
        found = [
            (moment, ORDER not in place)
            for place in places
            if place.get(ORDER, order) == order
            and (moment := _readable(place.get(_VALUE)))
        ]
        return max(found, default=(None, False))

    def reach(
        self, location: str | None, key: str, moment: datetime, order: str
    ) -> None:
        """Note up to when a list has been sent; it never goes back in one order.

        Args:
            location: The location, or None for the list of all locations.
            key: The field that is bookmarked.
            moment: The time.
            order: `SORTED` or `UNSORTED`.
        """
        place = self._place(location, make=True)
        before = read_stamp(place.get(_VALUE))
        if before is None or place.get(ORDER) != order or before < moment:
            place.update({_KEY: key, _VALUE: write_stamp(moment), ORDER: order})

    def _place(
        self, location: str | None, *, make: bool = False
    ) -> MutableMapping[str, Any]:
        if location is None:
            return self.state
        partitions: list[MutableMapping[str, Any]] = self.state.get("partitions", [])
        for partition in partitions:
            if partition["context"] == {"locationId": location}:
                return partition
        partition = {"context": {"locationId": location}}
        if make:
            self.state.setdefault("partitions", partitions).append(partition)
        return partition


def read_bookmarks(state: object) -> Mapping[str, Any]:
    """Find the streams' parts of a state that was handed to the tap.

    Args:
        state: The whole state.

    Returns:
        The streams' parts, by the streams' names.

    Raises:
        StateError: If it isn't a state.
    """
    if isinstance(state, Mapping):
        bookmarks = state.get("bookmarks", {})
        if isinstance(bookmarks, Mapping) and (
            bookmarks or set(state) <= {"bookmarks"}
        ):
            return bookmarks
    msg = "the tap"
    raise _shape_error(msg, state)


def check_state(
    stream: str, state: object, known: Iterable[str], key: str | None
) -> list[str]:
    """Check a stream's part of a state that was handed to the tap.

    Args:
        stream: The stream's name.
        state: Its part of the state.
        known: What may stand beside a bookmark.
        key: The stream's replication key.

    Returns:
        The names of fields that mean nothing to this version.

    Raises:
        StateError: If a bookmark has another shape, so that ignoring it would read
            too little or too much in silence.
    """
    if not isinstance(state, Mapping):
        raise _shape_error(stream, state)
    partitions = state.get("partitions", [])
    if not isinstance(partitions, list):
        raise _shape_error(stream, partitions)
    unknown: list[str] = []
    for place in (state, *partitions):
        if not isinstance(place, Mapping):
            raise _shape_error(stream, place)
        if place is not state and not _is_location(place.get("context")):
            raise _shape_error(stream, place.get("context"))
        value = place.get(_VALUE)
        if value is not None and (place.get(_KEY) != key or not _is_past(value)):
            raise _shape_error(stream, {_KEY: place.get(_KEY), _VALUE: value})
        if not _is_readable(place):
            raise _shape_error(stream, place)
        unknown += [
            name
            for name in place
            if name not in {_KEY, _VALUE, "partitions", "context", *known}
        ]
    return unknown


def _is_readable(place: Mapping[str, Any]) -> bool:
    """Tell whether what is kept beside a bookmark is what the tap keeps there."""
    locations, as_of = place.get(LOCATIONS, []), place.get(LOCATIONS_AS_OF)
    start, granularity = place.get(START), place.get(GRANULARITY)
    checkpoint = place.get(CHECKPOINT)
    return (
        place.get(ORDER) in (None, SORTED, UNSORTED)
        and (checkpoint is None or _is_checkpoint(checkpoint))
        and isinstance(locations, list)
        and all(isinstance(location, str) for location in locations)
        and (as_of is None or read_stamp(as_of) is not None)
        and (start is None or _readable(start) is not None)
        and (granularity is None or granularity in GRANULARITIES)
    )


def _is_checkpoint(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and set(value) == {"settled", "left"}
        and _is_past(value["settled"])
        and type(value["left"]) is int
        and value["left"] >= 0
    )


def _is_past(value: object) -> bool:
    """Tell whether a bookmark is a time that a run can have reached."""
    moment = _readable(value)
    return moment is not None and moment < datetime.now(tz=UTC) + timedelta(days=1)


def _is_location(context: object) -> bool:
    return (
        isinstance(context, Mapping)
        and set(context) == {"locationId"}
        and isinstance(context["locationId"], str)
    )


def _shape_error(stream: str, what: object) -> StateError:
    msg = (
        f"The state of {stream} holds {quote(what)}, which this version "
        "can't read. Run with the state that the tap wrote last, or without one "
        "(meltano run --full-refresh) to read everything again"
    )
    return StateError(msg)


def _readable(value: object) -> datetime | None:
    """Read a bookmark: a time stamp, or the date that a period begins with."""
    if isinstance(value, str) and are_dates([value]):
        return datetime.combine(date.fromisoformat(value), time(tzinfo=UTC))
    return read_stamp(value)


def _moment(value: str) -> datetime:
    moment = _readable(value)
    if moment is None:
        msg = f"{value!r} is no date or time"
        raise ValueError(msg)
    return moment


def as_date(value: str | None) -> date | None:
    """Read a bookmark that is a date.

    Args:
        value: The bookmark, if there is one.

    Returns:
        The date, if there is one.
    """
    return None if value is None else _moment(value).date()
