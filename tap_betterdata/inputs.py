"""What the tap is handed: files of JSON, a file `.env`, and variables."""

from __future__ import annotations

import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from dotenv import load_dotenv
from jsonschema import SchemaError
from singer_sdk.singerlib import Catalog
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_betterdata.api.errors import SettingsError
from tap_betterdata.api.redaction import redact
from tap_betterdata.compat import override

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from pathlib import PurePath

PREFIX = "TAP_BETTERDATA_"
_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
# What the SDK takes for texts in a catalog without a look.
_TEXTS = (
    "replication_key",
    "replication_method",
    "replication-key",
    "forced-replication-method",
)
_LISTS_OF_TEXTS = ("key_properties", "table-key-properties", "valid-replication-keys")
# More than any file for the tap has; far from what Python can't walk through.
_MAX_DEPTH = 64


def read_text(source: str, content: bytes) -> str:
    """Read a text as UTF-8, or as the UTF-16 or UTF-32 that some shells write.

    Args:
        source: What the text is from, for the message.
        content: The text, with a byte order mark or without.

    Raises:
        SettingsError: If it is none of them.
    """
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        msg = f"{source}: not a text in UTF-8 (or UTF-16): save it as UTF-8"
        raise SettingsError(msg) from None


def read_json(source: str, text: str) -> Any:
    """Read JSON, fractions as decimals.

    Args:
        source: What the text is from, for the message.
        text: The text.

    Raises:
        SettingsError: If it is none, or nested beyond all use.
    """
    try:
        return _parse(text)
    except ValueError as error:
        msg = redact(f"{source}: not JSON ({error})")
        raise SettingsError(msg) from None


def read_object(source: str, text: str) -> dict[str, Any]:
    """Read a JSON object, as `read_json` does.

    Raises:
        SettingsError: If it is anything else.
    """
    value = read_json(source, text)
    if not isinstance(value, dict):
        msg = f"{source}: not a JSON object"
        raise SettingsError(msg)
    return value


class JsonFile(click.File):
    """The type of an option that names a file with a JSON object."""

    def __init__(self, check: Callable[[str, dict[str, Any]], object]) -> None:
        """Open files as they are: a BOM or UTF-16 is no reason to refuse one.

        Args:
            check: Called with the file's name and object; refuses a wrong file.
        """
        super().__init__("rb")
        self._check = check

    @override
    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the file's text as a text file, which the SDK reads."""
        option = param.opts[0] if param else "file"
        file = super().convert(value, param, ctx)
        source = f"{option} {file.name}"
        try:
            text = read_text(source, file.read())
        except OSError as error:
            msg = f"{source}: {error.strerror or error}"
            raise SettingsError(msg) from None
        self._check(source, read_object(source, text))
        checked = io.StringIO(text)
        checked.name = file.name
        return checked


def check_catalog(source: str, content: dict[str, Any]) -> None:
    """Check that an object is a catalog.

    Args:
        source: The file, for the message.
        content: The object.

    Raises:
        SettingsError: If it isn't, or has no streams.
    """
    try:
        is_catalog = bool(Catalog.from_dict(content))
        for stream in content["streams"]:
            is_catalog &= stream.get("stream") in (None, stream["tap_stream_id"])
            parts = [stream, *(part["metadata"] for part in stream.get("metadata", []))]
            texts = [part.get(name) for part in parts for name in _TEXTS]
            is_catalog &= all(isinstance(text, str | None) for text in texts)
            lists = [part.get(name) or [] for part in parts for name in _LISTS_OF_TEXTS]
            is_catalog &= all(isinstance(part, list) for part in lists)
            is_catalog &= all(isinstance(text, str) for part in lists for text in part)
            DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(stream.get("schema", {}))
    except (AttributeError, KeyError, SchemaError, TypeError, ValueError):
        is_catalog = False
    if not is_catalog:
        msg = (
            f"{source}: not a catalog with streams, such as "
            "`tap-betterdata --discover` writes"
        )
        raise SettingsError(msg)


def read_file(path: str | PurePath) -> dict[str, Any]:
    """Read the file of `--config`.

    Args:
        path: The file.

    Raises:
        SettingsError: If it can't be read.
    """
    source = f"--config {path}"
    return read_object(source, read_file_text(source, path))


def read_file_text(source: str, path: str | PurePath) -> str:
    """Read a file's text.

    Raises:
        SettingsError: If it can't be read; `source` is what the message calls it.
    """
    return read_text(source, _content(source, Path(path)))


def load_env_file(logger: logging.Logger) -> None:
    """Add what stands in `.env` to the variables, if they don't have it yet.

    Only the folder where the tap is started counts: in a folder above, which others may
    write to, the file could send the key elsewhere.

    Args:
        logger: Says which file it was.

    Raises:
        SettingsError: If the file can't be read.
    """
    # An empty variable is an unset one, and hides nothing.
    for name in [n for n, v in os.environ.items() if n.startswith(PREFIX) and not v]:
        del os.environ[name]
    path = Path(".env")
    if path.is_file():
        source = f"--config=ENV, {path.absolute()}"
        text = read_text(source, _content(source, path))
        logger.info("Variables come from the file %s too.", path.absolute())
        load_dotenv(stream=io.StringIO(text))


def read_variables(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Read the settings that stand in variables.

    Args:
        schema: The settings' schema.

    Returns:
        The settings; one that can't be read as what it must be stays a text, which
        the check of the settings refuses.
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
    """Check the variables that name certificates: requests only says so later.

    Raises:
        SettingsError: If there is nothing where the one that counts points to.
    """
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    name = next(filter(os.environ.get, names), None)
    if name and not Path(os.environ[name]).exists():
        path = redact(repr(os.environ[name]))
        msg = f"{name} is {path}: there is no such file of certificates"
        raise SettingsError(msg)


def _content(source: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{source}: {error.strerror or error}"
        raise SettingsError(msg) from None


def _parse(text: str) -> Any:
    try:
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        value = None
        is_deep = True
    else:
        is_deep = _is_deep(value)
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
