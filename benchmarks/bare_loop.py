"""The floor: pages read and lines written, and nothing else.

    python bare_loop.py URL [THREADS]

No retries, no checks, no decimals, no messages: one line of JSON for each item.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import requests
from requests.adapters import HTTPAdapter

HEADERS = {"Authorization": "Bearer key", "Content-Type": "application/json"}


def read(session: requests.Session, url: str, page: int) -> dict[str, Any]:
    """Read a page.

    Args:
        session: The session.
        url: The API's base URL.
        page: The page's number, from 1.

    Returns:
        The page.
    """
    query = {"page": page, "limit": 100}
    response = session.get(f"{url}/inventory", params=query)
    response.raise_for_status()
    body: dict[str, Any] = msgspec.json.decode(response.content)
    return body


def write(page: dict[str, Any]) -> None:
    """Write the items of a page to standard output.

    Args:
        page: The page.
    """
    encode = msgspec.json.encode
    sys.stdout.buffer.writelines(encode(item) + b"\n" for item in page["items"])


def main(url: str, threads: int = 1) -> None:
    """Read all pages, in order.

    Args:
        url: The API's base URL.
        threads: How many requests are sent at once.
    """
    with requests.Session() as session:
        session.headers.update(HEADERS)
        session.mount("http://", HTTPAdapter(pool_maxsize=threads))
        first = read(session, url, 1)
        write(first)
        others = range(2, first["pagination"]["totalPages"] + 1)
        if threads == 1:
            for number in others:
                write(read(session, url, number))
            return
        with ThreadPoolExecutor(threads) as pool:
            for page in pool.map(partial(read, session, url), others):
                write(page)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
