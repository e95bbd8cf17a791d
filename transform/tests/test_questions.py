"""The page for analysts: its questions have the answers that stand below them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS

if TYPE_CHECKING:
    from transform.tests.warehouse import Row, Warehouse

PAGE = DOCS / "analysts.md"
QUESTION = re.compile(
    r"^### (\d+)\. [^\n]+\n\n<!-- ask: marts -->\n```sql\n(.*?)```\n\n(.*?)\n(?=\n|\Z)",
    re.MULTILINE | re.DOTALL,
)
QUESTIONS = {
    number: (query, answer)
    for number, query, answer in QUESTION.findall(PAGE.read_text(encoding="utf-8"))
}


def written(value: object) -> str:
    """Write a value as on the page: numbers whole, or with two digits at least."""
    text = "" if value is None else str(value)
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    number = Decimal(text).normalize()
    digits = -int(number.as_tuple().exponent)
    return f"{number:,.{max(digits, 2) if digits > 0 else 0}f}"


def table(rows: list[Row]) -> str:
    """Write an answer as on the page."""
    if not rows:
        return "No rows."
    lines = [[*rows[0]], ["---"] * len(rows[0])]
    lines += [[written(value) for value in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def test_there_are_ten() -> None:
    assert [*QUESTIONS] == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("number", QUESTIONS)
def test_its_answer_is_the_pages(built: Warehouse, number: str) -> None:
    query, answer = QUESTIONS[number]
    assert table(built.ask(query)) == answer
