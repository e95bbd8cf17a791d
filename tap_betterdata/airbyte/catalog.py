"""What Airbyte asks and says of settings, streams and states, in the tap's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

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
        **_field({"type": "object", "properties": properties}),
        # It may be left out with the sandbox alone, which is no reason to hide it.
        "required": ["api_key"],
    }


def _field(schema: Mapping[str, Any], **more: object) -> JsonObject:
    kinds = schema["type"]
    field = {name: value for name, value in schema.items() if name not in _OURS}
    field["type"] = (
        kinds if isinstance(kinds, str) else next(k for k in kinds if k != "null")
    )
    if schema.get("secret"):
        field["airbyte_secret"] = True
    if "items" in schema:
        field["items"] = _field(schema["items"])
    if "properties" in schema:
        field["properties"] = {
            name: _field(declared, order=order)
            for order, (name, declared) in enumerate(schema["properties"].items())
        }
    if isinstance(values := schema.get("additionalProperties"), dict):
        field["additionalProperties"] = _field(values)
    return {**field, **more}


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


def _open(schema: Mapping[str, Any]) -> JsonObject:
    """Leave fields to come out: where destinations check, a new one is no error."""
    opened = {
        name: value
        for name, value in schema.items()
        if not (name == "additionalProperties" and value is False)
    }
    if "items" in schema:
        opened["items"] = _open(schema["items"])
    if "properties" in schema:
        opened["properties"] = {
            name: _open(declared) for name, declared in schema["properties"].items()
        }
    return opened


# What is to be read


class Chosen(NamedTuple):
    """What is configured of a stream: how it is read, and with which fields."""

    sync_mode: str
    json_schema: Mapping[str, Any]


def read_configured(source: str, catalog: Mapping[str, Any]) -> dict[str, Chosen]:
    """Return what is configured, by the streams' names.

    Args:
        source: What the configured catalog is from, for the message.
        catalog: The configured catalog.

    Raises:
        SettingsError: If it is none.
    """
    configured: dict[str, Chosen] = {}
    try:
        for entry in catalog["streams"]:
            name, schema = str(entry["stream"]["name"]), entry["stream"]["json_schema"]
            if name in configured:
                msg = f"{source} configures the stream {quote(name)} twice"
                raise SettingsError(msg)
            configured[name] = Chosen(str(entry["sync_mode"]), dict(schema))
    except (KeyError, TypeError, ValueError):
        msg = (
            f"{source}: not a configured catalog: it takes streams, each with stream "
            "(its name and json_schema) and sync_mode"
        )
        raise SettingsError(msg) from None
    return configured


def singer_catalog(
    source: str,
    configured: Mapping[str, Chosen],
    streams: Collection[Stream],
) -> JsonObject:
    """Return the tap's catalog, with what is configured selected.

    Args:
        source: What the configured catalog is from, for the message.
        configured: What is configured.
        streams: The tap's streams.

    Raises:
        SettingsError: If something is configured that the tap can't read.
    """
    known = [stream.name for stream in streams]
    for name, chosen in configured.items():
        if name not in known:
            msg = (
                f"{source} names the stream {quote(name)}, which there is not: there "
                f"are {', '.join(known)}"
            )
            raise SettingsError(msg)
        if chosen.sync_mode not in _METHODS:
            msg = (
                f"{source}: the sync_mode of {name} is {quote(chosen.sync_mode)}: it "
                f"takes {' or '.join(_METHODS)}"
            )
            raise SettingsError(msg)
    return {
        "streams": [_entry(stream, configured.get(stream.name)) for stream in streams]
    }


def _entry(stream: Stream, chosen: Chosen | None) -> JsonObject:
    is_selected = {"selected": chosen is not None}
    entry: JsonObject = {
        "tap_stream_id": stream.name,
        "stream": stream.name,
        "key_properties": [*stream.primary_keys],
        "replication_key": stream.replication_key,
        "schema": stream.schema,
        "metadata": [{"breadcrumb": [], "metadata": is_selected}],
    }
    if chosen is not None:
        automatic = {*stream.primary_keys, stream.replication_key}
        entry["schema"] = _select(stream.schema, chosen.json_schema, automatic)
        # PyAirbyte wants all to be incremental: without a cursor it changes nothing.
        entry["replication_method"] = _METHODS[chosen.sync_mode]
    return entry


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


def singer_state(
    source: str, messages: Any, configured: Mapping[str, Chosen]
) -> JsonObject:
    """Return the state of the streams that are read incrementally.

    Args:
        source: What the state is from, for the message.
        messages: What Airbyte has kept: a list of messages, each a stream's.
        configured: What is configured.

    Raises:
        StateError: If it is of another kind.
    """
    # Of a stream that is not configured, too: it may know locations.
    whole = {n for n, chosen in configured.items() if chosen.sync_mode == _FULL_REFRESH}
    bookmarks: JsonObject = {}
    for message in messages if isinstance(messages, list) else [messages]:
        if message == {}:
            # What may be handed over where there is no state.
            continue
        try:
            # One that has no type is of the oldest.
            content = {"STREAM": message["stream"]}[message["type"]]
            name, state = content["stream_descriptor"]["name"], content["stream_state"]
            if state and name not in whole:
                bookmarks[name] = state
        except (KeyError, TypeError):
            kind = message.get("type", "LEGACY") if isinstance(message, dict) else ""
            msg = (
                f"{source} holds {quote(kind or message)}, which this source can't go "
                "on from: it takes the states of the type STREAM that it has written. "
                "Have the connection's state reset, and everything is read again"
            )
            raise StateError(msg) from None
    return {"bookmarks": bookmarks} if bookmarks else {}
