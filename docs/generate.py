"""Writes what comes from the code: streams, settings, dbt's tables, the Hub's file.

python3 dev.py docs                writes them, and builds the site
python docs/generate.py            writes them alone
python docs/generate.py --check    fails if a file is not what the code says
"""  # noqa: INP001 - a script beside the pages that it writes

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from click.testing import CliRunner

from tap_betterdata.streams.base import BetterDataStream
from tap_betterdata.tap import TapBetterData

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
NOTE = (
    "<!-- Written by docs/generate.py: change the code, then `python3 dev.py docs`. -->"
)

# What the settings are for that every tap of the Singer SDK has.
COMMON = {
    "stream_maps": "Rename, drop, filter and compute fields and streams.",
    "stream_map_config": "Values that the expressions of `stream_maps` may use.",
    "faker_config": (
        "For made-up values in `stream_maps`; needs the SDK's extra `faker`."
    ),
    "flattening_enabled": "Whether objects in records become fields of their own.",
    "flattening_max_depth": "How many levels of objects are flattened.",
    "flattening_max_key_length": "How long a flattened field's name may get.",
    "flattening_separator": "What joins the names; `__` if not set.",
    "batch_config": "Write records to files, and send their names in BATCH messages.",
}
GROUPS = {
    "The API": ("api_key", "api_url", "user_agent"),
    "What to read": (
        "location_ids",
        "start_date",
        "end_date",
        "analytics_granularity",
        "lookback_minutes",
        "analytics_lookback_periods",
        "extra_streams",
        "emit_activate_version_messages",
    ),
    "How fast": (
        "requests_per_minute",
        "requests_per_hour",
        "concurrency",
        "page_size",
    ),
    "How patient": (
        "rate_limit_max_wait",
        "max_retries",
        "request_timeout",
        "max_extra_requests",
        "on_inexact",
    ),
    "What every tap of the Singer SDK has": tuple(COMMON),
}


def ask_tap(option: str) -> dict[str, Any]:
    """Ask the tap what it says of itself."""
    words = [option, "--format=json"] if option == "--about" else [option]
    command = TapBetterData.get_singer_command()
    output = CliRunner().invoke(command, words, catch_exceptions=False).stdout
    answer: dict[str, Any] = json.loads(output)
    return answer


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Write a table."""
    names = list(header)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


# -- settings -----------------------------------------------------------------


def kind_of(schema: dict[str, Any]) -> str:
    """Say what a setting or a field holds.

    Args:
        schema: Its JSON schema.

    Returns:
        Such as `string` or `array of strings`.
    """
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    (kind,) = (name for name in types if name != "null")
    if kind == "array":
        return f"array of {kind_of(schema['items'])}s"
    return str(schema.get("format", kind))


def limits_of(schema: dict[str, Any]) -> str:
    """Say which values a setting takes."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return "" if low is None else f"{low} or more"


def describe(name: str, schema: dict[str, Any]) -> str:
    """Say what a setting is for."""
    text: str = COMMON.get(name) or schema["description"]
    if limits := limits_of(schema):
        text += f" Values: {limits}."
    if schema.get("secret"):
        text += " It is a secret: keep it out of files that others read."
    return text


def settings_page() -> Iterator[str]:
    """Write the page of the settings.

    Yields:
        Lines of Markdown.

    Raises:
        KeyError: If a setting stands in no group, or one in a group is gone.
    """
    about = ask_tap("--about")
    settings: dict[str, dict[str, Any]] = about["settings"]["properties"]
    grouped = {name for names in GROUPS.values() for name in names}
    if grouped != settings.keys():
        raise KeyError(*(grouped ^ settings.keys()))
    yield from ("# Settings", "", NOTE, "")
    yield (
        "From a file (`--config config.json`), from variables (`--config=ENV`; a "
        "file `.env` in the folder where the tap is started is read too, and named in "
        "the log), or in `meltano.yml`. The variable of a setting is its name in "
        "capitals behind `TAP_BETTERDATA_`: `TAP_BETTERDATA_API_KEY`. Arrays and "
        "objects are written as JSON there. A variable that is empty is not set; one "
        "that is set goes before the file."
    )
    for title, names in GROUPS.items():
        yield from ("", f"## {title}", "")
        rows = (
            (
                f"`{name}`",
                kind_of(settings[name]),
                f"`{json.dumps(settings[name]['default']).strip(chr(34))}`"
                if "default" in settings[name]
                else "",
                describe(name, settings[name]),
            )
            for name in names
        )
        yield from table(("Setting", "Kind", "Default", "What it does"), rows)
    yield from ("", "## Capabilities", "")
    yield (
        "The tap names these to Meltano; [what each of them does](capabilities.md) is "
        "said on a page of its own."
    )
    yield ""
    yield from (f"- `{name}`" for name in sorted(about["capabilities"]))


# -- streams ------------------------------------------------------------------


def fields_of(
    properties: dict[str, Any], keys: Iterable[str], path: str = ""
) -> Iterator[tuple[str, str, str]]:
    """List the fields of a stream, those in arrays behind the array."""
    for name, schema in properties.items():
        mark = " (key)" if name in keys and not path else ""
        kind = kind_of(schema)
        yield f"`{path}{name}`", f"{kind}{mark}", schema.get("description", "")
        mark, inner = ("[]", schema["items"]) if "items" in schema else ("", schema)
        if "properties" in inner:
            yield from fields_of(inner["properties"], keys, f"{path}{name}{mark}.")


def streams_page() -> Iterator[str]:
    """Write the page of the streams."""
    streams = {
        name: stream
        for name, stream in TapBetterData(validate_config=False).streams.items()
        if isinstance(stream, BetterDataStream)
    }
    catalog = ask_tap("--discover")["streams"]
    yield from ("# Streams", "", NOTE, "")
    yield (
        "Fields keep the API's names. A field may be null unless it belongs to the "
        "key. Numbers keep the digits that the API sent. A field that the API sends "
        "and this page doesn't list is left out, with a warning."
    )
    for entry in catalog:
        name = entry["tap_stream_id"]
        keys = entry["key_properties"]
        incremental = entry["replication_method"] == "INCREMENTAL"
        by = f", by `{entry['replication_key']}`" if incremental else ""
        yield from ("", f"## `{name}`", "")
        yield (inspect.getdoc(type(streams[name])) or "").splitlines()[0]
        yield ""
        yield f"- Endpoint: `GET {streams[name].path}`"
        yield f"- Key: {', '.join(f'`{key}`' for key in keys) or 'none'}"
        yield f"- Replication: `{entry['replication_method']}`{by}"
        if not streams[name].selected_by_default:
            yield "- Not selected unless the catalog says so"
        yield f"- Permission: `{streams[name].permission}`"
        yield ""
        fields = fields_of(entry["schema"]["properties"], keys)
        yield from table(("Field", "Type", "What it is"), fields)


# -- dbt's tables -----------------------------------------------------------------


MODELS = ROOT / "transform" / "models"
ANALYSTS = ROOT / "docs" / "analysts.md"
# The page is written by hand, but for what stands between its lines.
BEGIN, END = NOTE, "<!-- Written by hand from here on. -->"
# A column of a staging model: the field, and the name that it gets.
STAGED = re.compile(r'"(\w+)"(?: as \w+(?:\([\d, ]+\))?\))? as (\w+)')


def staging_tables() -> Iterator[str]:
    """Describe the staging models by the catalog: each is a stream's."""
    for entry in ask_tap("--discover")["streams"]:
        path = MODELS / "staging" / f"stg_{entry['tap_stream_id']}.sql"
        if not path.is_file():
            continue
        names = dict(STAGED.findall(path.read_text(encoding="utf-8")))
        keys = ", ".join(f"`{names[key]}`" for key in entry["key_properties"])
        yield from ("", f"### `{path.stem}`", "")
        yield f"From the stream `{entry['tap_stream_id']}`. Key: {keys}."
        yield ""
        fields = entry["schema"]["properties"]
        rows = (
            (
                f"`{name}`",
                f"`{field}`",
                kind_of(fields[field]),
                fields[field].get("description", ""),
            )
            for field, name in names.items()
            if field in fields
        )
        yield from table(("Column", "Field", "Type", "What it is"), rows)


def mart_tables() -> Iterator[str]:
    """Describe the marts by what is said of them to dbt."""
    text = (MODELS / "marts" / "marts.yml").read_text(encoding="utf-8")
    for mart in yaml.safe_load(text)["models"]:
        yield from ("", f"### `{mart['name']}`", "", mart["description"])
        for test in mart.get("data_tests", []):
            keys = ", ".join(f"`{key}`" for key in test["key"]["arguments"]["columns"])
            yield from ("", f"Key: {keys}.")
        yield ""
        rows = ((f"`{x['name']}`", x["description"]) for x in mart["columns"])
        yield from table(("Column", "What it is"), rows)


def analysts_page() -> Iterator[str]:
    """Write the tables into the page for analysts, and leave the rest as it is."""
    before, _, rest = ANALYSTS.read_text(encoding="utf-8").partition(BEGIN)
    yield from before.splitlines()
    yield BEGIN
    yield from ("", "## The marts")
    yield from mart_tables()
    yield from ("", "## The staging tables", "")
    yield (
        "One for each stream, with the names of databases, amounts as `decimal(18,4)`, "
        "days as `date` and times as `timestamp` in UTC. Arrays are left out: the flat "
        "streams have them."
    )
    yield from staging_tables()
    yield ""
    yield END + rest.partition(END)[2].rstrip("\n")


# -- the definition for Meltano Hub ---------------------------------------------


HUB_NOTE = """\
# The definition for Meltano Hub, where it belongs under
# _data/meltano/extractors/tap-betterdata/. Written by docs/generate.py.
# To be filled in when it is sent there: `variant` (the owner of the repository, the
# Hub's usual name for it), `repo` and `logo_url`.
"""


def hub_setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a setting as the Hub does."""
    kind = kind_of(schema).split()[0]
    if schema.get("secret"):
        kind = "password"
    elif "enum" in schema:
        kind = "options"
    elif name.endswith("_date"):
        kind = "date_iso8601"
    setting = {
        "name": name,
        "label": schema["title"],
        "kind": kind,
        "description": COMMON.get(name) or schema["description"],
    }
    if "default" in schema:
        setting["value"] = schema["default"]
    if schema.get("secret"):
        setting["sensitive"] = True
    if "enum" in schema:
        setting["options"] = [
            {"label": value.capitalize(), "value": value} for value in schema["enum"]
        ]
    return setting


def hub_definition() -> Iterator[str]:
    """Write the definition of the tap for Meltano Hub."""
    about = ask_tap("--about")
    settings: dict[str, dict[str, Any]] = about["settings"]["properties"]
    name = about["name"]
    definition = {
        "name": name,
        "namespace": name.replace("-", "_"),
        "variant": "betterdata",
        "label": "Better Data",
        "description": "Inventory, available-to-promise and inventory analytics.",
        "domain_url": "https://betterdata.co",
        "pip_url": name,
        "executable": name,
        "maintenance_status": "active",
        "quality": "silver",
        "keywords": ["api", "inventory", "meltano_sdk", "supply chain"],
        "capabilities": sorted(about["capabilities"]),
        "log_parser": "singer-sdk",
        "supported_python_versions": about["supported_python_versions"],
        "settings_group_validation": [["api_key"]],
        "settings": [hub_setting(name, schema) for name, schema in settings.items()],
    }
    yield from HUB_NOTE.splitlines()
    text = yaml.safe_dump(definition, sort_keys=False, allow_unicode=True, width=88)
    yield from text.splitlines()


FILES = {
    "docs/analysts.md": analysts_page,
    "docs/settings.md": settings_page,
    "docs/streams.md": streams_page,
    "hub/tap-betterdata.yml": hub_definition,
}


def main() -> int:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the files are")
    options = parser.parse_args()
    stale = []
    for name, content in FILES.items():
        path = options.root / name
        text = "".join(f"{line}\n" for line in content())
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not options.check:
                path.write_text(text, encoding="utf-8")
    if options.check and stale:
        sys.stderr.write(f"Not what the code says: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
