"""Stream maps: what can't be computed of a record is said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.mapper import CustomStreamMap

from tap_betterdata.api.errors import MapError
from tap_betterdata.api.redaction import redact
from tap_betterdata.output.rows import describe_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.mapper import StreamMap

    from tap_betterdata.output.rows import Row


def map_record(
    stream_map: StreamMap, record: Row, stream: str, keys: Iterable[str]
) -> Row | None:
    """Map a record; None if the map leaves it out, a `MapError` if it fails."""
    try:
        return stream_map.transform(record)
    except Exception as error:
        # The SDK wraps some errors, and does not say what is wrong.
        cause = error.__cause__ or error
        where = "the map"
        if isinstance(stream_map, CustomStreamMap):
            where = f"the map's expression {stream_map.expr_evaluator.expr}"
        msg = (
            f"{stream}: {where} fails on the record with "
            f"{describe_record(record, keys)}: {type(cause).__name__}: "
            f"{redact(str(cause))}. Mend the setting stream_maps; a field may be null, "
            "and a number a decimal"
        )
        raise MapError(redact(msg, limit=None)) from error
