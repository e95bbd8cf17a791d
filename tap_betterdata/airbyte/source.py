"""The commands of an Airbyte source, on the tap's own classes."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tap_betterdata.airbyte.catalog import (
    describe_stream,
    read_configured,
    settings_schema,
    singer_catalog,
    singer_state,
)
from tap_betterdata.airbyte.messages import AirbyteWriter, LogHandler, complain, safe
from tap_betterdata.api.errors import IncompleteRunError, OutputError, TapError
from tap_betterdata.compat import override
from tap_betterdata.inputs import read_json, read_object, variable_of
from tap_betterdata.output.command import SafeFormatter, log_failure, prepare
from tap_betterdata.setting_faults import describe_unknown
from tap_betterdata.tap import TapBetterData

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOGGER = logging.getLogger(TapBetterData.name)


class SourceBetterData(TapBetterData):
    """The tap, but what it reads is written as Airbyte's messages."""

    # Whoever stops a source has stopped reading it.
    write_seconds = 0.3

    def __init__(
        self, writer: AirbyteWriter, config: Mapping[str, Any], **kwargs: Any
    ) -> None:
        """Make the source; its writer is told how the streams fare."""
        self._writer = writer
        super().__init__(config=config, message_writer=writer, **kwargs)

    @override
    def say_end(self, line: str) -> None:
        """Say why a signal ends the run."""
        self._writer.stop(line)


def spec(writer: AirbyteWriter, _given: argparse.Namespace) -> int:
    """Write which settings there are."""
    schema = settings_schema()
    writer.write({"type": "SPEC", "spec": {"connectionSpecification": schema}})
    return 0


def check(writer: AirbyteWriter, given: argparse.Namespace) -> int:
    """Ask for the smallest page there is, and write whether the settings work."""
    try:
        source = SourceBetterData(writer, _read_config(given.config))
        with closing(source.run.connection):
            status, line = "SUCCEEDED", source.check_key()
    except Exception as error:  # noqa: BLE001 - it is said, and no failure of the check
        status, line = "FAILED", log_failure(LOGGER, error)
    said = {"status": status, "message": safe(line)}
    _heed_no_signal()
    writer.write({"type": "CONNECTION_STATUS", "connectionStatus": said})
    return 0


def discover(writer: AirbyteWriter, given: argparse.Namespace) -> int:
    """Write which streams there are."""
    source = SourceBetterData(writer, _read_config(given.config), validate_config=False)
    streams = [describe_stream(stream) for stream in source.streams.values()]
    _heed_no_signal()
    writer.write({"type": "CATALOG", "catalog": {"streams": streams}})
    return 0


def read(writer: AirbyteWriter, given: argparse.Namespace) -> int:
    """Read what is configured; each stream says how it went."""
    config = _read_config(given.config)
    catalog = read_object("--catalog", given.catalog)
    configured = read_configured(f"--catalog {given.catalog}", catalog)
    states = read_json("--state", given.state) if given.state else []
    whole = SourceBetterData(writer, config, validate_config=False).catalog_dict
    source = SourceBetterData(
        writer,
        config,
        catalog=singer_catalog(configured, whole),
        state=singer_state(f"--state {given.state}", states, configured),
    )
    with closing(source.run.connection) as connection:
        try:
            source.sync_all()
        except IncompleteRunError as error:
            if isinstance(connection.fatal_error, OutputError):
                raise connection.fatal_error from None
            log_failure(LOGGER, error)
            return 1
    return 0


COMMANDS = {"spec": spec, "check": check, "discover": discover, "read": read}


def _heed_no_signal() -> None:
    """Let a signal end the process from here on: all is done but the answer.

    PyAirbyte sends one as soon as it has that, and takes any other end for a failure.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _read_config(path: str) -> dict[str, Any]:
    """Read the settings, without those that are Singer's."""
    config = read_object("--config", path)
    known = settings_schema()
    for line in describe_unknown(config, known):
        LOGGER.warning("%s", line)
    return {name: config[name] for name in config if name in known["properties"]}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="source-betterdata",
        description="Better Data as an Airbyte source: messages on standard output.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__)
        if name != "spec":
            command.add_argument("--config", required=True, help="a file of settings")
        if name == "read":
            what = "a file with a configured catalog"
            command.add_argument("--catalog", required=True, help=what)
            command.add_argument("--state", help="a file with the states of before")
    return parser.parse_args(arguments)


def _log_to(writer: AirbyteWriter) -> None:
    handler = LogHandler(writer)
    handler.setFormatter(SafeFormatter(None))
    level = os.environ.get(variable_of("loglevel"), "").upper()
    levels = logging.getLevelNamesMapping()
    logging.basicConfig(handlers=[handler], level=levels.get(level, logging.INFO))
    logging.captureWarnings(capture=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the command line names.

    Raises:
        SystemExit: At the end; 1 if something went wrong.
    """
    given = _parse(arguments)
    prepare(LOGGER)
    writer = AirbyteWriter()
    _log_to(writer)
    try:
        code = _run(writer, given)
        writer.close()
    except OutputError as error:
        # Standard output is none any more: nobody would hear it there.
        complain(str(error))
        writer.close()
        code = 1
    raise SystemExit(code)


def _run(writer: AirbyteWriter, given: argparse.Namespace) -> int:
    try:
        return COMMANDS[given.command](writer, given)
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 - it is said, and the exit code tells
        line = log_failure(LOGGER, error)
        writer.fail(line, error.kind if isinstance(error, TapError) else "system")
        return 1
