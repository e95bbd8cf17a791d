"""Writes the report: what the marts say, and what dbt's tests found, in one file.

It is one HTML file without scripts, which needs nothing from anywhere. It is written
too where tests have failed or marts were not built, and says so. All that it needs to
know is in the variables that dbt was run with, and in what dbt left behind.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import sys
from decimal import Decimal
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Row = dict[str, Any]

STYLE = Path(__file__).with_suffix(".css")
BLUE, ORANGE, RED = "#4a90d9", "#e08a1e", "#d9534f"
# Fonts that the charts are measured by; none is fetched.
FONT = "Arial, Liberation Sans"
WIDTH = 300
MOST_ROWS = 10
# The order in which tests are shown; dbt's words.
STATUSES = ("error", "fail", "skipped", "warn", "pass")
BAD = {"error", "fail", "skipped"}


class Database:
    """The marts, in DuckDB or PostgreSQL."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """Connect as dbt does."""
        self.schema = f"{env['BETTERDATA_SCHEMA']}_marts"
        if env["DBT_TARGET"] == "duckdb":
            import duckdb  # noqa: PLC0415 - not there for each version of Python

            path = env["TARGET_DUCKDB_FILEPATH"]
            self.connection: Any = duckdb.connect(path, read_only=True)
        else:
            import psycopg2  # noqa: PLC0415 - only where it is wanted

            names = ("HOST", "PORT", "USER", "PASSWORD", "DATABASE")
            words = ("host", "port", "user", "password", "dbname")
            values = (env.get(f"TARGET_POSTGRES_{name}") for name in names)
            self.connection = psycopg2.connect(**dict(zip(words, values, strict=True)))
        tables = "SELECT table_name FROM information_schema.tables WHERE table_schema"
        found = self._fetch(f"{tables} = '{self.schema}'")
        self.tables = {row["table_name"] for row in found}

    def rows(self, query: str) -> list[Row]:
        """Ask for rows of the marts."""
        return self._fetch(query.replace("@", f"{self.schema}."))

    def _fetch(self, query: str) -> list[Row]:
        with contextlib.closing(self.connection.cursor()) as cursor:
            cursor.execute(query)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


# -- what dbt found --------------------------------------------------------------


def dbt_results(folder: Path) -> tuple[str, list[Row]]:
    """Read when dbt ran last, and what became of its models and tests."""
    try:
        run = json.loads((folder / "run_results.json").read_text(encoding="utf-8"))
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "", []
    results = [
        {
            "name": manifest["nodes"][result["unique_id"]]["name"],
            "kind": manifest["nodes"][result["unique_id"]]["resource_type"],
            "status": result["status"],
            "rows": result["failures"],
            "message": result["message"] or "",
        }
        for result in run["results"]
    ]
    return run["metadata"]["generated_at"], results


# -- pieces of the page ----------------------------------------------------------


def shown(value: object) -> str:
    """Write a value as readers expect it."""
    if value is None:
        return "–"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return f"{value:,.2f}" if value % 1 else f"{value:,.0f}"
    return escape(str(value))


def table(rows: Iterable[Row]) -> str:
    """Draw a table; a column's name is its heading."""
    rows = list(rows)
    if not rows:
        return "<p>None.</p>"
    numeric = {
        name
        for name in rows[0]
        if any(isinstance(row[name], int | float | Decimal) for row in rows)
    }

    def cells(tag: str, values: Row) -> str:
        marks = ((' class="n"' if name in numeric else "") for name in values)
        return "".join(
            f"<{tag}{mark}>{shown(value)}</{tag}>"
            for mark, value in zip(marks, values.values(), strict=True)
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    head = cells("th", {name: name for name in rows[0]})
    return f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>'


def figure(title: str, chart: alt.Chart | alt.LayerChart) -> str:
    """Draw a chart; its text takes the page's colour."""
    axis = {
        "labelColor": "currentColor",
        "titleColor": "currentColor",
        "tickColor": "currentColor",
        "domainColor": "currentColor",
        "gridColor": "currentColor",
        "gridOpacity": 0.15,
        "labelLimit": 130,
    }
    legend = {
        "orient": "bottom",
        "columns": 2,
        "title": None,
        "labelColor": "currentColor",
        "labelLimit": 130,
    }
    drawn = io.StringIO()
    chart.properties(width=WIDTH).configure(
        background="transparent",
        font=FONT,
        aria=False,
        axis=axis,
        legend=legend,
        view={"stroke": None},
    ).save(drawn, format="svg")
    return (
        f'<figure role="img" aria-label="{escape(title)}">'
        f"<figcaption>{escape(title)}</figcaption>{drawn.getvalue()}</figure>"
    )


def plot(rows: Iterable[Row]) -> alt.Chart:
    """Begin a chart of rows."""
    values = [
        {
            name: float(value)
            if isinstance(value, Decimal)
            else value.isoformat()
            if isinstance(value, dt.date)
            else value
            for name, value in row.items()
        }
        for row in rows
    ]
    return alt.Chart(alt.Data(values=values))


def bars(rows: Iterable[Row], name: str, value: str, **more: Any) -> alt.Chart:
    """Draw a bar for each name, in the order of the rows."""
    return (
        plot(rows)
        .mark_bar(color=BLUE)
        .encode(
            x=alt.X(f"{value}:Q", axis=alt.Axis(format="~s", tickCount=4, title=None)),
            y=alt.Y(f"{name}:N", sort=None, title=None),
            **more,
        )
    )


def lines(rows: Iterable[Row], value: str, **more: Any) -> alt.Chart:
    """Draw a line over the months."""
    return (
        plot(rows)
        .mark_line(color=BLUE, point=True)
        .encode(
            x=alt.X("month:T", axis=alt.Axis(format="%b %y", tickCount=4, title=None)),
            y=alt.Y(f"{value}:Q", axis=alt.Axis(format="~s", tickCount=4, title=None)),
            **more,
        )
    )


# -- the sections ----------------------------------------------------------------


def where_it_is(db: Database) -> Iterator[str]:
    """What is where, and what it is worth."""
    places = db.rows(
        "SELECT location_name AS location, count(*) AS products,"
        " sum(on_hand) AS units, sum(value) AS value,"
        " sum(units_without_value) AS unvalued"
        " FROM @stock GROUP BY 1 ORDER BY value DESC, 1"
    )
    yield figure("Value by location", bars(places[:MOST_ROWS], "location", "value"))
    yield table(places[:MOST_ROWS])
    yield "<h3>Worth most</h3>"
    yield table(
        db.rows(
            "SELECT product_name AS product, location_name AS location,"
            " on_hand AS units, value"
            f" FROM @stock ORDER BY value DESC, sku LIMIT {MOST_ROWS}"
        )
    )


def what_expires(db: Database) -> Iterator[str]:
    """What expires, and when."""
    windows = db.rows(
        "SELECT days_window AS days, count(*) AS lots, sum(on_hand) AS units,"
        " sum(value) AS value FROM @expiring_lots GROUP BY 1 ORDER BY min(days_left)"
    )
    if windows:
        yield figure("Value of lots by days left", bars(windows, "days", "value"))
    yield table(windows)
    yield "<h3>Next</h3>"
    yield table(
        db.rows(
            "SELECT expiry_date AS expires, lot_number AS lot, product_name AS product,"
            " location_name AS location, on_hand AS units, value FROM @expiring_lots"
            f" WHERE days_left >= 0 ORDER BY 1, item_id LIMIT {MOST_ROWS}"
        )
    )


def what_is_short(db: Database) -> Iterator[str]:
    """What is low or critical, by channel."""
    short = db.rows(
        "SELECT coalesce(channel_name, channel_id) AS channel, severity,"
        " count(*) AS products FROM @availability WHERE is_short"
        " GROUP BY 1, 2 ORDER BY 1, 2"
    )
    if short:
        scale = alt.Scale(domain=["LOW", "CRITICAL"], range=[ORANGE, RED])
        colour = alt.Color("severity:N", scale=scale)
        chart = bars(short, "channel", "products", color=colour)
        yield figure("Products that are short, by channel", chart)
    yield table(short)
    yield "<h3>Shortest</h3>"
    yield table(
        db.rows(
            "SELECT product_name AS product, location_name AS location,"
            " coalesce(channel_name, channel_id) AS channel, atp AS ATP, threshold,"
            " severity FROM @availability WHERE is_short"
            f" ORDER BY missing DESC, sku, 2, 3 LIMIT {MOST_ROWS}"
        )
    )


def how_it_turns(db: Database) -> Iterator[str]:
    """How the stock turns over, month by month."""
    months = db.rows(
        "SELECT month, sum(value) AS value, sum(slow_moving_items) AS slow"
        " FROM @turnover GROUP BY 1 ORDER BY 1"
    )
    by_location = db.rows(
        "SELECT month, location_name AS location, turnover_rate FROM @turnover"
        " WHERE NOT is_running AND location_id IN (SELECT location_id FROM @stock"
        " GROUP BY 1 ORDER BY sum(value) DESC LIMIT 5) ORDER BY 1, 2"
    )
    yield figure("Value at the month's end", lines(months, "value"))
    if by_location:
        chart = lines(by_location, "turnover_rate", color=alt.Color("location:N"))
        yield figure("Turnover in the month, where most is", chart)
    yield figure("Items that move slowly", lines(months, "slow"))
    yield "<h3>The last whole month</h3>"
    yield table(
        db.rows(
            "SELECT location_name AS location, month, turnover_rate AS turnover,"
            " average_days_on_hand AS days, slow_moving_items AS slow, value,"
            " value_change AS change FROM @turnover WHERE month = (SELECT max(month)"
            " FROM @turnover WHERE NOT is_running) ORDER BY value DESC, 1"
            f" LIMIT {MOST_ROWS}"
        )
    )


SECTIONS = {
    "What is where": (where_it_is, {"stock"}),
    "What expires": (what_expires, {"expiring_lots"}),
    "What is short": (what_is_short, {"availability"}),
    "How it turns over": (how_it_turns, {"stock", "turnover"}),
}


def quality(db: Database, results: list[Row]) -> Iterator[str]:
    """What the tests found."""
    tests = [result for result in results if result["kind"] == "test"]
    tests.sort(key=lambda test: (STATUSES.index(test["status"]), test["name"]))
    passed = [test for test in tests if test["status"] == "pass"]
    yield table(
        {name: test[name] for name in ("name", "status", "rows")}
        for test in tests
        if test not in passed
    ) if len(passed) < len(tests) else "<p>All tests have passed.</p>"
    names = "".join(f"<li>{escape(test['name'])}</li>" for test in passed)
    yield f"<details><summary>{len(passed)} passed</summary><ul>{names}</ul></details>"
    if "disagreements" in db.tables:
        yield "<h3>Disagreements</h3>"
        yield table(
            db.rows(
                "SELECT source, measure, location_id AS location,"
                " product_id AS product, in_inventory AS inventory, in_source AS"
                " theirs, difference FROM @disagreements ORDER BY abs(difference) DESC,"
                f" 1, 2, 3, 4 LIMIT {MOST_ROWS}"
            )
        )


def state_of(when: str, results: list[Row]) -> str:
    """Say at the top what to think of the numbers."""
    if not results:
        return '<p class="bad">dbt has not run: nothing was built or tested.</p>'
    bad = [result for result in results if result["status"] in BAD]
    tests = [result for result in bad if result["kind"] == "test"]
    failed = [test["name"] for test in tests if test["status"] != "skipped"]
    stale = [model["name"] for model in bad if model["kind"] == "model"]
    text = f"Built and tested {when[:16].replace('T', ' ')} UTC. "
    if not bad:
        return f"<p>{text}All is well.</p>"
    if failed:
        text += f"Failed tests: {', '.join(failed)}. "
    if stale:
        text += f"Not built, so that the numbers are older: {', '.join(stale)}."
    return f'<p class="bad">{escape(text)}</p>'


def page(db: Database, env: Mapping[str, str]) -> Iterator[str]:
    """Write the page."""
    when, results = dbt_results(Path(env["DBT_TARGET_PATH"]))
    as_of = env.get("BETTERDATA_AS_OF") or when[:10]
    title = f"Stock as of {as_of}"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>{escape(title)}</title>"
    yield f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body>"
    yield f"<h1>{escape(title)}</h1>{state_of(when, results)}"
    for name, (section, needed) in SECTIONS.items():
        yield f"<section><h2>{name}</h2>"
        if missing := sorted(needed - db.tables):
            yield f'<p class="bad">Not built: {", ".join(missing)}.</p>'
        else:
            yield from section(db)
        yield "</section>"
    yield "<section><h2>How good the data are</h2>"
    yield from quality(db, results)
    yield "</section></body></html>"


def main() -> None:
    """Write the report beside what dbt left behind."""
    path = Path(os.environ["DBT_TARGET_PATH"]).parent / "report.html"
    html = "\n".join(page(Database(os.environ), os.environ))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, encoding="utf-8")
    sys.stdout.write(f"{path}: {len(html.encode()) // 1000} kB\n")


if __name__ == "__main__":
    main()
