"""Records as their schema says: known fields, readable values, every digit kept."""

from __future__ import annotations

import re
from contextlib import suppress
from decimal import Decimal
from functools import partial
from operator import itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeGuard

from tap_betterdata.api.decoding import EXACT
from tap_betterdata.api.errors import (
    UnexpectedAnswerError,
    ValueUnreadableError,
    name_some,
)
from tap_betterdata.api.redaction import quote, redact
from tap_betterdata.state.stamps import are_dates, are_normal_stamps, normalize_stamp

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from tap_betterdata.api.answers import Row

# Of fields that the schema doesn't know, in warnings, and of a name or value.
_MOST_NAMED = 20
MAX_NAME = 60

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Field(NamedTuple):
    """How the values of a field are read.

    Attributes:
        path: The field, such as `channels.atp`.
        read: Reads a value of the field of this path.
        passing: The types of values that are right as they are.
        are_right: Tells whether texts are right as they are, all at once.
    """

    path: str
    read: Callable[[Any, str], Any]
    passing: set[type]
    are_right: Callable[[list[str]], bool] = lambda _: False


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

        Fields that are deselected, such as `unitCost` or `channels.atp`, are left out
        and need not be readable.
        """
        self._stream = stream
        self._keys = tuple(keys)
        self._logger = logger
        self._deselected = deselected
        # Fields whose values were sent as null, fields that the schema doesn't know,
        # and of these the ones that are still to be named.
        self._warned: set[str] = set()
        self._unknown: set[str] = set()
        self._unnamed: dict[str, None] = {}
        self._fields = self._compile(schema, "")

    def __call__(self, rows: Iterable[Row]) -> list[Row]:
        """Conform the records of an answer, which are left as they are.

        One that is right as it is is given back itself.

        Raises:
            ValueUnreadableError: If a key is missing, or a value can't be read.
        """
        records = self._conform_all(list(rows))
        if self._unnamed:
            self._name_unknown()
        return records

    # All rows at a time, or each by itself

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
        columns = zip(*map(itemgetter(*rows[0]), rows), strict=True)
        read: dict[str, Sequence[Any]] = {}
        are_right = True
        for name, column in zip(rows[0], columns, strict=True):
            field = self._fields.get(name)
            if field is None:
                self._leave_out(name)
            else:
                read[name] = _read_column(column, field)
            are_right = are_right and read.get(name) is column
        for key in self._keys:
            if None in read[key]:
                raise _missing_key(key)
        if are_right:
            return rows
        return [
            dict(zip(read, row, strict=True))
            for row in zip(*read.values(), strict=True)
        ]

    def _conform(self, row: Row) -> Row:
        try:
            record = self._read_fields(row, self._fields, "")
            for key in self._keys:
                if record.get(key) is None:
                    raise _missing_key(key)
        except _UnreadableError as error:
            path, value, wanted = error.args
            msg = (
                f"{self._stream}: the record with {describe_record(row, self._keys)} "
                f"holds {quote(value)} in the field {path}, which is not {wanted}. "
                "Nothing is guessed: have the value mended in Better Data, or deselect "
                "the field."
            )
            raise ValueUnreadableError(msg) from None
        return record

    def _read_fields(self, row: Row, fields: Mapping[str, Field], path: str) -> Row:
        record = {}
        for name, value in row.items():
            field = fields.get(name)
            if field is None:
                self._leave_out(f"{path}{name}")
            elif type(value) in field.passing:
                record[name] = value
            else:
                record[name] = field.read(value, field.path)
        return record

    # What the schema says of a field

    def _compile(self, schema: Mapping[str, Any], path: str) -> dict[str, Field]:
        return {
            name: self._field(declared, f"{path}{name}")
            for name, declared in schema["properties"].items()
            if f"{path}{name}" not in self._deselected
        }

    def _field(self, schema: Mapping[str, Any], path: str) -> Field:
        types, form = schema["type"], schema.get("format")
        if "array" in types or "object" in types:
            return self._nested_field(schema, path)
        if "number" in types:
            return Field(path, _read_number, {int, Decimal, NoneType})
        if "boolean" in types:
            return Field(path, _read_boolean, {bool, NoneType})
        if form == "date":
            return Field(path, self._read_date, {NoneType}, are_dates)
        if form == "date-time":
            return Field(path, self._read_stamp, {NoneType}, are_normal_stamps)
        return Field(path, _read_text, {str, NoneType})

    def _nested_field(self, schema: Mapping[str, Any], path: str) -> Field:
        if "items" in schema:
            fields = self._compile(schema["items"], f"{path}.")
            return Field(path, partial(self._read_list, fields), {NoneType})
        if schema.get("properties"):
            fields = self._compile(schema, f"{path}.")
            return Field(path, partial(self._read_object, fields), {NoneType})
        return Field(path, _check_object, {dict, NoneType})

    def _read_list(
        self, fields: Mapping[str, Field], value: object, path: str
    ) -> list[Row]:
        if not _is_list_of_objects(value):
            raise _UnreadableError(path, value, "a list of objects")
        return [self._read_fields(element, fields, f"{path}.") for element in value]

    def _read_object(
        self, fields: Mapping[str, Field], value: object, path: str
    ) -> Row:
        return self._read_fields(_check_object(value, path), fields, f"{path}.")

    def _read_date(self, value: object, path: str) -> str | None:
        """Read a date; the API writes `2024-12-31` [documented sample].

        Of a point in time it is the day that is written there.
        """
        text = _read_text(value, path)
        stamp = text if are_dates([text]) else self._read_stamp(text, path)
        return stamp and stamp[:10]

    def _read_stamp(self, value: object, path: str) -> str | None:
        text = _read_text(value, path)
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

    # What the schema doesn't know

    def _leave_out(self, path: str) -> None:
        """Note a field that is left out, unless the catalog wants that."""
        if (
            len(self._unknown) < _MOST_NAMED
            and path not in self._unknown
            and path not in self._deselected
        ):
            self._unnamed[path] = None

    def _name_unknown(self) -> None:
        """Warn of fields that were left out, and were not named yet."""
        named = [redact(path, limit=MAX_NAME) for path in self._unnamed]
        said = name_some(named, _MOST_NAMED - len(self._unknown))
        self._unknown.update(self._unnamed)
        self._unnamed.clear()
        self._logger.warning(
            "%s: the API sends fields that this version does not know: %s. They are "
            "left out%s.",
            self._stream,
            said,
            "" if len(self._unknown) < _MOST_NAMED else ", and no others are named",
        )


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
    if not _is_list_of_objects(value):
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
    """What can't be read: a field's path, its value, and what is wanted of it."""


def _missing_key(key: str) -> _UnreadableError:
    return _UnreadableError(key, None, "a key, which can't be missing")


def _is_list_of_objects(value: object) -> TypeGuard[list[Row]]:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _read_column(column: Sequence[Any], field: Field) -> Sequence[Any]:
    """Read the values of one field; they come back themselves if all are right."""
    path, read, passing, are_right = field
    odd = set(map(type, column)) - passing
    if not odd or are_right([value for value in column if value is not None]):
        return column
    if odd == {str}:
        # Days repeat.
        texts = {value for value in column if type(value) is str}
        known = {text: read(text, path) for text in texts}
        return [known.get(value, value) for value in column]
    return [value if type(value) in passing else read(value, path) for value in column]


def _read_number(value: object, path: str) -> Decimal | int:
    if isinstance(value, str) and _NUMBER.fullmatch(text := value.strip()):
        with suppress(ArithmeticError):
            return EXACT.create_decimal(text)
    raise _UnreadableError(path, value, "a number")


def _read_boolean(value: object, path: str) -> NoReturn:
    raise _UnreadableError(path, value, "true or false")


def _check_object(value: object, path: str) -> Row:
    if isinstance(value, dict):
        return value
    raise _UnreadableError(path, value, "an object")


def _read_text(value: object, path: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise _UnreadableError(path, value, "text")
