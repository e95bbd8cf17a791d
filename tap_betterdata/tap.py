"""The tap: its settings and its streams."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, ClassVar

import click
from dotenv import find_dotenv, load_dotenv
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import (
    CapabilitiesEnum,
    PluginCapabilities,
    TapCapabilities,
)
from singer_sdk.tap_base import CliTestOptionValue

from tap_betterdata import streams
from tap_betterdata.bookmarks import check_state, read_bookmarks
from tap_betterdata.command import LineCommand, hide
from tap_betterdata.compat import override
from tap_betterdata.errors import SettingsError, redact
from tap_betterdata.periods import GRANULARITIES, default_start
from tap_betterdata.run import SANDBOX_SCHEME, Run, check_url
from tap_betterdata.stream import BetterDataStream
from tap_betterdata.writer import LineWriter

if TYPE_CHECKING:
    from types import FrameType


API_URL = "https://app.betterdata.co/api"
# Visible ASCII: anything else can't stand in a header.
_KEY = r"^[!-~]+(?![\s\S])"
_TEXT = r"^[ -~]+(?![\s\S])"
# A time may follow; it is of no account.
_DATE = r"^\d{4}-\d{2}-\d{2}(T\S*)?(?![\s\S])"
_NO_KEY = (
    "api_key is missing: set it, or TAP_BETTERDATA_API_KEY with --config=ENV, or set "
    "api_url to sandbox: to try without one"
)
_VARIABLES = "TAP_BETTERDATA_"
_FLAGS = dict.fromkeys(("true", "1", "yes", "on", "false", "0", "no", "off"))
# By the types of settings: what a variable must be, and what fails if it isn't.
_READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "integer": ("whole number", int),
    "boolean": ("true or false", lambda value: _FLAGS[value.lower()]),
    "array": ("JSON array", json.loads),
    "object": ("JSON object", json.loads),
}
# How long a write that goes on may keep a signal from ending the run.
_WRITE_SECONDS = 3.0
# What shells report for a command that a signal ended.
_SIGNAL_EXIT = 128


class TapBetterData(Tap):
    """Singer tap for the Better Data SCM API."""

    name = "tap-betterdata"
    package_name = "tap-betterdata"
    message_writer_class = LineWriter
    _is_made = False

    capabilities: ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.BATCH,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    config_jsonschema: ClassVar[dict[str, Any]] = {
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
                th.StringType(pattern=_DATE),
                title="Start date",
                description=(
                    "The first day of analytics (YYYY-MM-DD). Default: the first day "
                    "of the month 12 months back. It hides no stock from inventory."
                ),
            ),
            th.Property(
                "end_date",
                th.StringType(pattern=_DATE),
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
                th.StringType(pattern=_TEXT),
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
                    "How far before its bookmark the inventory is read again, for "
                    "changes that became visible late."
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
                "max_extra_requests",
                th.IntegerType(minimum=0),
                title="Maximum extra requests",
                description=(
                    "How many pages of a list may be read again to mend what moved "
                    "while it was read. Default: a tenth of its pages, at least 10."
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

    def __init__(
        self,
        *,
        config: Any = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Make the tap, and check its settings.

        Args:
            config: The settings.
            parse_env_config: Whether variables hold settings too.
            validate_config: Whether the settings must be whole and right.
            **kwargs: As for the base class.

        Raises:
            SettingsError: If a setting can't be used.
        """
        if parse_env_config:
            # The SDK looks for .env beside its own files, not where the user is.
            load_dotenv(find_dotenv(usecwd=True))
            self.append_builtin_config(self.config_jsonschema)
            _check_variables(self.config_jsonschema)
        if isinstance(config, Mapping):
            # Some systems hand over settings that are not set as null.
            config = {name: config[name] for name in config if config[name] is not None}
        if not validate_config and not isinstance(config, (str, PurePath, list)):
            # To say what the streams are takes no key; the SDK would warn of it.
            config = {"api_key": "none", **(config or {})}
        hide(_keys(config))
        try:
            super().__init__(
                config=config,
                parse_env_config=parse_env_config,
                validate_config=validate_config,
                **kwargs,
            )
        except ConfigValidationError as error:
            msg = f"Settings: {_say(error.errors)}"
            raise SettingsError(msg) from None
        if validate_config:
            check_url(self.config["api_url"])
            self.run.window = _window(self.config)
        self._is_made = True

    @cached_property
    def run(self) -> Run:
        """What the streams of this run share."""
        return Run(self.config, self.logger)

    @override
    def discover_streams(self) -> list[BetterDataStream]:
        """Return the streams; the SDK runs them in the order of their names.

        That order matters: the inventory comes first, and the others learn the
        locations from it.

        Returns:
            All streams.
        """
        inventory = streams.InventoryStream(self, self.run)
        self.run.locations.learn = inventory.learn_locations
        self.run.locations.holds_stock = inventory.holds_stock
        return [
            inventory,
            streams.InventoryAnalyticsStream(self, self.run),
            streams.InventoryAnalyticsCategoriesStream(self, self.run),
            streams.InventoryAtpStream(self, self.run),
            streams.InventoryAtpChannelsStream(self, self.run),
        ]

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Check the state, and take from it what is known.

        Args:
            state: The state of an earlier run.

        Raises:
            StateError: If it holds a bookmark that can't be read.
        """
        bookmarks = read_bookmarks(state)
        for name, stream in self.streams.items():
            if name in bookmarks and isinstance(stream, BetterDataStream):
                unknown = check_state(
                    name, bookmarks[name], stream.state_fields, stream.replication_key
                )
                stream.recall_locations(bookmarks[name])
                if unknown:
                    self.logger.warning(
                        "The state of %s holds fields that mean nothing to this "
                        "version: %s. They are left alone.",
                        name,
                        ", ".join(sorted(set(unknown))),
                    )
        for name in bookmarks.keys() - self.streams.keys():
            self.logger.warning(
                "The state holds bookmarks of %s, which is no stream of this tap. They "
                "are left alone.",
                name,
            )
        super().load_state(state)

    def check_key(self) -> str:
        """Ask for the smallest page there is.

        Returns:
            A line that says that the key works.

        Raises:
            TapError: If it doesn't.
        """
        inventory = streams.InventoryStream(self, self.run)
        places = self.run.locations.configured
        page = inventory.read_page({"locationId": places[0]} if places else {}, 1, 1)
        shown = "stock items" if page.total is None else f"{page.total} stock items"
        where = f" in location {places[0]}" if places else ""
        return f"The key works: {self.run.api_url} shows {shown}{where}."

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Say whether the key works, with one request.

        The SDK's own test reads every stream, and says nothing if that works.

        Args:
            ctx: The command's context.
            param: The option.
            value: Which test: `all`, `schema` or `disabled`.
        """
        if value != CliTestOptionValue.All.value:
            super().cb_test(ctx, param, value)
            return
        given = ctx.params["config"]
        tap = cls(config=given.config, parse_env_config=given.parse_env)
        try:
            click.echo(tap.check_key())
        finally:
            tap.run.finish()
        ctx.exit()

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> Any:
        """Read the settings' files, and name the one that can't be read.

        Args:
            ctx: The command's context.
            param: The option.
            value: Paths, or `ENV`.

        Returns:
            What the SDK makes of them.

        Raises:
            SettingsError: If one of them can't be read.
        """
        try:
            return super().cb_config(ctx, param, value)
        except (ValueError, TypeError, OSError) as error:
            msg = f"--config {' '.join(value)}: not a JSON file of settings ({error})"
            raise SettingsError(redact(msg)) from None

    @classmethod
    @override
    def invoke(
        cls,
        *,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Run the tap; the SDK reads state and catalog without a word on what failed.

        Args:
            state: The file given with `--state`.
            catalog: The file given with `--catalog`.
            **kwargs: As for the base class.
        """
        super().invoke(
            state=_as_json("--state", state),
            catalog=_as_json("--catalog", catalog),
            **kwargs,
        )

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command, with failures in one line.

        Returns:
            The command.
        """
        command = super().get_singer_command()
        return LineCommand(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=cls.logger,
        )

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End the run on a signal, with the last state and an exit code that tells.

        The SDK exits with 0, which makes a run that was cut short look whole. There
        is no public hook for it.

        Args:
            signum: The signal.
            frame: Not used.
        """
        del frame
        code = _SIGNAL_EXIT + signum
        said = f"Stopped by {signal.Signals(signum).name}"
        if not self._is_made:
            # There is no state yet, or not all of it.
            self.logger.error("%s before anything was read.", said)
            raise SystemExit(code)
        self.run.stop.set()
        writer = self.message_writer

        def leave() -> None:
            if isinstance(writer, LineWriter):
                writer.on_signal = None
            if self.state:
                self.state_writer.write_state(self.state)
            self.logger.error("%s: run again, it goes on from the state.", said)
            raise SystemExit(code)

        def give_up() -> None:
            self.logger.error(
                "%s, while the target takes nothing more: run again, it goes on from "
                "the state that the target has kept.",
                said,
            )
            os._exit(code)

        if not isinstance(writer, LineWriter) or not writer.writing:
            leave()
        elif writer.on_signal is None:
            writer.on_signal = leave
            timer = threading.Timer(_WRITE_SECONDS, give_up)
            timer.daemon = True
            timer.start()
        else:
            give_up()


def _window(config: Mapping[str, Any]) -> tuple[date, date]:
    """Return the first and the last day of analytics."""
    today = datetime.now(tz=UTC).date()
    start = _day(config, "start_date", default_start(today))
    end = _day(config, "end_date", today)
    if start > end:
        msg = f"start_date {start} lies after end_date {end}"
        raise SettingsError(msg)
    return start, end


def _day(config: Mapping[str, Any], name: str, default: date) -> date:
    if not config.get(name):
        return default
    try:
        return date.fromisoformat(config[name][:10])
    except ValueError:
        msg = f"{name} {config[name]!r} is no date: write it as YYYY-MM-DD"
        raise SettingsError(msg) from None


def _keys(config: object) -> list[str]:
    """Return the keys that the tap may have been given, of whatever type."""
    given = config.get("api_key") if isinstance(config, Mapping) else None
    found = (str(given or ""), os.environ.get(f"{_VARIABLES}API_KEY", ""))
    # Without the line break that a key read from a file may end with, too.
    return [form for key in found for form in (key, key.strip()) if form]


def _say(errors: list[str]) -> str:
    """Say what is wrong with the settings."""
    return "; ".join(
        _NO_KEY if "'api_key' is a required" in error else error for error in errors
    )


def _check_variables(schema: Mapping[str, Any]) -> None:
    """Check the variables that aren't any text; the SDK doesn't name the wrong one."""
    for name, setting in schema["properties"].items():
        variable = f"{_VARIABLES}{name.upper()}"
        value = os.environ.get(variable)
        if value is None:
            continue
        if "array" in setting["type"] and not value.lstrip().startswith("["):
            # The SDK takes the spaces after commas for parts of the names.
            parts = [part.strip() for part in value.split(",")]
            os.environ[variable] = json.dumps([part for part in parts if part])
            continue
        for kind, (wanted, read) in _READERS.items():
            if kind in setting["type"]:
                try:
                    read(value)
                except (KeyError, ValueError):
                    msg = f"{variable} is {value!r:.40}, which is no {wanted}"
                    raise SettingsError(msg) from None


def _as_json(option: str, file: IO[str] | None) -> IO[str] | None:
    """Check that a file that was handed to the command holds JSON."""
    if file is None:
        return None
    text = file.read()
    try:
        value = json.loads(text)
    except ValueError as error:
        msg = f"{option} {file.name}: not JSON ({error})"
        raise SettingsError(msg) from None
    if not isinstance(value, dict):
        msg = f"{option} {file.name}: not a JSON object"
        raise SettingsError(msg)
    return io.StringIO(text)
