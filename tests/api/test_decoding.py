"""JSON as it comes off the wire: every digit is kept, nothing else gets through."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.decoding import MAX_DIGITS, decode


def written(digits: str, point: int, exponent: str) -> str:
    return f"{digits[:point]}.{digits[point:]}{exponent}"


NUMBERS = st.builds(
    written,
    st.from_regex(r"[1-9][0-9]{2,40}", fullmatch=True),
    st.integers(1, 2),
    st.sampled_from(["", "e3", "E-7", "e+12"]),
)


@given(NUMBERS, st.sampled_from(["", "-"]))
def test_fractions_keep_every_digit(text: str, sign: str) -> None:
    number = decode(f'{{"n": {sign}{text}}}'.encode())["n"]
    assert isinstance(number, Decimal)
    assert number.as_tuple() == Decimal(sign + text).as_tuple()


def test_zeros_at_the_end_stay() -> None:
    assert str(decode(b"[10.50]")[0]) == "10.50"


@given(st.integers())
def test_integers_of_any_size_are_exact(number: int) -> None:
    decoded = decode(b"[%d]" % number)[0]
    assert type(decoded) is int
    assert decoded == number


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**64), 10**40])
def test_integers_beyond_64_bits(number: int) -> None:
    assert decode(b'{"n": %d}' % number) == {"n": number}


@pytest.mark.parametrize("beside", ["", "\\ud800"])
@pytest.mark.parametrize(
    ("text", "is_text"),
    [
        ("9" * MAX_DIGITS, False),
        ("9" * (MAX_DIGITS + 1), True),
        ("-0." + "9" * (MAX_DIGITS + 1), True),
        (f"1E+{MAX_DIGITS - 1}", False),
        (f"1E+{MAX_DIGITS}", True),
        ("1e99999999999999999999", True),
        ("-1e-99999999999999999999", True),
    ],
)
def test_a_number_of_too_many_digits_is_text(
    text: str, beside: str, *, is_text: bool
) -> None:
    (number, _, exact) = decode(f'[{text}, "{beside}", 10.50]'.encode())
    assert isinstance(number, str) is is_text
    assert str(number) == text
    assert str(exact) == "10.50"


def test_lone_surrogates_are_read_with_every_digit_beside_them() -> None:
    body = rb'{"name": "a\ud800b", "cost": 10.50}'
    assert decode(body) == {"name": "a\ud800b", "cost": Decimal("10.50")}
    assert str(decode(body)["cost"]) == "10.50"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    )
)
def test_any_value_survives(value: object) -> None:
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b'{"n": Infinity}',
        b"[-Infinity]",
        rb'["\ud800", NaN]',
        b"",
        b"{",
        b'{"n": 1',
        b"<html>",
        b"\xff\xfe",
        b'"\xff"',
        b"{} {}",
        b"{'n': 1}",
        b"[1.]",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever library says it
        decode(body)


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever library says it
        decode(b"[" * 100_000)
