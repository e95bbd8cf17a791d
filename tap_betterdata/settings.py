"""The settings: their schema, and what they must be."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from singer_sdk import typing as th

from tap_betterdata.api.connection import SANDBOX_SCHEME
from tap_betterdata.api.errors import SettingsError
from tap_betterdata.api.redaction import quote
from tap_betterdata.api.session import is_loopback
from tap_betterdata.inputs import check_certificates, variable_of
from tap_betterdata.setting_faults import DATE, TEXT, WORDS, fault_of
from tap_betterdata.state.periods import GRANULARITIES, default_start
from tap_betterdata.streams import STREAMS
from tap_betterdata.streams.extra import DECLARATION, find_fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


API_URL = "https://app.betterdata.co/api"
# Visible ASCII: anything else can't stand in a header.
_KEY = r"^[!-~]+(?![\s\S])"
_NO_URL = "api_url must be an https:// address, or sandbox: for the stand-in"

SCHEMA: dict[str, Any] = {
    **th.PropertiesList(
        th.Property(
            "api_key",
            th.StringType(pattern=_KEY),
            secret=True,
            title="API key",
            description=(
                "A key with the permission inventory.read. Required, except "
                "with the sandbox."
            ),
        ),
        th.Property(
            "api_url",
            th.StringType(min_length=1),
            default=API_URL,
            title="API URL",
            description=(
                "The API's base URL; sandbox: (also sandbox:?items=20000"
                "&locations=8) for a stand-in with made-up data."
            ),
        ),
        th.Property(
            "location_ids",
            th.ArrayType(th.StringType(min_length=1)),
            title="Location IDs",
            description=(
                "Read these locations only. Not set: all locations that the "
                "inventory shows."
            ),
        ),
        th.Property(
            "start_date",
            th.StringType(pattern=DATE),
            title="Start date",
            description=(
                "The first day of analytics (YYYY-MM-DD). Default: the first day "
                "of the month 12 months back. It hides no stock from inventory."
            ),
        ),
        th.Property(
            "end_date",
            th.StringType(pattern=DATE),
            title="End date",
            description=(
                "The last day of analytics (YYYY-MM-DD). Default: today, UTC."
            ),
        ),
        th.Property(
            "analytics_granularity",
            th.StringType(allowed_values=list(GRANULARITIES)),
            default="month",
            title="Analytics granularity",
            description=(
                "How the time of analytics is cut, a request for each period and "
                "location; range is one period over it all."
            ),
        ),
        th.Property(
            "page_size",
            th.IntegerType(minimum=1, maximum=200),
            title="Page size",
            description=(
                "Rows asked for with a page. Default: the most that each endpoint "
                "takes, which costs the fewest requests."
            ),
        ),
        th.Property(
            "request_timeout",
            th.IntegerType(minimum=1, maximum=3600),
            default=120,
            title="Request timeout",
            description="Seconds within which a whole answer must be there.",
        ),
        th.Property(
            "user_agent",
            th.StringType(pattern=TEXT),
            title="User agent",
            description="What the tap calls itself. Default: its name and version.",
        ),
        th.Property(
            "requests_per_minute",
            th.IntegerType(minimum=0),
            default=100,
            title="Requests per minute",
            description="The key's budget for a minute; 0 for no limit.",
        ),
        th.Property(
            "requests_per_hour",
            th.IntegerType(minimum=0),
            default=1000,
            title="Requests per hour",
            description="The key's budget for an hour; 0 for no limit.",
        ),
        th.Property(
            "rate_limit_max_wait",
            th.IntegerType(minimum=0),
            default=3900,
            title="Rate limit maximum wait",
            description=(
                "Seconds for which the API may keep the tap waiting, at one go, "
                "before the run stops."
            ),
        ),
        th.Property(
            "max_retries",
            th.IntegerType(minimum=0, maximum=100),
            default=8,
            title="Maximum retries",
            description=(
                "How often a request that failed is sent again; 8 ride out about "
                "three minutes."
            ),
        ),
        th.Property(
            "concurrency",
            th.IntegerType(minimum=1, maximum=32),
            default=8,
            title="Concurrency",
            description="How many requests are under way at once.",
        ),
        th.Property(
            "lookback_minutes",
            th.IntegerType(minimum=0),
            default=10,
            title="Lookback minutes",
            description=(
                "How late a change may become visible with its time stamp: so many "
                "minutes may pass from the stamp to the commit. What takes longer may "
                "be missed."
            ),
        ),
        th.Property(
            "analytics_lookback_periods",
            th.IntegerType(minimum=0),
            default=1,
            title="Analytics lookback periods",
            description=(
                "How many closed periods are read again besides the running one, "
                "since late bookings change them."
            ),
        ),
        th.Property(
            "extra_streams",
            th.ArrayType(DECLARATION),
            title="Extra streams",
            description=(
                "Lists of the API that the tap does not know, each as an object with "
                "name, path, records_key, key_fields and paging, and maybe page_size "
                "and params."
            ),
        ),
        th.Property(
            "max_extra_requests",
            th.IntegerType(minimum=0),
            title="Maximum extra requests",
            description=(
                "How many requests beyond the least a list may take when it moves "
                "while it is read. Default: as many as the list has pages and 10 more "
                "for a list that the API sorts; a tenth of its pages, at least 10, for "
                "one that it doesn't sort."
            ),
        ),
        th.Property(
            "on_inexact",
            th.StringType(allowed_values=["fail", "warn"]),
            default="fail",
            title="On inexact",
            description=(
                "Whether a run exits non-zero (fail) or only says so (warn) when "
                "data moved so much that it can't tell that nothing is missing."
            ),
        ),
        th.Property(
            "emit_activate_version_messages",
            th.BooleanType,
            default=False,
            title="Emit ACTIVATE_VERSION messages",
            description=(
                "After a full-table stream that was read whole and exactly, tell "
                "the target to drop rows that are gone at the source."
            ),
        ),
    ).to_dict(),
    "if": {
        "properties": {"api_url": {"pattern": f"^{SANDBOX_SCHEME}"}},
        "required": ["api_url"],
    },
    "else": {"required": ["api_key"]},
}


def without_unset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not set: Meltano and others hand it over as null or empty."""
    return {name: value for name, value in config.items() if value not in (None, "")}


def check(
    config: Mapping[str, Any], schema: Mapping[str, Any], variables: Iterable[str] = ()
) -> None:
    """Check the settings; those that come from variables are called by their names.

    Raises:
        SettingsError: If some are missing or wrong.
    """
    names = {name: variable_of(name) for name in variables}
    errors = th.DEFAULT_JSONSCHEMA_VALIDATOR(schema).iter_errors(config)
    if faults := [fault_of(error, names) for error in errors]:
        raise SettingsError("; ".join(dict.fromkeys(faults)))
    known = {stream.name: stream.path for stream in STREAMS}
    if fault := find_fault(config.get("extra_streams") or (), known):
        raise SettingsError(fault)
    _check_batches(config.get("batch_config") or {})
    url = config.get("api_url", API_URL)
    check_url(url)
    if url.startswith("https"):
        check_certificates()


def _check_batches(batches: Mapping[str, Any]) -> None:
    """Check that batch files have a format and a place, which the SDK expects."""
    needed = {"encoding.format": "jsonl", "storage.root": "file:///srv/batches"}
    for path, example in needed.items() if batches else ():
        part, name = path.split(".")
        if not (batches.get(part) or {}).get(name):
            msg = f"batch_config.{path} is missing: set it, such as to {example}"
            raise SettingsError(msg)


def check_url(url: str) -> None:
    """Check that a base URL is one that the key may be sent to."""
    if url.startswith(SANDBOX_SCHEME):
        return
    try:
        # As it will be sent: what others take for the host may be another.
        prepared = requests.Request("GET", url).prepare()
        parts = urlsplit(str(prepared.url))
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise SettingsError(_NO_URL)
    if parts.scheme == "http" and not is_loopback(host):
        msg = "api_url must begin with https://: over plain http the key could be read"
        raise SettingsError(msg)
    if "@" in parts.netloc:
        msg = (
            "api_url must be an address alone, without a user or password before an @: "
            "the API takes the key, and nothing else"
        )
        raise SettingsError(msg)


def analytics_window(config: Mapping[str, Any], today: date) -> tuple[date, date]:
    """Return the first and the last day of analytics; today is the last by default.

    The first lies after the last if it is still to come: there is nothing to read yet.
    """
    start = _day(config, "start_date", default_start(today))
    end = _day(config, "end_date", today)
    if start > end and config.get("end_date"):
        msg = f"start_date {start} lies after end_date {end}"
        raise SettingsError(msg)
    return start, end


def _day(config: Mapping[str, Any], name: str, default: date) -> date:
    if not config.get(name):
        return default
    try:
        return date.fromisoformat(config[name][:10])
    except ValueError:
        msg = f"{name} is {quote(config[name])}: it takes {WORDS[DATE]}"
        raise SettingsError(msg) from None
