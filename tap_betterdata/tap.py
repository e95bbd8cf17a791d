"""The tap: its streams and its life cycle."""

from __future__ import annotations

import os
import signal
import threading
from copy import deepcopy
from datetime import UTC, date, datetime
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, NoReturn

import click
from singer_sdk import Tap
from singer_sdk.mapper import RemoveRecordTransform
from singer_sdk.singerlib import Catalog, StateMessage
from singer_sdk.tap_base import CliTestOptionValue

from tap_betterdata.api.connection import SANDBOX_SCHEME
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
from tap_betterdata.setting_faults import describe_unknown
from tap_betterdata.settings import (
    SCHEMA,
    analytics_window,
    check,
    without_unset,
)
from tap_betterdata.state.bookmarks import check_state, read_bookmarks
from tap_betterdata.streams import STREAMS
from tap_betterdata.streams.base import BetterDataStream
from tap_betterdata.streams.extra import ExtraStream
from tap_betterdata.streams.inventory import InventoryStream
from tap_betterdata.streams.periodic import PeriodicStream
from tap_betterdata.streams.run_context import RunContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from singer_sdk.singerlib import CatalogEntry

# What shells report for a command that a signal ended.
_SIGNAL_EXIT = 128


def _start_timer(
    seconds: float, function: Callable[..., object], *args: object
) -> threading.Timer:
    timer = threading.Timer(seconds, function, args)
    timer.daemon = True
    timer.start()
    return timer


def _is_selected(entry: CatalogEntry) -> bool:
    return bool(entry.metadata.resolve_selection().get((), True))


class _KeyTest(InventoryStream):
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
    message_writer: LineWriter
    # How long a write that goes on may keep a signal from ending the run.
    write_seconds = 3.0
    _is_made = False
    _is_stopped = False

    # A copy: the SDK adds its own settings.
    config_jsonschema: ClassVar[dict[str, Any]] = deepcopy(SCHEMA)

    def __init__(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        **kwargs: Any,
    ) -> None:
        """Make the tap, and check its settings."""
        schema = self.config_jsonschema
        self.append_builtin_config(schema)
        variables: dict[str, Any] = {}
        if parse_env_config:
            # Not by the SDK: it takes `.env` from any folder above its own files.
            load_env_file(self.logger)
            variables = read_variables(schema)
            names = ", ".join(map(variable_of, variables)) or "none is set"
            self.logger.info("Settings from variables: %s.", names)
        settings = without_unset({**(config or {}), **variables})
        hide([str(settings.get("api_key", ""))])
        guard_log()
        if validate_config:
            for line in describe_unknown(
                settings, schema, with_variables=parse_env_config
            ):
                self.logger.warning("%s", line)
            check(settings, schema, variables)
        else:
            # To say what the streams are takes those that are declared, and no key.
            declared = settings.get("extra_streams", [])
            offline = {"api_url": SANDBOX_SCHEME, "extra_streams": declared}
            check(offline, schema, variables)
            settings = {"api_key": "none", **settings}
        self._heed_hangup()
        super().__init__(config=settings, validate_config=validate_config, **kwargs)
        self._check_selection()
        if validate_config:
            today = datetime.now(tz=UTC).date()
            self.run.window = analytics_window(self.config, today)
            self._warn_of_a_late_start(today)
        self._is_made = True

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

    def _warn_of_a_late_start(self, today: date) -> None:
        start, end = self.run.window
        periodic = [s for s in self.streams.values() if isinstance(s, PeriodicStream)]
        if start > end and any(stream.selected for stream in periodic):
            self.logger.warning(
                "The start_date %s is still to come (today is %s, UTC): analytics has "
                "nothing to read yet.",
                start,
                today,
            )

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

    @cached_property
    def run(self) -> RunContext:
        """What the streams of this run share."""
        return RunContext(self.config, self.logger, self.message_writer)

    @override
    def discover_streams(self) -> list[BetterDataStream]:
        """Return the streams; the SDK runs them in the order of their names.

        That order matters: the inventory comes before those that learn the locations
        from it.
        """
        entries = self.config.get("extra_streams") or ()
        return [
            *(stream(self, self.run) for stream in STREAMS),
            *(ExtraStream(self, self.run, declared) for declared in entries),
        ]

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        """Check the state, and take from it what is known."""
        for name, kept in sorted(read_bookmarks(state).items()):
            stream = self.streams.get(name)
            if isinstance(stream, BetterDataStream):
                unknown = check_state(name, kept, stream.replication_key)
                stream.recall(kept)
                if unknown:
                    self.logger.warning(
                        "The state of %s holds fields that mean nothing to this "
                        "version: %s. They are left alone.",
                        name,
                        ", ".join(unknown),
                    )
            elif isinstance(kept, dict):
                self.logger.warning(
                    "The state holds bookmarks of %s, which is no stream of this tap. "
                    "They are left alone.",
                    name,
                )
            else:
                msg = f"The state of {quote(name)} is no JSON object"
                raise StateError(msg)
        super().load_state(state)

    def check_key(self) -> str:
        """Ask for the smallest page there is, and say in a line that the key works."""
        inventory = _KeyTest(self, self.run)
        partition = inventory.partitions_to_read()[0]
        page = inventory.read_page(partition, 1, 1)
        shown = "stock items" if page.total is None else f"{page.total} stock items"
        location = partition.get("locationId")
        where = f" in location {location}" if location else ""
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
        """Read the settings' files, and name the one that can't be read."""
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
        if self._is_stopped:
            # Some send it twice.
            return
        self._is_stopped = True
        self.run.connection.stop.set()
        blocked = _start_timer(
            self.write_seconds,
            self._end,
            f"{said}, while the target takes nothing more: run again, it goes on from "
            "the state that the target has kept.",
            code,
        )
        writer = self.message_writer

        def leave() -> None:
            writer.on_signal = None
            if self.state:
                self.write_message(StateMessage(self.state))
            blocked.cancel()
            self._end(f"{said}: run again, it goes on from the state.", code)

        if writer.writing:
            writer.on_signal = leave
        else:
            leave()

    def _end(self, line: str, code: int) -> NoReturn:
        """Say why, as the last thing in the log, and leave without another word."""
        # Perhaps nobody reads the log.
        _start_timer(self.write_seconds, os._exit, code)
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
