"""JSON from the wire, with every digit kept.

The API sends JSON numbers such as `10.50`. A binary float would round some of them
and drop the trailing zero of others, so fractions become `Decimal` here; integers
stay Python integers of any size.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def decode(content: bytes) -> Any:
    """Read a JSON document, exactly.

    Args:
        content: The body of a response.

    Returns:
        The value, with fractions as `Decimal`.

    Raises:
        ValueError: If the body is not JSON.
    """
    try:
        return _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # msgspec is strict where the standard library is not: a lone surrogate in a
        # product's name must not stop a run. What neither of them reads isn't JSON.
        return _decode_leniently(content)


def _decode_leniently(content: bytes) -> Any:
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError as error:
        msg = "JSON that is nested too deeply"
        raise ValueError(msg) from error


def _refuse(constant: str) -> None:
    """Refuse the literals NaN and Infinity, which JSON doesn't have.

    Args:
        constant: The literal.

    Raises:
        ValueError: Always.
    """
    msg = f"{constant} is not a JSON value"
    raise ValueError(msg)
