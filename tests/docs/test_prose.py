"""What the README and the pages say by hand is what the code says."""

from __future__ import annotations

import json
import logging
import re
import threading
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pytest

import dev
from tap_betterdata.api.rate_limit import RateLimiter
from tap_betterdata.output.progress import duration
from tap_betterdata.pagination import plain_list, sorted_list
from tap_betterdata.state.pace import STATE_EVERY_PAGES, STATE_EVERY_SECONDS
from tap_betterdata.streams.atp import InventoryAtpStream
from tap_betterdata.streams.inventory import InventoryStream
from tests.docs.pages import DOCS, README, TEXTS, blocks, table

if TYPE_CHECKING:
    from pathlib import Path

# Names such as `page_size`: no part of a path, of a module or of a test's name.
SNAKE = re.compile(r"(?<![\w/:.])[a-z][a-z0-9]*(?:_[a-z0-9]+)+(?![\w/]|\.py)")
WORD = re.compile(r"`([a-z-]+)(?:: [^`\n]+)?`")
# Those in the docs that are no settings, neither the tap's nor a target's.
OTHER_NAMES = {
    "bdk_live_your_key",  # where a key belongs
    "betterdata_north",  # a key's schema
    "config_error",  # Airbyte's
    "disable_existing_loggers",  # Python's logging
    "execution_timeout",  # Airflow's
    "force_full_refresh",  # PyAirbyte's
    "inventory_adjustments",  # declared in the docs
    "key_fields",  # of what is declared
    "records_key",
    "load_schema",  # Meltano's
    "loc_001",  # the sandbox's
    "loc_002",
    "loc_003",
    "loc_004",
    "loc_123",  # the vendor's example
    "parse_float",  # Python's json
    "plenty_in",  # of a question's answer
    "short_in",
    "search_path",  # the databases'
    "pip_url",  # Meltano's
    "rate_limits",  # scenarios of the benchmarks
    "scale_check",
    "shared_key",
    "replication_key",  # the state's
    "replication_key_value",
    "replication_method",  # the catalog's
    "select_all_streams",  # PyAirbyte's
    "select_streams",
    "singer_sdk",
    "system_error",  # Airbyte's
    "tap_betterdata",
    "tap_betterdata_marts",  # dbt's schemas
    "tap_betterdata_staging",
    "tap_betterdata_sandbox",  # the sandbox's schema
    "transient_error",  # Airbyte's
}
# What the prose says of numbers that the code decides: where, how, and whose default
# or which number it is. A {} stands for the number.
SAID: tuple[tuple[str, str, str | int], ...] = (
    ("README.md", "request for each {} items", InventoryStream.max_limit),
    ("README.md", "for each {} products", InventoryAtpStream.max_limit),
    ("README.md", "has pages and {} more", sorted_list.LEAST_EXTRA),
    ("README.md", "a {} of the list's pages", plain_list.EXTRA_SHARE),
    ("README.md", "the list's pages, at least {} |", plain_list.LEAST_EXTRA),
    ("docs/assumptions.md", "budget of {} requests a minute", "requests_per_minute"),
    ("docs/assumptions.md", "a minute and {} an hour", "requests_per_hour"),
    ("docs/assumptions.md", "visible within {} minutes", "lookback_minutes"),
    ("docs/assumptions.md", "ATP takes {} rows a page", InventoryAtpStream.max_limit),
    ("docs/assumptions.md", "after {} of them the list", plain_list.MOST_BARREN),
    ("docs/budget.md", "send {} requests in a minute", "requests_per_minute"),
    ("docs/budget.md", "in a minute and {} in an hour", "requests_per_hour"),
    ("docs/budget.md", "take {} requests, the whole budget", "requests_per_hour"),
    ("docs/budget.md", "| one for each {} items, and", InventoryStream.max_limit),
    ("docs/budget.md", "for each {} items that changed", InventoryStream.max_limit),
    ("docs/budget.md", "for each {} products", InventoryAtpStream.max_limit),
    ("docs/exactness.md", "of more than {} products", InventoryAtpStream.max_limit),
    ("docs/exactness.md", "has pages and {} more", sorted_list.LEAST_EXTRA),
    ("docs/exactness.md", "after {} readings", sorted_list.MOST_READINGS),
    ("docs/exactness.md", "a {} of its pages", plain_list.EXTRA_SHARE),
    ("docs/exactness.md", "its pages, at least {}, where", plain_list.LEAST_EXTRA),
    ("docs/howto/cron.md", "The key has {} requests an hour", "requests_per_hour"),
    ("docs/howto/cron.md", "for each {} products", InventoryAtpStream.max_limit),
    ("docs/incremental.md", "default allows {} minutes", "lookback_minutes"),
    ("docs/incremental.md", "is {} that closed", "analytics_lookback_periods"),
    ("docs/incremental.md", "Every {} pages, or", STATE_EVERY_PAGES),
    ("docs/incremental.md", "or every {} seconds", int(STATE_EVERY_SECONDS)),
    ("docs/moving.md", "budget of {} requests an hour", "requests_per_hour"),
    ("docs/settings.md", "has pages and {} more", sorted_list.LEAST_EXTRA),
    ("docs/settings.md", "a {} of its pages", plain_list.EXTRA_SHARE),
    ("docs/settings.md", "its pages, at least {}, for", plain_list.LEAST_EXTRA),
)
# Where the prose uses a word for a number.
WORDS = {
    "a {} of the list's pages": {10: "tenth"},
    "a {} of its pages": {10: "tenth"},
    "visible within {} minutes": {10: "ten"},
    "after {} of them the list": {2: "two"},
    "is {} that closed": {1: "the last one"},
}


def in_code(text: str) -> list[str]:
    """Find what stands in backticks."""
    return re.findall(r"`([^`\n]+)`", text)


def without_python(page: Path) -> str:
    """Read a page, but not its code in Python, whose names are its own."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        if block.language == "python":
            text = text.replace(block.text, "")
    return text


def test_names_that_look_like_settings_are_some(
    about: dict[str, Any], catalog: dict[str, Any], project: dict[str, Any]
) -> None:
    settings = set(about["settings"]["properties"])
    targets = {
        setting["name"]
        for loader in project["plugins"]["loaders"]
        for setting in loader["settings"]
    }
    models: set[str] = set()
    for path in (dev.ROOT / "transform").glob("*s/**/*.[sy][qm]l"):
        models |= {path.stem, *re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    others = set()
    for page in TEXTS:
        others |= set(SNAKE.findall(without_python(page)))
    assert others - settings - targets - models - catalog.keys() == OTHER_NAMES


def test_no_word_is_nearly_a_setting(
    about: dict[str, Any], catalog: dict[str, Any]
) -> None:
    settings = set(about["settings"]["properties"])
    known = settings | catalog.keys() | set(about["capabilities"])
    for page in TEXTS:
        # Such as `page-size` or `pagesize`: those that have no underscore to tell by.
        for word in WORD.findall(page.read_text(encoding="utf-8")):
            near = get_close_matches(word, sorted(settings), cutoff=0.85)
            assert word in known or not near, f"{page}: {word}"


def written(default: object) -> str:
    """Write a default as the README does."""
    text = json.dumps(default).strip('"')
    return text if text.isdigit() else f"`{text}`"


def test_the_readmes_settings_are_the_taps(
    own_settings: dict[str, dict[str, Any]],
) -> None:
    names: list[str] = []
    for cell, default, what in table(README, "setting", "default", ""):
        several = in_code(cell)
        defaults = default.split(", ") if len(several) > 1 else [default]
        for name, said in zip(several, defaults, strict=True):
            schema = own_settings[name]
            if "default" in schema:
                assert said == written(schema["default"]), name
            else:
                # In words, since it depends, or none at all.
                assert not re.fullmatch(r"`.*`|[\d,]+", said), name
            if "enum" in schema:
                assert set(in_code(f"{default} {what}")) == set(schema["enum"]), name
        names += several
    assert sorted(names) == sorted(own_settings)


def test_the_readmes_streams_are_the_taps(catalog: dict[str, Any]) -> None:
    names: list[str] = []
    keys: list[str] = []
    for cell, _, key, how in table(README, "stream", "one record is", "key", "read"):
        (name,) = in_code(cell)
        entry = catalog[name]
        # Such as "and `categoryId`": that of the row before, and one more.
        keys = [*(keys if key.startswith("and ") else []), *in_code(key)]
        assert keys == entry["key_properties"], name
        assert (how == "whole") is (entry["replication_method"] == "FULL_TABLE"), name
        assert in_code(how) in ([], [entry.get("replication_key")]), name
        names.append(name)
    assert sorted(names) == sorted(catalog)


@pytest.mark.parametrize(("page", "template", "source"), SAID)
def test_numbers_in_the_prose_are_the_codes(
    page: str, template: str, source: str | int, about: dict[str, Any]
) -> None:
    settings = about["settings"]["properties"]
    number = source if isinstance(source, int) else settings[source]["default"]
    words = WORDS.get(template, {})
    text = " ".join((dev.ROOT / page).read_text(encoding="utf-8").split())
    assert template.format(words.get(number, f"{number:,}")) in text


def test_how_long_the_budget_takes_is_said(about: dict[str, Any]) -> None:
    settings = about["settings"]["properties"]
    rate_limiter = RateLimiter(
        per_minute=settings["requests_per_minute"]["default"],
        per_hour=settings["requests_per_hour"]["default"],
        max_wait=settings["rate_limit_max_wait"]["default"],
        stop=threading.Event(),
        logger=logging.getLogger(__name__),
    )
    text = " ".join((DOCS / "budget.md").read_text(encoding="utf-8").split())
    time = duration(rate_limiter.seconds_for(999))
    assert f"999 requests to make; the budget allows that in {time} at the" in text
    assert "500,000 take a good four hours" in text
    hours = rate_limiter.seconds_for(500_000 // InventoryStream.max_limit) / 3600
    assert 4 < hours < 4.5


def test_how_long_retries_take_is_said_alike(about: dict[str, Any]) -> None:
    setting = about["settings"]["properties"]["max_retries"]
    time = re.search(
        rf"\b{setting['default']} ride out (about \w+ minutes)", setting["description"]
    )
    assert time
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    assert f"they ride out {time[1]} |" in README.read_text(encoding="utf-8")
    assert f"`max_retries` times, over {time[1]}." in text
