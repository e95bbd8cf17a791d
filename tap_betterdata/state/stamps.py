"""Dates and time stamps by RFC 3339: what is one, and when it is."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, date, datetime
from typing import Annotated

import msgspec

_DATES = list[date]
_STAMPS = list[Annotated[datetime, msgspec.Meta(tz=True)]]
# Where these stand, msgspec reads +0530 for +05:30, which is none by RFC 3339.
_SIGNS = frozenset("+-")
# In these years a time in another zone may be none that a `datetime` can hold.
_ENDS = frozenset({MINYEAR, MAXYEAR})


def read_stamp(text: object) -> datetime | None:
    """Read a time stamp, in UTC; None if it is none. This says what one is.

    Read so, stamps with and without fractions or offsets compare as times, not as
    strings. One without an offset is taken as UTC.
    """
    if not isinstance(text, str) or text[-5:-4] in _SIGNS:
        return None
    try:
        stamp = msgspec.convert(text, datetime)
        zone = stamp.tzinfo
        if zone is UTC:
            return stamp
        return stamp.astimezone(UTC) if zone else stamp.replace(tzinfo=UTC)
    except (OverflowError, ValueError):
        return None


def write_stamp(moment: datetime) -> str:
    """Write an aware time in UTC: `2024-03-15T00:00:00Z`, a fraction if it has one."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


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
    """Tell whether texts are dates: `2024-03-15`, and nothing else."""
    try:
        msgspec.convert(texts, _DATES)
    except ValueError:
        return False
    return True
