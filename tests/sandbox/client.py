"""What the tests of the sandbox call it with."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import requests

from tap_betterdata.sandbox import Sandbox

TIMEOUT_S = 5

Record = dict[str, Any]

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


class Client:
    """A running sandbox and a session that is authenticated with it."""

    def __init__(self, query: str) -> None:
        self.sandbox = Sandbox.from_query(query)
        self.sandbox.start()
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {self.sandbox.api_key}"

    def get(self, path: str, **params: object) -> requests.Response:
        url = self.sandbox.url + path
        sent = {name: str(value) for name, value in params.items()}
        return self.session.get(
            url, params=sent, timeout=TIMEOUT_S, allow_redirects=False
        )

    def read(self, path: str, **params: object) -> Record:
        """Return a payload, its fractions as decimals."""
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        payload: Record = decode(response.content)
        return payload

    def code(self, path: str, **params: object) -> tuple[int, str]:
        """Return status and code of an error."""
        response = self.get(path, **params)
        return response.status_code, response.json()["code"]

    def close(self) -> None:
        self.session.close()
        self.sandbox.stop()


Run = Callable[[str], Client]


def decode(body: bytes) -> Any:
    return _decoder.decode(body)
