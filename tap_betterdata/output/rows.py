"""Records as their schema says: known fields, readable values, every digit kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from tap_betterdata.api.decoding import EXACT
from tap_betterdata.api.errors import (
    UnexpectedAnswerError,
    ValueUnreadableError,
    name_some,
)
from tap_betterdata.api.redaction import quote, redact
from tap_betterdata.state.bookmarks import (
    are_dates,
    are_normal_stamps,
    normalize_stamp,
)

if TYPE_CHECKING:
    import logging

Row = dict[str, Any]
Reader = Callable[[Any], Any]
Types = frozenset[type]

# Any field but a key may be null.
_NOTHING: Types = frozenset({NoneType})
_NUMBERS: Types = frozenset({int, Decimal, NoneType})
_BOOLEANS: Types = frozenset({bool, NoneType})
_TEXTS: Types = frozenset({str, NoneType})
_OBJECTS: Types = frozenset({dict, NoneType})


class Field(NamedTuple):
    """How the values of a field are read.

    Attributes:
        passing: The types of values that are right as they are.
        read: Reads any other value.
        are_right: Tells whether texts are right as they are; None if that shows only
            when they are read.
    """

    passing: Types
    read: Reader
    are_right: Callable[[list[str]], bool] | None = None


# Of fields that the schema doesn't know, in warnings, and of a name or value.
MOST_NAMED = 20
MAX_NAME = 60

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class RowReader:
    """Turns what the API sends for one stream into what its schema declares.

    A field that the schema doesn't know is left out; the first of them are named in
    warnings. A value of another type than declared is read as the declared one
    where that is exact (the string "12" as the number 12, the number 7 as the id
    "7"); where it isn't, the run stops.
    """

    def __init__(
        self,
        stream: str,
        schema: Mapping[str, Any],
        keys: Sequence[str],
        logger: logging.Logger,
        deselected: Collection[str] = (),
    ) -> None:
        """Turn the schema into what must be done with each field, once.

        Args:
            stream: The stream's name, for messages.
            schema: The JSON schema of the stream's records.
            keys: The primary key's fields.
            logger: Where warnings go.
            deselected: The schema's fields that are left out, such as `unitCost` or
                `channels.atp`; they need not be readable.
        """
        self._stream = stream
        self._keys = tuple(keys)
        self._logger = logger
        self._warned: set[str] = set()
        # Fields that the schema doesn't know: of this answer, and the named ones.
        self._unknown: dict[str, None] = {}
        self._named: set[str] = set()
        self._to_name = MOST_NAMED
        self._deselected = frozenset(deselected)
        self._fields = self._compile(schema["properties"], "")

    def __call__(self, rows: Iterable[Row]) -> list[Row]:
        """Conform the records of an answer.

        Args:
            rows: The records as the API sent them; they are not changed.

        Returns:
            The records with the schema's fields only. One that is right as it is
            is given back itself.

        Raises:
            ValueUnreadableError: If a key is missing, or a value can't be read.
        """
        records = self._conform_all(list(rows))
        self._name_unknown()
        return records

    def _conform_all(self, rows: list[Row]) -> list[Row]:
        # As a rule all rows have the same fields: looking at one field of all rows at
        # a time takes half the time then.
        if len({len(row) for row in rows}) == 1 and len(rows[0]) > 1:
            # KeyError: they have other fields. Which record holds what can't be read
            # shows when they are taken one by one.
            with suppress(KeyError, _UnreadableError):
                return self._conform_columns(rows)
        return [self._conform(row) for row in rows]

    def _conform_columns(self, rows: list[Row]) -> list[Row]:
        """Conform records that have the same fields."""
        columns = zip(*map(itemgetter(*rows[0]), rows), strict=True)
        read: dict[str, Sequence[Any]] = {}
        are_right = True
        for name, column in zip(rows[0], columns, strict=True):
            field = self._fields.get(name)
            if field is None:
                self._leave_out(name)
            else:
                read[name] = self._read_column(column, field)
            are_right = are_right and read.get(name) is column
        for key in self._keys:
            if None in read.get(key, (None,)):
                raise _missing_key(key)
        if are_right:
            return rows
        return [
            dict(zip(read, row, strict=True))
            for row in zip(*read.values(), strict=True)
        ]

    def _read_column(self, column: Sequence[Any], field: Field) -> Sequence[Any]:
        """Read the values of one field; they come back themselves if all are right."""
        passing, read, are_right = field
        odd = set(map(type, column)) - passing
        if not odd:
            return column
        if (
            are_right
            and odd == {str}
            and are_right([text for text in column if text is not None])
        ):
            return column
        if odd != {str}:
            return [
                value if type(value) in passing else read(value) for value in column
            ]
        # Days repeat, and most texts are right.
        texts = {text: read(text) for text in set(column) if type(text) is str}
        if list(texts) == list(texts.values()):
            return column
        return [texts.get(value, value) for value in column]

    def _conform(self, row: Row) -> Row:
        """Conform one record."""
        try:
            record = self._read(row, self._fields, "")
            for key in self._keys:
                if record.get(key) is None:
                    raise _missing_key(key)
        except _UnreadableError as error:
            named = describe_record(row, self._keys)
            msg = (
                f"{self._stream}: the record with {named} holds "
                f"{quote(error.value)} in the field {error.field}, which is not "
                f"{error.wanted}. Nothing is guessed: have the value mended in Better "
                "Data, or deselect the field."
            )
            raise ValueUnreadableError(msg) from None
        return record

    def _compile(
        self, properties: Mapping[str, Mapping[str, Any]], path: str
    ) -> dict[str, Field]:
        return {
            name: self._field(schema, f"{path}{name}")
            for name, schema in properties.items()
            if f"{path}{name}" not in self._deselected
        }

    def _field(self, schema: Mapping[str, Any], path: str) -> Field:
        """Return the types that pass as they are, and the reader for all others."""
        types = schema["type"]
        kinds = {types} if isinstance(types, str) else set(types)
        if "number" in kinds:
            return Field(_NUMBERS, lambda value: _number(value, path))
        if "boolean" in kinds:
            return Field(_BOOLEANS, lambda value: _refuse(value, path, "true or false"))
        if kinds & {"array", "object"}:
            return self._nested_field(schema, path)
        if schema.get("format") == "date":
            return Field(_NOTHING, self._date_reader(path), are_dates)
        if schema.get("format") == "date-time":
            return Field(_NOTHING, self._stamp_reader(path), are_normal_stamps)
        return Field(_TEXTS, lambda value: _text(value, path))

    def _list_reader(self, items: Mapping[str, Any], path: str) -> Reader:
        fields = self._compile(items["properties"], f"{path}.")

        def read(value: Any) -> list[Row]:
            if not isinstance(value, list) or not all(
                isinstance(element, dict) for element in value
            ):
                raise _UnreadableError(path, value, "a list of objects")
            return [self._read(element, fields, f"{path}.") for element in value]

        return read

    def _nested_field(self, schema: Mapping[str, Any], path: str) -> Field:
        """Read a list of objects, an object by its fields, or one that is all open."""

        def refuse(value: Any) -> NoReturn:
            raise _UnreadableError(path, value, "an object")

        if "items" in schema:
            return Field(_NOTHING, self._list_reader(schema["items"], path))
        if not schema.get("properties"):
            return Field(_OBJECTS, refuse)
        fields = self._compile(schema["properties"], f"{path}.")

        def read(value: Any) -> Row:
            if not isinstance(value, dict):
                refuse(value)
            return self._read(value, fields, f"{path}.")

        return Field(_NOTHING, read)

    def _read(self, row: Row, fields: Mapping[str, Field], path: str) -> Row:
        record = {}
        for name, value in row.items():
            field = fields.get(name)
            if field is None:
                self._leave_out(f"{path}{name}")
            elif type(value) in field.passing:
                record[name] = value
            else:
                record[name] = field.read(value)
        return record

    def _leave_out(self, path: str) -> None:
        """Note a field that is left out, unless the catalog wants that."""
        if self._to_name and path not in self._deselected:
            self._unknown[path] = None

    def _name_unknown(self) -> None:
        """Warn of fields that were left out, and were not named yet."""
        paths = [path for path in self._unknown if path not in self._named]
        self._unknown.clear()
        if not paths:
            return
        named = [redact(path, limit=MAX_NAME) for path in paths]
        said = name_some(named, self._to_name)
        self._named.update(paths[: self._to_name])
        self._to_name = max(self._to_name - len(paths), 0)
        self._logger.warning(
            "%s: the API sends fields that this version does not know: %s. They are "
            "left out%s.",
            self._stream,
            said,
            "" if self._to_name else ", and no others are named",
        )

    def _date_reader(self, path: str) -> Reader:
        """Make a reader of dates; the API writes `2024-12-31` [documented sample].

        Of a point in time it is the day that is written there.
        """
        read_stamp = self._stamp_reader(path)

        def read(value: Any) -> str | None:
            text = _text(value, path)
            if are_dates([text]):
                return text
            stamp: str | None = read_stamp(text)
            return stamp and stamp[:10]

        return read

    def _stamp_reader(self, path: str) -> Reader:
        """Make a reader of time stamps; one without an offset is in UTC."""

        def read(value: Any) -> str | None:
            text = _text(value, path)
            stamp = normalize_stamp(text)
            if stamp is None and path not in self._warned:
                self._warned.add(path)
                self._logger.warning(
                    "%s: the field %s holds %s, which is no date or time by RFC 3339: "
                    "it is sent as null, here and in every such record.",
                    self._stream,
                    path,
                    quote(text),
                )
            return stamp

        return read


def describe_record(row: Row, keys: Iterable[str]) -> str:
    """Name a record by its key, for messages: `id 'item_1'`."""
    return ", ".join(f"{key} {quote(row.get(key))}" for key in keys)


def elements(row: Row, name: str, key: str, where: str) -> list[Row]:
    """Return the objects in a list that a row holds, each with a key of its own.

    Raises:
        ValueUnreadableError: If there is anything else in place of the list.
        UnexpectedAnswerError: If two have the same key: a target would keep one.
    """
    value = [] if row.get(name) is None else row[name]
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        msg = (
            f"{where}: {quote(value)} in the field {name} is not a list of objects. "
            "Nothing is guessed: have the value mended in Better Data, or deselect the "
            "stream."
        )
        raise ValueUnreadableError(msg)
    keys: set[str] = set()
    for element in value:
        if str(element.get(key)) in keys:
            msg = (
                f"{where}: two of its {name} have {describe_record(element, [key])}. "
                "Nothing is guessed: tell the tap's developers"
            )
            raise UnexpectedAnswerError(msg)
        keys.add(str(element.get(key)))
    return value


class _UnreadableError(Exception):
    """A value that can't be read; the conformer adds which record it is in."""

    def __init__(self, field: str, value: object, wanted: str) -> None:
        super().__init__(field)
        self.field = field
        self.value = value
        self.wanted = wanted


def _missing_key(key: str) -> _UnreadableError:
    return _UnreadableError(key, None, "a key, which can't be missing")


def _refuse(value: object, path: str, wanted: str) -> Any:
    raise _UnreadableError(path, value, wanted)


def _number(value: object, path: str) -> Decimal | int:
    if isinstance(value, str) and _NUMBER.fullmatch(text := value.strip()):
        with suppress(ArithmeticError):
            return EXACT.create_decimal(text)
    raise _UnreadableError(path, value, "a number")


def _text(value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise _UnreadableError(path, value, "text")
