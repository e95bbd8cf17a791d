"""Stream maps: what can't be computed of a record is said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from singer_sdk.mapper import CustomStreamMap, SameRecordTransform

from tap_betterdata.api.errors import MapError
from tap_betterdata.api.redaction import redact
from tap_betterdata.output.rows import describe_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from singer_sdk.mapper import StreamMap

    from tap_betterdata.api.answers import Row


def map_records(
    stream_map: StreamMap, records: list[Row], stream: str, keys: Iterable[str]
) -> list[Row]:
    """Map records; those that the map leaves out are missing.

    Raises:
        MapError: If an expression of the map fails, in whatever way.
    """
    if type(stream_map) is SameRecordTransform and not stream_map.flattening_enabled:
        return records
    mapped = [_map_record(stream_map, record, stream, keys) for record in records]
    return [record for record in mapped if record is not None]


def _map_record(
    stream_map: StreamMap, record: Row, stream: str, keys: Iterable[str]
) -> Row | None:
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
