"""What may be shown of what others said: no secrets, and not too much."""

from __future__ import annotations

import re
from base64 import b64encode
from html import unescape
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TEXT = 300
_MAX_VALUE = 60
# Nothing that is longer is looked through, or shown.
_MAX_RAW = 100_000
# As much of its end is dropped, since the cut may go through a secret.
_MAX_SECRET = 2_000

# What is blanked in this process; there is one log for all of it as well.
SECRETS: set[str] = set()

_BLANK = "***"
# What looks like a token, and the user and password in a URL.
_TOKENS = re.compile(
    r"(?i)bearer\s+[^\s\"',}]+|bdk_[A-Za-z0-9_\-]+|(?<=://)[^/\s?#]*(?=@)"
)
# How URLs, JSON, Python and HTML escape a character; and what may break up a text, or
# stand before a character without a meaning.
_ESCAPE = re.compile(
    r"%(?:25)*(?P<percent>[0-9A-Fa-f]{2})"
    r"|\\+(?:u00|x)(?P<code>[0-9A-Fa-f]{2})"
    r"|(?P<entity>&(?:\#\d{1,7}|\#[Xx][0-9A-Fa-f]{1,6}|[a-z]{2,4});)"
    r"|\\+[nrt]|\\+|[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2060\ufeff]+"
)
_URL_ALPHABET = str.maketrans("-_", "+/")
# Shorter pieces of base64 may stand in any text.
_MIN_BASE64 = 8


def hide(secrets: Iterable[str]) -> None:
    """Blank secrets from now on, in every form that is usual."""
    SECRETS.update(filter(str.strip, secrets))


def blank(text: str) -> str:
    """Blank secrets, and what looks like one, in a text; a huge one is cut."""
    if len(text) > _MAX_RAW:
        return f"{blank(text[:_MAX_RAW])[:-_MAX_SECRET]}…"
    for secret in SECRETS:
        text = text.replace(secret, _BLANK)
    bare = _bare(text)
    found = [
        match.span()
        for form, written in _forms(bare)
        for match in re.finditer(re.escape(form), written)
    ]
    return _TOKENS.sub(_BLANK, _blank_spans(text, found) if found else text)


def redact(text: str, limit: int | None = MAX_TEXT) -> str:
    """Blank secrets in a text, and cut it; it comes out on one line."""
    text = " ".join(blank(text).split())
    if limit is None or len(text) <= limit:
        return text
    return text[: limit - 1] + "…"


def quote(value: object) -> str:
    """Show a value as Python writes it, shortly and without secrets."""
    return redact(repr(value), _MAX_VALUE)


def printable(text: str) -> str:
    """Escape what a terminal would obey, or show as something else than it is."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def _bare(text: str) -> str:
    """Return a text without escapes, blanks and line breaks."""
    return _ESCAPE.sub(_meaning, text)


def _meaning(escape: re.Match[str]) -> str:
    code = escape["percent"] or escape["code"]
    meant = chr(int(code, 16)) if code else unescape(escape["entity"] or "")
    # What would be dropped if it were not escaped is dropped here too.
    return _ESCAPE.sub("", meant)


def _forms(bare: str) -> Iterator[tuple[str, str]]:
    """Yield the forms of secrets, and the text that each is looked for in."""
    # Base64 has two alphabets.
    in_base64 = bare.translate(_URL_ALPHABET)
    for secret in SECRETS:
        # What looks like an escape in a secret may have been escaped itself.
        as_it_is = "".join(secret.replace("\\", "").split())
        yield from ((form, bare) for form in (as_it_is, _bare(secret)) if form)
        content = secret.strip().encode("utf-8", "surrogatepass")
        for before in range(3):
            # What stands before and after changes the first and last few characters.
            text = b64encode(bytes(before) + content).decode()
            piece = text[(before * 8 + 5) // 6 : (before + len(content)) * 8 // 6]
            if len(piece) >= _MIN_BASE64:
                yield piece, in_base64


def _blank_spans(text: str, found: list[tuple[int, int]]) -> str:
    """Blank what stands at these places of the bare text."""
    # Where each character of the bare text begins and ends in the text.
    places: list[tuple[int, int]] = []
    end = 0
    for escape in _ESCAPE.finditer(text):
        places += pairwise(range(end, escape.start() + 1))
        places += [escape.span()] * len(_meaning(escape))
        end = escape.end()
    places += pairwise(range(end, len(text) + 1))
    pieces = []
    end = 0
    for first, after in sorted(found):
        begin = places[first][0]
        if begin >= end:
            pieces += [text[end:begin], _BLANK]
        end = max(end, places[after - 1][1])
    return "".join([*pieces, text[end:]])
