"""What the tap is handed: files of JSON, a file `.env`, and variables."""

from __future__ import annotations

import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import click
import msgspec
from dotenv import load_dotenv
from jsonschema import SchemaError
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_betterdata.api.errors import SettingsError
from tap_betterdata.api.redaction import redact
from tap_betterdata.output.writer import encode_line

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from pathlib import PurePath

PREFIX = "TAP_BETTERDATA_"
_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
# More than any file for the tap has; far from what Python can't walk through.
_MAX_DEPTH = 64


# Files


def read_object(option: str, path: str | PurePath) -> dict[str, Any]:
    """Read a file of an option, which is to hold a JSON object."""
    value = read_json(option, path)
    if not isinstance(value, dict):
        msg = f"{option} {path}: not a JSON object"
        raise SettingsError(msg)
    return value


def read_json(option: str, path: str | PurePath) -> Any:
    """Read a file of an option, which is to hold JSON; fractions become decimals."""
    text = read_text(f"{option} {path}", path)
    try:
        return _parse(text)
    except ValueError as error:
        msg = redact(f"{option} {path}: not JSON ({error})")
        raise SettingsError(msg) from None


def read_text(source: str, path: str | PurePath) -> str:
    """Read a file: UTF-8, or the UTF-16 or UTF-32 that some shells write.

    Args:
        source: What a message calls the file.
        path: The file; it may begin with a byte order mark.

    Raises:
        SettingsError: If it can't be read.
    """
    try:
        # This also knows `-`, standard input, as other taps do.
        with click.open_file(os.fspath(path), "rb") as file:
            content: bytes = file.read()
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        fault = "not a text in UTF-8 (or UTF-16): save it as UTF-8"
    except OSError as error:
        fault = error.strerror or str(error)
    msg = f"{source}: {fault}"
    raise SettingsError(msg)


def _parse(text: str) -> Any:
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
        is_deep = _is_deep(value)
    except RecursionError:
        is_deep = True
    if is_deep:
        msg = f"nested more than {_MAX_DEPTH} levels deep"
        raise ValueError(msg)
    return value


def _refuse_constant(name: str) -> NoReturn:
    msg = f"{name} is no number in JSON"
    raise ValueError(msg)


def _is_deep(value: object, levels: int = _MAX_DEPTH) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return levels == 0 or any(_is_deep(part, levels - 1) for part in value)


def as_text_file(
    _: click.Context, option: click.Parameter, path: str | None
) -> io.StringIO | None:
    """Check the file of `--catalog` or `--state`, for the SDK to read as text."""
    if path is None:
        return None
    name = option.opts[0]
    content = read_object(name, path)
    if name == "--catalog":
        _check_catalog(f"{name} {path}", content)
    file = io.StringIO(encode_line(content).decode())
    file.name = path
    return file


class _Metadata(msgspec.Struct, rename="kebab"):
    table_key_properties: list[str] | None = None
    valid_replication_keys: list[str] | None = None
    replication_key: str | None = None
    forced_replication_method: str | None = None


class _Part(msgspec.Struct):
    # Some write an empty text for the stream itself.
    breadcrumb: list[str] | Literal[""]
    metadata: _Metadata


class _Entry(msgspec.Struct):
    tap_stream_id: str
    stream: str | None = None
    key_properties: list[str] | None = None
    replication_key: str | None = None
    replication_method: str | None = None
    schema: dict[str, Any] = {}
    metadata: list[_Part] = []


class _Catalog(msgspec.Struct):
    """What the SDK takes for granted in a catalog."""

    streams: Annotated[list[_Entry], msgspec.Meta(min_length=1)]


def _check_catalog(source: str, content: dict[str, Any]) -> None:
    fault = ""
    try:
        for entry in msgspec.convert(content, _Catalog).streams:
            DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(entry.schema)
            if entry.stream not in {None, entry.tap_stream_id}:
                fault = "`stream` and `tap_stream_id` differ"
    except SchemaError:
        fault = "a `schema` is no JSON schema"
    except msgspec.ValidationError as error:
        fault = str(error)
    if fault:
        msg = (
            f"{source}: not a catalog with streams, such as `tap-betterdata "
            f"--discover` writes: {fault}"
        )
        raise SettingsError(msg)


# Variables


def load_env_file(logger: logging.Logger) -> None:
    """Add what stands in `.env` to the variables, if they don't have it yet.

    Only the folder where the tap is started counts: in a folder above, which others may
    write to, the file could send the key elsewhere.
    """
    # An empty variable is an unset one, and hides nothing.
    for name in [n for n, v in os.environ.items() if n.startswith(PREFIX) and not v]:
        del os.environ[name]
    path = Path(".env").absolute()
    if path.is_file():
        text = read_text(f"--config=ENV, {path}", path)
        logger.info("Variables come from the file %s too.", path)
        load_dotenv(stream=io.StringIO(text))


def read_variables(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Read the settings that stand in variables.

    One that can't be read as what it must be stays a text, which the check of the
    settings refuses.
    """
    return {
        name: _read_variable(value, setting["type"])
        for name, setting in schema["properties"].items()
        if (value := os.environ.get(variable_of(name)))
    }


def variable_of(name: str) -> str:
    """Return the name of a setting's variable."""
    return f"{PREFIX}{name.upper()}"


def check_certificates() -> None:
    """Check the variables that name certificates: requests only says so later."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    name = next(filter(os.environ.get, names), None)
    if name and not Path(os.environ[name]).exists():
        path = redact(repr(os.environ[name]))
        msg = f"{name} is {path}: there is no such file of certificates"
        raise SettingsError(msg)


def _read_variable(text: str, kinds: list[str]) -> Any:
    try:
        if "integer" in kinds:
            return int(text)
        if "boolean" in kinds:
            return _FLAGS[text.strip().lower()]
        if "array" in kinds and not text.lstrip().startswith("["):
            parts = [part.strip() for part in text.split(",")]
            return [part for part in parts if part]
        if "array" in kinds or "object" in kinds:
            return _parse(text)
    except (KeyError, ValueError):
        pass
    return text
