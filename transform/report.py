"""Writes the report: what the marts say, and what dbt's tests found, in one file.

It is one HTML file without scripts, which needs nothing from anywhere. It is written
too where tests have failed or marts were not built, and says so. All that it needs to
know is in the variables that dbt was run with, and in what dbt left behind.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from decimal import Decimal
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Row = dict[str, Any]

STYLE, CONTENT = (Path(__file__).with_suffix(end) for end in (".css", ".sql"))
# Charts are drawn as wide as a telephone; their text is measured by these fonts.
WIDTH, HEIGHT, FONT = 380, 200, "Arial, Liberation Sans"
BLUE, ORANGE, RED = "#4a90d9", "#e08a1e", "#d9534f"
# Text and lines have the page's own colour.
LABELS = {"labelColor": "currentColor", "labelFontSize": 12, "labelLimit": 160}
LINES = dict.fromkeys(("tickColor", "domainColor", "gridColor"), "currentColor")
LOOKS = {
    "background": "transparent",
    "font": FONT,
    "aria": False,
    "axis": {**LABELS, **LINES, "gridOpacity": 0.15, "title": None},
    "legend": {**LABELS, "orient": "bottom", "columns": 2, "title": None},
    "text": {"color": "currentColor", "fontSize": 12},
    "view": {"stroke": None},
}
THOUSAND = 1000
# A word of so many letters may be broken.
MOST = 30
# dbt's words for what became of a test, in the order in which they are shown.
STATUSES = ("error", "fail", "skipped", "warn", "pass")


class Database:
    """The marts, in DuckDB or PostgreSQL."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Connect as dbt does."""
        self.schema = f"{env['BETTERDATA_SCHEMA']}_marts"
        if env["DBT_TARGET"] == "duckdb":
            driver = import_module("duckdb")
            path = env.get("TARGET_DUCKDB_FILEPATH") or env["DBT_DUCKDB_FILEPATH"]
            to = {"database": path, "read_only": True}
        else:
            driver = import_module("psycopg2")
            names = ("host", "port", "user", "password", "database")
            to = {name: env.get(f"TARGET_POSTGRES_{name.upper()}") for name in names}
        try:
            self.connection = driver.connect(**to)
        except driver.Error as error:
            sys.exit(f"There is no report, since the database can't be read: {error}")
        tables = self.rows(
            "SELECT table_schema AS place, table_name AS mart"
            " FROM information_schema.tables"
        )
        self.tables = {row["mart"] for row in tables if row["place"] == self.schema}

    def rows(self, query: str) -> list[Row]:
        """Ask for rows; an @ stands before the name of a mart."""
        with contextlib.closing(self.connection.cursor()) as cursor:
            cursor.execute(query.replace("@", f"{self.schema}."))
            names = [column[0].replace("_", " ") for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def dbt_results(folder: Path) -> tuple[str, list[Row]]:
    """Read when dbt ran last, and what became of its models and tests."""
    try:
        run = json.loads((folder / "run_results.json").read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "", []
    nodes = manifest["nodes"]
    results = [
        {
            "name": nodes[result["unique_id"]]["name"],
            "kind": nodes[result["unique_id"]]["resource_type"],
            "status": result["status"],
            "rows": result["failures"],
        }
        for result in run["results"]
    ]
    results.sort(key=lambda result: result["name"])
    return run["metadata"]["generated_at"], results


# -- drawing ---------------------------------------------------------------------


def shown(value: object, digits: int = 0) -> str:
    """Write a value as readers expect it."""
    if isinstance(value, int | float | Decimal):
        return f"{value:,.{digits}f}"
    return "" if value is None else escape(str(value))


def digits_of(values: list[Any]) -> int | None:
    """Tell how many digits numbers have behind the point; none if there are none."""
    numbers = [value for value in values if isinstance(value, int | float | Decimal)]
    return (2 if any(x % 1 for x in numbers) else 0) if numbers else None


def table(title: str, rows: list[Row]) -> str:
    """Draw a table; numbers stand to the right, and no short word is broken."""
    if not rows:
        return f"<figure><figcaption>{title}</figcaption>None.</figure>"
    digits = {name: digits_of([row[name] for row in rows]) for name in rows[0]}

    def cell(tag: str, name: str, value: object) -> str:
        text = str(value)
        kind = "n" if digits[name] is not None else "w" if len(text) < MOST else "l"
        mark = f' class="{kind}"' if kind == "n" or " " not in text else ""
        return f"<{tag}{mark}>{shown(value, digits[name] or 0)}</{tag}>"

    lines = ["".join(cell("th", name, name) for name in rows[0])]
    lines += ["".join(cell("td", *item) for item in row.items()) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    caption = f"<figcaption>{title}</figcaption>"
    return f'<figure class="wide">{caption}<table>{body}</table></figure>'


def tiles(_title: str, rows: list[Row]) -> str:
    """Draw the numbers of one row large."""
    cells = (f"<div><b>{shown(v or 0)}</b>{name}</div>" for name, v in rows[0].items())
    return f'<div class="tiles">{"".join(cells)}</div>'


def drawn(title: str, chart: Any) -> str:
    """Draw a chart."""
    svg = io.StringIO()
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    chart.properties(width=WIDTH, autosize=fit).configure(**LOOKS).save(svg, "svg")
    caption = f"<figcaption>{title}</figcaption>"
    return f'<figure role="img" aria-label="{title}">{caption}{svg.getvalue()}</figure>'


def data(rows: list[Row]) -> alt.Chart:
    """Begin a chart."""

    def plain(value: object) -> object:
        return float(value) if isinstance(value, Decimal) else str(value)

    return alt.Chart(alt.Data(values=json.loads(json.dumps(rows, default=plain))))


def axis(rows: list[Row]) -> alt.Axis:
    """Make the axis of the last column: thousands and millions in short."""
    largest = max((abs(row[[*row][-1]] or 0) for row in rows), default=0)
    return alt.Axis(format="~s" if largest >= THOUSAND else "~r", tickCount=4)


def bars(title: str, rows: list[Row], **more: Any) -> str:
    """Draw a bar for each name, the first column, as long as the last one says."""
    if not rows:
        return table(title, rows)
    name, *_, value = rows[0]
    x, y = alt.X(f"{value}:Q", axis=axis(rows)), alt.Y(f"{name}:N", sort=None)
    return drawn(title, data(rows).mark_bar(color=BLUE).encode(x=x, y=y, **more))


def bars_by_severity(title: str, rows: list[Row]) -> str:
    """Draw what is low and what is critical in the colours for it."""
    scale = alt.Scale(domain=["LOW", "CRITICAL"], range=[ORANGE, RED])
    return bars(title, rows, color=alt.Color("severity:N", scale=scale))


def months(title: str, rows: list[Row]) -> str:
    """Draw the last column over the months, with a line for each location if named."""
    if not rows:
        return table(title, rows)
    months = alt.X("month:T", axis=alt.Axis(format="%b %y", tickCount=4))
    amounts = alt.Y(f"{[*rows[0]][-1]}:Q", axis=axis(rows), scale=alt.Scale(zero=False))
    line = data(rows).mark_line(color=BLUE, point={"color": BLUE})
    line = line.encode(x=months, y=amounts).properties(height=HEIGHT)
    if "location" in rows[0]:
        line = line.mark_line(point=True).encode(color=alt.Color("location:N"))
    return drawn(title, line)


# -- what is drawn -----------------------------------------------------------------

DRAWN = {
    "bars": bars,
    "bars_by_severity": bars_by_severity,
    "months": months,
    "table": table,
    "tiles": tiles,
}


def sections(db: Database) -> Iterator[str]:
    """Write the sections; a piece whose mart is not there says so."""
    blocks = CONTENT.read_text(encoding="utf-8").strip().split("\n\n")
    for head, _, query in (block.partition("\n") for block in blocks[1:]):
        how, _, title = head.removeprefix("-- ").partition(": ")
        if how.startswith("# "):
            yield f"</section><section><h2>{how.removeprefix('# ')}</h2>"
        elif missing := sorted({*re.findall(r"@(\w+)", query)} - db.tables):
            yield f'<p class="bad">{title}. Not built: {", ".join(missing)}.</p>'
        else:
            yield DRAWN[how](title, db.rows(query))


def run_tests(results: list[Row]) -> list[Row]:
    """Choose the tests that were run; one that dbt only compiled is a `success`."""
    return [x for x in results if x["kind"] == "test" and x["status"] in STATUSES]


def tests_of(results: list[Row]) -> Iterator[str]:
    """Write what became of the tests, those first that did not pass."""
    tests = run_tests(results)
    tests.sort(key=lambda test: STATUSES.index(test["status"]))
    doubtful = [test for test in tests if test["status"] != "pass"]
    names = ("name", "status", "rows")
    yield table("Tests", [{x: test[x] for x in names} for test in doubtful])
    passed = [f"<li>{escape(x['name'])}</li>" for x in tests if x not in doubtful]
    names_of = f"<ul>{''.join(passed)}</ul>"
    yield f"<details><summary>{len(passed)} tests passed</summary>{names_of}</details>"


def summary(when: str, results: list[Row]) -> str:
    """Say at the top what to think of the numbers."""
    if not results:
        return '<p class="bad">dbt has not run: nothing was built or tested.</p>'

    def names(kind: str, *statuses: str) -> str:
        chosen = (x for x in results if x["kind"] == kind and x["status"] in statuses)
        return ", ".join(result["name"] for result in chosen)

    what = "Built and tested" if run_tests(results) else "dbt ran"
    text = f"{what} {when[:16].replace('T', ' ')} UTC. "
    said = {
        "Tests": "" if run_tests(results) else "none were run",
        "Failed tests": names("test", "error", "fail"),
        "Not built, so that what is below is older": names("model", "error", "skipped"),
        "Warnings": names("test", "warn"),
    }
    text += " ".join(f"{what}: {which}." for what, which in said.items() if which)
    bad = any([*said.values()][:3])
    text += "" if any(said.values()) else "All tests have passed."
    return f'<p class="{"bad" if bad else "good"}">{escape(text)}</p>'


def page(db: Database, env: Mapping[str, str]) -> Iterator[str]:
    """Write the page."""
    when, results = dbt_results(Path(env["DBT_TARGET_PATH"]))
    day = env.get("BETTERDATA_AS_OF") or when[:10] or "an unknown day"
    title = escape(f"Stock as of {day}")
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
    yield f"</head><body><h1>{title}</h1>{summary(when, results)}"
    yield "<section>"
    yield from sections(db)
    yield from tests_of(results)
    yield "</section></body></html>"


def main() -> None:
    """Write the report beside what dbt left behind."""
    path = Path(os.environ["DBT_TARGET_PATH"]).parent / "report.html"
    html = "\n".join(page(Database(os.environ), os.environ))
    path.write_text(html, encoding="utf-8")
    sys.stdout.write(f"{path}: {len(html.encode()) // 1000} kB\n")


if __name__ == "__main__":
    main()
