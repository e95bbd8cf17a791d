"""JSON from the wire, with every digit kept.

The API sends JSON numbers such as `10.50`. A binary float would round some of them
and drop the trailing zero of others, so fractions become `Decimal` here; integers
stay Python integers.
"""

from __future__ import annotations

import decimal
import json
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# As many digits as Python reads into an integer; fractions get no more, before the
# point and behind it. The exponent of 1e99999999 would fell whoever computes with it.
MAX_DIGITS = 4300
# Makes decimals of text, and raises an error where a digit would be lost.
EXACT = decimal.Context(
    prec=MAX_DIGITS,
    Emax=MAX_DIGITS - 1,
    Emin=1 - MAX_DIGITS,
    traps=[decimal.Clamped, decimal.Rounded, decimal.Subnormal],
)

_decoder = msgspec.json.Decoder(float_hook=EXACT.create_decimal)


def decode(content: bytes) -> Any:
    """Read JSON: fractions as `Decimal`, numbers beyond MAX_DIGITS as text.

    Raises:
        ValueError: If it is not JSON.
    """
    try:
        return _decoder.decode(content)
    except (ArithmeticError, RecursionError, ValueError):
        # msgspec is strict where the standard library is not: a lone surrogate in a
        # product's name must not stop a run. What neither of them reads isn't JSON.
        return _decode_leniently(content)


def _decode_leniently(content: bytes) -> Any:
    try:
        return json.loads(
            content,
            parse_float=_or_text(EXACT.create_decimal),
            parse_int=_or_text(int),
            parse_constant=_refuse,
        )
    except RecursionError as error:
        msg = "JSON that is nested too deeply"
        raise ValueError(msg) from error


def _or_text(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Leave a number that can't be read as it is: whose it is, is known later."""

    def read_number(text: str) -> Any:
        try:
            return read(text)
        except (ArithmeticError, ValueError):
            return text

    return read_number


def _refuse(constant: str) -> None:
    msg = f"{constant} is not a JSON value"
    raise ValueError(msg)
