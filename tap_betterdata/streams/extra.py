"""Streams of lists that nobody has documented: the setting `extra_streams`."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import typing as th

from tap_betterdata.api.errors import ValueUnreadableError, name_some
from tap_betterdata.api.redaction import redact
from tap_betterdata.compat import override
from tap_betterdata.pagination.page import Fields
from tap_betterdata.pagination.paging import LimitOffset, OnePage, PageLimit
from tap_betterdata.streams.paged import PagedStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from singer_sdk.tap_base import Tap

    from tap_betterdata.api.answers import Row
    from tap_betterdata.streams.base import Partition, RowsPage
    from tap_betterdata.streams.run_context import RunContext

DATA = "data"
PAGING = {"page": PageLimit(), "offset": LimitOffset(), "none": OnePage()}
# What one answer has room for where a list has no pages: it never ends a list early.
_ALL_ROWS = 10**9
# Of the fields that a record has, in a message.
_MOST_NAMED = 20
# What a stream and its table may be called.
NAME = r"^[a-z][a-z0-9_]{0,59}(?![\s\S])"
# No host, no `..`, no query, nothing that is read in two ways.
PATH = r"^(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+(?![\s\S])"
# A GET that computes, and costs the server accordingly.
_COMPUTING = ("/forecast",)
_TEXT = th.StringType(min_length=1)
# An entry of the setting.
DECLARATION = th.ObjectType(
    th.Property("name", th.StringType(pattern=NAME), required=True),
    th.Property("path", th.StringType(pattern=PATH), required=True),
    th.Property("records_key", _TEXT, required=True),
    th.Property("key_fields", th.ArrayType(_TEXT), required=True),
    th.Property("paging", th.StringType(allowed_values=list(PAGING)), required=True),
    th.Property("page_size", th.IntegerType(minimum=1, maximum=1000)),
    th.Property("params", th.ObjectType(additional_properties=th.StringType)),
    additional_properties=False,
)


def find_fault(entries: Iterable[Mapping[str, Any]], known: Mapping[str, str]) -> str:
    """Say what is wrong with entries whose fields are of their kinds; empty if nothing.

    Known are the tap's own streams: their paths by their names.
    """
    names = [*known]
    for number, entry in enumerate(entries):
        name, path, keys = entry["name"], entry["path"], entry["key_fields"]
        paged = PAGING[entry["paging"]].params(1, 1)
        own = sorted(stream for stream in known if known[stream] == path)
        taken = [param for param in entry.get("params") or () if param in paged]
        faults = {
            f"name is {name!r}: there is such a stream, so take another name": (
                name in names
            ),
            f"path is {path!r}: to read that, select {' or '.join(own)}": own,
            f"path is {path!r}: that computes anew, and is no list to read": (
                path.lower() in _COMPUTING
            ),
            "key_fields is empty: name the fields that tell the records apart": (
                not keys
            ),
            f"key_fields holds a field twice, or {DATA}, the whole record's name": (
                len({*keys, DATA}) <= len(keys)
            ),
            f"params holds {', '.join(taken)}, which paging sets": taken,
            "page_size is set, but there are no pages: paging is none": (
                "page_size" in entry and not paged
            ),
        }
        for fault, is_there in faults.items():
            if is_there:
                return f"extra_streams[{number}].{fault}"
        names.append(name)
    return ""


class ExtraStream(PagedStream):
    """One record is one row: the fields of its key, and all of it as an open object."""

    name = ""
    primary_keys: tuple[str, ...] = ()
    schema: dict[str, Any] = {}  # noqa: RUF012 - each stream gets its own

    def __init__(self, tap: Tap, run: RunContext, declared: Mapping[str, Any]) -> None:
        """Make the stream that an entry of the setting declares; it was checked."""
        self.name = declared["name"]
        self.path = declared["path"]
        self.permission = f"that {self.path} asks for"
        self.records_key = declared["records_key"]
        self.primary_keys = tuple(declared["key_fields"])
        self.paging = PAGING[declared["paging"]]
        self.params = dict(declared.get("params") or {})
        self.schema = _schema(self.primary_keys)
        super().__init__(tap, run)
        if declared["paging"] == "none":
            self.limit, self.safe_limits = _ALL_ROWS, ()
        elif page_size := declared.get("page_size"):
            self.limit = page_size

    @override
    def partitions_to_read(self) -> list[Partition]:
        """One list, with the entry's parameters."""
        return [self.params]

    @cached_property
    @override
    def _fields(self) -> Fields:
        keys = self.primary_keys
        return Fields(lambda row: str([str(row.get(key)) for key in keys]))

    @override
    def records_of(self, page: RowsPage) -> Iterator[Row]:
        """Put each row whole beside its key, of which no field may be missing."""
        for row in page["rows"]:
            key = {name: row.get(name) for name in self.primary_keys}
            if None in key.values():
                lacking = ", ".join(name for name in key if key[name] is None)
                msg = (
                    f"{self.name}: a record has no {lacking}, which key_fields names; "
                    f"its fields are {name_some([*row], _MOST_NAMED)}. Name fields "
                    "that every record has"
                )
                raise ValueUnreadableError(redact(msg))
            yield {**key, DATA: row}


def _schema(keys: tuple[str, ...]) -> dict[str, Any]:
    described = "A field of the key, as text."
    return th.PropertiesList(
        *(
            th.Property(key, th.StringType, required=True, description=described)
            for key in keys
        ),
        th.Property(
            DATA,
            th.CustomType({"type": ["object", "null"], "additionalProperties": True}),
            description="The whole record, as the API sends it.",
        ),
    ).to_dict()
