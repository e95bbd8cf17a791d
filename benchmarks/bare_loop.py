"""The floor: pages read and lines written, and nothing else.

    python bare_loop.py URL

No retries, no checks, no decimals, no messages: one line of JSON for each item.
"""

from __future__ import annotations

import sys

import msgspec
import requests

HEADERS = {"Authorization": "Bearer key", "Content-Type": "application/json"}


def main(url: str) -> None:
    """Read all pages, in order."""
    encode = msgspec.json.encode
    page, pages = 1, 1
    with requests.Session() as session:
        session.headers.update(HEADERS)
        while page <= pages:
            query = {"page": page, "limit": 100}
            response = session.get(f"{url}/inventory", params=query)
            response.raise_for_status()
            body = msgspec.json.decode(response.content)
            lines = (encode(item) + b"\n" for item in body["items"])
            sys.stdout.buffer.writelines(lines)
            page, pages = page + 1, body["pagination"]["totalPages"]


if __name__ == "__main__":
    main(sys.argv[1])
