"""What Airbyte asks and says of settings, streams and states, in the tap's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from singer_sdk.singerlib.catalog import REPLICATION_FULL_TABLE, REPLICATION_INCREMENTAL

from tap_betterdata.api.errors import SettingsError, StateError
from tap_betterdata.api.redaction import quote
from tap_betterdata.settings import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from singer_sdk.streams import Stream

JsonObject = dict[str, Any]

_FULL_REFRESH, _INCREMENTAL = "full_refresh", "incremental"
_METHODS = {
    _FULL_REFRESH: REPLICATION_FULL_TABLE,
    _INCREMENTAL: REPLICATION_INCREMENTAL,
}
_DRAFT = "http://json-schema.org/draft-07/schema#"
# Destinations do themselves what this makes a Singer target do.
_WITHOUT_COUNTERPART = frozenset({"emit_activate_version_messages"})
# What a schema says in a way that Airbyte doesn't, or not at all.
_OURS = frozenset({"secret", "writeOnly", "additionalProperties", "type"})


# The settings


def settings_schema() -> JsonObject:
    """Return the settings as Airbyte's forms take them: plain types, in their order."""
    properties = {
        name: schema
        for name, schema in SCHEMA["properties"].items()
        if name not in _WITHOUT_COUNTERPART
    }
    return {
        "title": "Better Data",
        **_plain({"type": "object", "properties": properties}),
        # It may be left out with the sandbox alone, which is no reason to hide it.
        "required": ["api_key"],
    }


def _plain(schema: Mapping[str, Any]) -> JsonObject:
    """Say of each part what it is by one type, and what Airbyte knows besides."""
    plain = {name: value for name, value in schema.items() if name not in _OURS}
    kinds = schema["type"]
    plain["type"] = kinds if isinstance(kinds, str) else kinds[0]
    if schema.get("secret"):
        plain["airbyte_secret"] = True
    if "items" in schema:
        plain["items"] = _plain(schema["items"])
    if "properties" in schema:
        plain["properties"] = {
            name: {**_plain(declared), "order": order}
            for order, (name, declared) in enumerate(schema["properties"].items())
        }
    if isinstance(values := schema.get("additionalProperties"), dict):
        plain["additionalProperties"] = _plain(values)
    return plain


# The streams


def describe_stream(stream: Stream) -> JsonObject:
    """Return a stream as Airbyte's catalog has it."""
    described: JsonObject = {
        "name": stream.name,
        "json_schema": {**_open(stream.schema), "$schema": _DRAFT},
        "supported_sync_modes": [_FULL_REFRESH],
        "is_resumable": False,
    }
    if stream.primary_keys:
        keys = [[key] for key in stream.primary_keys]
        described["source_defined_primary_key"] = keys
    if stream.replication_key:
        described["supported_sync_modes"].append(_INCREMENTAL)
        described["source_defined_cursor"] = True
        described["default_cursor_field"] = [stream.replication_key]
        described["is_resumable"] = True
    return described


def _open(schema: Any) -> Any:
    """Leave fields to come out: where destinations check, a new one is no error."""
    if not isinstance(schema, dict):
        return schema
    return {
        name: _open(part)
        for name, part in schema.items()
        if name != "additionalProperties" or part is not False
    }


# What is to be read


class _Stream(msgspec.Struct):
    name: str
    json_schema: JsonObject


class Configured(msgspec.Struct):
    """How a stream is to be read, and with which fields."""

    stream: _Stream
    sync_mode: Literal["full_refresh", "incremental"]


class _ConfiguredCatalog(msgspec.Struct):
    streams: list[Configured]


def read_configured(source: str, catalog: JsonObject) -> dict[str, Configured]:
    """Return what is configured by the streams' names; `source` is for a message."""
    try:
        entries = msgspec.convert(catalog, _ConfiguredCatalog).streams
    except msgspec.ValidationError as error:
        msg = (
            f"{source}: not a configured catalog: {error}. It takes streams, each with "
            f"stream (its name and json_schema) and sync_mode ({' or '.join(_METHODS)})"
        )
        raise SettingsError(msg) from None
    configured: dict[str, Configured] = {}
    for entry in entries:
        name = entry.stream.name
        if name in configured:
            msg = f"{source} configures the stream {quote(name)} twice"
            raise SettingsError(msg)
        configured[name] = entry
    return configured


def singer_catalog(
    configured: Mapping[str, Configured], catalog: JsonObject
) -> JsonObject:
    """Return the tap's catalog with what is configured selected, and nothing else."""
    entries = {entry["tap_stream_id"]: entry for entry in catalog["streams"]}
    for name, entry in entries.items():
        is_selected = {"selected": name in configured}
        entry["metadata"] = [{"breadcrumb": [], "metadata": is_selected}]
    for name, chosen in configured.items():
        # The tap refuses a stream that it doesn't have.
        entry = entries.setdefault(name, {"tap_stream_id": name, "schema": {}})
        automatic = {*entry.get("key_properties", ()), entry.get("replication_key")}
        entry["schema"] = _select(entry["schema"], chosen.stream.json_schema, automatic)
        # PyAirbyte wants all to be incremental: without a cursor it changes nothing.
        entry["replication_method"] = _METHODS[chosen.sync_mode]
    return {"streams": [*entries.values()]}


def _select(
    schema: Mapping[str, Any],
    wanted: object,
    automatic: Collection[str | None] = (),
) -> JsonObject:
    """Return the fields of a schema that another has, too, and those that must be."""
    selected = dict(schema)
    # A schema may be `true`, too.
    declared = wanted if isinstance(wanted, dict) else {}
    fields = declared.get("properties")
    if "properties" in schema and isinstance(fields, dict):
        selected["properties"] = {
            name: _select(field, fields.get(name))
            for name, field in schema["properties"].items()
            if name in fields or name in automatic
        }
    if "items" in schema:
        selected["items"] = _select(schema["items"], declared.get("items"))
    return selected


class _Descriptor(msgspec.Struct):
    name: str


class _StreamState(msgspec.Struct):
    stream_descriptor: _Descriptor
    stream_state: Any = None


class _StateMessage(msgspec.Struct):
    type: Literal["STREAM"]
    stream: _StreamState


def singer_state(
    source: str, messages: Any, configured: Mapping[str, Configured]
) -> JsonObject:
    """Return the state of the streams that are not read whole.

    Args:
        source: What the state is from, for a message.
        messages: What Airbyte has kept: a list of messages, each a stream's. Where it
            has nothing, it may hand over an empty object.
        configured: What is configured. A stream that is not may know locations.
    """
    given = messages if isinstance(messages, list) else [messages]
    try:
        states = msgspec.convert([m for m in given if m != {}], list[_StateMessage])
    except msgspec.ValidationError as error:
        msg = (
            f"{source} holds a state that this source can't go on from: {error}. It "
            "takes the states of the type STREAM that it has written. Have the "
            "connection's state reset, and everything is read again"
        )
        raise StateError(msg) from None
    bookmarks = {s.stream.stream_descriptor.name: s.stream.stream_state for s in states}
    for name, chosen in configured.items():
        if chosen.sync_mode == _FULL_REFRESH:
            bookmarks.pop(name, None)
    return {"bookmarks": {name: kept for name, kept in bookmarks.items() if kept}}
