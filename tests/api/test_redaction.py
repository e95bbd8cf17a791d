"""What a message may show."""

from __future__ import annotations

import base64
import html
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import quote as percent
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_betterdata.api.redaction import (
    MAX_TEXT,
    blank,
    hide,
    printable,
    quote,
    redact,
)

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = r"""s3cr3t/of+any-form_with&all<"that'\may~stand>in{it}=="""
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12)


def in_base64(key: str, before: str = "", after: str = "") -> str:
    return base64.b64encode((before + key + after).encode()).decode()


def every(key: str, form: str) -> str:
    return "".join(form.format(ord(char)) for char in key)


FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": repr,
    "JSON": json.dumps,
    "JSON in JSON": lambda key: json.dumps(json.dumps({"key": key})),
    "JSON with slashes": lambda key: json.dumps(key).replace("/", r"\/"),
    "JSON, escaped": lambda key: every(key, r"\u{:04x}"),
    "Python, escaped": lambda key: every(key, r"\x{:02x}"),
    "HTML": html.escape,
    "HTML, decimal": lambda key: every(key, "&#{};"),
    "HTML, hex": lambda key: every(key, "&#x{:X};"),
    "URL": lambda key: percent(key, safe=""),
    "URL, plus": quote_plus,
    "URL in URL": lambda key: percent(percent(key, safe=""), safe=""),
    "URL, escaped": lambda key: every(key, "%{:02x}"),
    "lines": lambda key: key[:7] + "\n" + key[7:9] + "\r\n\t  " + key[9:],
    "lines in repr": lambda key: repr(key[:7] + "\n" + key[7:] + "\x1b"),
    "a character a line": "\n".join,
    "zero-width blanks": "\u200b".join,
    "base64": in_base64,
    "base64, 1 before": lambda key: in_base64(key, "x", "y"),
    "base64, 2 before": lambda key: in_base64(key, "xx", "yy"),
    "base64, bearer": lambda key: in_base64(key, "Bearer "),
    "base64, in lines": lambda key: base64.encodebytes(4 * f"{key}:".encode()).decode(),
    "base64 of URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "base64 in a URL": lambda key: percent(in_base64(key), safe=""),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", ["", "It was sent as ", "x" * (MAX_TEXT - 9)])
def test_the_key_is_blanked_in_every_usual_form(form: str, before: str) -> None:
    hide([KEY])
    written = FORMS[form](KEY)
    shown = redact(f"{before}{written} and so on")
    assert shown.startswith(f"{before}"[:MAX_TEXT])
    assert "***" in shown or len(before) > 200
    check_hidden(written, shown)


@given(VISIBLE, st.sampled_from(sorted(FORMS)), st.text(max_size=9), st.text())
def test_any_key_is_blanked(key: str, form: str, before: str, after: str) -> None:
    hide([key])
    written = FORMS[form](key)
    check_hidden(written, blank(f"{before} {written} {after}"))


def check_hidden(written: str, shown: str) -> None:
    """Check that no more than the edges of a written key are shown."""
    bare = "".join(shown.split())
    # What base64 adds for "Bearer " is 10 characters.
    middle = "".join(written.split())[12:-6]
    for at in range(0, len(middle) - 8, 8):
        assert middle[at : at + 8] not in bare


@given(st.text(), st.text())
def test_the_key_is_blanked_wherever_it_stands(before: str, after: str) -> None:
    hide([KEY])
    assert KEY not in redact(before + KEY + after)


def test_a_short_key_blanks_no_words_in_base64() -> None:
    hide(["ab", " ", "\\", ""])
    assert redact(r"all right, \ and YWJj") == r"all right, *** and YWJj"


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abc.DEF-123",
        "bearer abc.DEF-123",
        "BEARER  abc.DEF-123",
        "{'Authorization': 'Bearer abc.DEF-123'}",
        "key bdk_live_abc_DEF-123",
        "(bdk_live_abc_DEF-123)",
        "Failed to parse: https://me:DEF-123@proxy.invalid:8080/",
        "//me@DEF-123@x and ftp://DEF-123@@y",
    ],
)
def test_what_looks_like_a_token_is_blanked(text: str) -> None:
    shown = redact(text)
    assert "***" in shown
    assert "DEF-123" not in shown.replace("//me@DEF-123@x", "")


def test_an_address_stays() -> None:
    for text in ("https://api.invalid:8/x?who=a@b.invalid", "a//b@c"):
        assert redact(text) == text


@given(st.text(max_size=2000))
def test_what_is_shown_is_one_short_line(text: str) -> None:
    shown = redact(text)
    assert len(shown) <= MAX_TEXT
    assert len(shown.splitlines()) <= 1


def test_a_cut_is_marked() -> None:
    assert redact("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert redact("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"
    assert quote("x" * 70) == "'" + "x" * 58 + "…"


def test_a_key_that_a_cut_goes_through_is_blanked() -> None:
    hide([KEY])
    assert KEY[:4] not in redact("x" * (MAX_TEXT - 5) + KEY)
    assert KEY[:4] not in quote("x" * 50 + KEY)
    for before in range(99_950, 100_000):
        assert KEY[:4] not in redact(" " * before + KEY)


@pytest.mark.parametrize(
    "piece", ["\\", "\\n", " ", "%25", "&#0", "\\u00", "://", "bearer ", "s3cr3t/"]
)
def test_a_huge_text_takes_no_time(piece: str) -> None:
    hide([KEY])
    began = time.process_time()
    assert len(blank(piece * 2_000_000)) < 100_000
    # It takes a few hundredths; what grows with the square would take hours.
    assert time.process_time() - began < 5


def test_what_a_terminal_obeys_is_escaped() -> None:
    text = "a\x1b]0;x\x07\x9b1m\r\n\t\x7f\u202e\u2066\u200b\u2028\ud800é😀 "
    assert printable(text) == (
        r"a\x1b]0;x\x07\x9b1m\r\n\t\x7f\u202e\u2066\u200b\u2028\ud800é😀 "
    )


@given(st.text(st.characters(exclude_categories=[])))
def test_all_that_is_printed_is_printable(text: str) -> None:
    assert printable(text).isprintable()
