"""What settings take, what is wrong with one, and what to write instead: in words."""

from __future__ import annotations

import json
import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, cast

from tap_betterdata.api.errors import name_some
from tap_betterdata.api.redaction import quote, redact
from tap_betterdata.inputs import PREFIX, variable_of
from tap_betterdata.streams.extra import NAME, PATH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from jsonschema import ValidationError

    from tap_betterdata.api.answers import Row

TEXT = r"^[ -~]+(?![\s\S])"
# A time may follow; it is of no account.
DATE = r"^\d{4}-\d{2}-\d{2}(T\S*)?(?![\s\S])"
_NO_KEY = (
    "api_key is missing: set it, or TAP_BETTERDATA_API_KEY with --config=ENV, or set "
    "api_url to sandbox: to try without one"
)
# What settings take, by their patterns and kinds.
WORDS = {
    DATE: "a date, YYYY-MM-DD, such as 2026-01-31",
    TEXT: "a text of ASCII letters, digits and punctuation, on one line",
    NAME: "small letters, digits and underscores, such as inventory_adjustments",
    PATH: "what follows api_url, such as /inventory/adjustments, without host, .. or ?",
    "array": 'a list of texts, such as ["loc_001", "loc_002"]',
    "object": "a JSON object",
    "string": "a text in quotes, not an empty one",
}
_MAX_SHOWN = 60
_MAX_UNKNOWN = 10


def fault_of(error: ValidationError, names: Mapping[str, str]) -> str:
    """Say in words what is wrong with a setting, and what to write.

    Args:
        error: What the settings' schema finds.
        names: The variables by the settings that come from them.
    """
    if not error.absolute_path:
        return _NO_KEY
    setting = str(error.absolute_path[0])
    label = names.get(setting, setting) + error.json_path.removeprefix(f"$.{setting}")
    schema, value = cast("Mapping[str, Any]", error.schema), error.instance
    if schema.get("secret"):
        return f"{label} {_key_fault(value)}"
    if error.validator in {"required", "additionalProperties"}:
        return _fields_fault(label, schema, cast("Row", value))
    verb = "is"
    if isinstance(error.absolute_path[-1], int):
        label, verb = label.rpartition("[")[0], "holds"
    is_quoted = isinstance(value, str) and setting not in names
    takes = _takes(schema, is_quoted=is_quoted)
    return f"{label} {verb} {_show(value)}: it takes {takes}"


def _fields_fault(label: str, schema: Mapping[str, Any], value: Row) -> str:
    """Say which fields an object lacks, and which it should not have."""
    fields = schema["properties"]
    lacking = [name for name in schema["required"] if name not in value]
    unknown = sorted(_meant(name, fields) for name in value if name not in fields)
    faults = [
        f"{verb} {', '.join(names)}"
        for verb, names in (("lacks", lacking), ("holds", unknown))
        if names
    ]
    return f"{label} {' and '.join(faults)}: it takes {', '.join(fields)}"


def _key_fault(key: object) -> str:
    if not isinstance(key, str):
        return "is not a text: write the key in quotes"
    if "\n" in key or "\r" in key:
        fault = "a line break"
    elif any(map(str.isspace, key)):
        fault = "a blank"
    elif "…" in key:
        fault = "an ellipsis (…), so it was cut short"
    else:
        fault = "a character that no key has"
    return f"holds {fault}: copy the whole key anew, and nothing around it"


def _show(value: object) -> str:
    if isinstance(value, str):
        return quote(value)
    return redact(json.dumps(value, default=str).strip('"'), _MAX_SHOWN)


def _takes(schema: Mapping[str, Any], *, is_quoted: bool) -> str:
    unquoted = ", without quotes" if is_quoted else ""
    kinds = schema.get("type", ())
    if "enum" in schema:
        *others, last = schema["enum"]
        return f"{', '.join(others)} or {last}"
    if "integer" in kinds:
        low, high = schema.get("minimum"), schema.get("maximum")
        limits = "" if low is None else f", {low} or more"
        limits = limits if high is None else f" from {low} to {high}"
        return f"a whole number{limits}{unquoted}"
    if "boolean" in kinds:
        return f"true or false{unquoted}"
    if "properties" in schema.get("items", {}):
        return f"a list of objects with {', '.join(schema['items']['required'])}"
    words = (WORDS[kind] for kind in WORDS if kind in kinds)
    of_kind = next(words, "what `tap-betterdata --about` says of it")
    return WORDS.get(schema.get("pattern", ""), of_kind)


def describe_unknown(
    config: Iterable[str], schema: Mapping[str, Any], *, with_variables: bool = False
) -> Iterator[str]:
    """Yield lines on settings and variables that are none, and what was meant."""
    settings = schema["properties"]
    # Those with an underscore are Meltano's own.
    yield from _describe([n for n in config if not n.startswith("_")], settings)
    if with_variables:
        known = {variable_of(name) for name in (*settings, "loglevel")}
        # Meltano sets one for each part of a setting that is an object, too.
        objects = [name for name in settings if "object" in settings[name]["type"]]
        others = tuple(f"{variable_of(name)}_" for name in ("", *objects))
        ours = [n for n in os.environ if n.startswith(PREFIX)]
        yield from _describe([n for n in ours if not n.startswith(others)], known)


def _describe(given: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    names = [name for name in given if name not in known]
    if names:
        # To look for what was meant takes a while.
        names[:_MAX_UNKNOWN] = [_meant(name, known) for name in names[:_MAX_UNKNOWN]]
        shown = name_some(names, _MAX_UNKNOWN)
        yield f"No settings of this tap, and ignored: {shown}."


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name[:_MAX_SHOWN], known, 1)
    shown = quote(name)
    return f"{shown} (did you mean {near[0]}?)" if near else shown
