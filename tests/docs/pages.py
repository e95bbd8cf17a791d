"""Reading the pages: their code blocks, and what is to be done with each.

A comment on the line before a block says it:

    <!-- run -->                 the test runs it, as it stands
    <!-- file: NAME -->          the test writes it to that file first
    <!-- add: NAME -->           the test adds it to the lists in that YAML file
    <!-- query: FILE -->         the test asks it of that DuckDB file
    <!-- ask: marts -->          `dev.py transform` asks it, and compares the answer
    <!-- query: postgres -->     the test asks it of the PostgreSQL database
    <!-- not run: REASON -->     the reason why no test can run it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dev

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = dev.ROOT / "docs"
README = dev.ROOT / "README.md"
PAGES = sorted(DOCS.rglob("*.md"))
# What must say what the code says; `dev.py readme` runs the README.
TEXTS = (README, *PAGES)

_BLOCK = re.compile(
    r"^(?:<!-- (?P<mark>[^\n]+?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        page: The page that it stands on.
        line: Where it begins.
        language: Its language.
        mark: What is to be done with it: `run`, `file`, `add`, `query`, `ask` or
            `not run`.
        detail: What stands behind the mark's colon.
        text: What stands in it.
    """

    page: Path
    line: int
    language: str
    mark: str
    detail: str
    text: str

    def __str__(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(dev.ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Find the code blocks of a page."""
    content = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(content):
        mark, _, detail = (match["mark"] or "").partition(": ")
        line = content.count("\n", 0, match.start()) + 1
        yield Block(page, line, match["language"], mark, detail, match["text"])


def table(page: Path, *header: str) -> list[list[str]]:
    """Find a table of a page."""
    rows: list[list[str]] = []
    is_inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            is_inside = False
        elif is_inside:
            rows.append(cells)
        else:
            is_inside = cells == list(header)
    return [cells for cells in rows if set("".join(cells)) != {"-"}]
