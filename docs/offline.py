"""Says what pages of the site would fetch from other hosts: it is to need none.

python docs/offline.py SITE    fails if there is such a thing
"""  # noqa: INP001 - a script beside the pages that it checks

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from tap_betterdata.compat import override

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a browser fetches by itself; what `a` points to, it doesn't.
_FETCHED = {"src", "srcset", "data", "poster"}
# A link in the head that is for other readers than browsers.
_NAMED_ONLY = {"alternate", "author", "canonical", "edit", "license", "next", "prev"}
_ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IN_STYLES = re.compile(
    r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^\s"')]+)""", re.IGNORECASE
)


class _Page(HTMLParser):
    """Collects what a page fetches from other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        rels = set(values.get("rel", "").split())
        for name, value in values.items():
            fetched = name in _FETCHED or (
                tag in {"link", "image", "use"}
                and name in {"href", "xlink:href"}
                and not (rels and rels <= _NAMED_ONLY)
            )
            if fetched and _ELSEWHERE.search(value):
                self.found.append(value)
        if "mermaid" in values.get("class", "").split():
            self.found.append("a mermaid diagram, which the theme's script fetches")


def fetched_from_elsewhere(site: Path) -> Iterator[str]:
    """Yield a line for each thing that is not on the site itself."""
    for path in sorted(site.rglob("*")):
        if path.suffix not in {".html", ".css", ".svg"}:
            continue
        text = path.read_text(encoding="utf-8")
        page = _Page()
        if path.suffix != ".css":
            page.feed(text)
        for found in [*page.found, *_IN_STYLES.findall(text)]:
            yield f"{path.relative_to(site)}: {found}"


def main(site: str) -> int:
    """Check the site in this folder."""
    lines = list(fetched_from_elsewhere(Path(site)))
    for line in lines:
        sys.stderr.write(f"From another host: {line}\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
