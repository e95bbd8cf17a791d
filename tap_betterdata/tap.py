"""The tap: its streams and its life cycle."""

from __future__ import annotations

import os
import signal
import threading
import time
from copy import deepcopy
from datetime import UTC, date, datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, NoReturn

import click
from singer_sdk import Tap
from singer_sdk.helpers.capabilities import (
    CapabilitiesEnum,
    PluginCapabilities,
    TapCapabilities,
)
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib import Catalog, StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_betterdata import streams
from tap_betterdata.api.errors import SettingsError, StateError
from tap_betterdata.api.redaction import hide, quote, redact
from tap_betterdata.compat import override
from tap_betterdata.inputs import (
    as_text_file,
    load_env_file,
    read_object,
    read_variables,
    variable_of,
)
from tap_betterdata.output.command import LineCommand, guard_log
from tap_betterdata.output.writer import LineWriter
from tap_betterdata.setting_faults import unknown_settings, unknown_variables
from tap_betterdata.settings import (
    SCHEMA,
    analytics_window,
    check,
    check_extra_streams,
    keys_in,
    without_unset,
)
from tap_betterdata.state.bookmarks import check_state, read_bookmarks
from tap_betterdata.streams.base import BetterDataStream
from tap_betterdata.streams.extra import ExtraStream
from tap_betterdata.streams.periodic import PeriodicStream
from tap_betterdata.streams.run_context import RunContext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from singer_sdk.singerlib import CatalogEntry

# Within what time a signal that comes again is the same one.
_TWICE_SECONDS = 1.0
# What shells report for a command that a signal ended.
_SIGNAL_EXIT = 128


def _is_selected(entry: CatalogEntry) -> bool:
    return bool(entry.metadata.resolve_selection().get((), True))


class _KeyTest(streams.InventoryStream):
    """Asks for one item, and not for long: somebody sits there and waits."""

    @override
    def backoff_max_tries(self) -> int:
        """Return how often it asks."""
        return min(super().backoff_max_tries(), 2)


class TapBetterData(Tap):
    """Singer tap for the Better Data SCM API."""

    name = "tap-betterdata"
    package_name = "tap-betterdata"
    message_writer_class = LineWriter
    # How long a write that goes on may keep a signal from ending the run.
    write_seconds = 3.0
    _is_made = False
    _stopped_at: float | None = None
    _is_ending = False

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

    # A copy: the SDK adds its own settings.
    config_jsonschema: ClassVar[dict[str, Any]] = deepcopy(SCHEMA)

    def __init__(
        self,
        *,
        config: Any = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Make the tap, and check its settings.

        Raises:
            SettingsError: If a setting can't be used.
        """
        settings, variables = self._read_settings(config, parse_env=parse_env_config)
        hide(keys_in(settings))
        guard_log()
        if validate_config:
            self._warn_of_unknown(settings, parse_env=parse_env_config)
            check(settings, self.config_jsonschema, variables)
        else:
            # To say what the streams are takes no key; the SDK would warn of it.
            settings = {"api_key": "none", **settings}
            check_extra_streams(settings, self.config_jsonschema, variables)
        self._heed_hangup()
        super().__init__(config=settings, validate_config=validate_config, **kwargs)
        self._check_selection()
        if validate_config:
            self.run.window = self._find_window()
        self._is_made = True

    def _read_settings(
        self, config: Any, *, parse_env: bool
    ) -> tuple[dict[str, Any], list[str]]:
        """Put the settings together, variables first; and say which come from those."""
        self.append_builtin_config(self.config_jsonschema)
        variables: dict[str, Any] = {}
        if parse_env:
            # Not by the SDK: it takes `.env` from any folder above its own files.
            load_env_file(self.logger)
            variables = read_variables(self.config_jsonschema)
            names = ", ".join(map(variable_of, variables)) or "none is set"
            self.logger.info("Settings from variables: %s.", names)
        return without_unset({**(config or {}), **variables}), list(variables)

    def _warn_of_unknown(self, settings: Mapping[str, Any], *, parse_env: bool) -> None:
        schema = self.config_jsonschema
        lines = [unknown_settings(settings, schema)]
        if parse_env:
            lines.append(unknown_variables(schema))
        for line in filter(None, lines):
            self.logger.warning("%s", line)

    def _check_selection(self) -> None:
        """Refuse a catalog that selects what the tap does not have."""
        missing = [
            name
            for name, entry in (self.input_catalog or {}).items()
            if name not in self.streams and _is_selected(entry)
        ]
        if missing:
            msg = (
                f"The catalog selects {redact(', '.join(map(repr, missing)))}, which "
                f"this tap does not have: it has {', '.join(self.streams)}"
            )
            raise SettingsError(msg)

    @property
    @override
    def catalog(self) -> Catalog:
        """What is selected: stream maps are made of it, and of nothing else."""
        entries = filter(_is_selected, super().catalog.streams)
        return Catalog((entry.tap_stream_id, entry) for entry in entries)

    @override
    def setup_mapper(self) -> None:
        """Set up the stream maps; a stream that they drop is not read."""
        super().setup_mapper()
        for name, stream_maps in self.mapper.stream_maps.items():
            is_dropped = all(isinstance(m, RemoveRecordTransform) for m in stream_maps)
            if is_dropped and name in self.streams:
                self.streams[name].selected = False

    def _find_window(self) -> tuple[date, date]:
        today = datetime.now(tz=UTC).date()
        start, end = analytics_window(self.config, today)
        if start > end and any(
            stream.selected
            for stream in self.streams.values()
            if isinstance(stream, PeriodicStream)
        ):
            self.logger.warning(
                "The start_date %s is still to come (today is %s, UTC): analytics has "
                "nothing to read yet.",
                start,
                today,
            )
        return start, end

    @cached_property
    def run(self) -> RunContext:
        """What the streams of this run share."""
        return RunContext(self.config, self.logger)

    @override
    def discover_streams(self) -> list[BetterDataStream]:
        """Return the streams; the SDK runs them in the order of their names.

        That order matters: the inventory comes before those that learn the locations
        from it.
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
            streams.TransferRecommendationsStream(self, self.run),
            streams.AlertsConfigStream(self, self.run),
            *(
                ExtraStream(self, self.run, declared)
                for declared in self.config.get("extra_streams") or ()
            ),
        ]

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Check the state, and take from it what is known.

        Raises:
            StateError: If it holds a bookmark that can't be read.
        """
        bookmarks = read_bookmarks(state)
        for name, stream in self.streams.items():
            if name in bookmarks and isinstance(stream, BetterDataStream):
                unknown = check_state(
                    name, bookmarks[name], stream.state_fields, stream.replication_key
                )
                stream.recall(bookmarks[name])
                if unknown:
                    self.logger.warning(
                        "The state of %s holds fields that mean nothing to this "
                        "version: %s. They are left alone.",
                        name,
                        ", ".join(sorted(set(unknown))),
                    )
        for name in bookmarks.keys() - self.streams.keys():
            if not isinstance(bookmarks[name], dict):
                msg = f"The state of {quote(name)} is no JSON object"
                raise StateError(msg)
            self.logger.warning(
                "The state holds bookmarks of %s, which is no stream of this tap. They "
                "are left alone.",
                name,
            )
        super().load_state(state)

    def check_key(self) -> str:
        """Ask for the smallest page there is, and say in a line that the key works.

        Raises:
            TapError: If it doesn't.
        """
        inventory = _KeyTest(self, self.run)
        places = self.run.locations.configured
        page = inventory.read_page({"locationId": places[0]} if places else {}, 1, 1)
        shown = "stock items" if page.total is None else f"{page.total} stock items"
        where = f" in location {places[0]}" if places else ""
        return f"The key works: {self.run.connection.api_url} shows {shown}{where}."

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Say whether the key works, with one request.

        The SDK's own test reads every stream, and says nothing if that works.
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

        Raises:
            SettingsError: If one of them can't be read.
        """
        given = super().cb_config(ctx, param, tuple(v for v in value if v == "ENV"))
        for path in value:
            given.config |= {} if path == "ENV" else read_object("--config", path)
        return given

    @classmethod
    @override
    def invoke(cls, *, state: IO[str] | None = None, **kwargs: Any) -> None:
        """Run the tap, and name the file of a state that it refuses."""
        try:
            super().invoke(state=state, **kwargs)
        except StateError as error:
            if state:
                error.args = (f"--state {state.name}: {error}",)
            raise

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        """Return the SDK's command, with failures in one line."""
        command = super().get_singer_command()
        for param in command.params:
            if param.name in {"catalog", "state"}:
                param.type, param.callback = click.Path(), as_text_file
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
        """
        del frame
        code = _SIGNAL_EXIT + signum
        said = f"Stopped by {signal.Signals(signum).name}"
        if not self._is_made:
            # There is no state yet, or not all of it.
            self.say_end(f"{said} before anything was read.")
            raise SystemExit(code)
        writer = self.message_writer

        def leave() -> None:
            if isinstance(writer, LineWriter):
                writer.on_signal = None
            if self.state:
                self.write_message(StateMessage(self.state))
            self._end(f"{said}: run again, it goes on from the state.", code)

        def give_up() -> None:
            self._end(
                f"{said}, while the target takes nothing more: run again, it goes on "
                "from the state that the target has kept.",
                code,
            )

        now = time.monotonic()
        if self._stopped_at is not None:
            # Some send it twice; who sends it again later is tired of waiting.
            if now - self._stopped_at > _TWICE_SECONDS:
                give_up()
            return
        self._stopped_at = now
        self.run.connection.stop.set()
        timer = threading.Timer(self.write_seconds, give_up)
        timer.daemon = True
        timer.start()
        if isinstance(writer, LineWriter) and writer.writing:
            writer.on_signal = leave
        else:
            leave()

    def _end(self, line: str, code: int) -> NoReturn:
        """Say why, as the last thing in the log, and leave without another word."""
        if self._is_ending:
            # The line is on its way, but nobody reads the log.
            os._exit(code)
        self._is_ending = True
        try:
            self.run.progress.close()
            self.say_end(line)
        finally:
            # By no exception: on its way up, timers and threads would be heard.
            os._exit(code)

    def say_end(self, line: str) -> None:
        """Say why a signal ends the run."""
        self.logger.error("%s", line)

    def _heed_hangup(self) -> None:
        """End on SIGHUP as on SIGTERM, unless `nohup` has it ignored."""
        hangup = getattr(signal, "SIGHUP", None)
        is_main = threading.current_thread() is threading.main_thread()
        if hangup and is_main and signal.getsignal(hangup) != signal.SIG_IGN:
            signal.signal(hangup, self._handle_termination)
