"""The sandbox as a command: `python -m tap_betterdata.sandbox --query items=20000`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tap_betterdata.sandbox.server import Sandbox


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted or terminated."""
    parser = argparse.ArgumentParser(
        prog="python -m tap_betterdata.sandbox",
        description="A stand-in for the Better Data SCM API on this machine.",
    )
    parser.add_argument("--port", type=int, default=8080, help="0 picks a free one")
    parser.add_argument(
        "--query", default="", help="options, such as items=20000&latency_ms=50"
    )
    chosen = parser.parse_args(arguments)
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    try:
        sandbox = Sandbox.from_query(chosen.query, port=chosen.port)
        sandbox.start()
    except ValueError as error:
        parser.error(str(error))
    except OverflowError:
        parser.error("--port goes from 0 to 65535")
    except OSError as error:
        parser.error(f"--port {chosen.port}: {error.strerror}")
    sys.stdout.write(f"url={sandbox.url} api_key={sandbox.api_key}\n")
    sys.stdout.flush()
    done.wait()
    sandbox.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
