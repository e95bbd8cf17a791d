"""The site needs nothing from other hosts, and says which targets were tested."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

import dev
from tests.docs.pages import DOCS, blocks
from tests.e2e.test_targets import ALL

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = DOCS / "offline.py"
LINE = re.compile(r"^\| `(?P<name>target-\w+)` (?P<version>[\d.]+)", re.MULTILINE)


def check(site: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    """Check a site of one file."""
    (site / name).write_text(text, encoding="utf-8")
    return subprocess.run(  # noqa: S603 - the words are ours
        [sys.executable, SCRIPT, site],
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://cdn.example.com/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//cdn.example.com/x.css">'),
        ("a.html", '<link rel="preconnect" href="https://fonts.example.com">'),
        ("a.html", '<img alt="" srcset="a.png 1x, https://x.example.com/b.png 2x">'),
        ("a.html", '<iframe src="http://x.example.com/"></iframe>'),
        ("a.html", "<style>b { background: url(https://x.example.com/b.png) }</style>"),
        ("a.html", '<pre class="mermaid"><code>graph LR</code></pre>'),
        ("a.css", '@import "https://fonts.example.com/css";'),
        ("a.css", "@font-face { src: url('//fonts.example.com/a.woff2') }"),
        ("a.svg", '<svg><image href="https://x.example.com/b.png"/></svg>'),
    ],
)
def test_what_is_fetched_from_elsewhere_is_named(
    tmp_path: Path, name: str, text: str
) -> None:
    done = check(tmp_path, name, text)
    assert done.returncode == 1
    assert done.stderr.startswith(f"From another host: {name}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<a href="https://sdk.meltano.com/">SDK</a> <img src="b.svg">'),
        ("a.html", '<link rel="canonical" href="https://docs.example.com/">'),
        ("a.html", '<link rel="stylesheet" href="../x.css"><code>https://x</code>'),
        ("a.css", 'b { background: url("data:image/svg+xml;utf8,<svg/>") }'),
        ("a.svg", '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"/></svg>'),
    ],
)
def test_what_is_at_hand_or_only_linked_is_not(
    tmp_path: Path, name: str, text: str
) -> None:
    done = check(tmp_path, name, text)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_theme_is_told_to_ask_nobody() -> None:
    site = yaml.safe_load((dev.ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert site["theme"]["font"] is False
    # With the address of a repository, the theme asks its host for stars.
    assert not {"repo_url", "extra_javascript", "extra"} & site.keys()
    assert all((DOCS / path).is_file() for path in site["extra_css"])
    for page in DOCS.rglob("*.md"):
        assert all(block.language != "mermaid" for block in blocks(page)), page


def test_the_targets_that_were_tested_are_these() -> None:
    text = (DOCS / "howto" / "choose-a-target.md").read_text(encoding="utf-8")
    tested, reported = text.split("\n## What others report\n")
    named = dict(LINE.findall(tested))
    assert named.keys() == {target.name for target in ALL}
    for name, version in named.items():
        pins = (dev.ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        assert re.search(
            rf"^(?:\w+-)?{name}=={re.escape(version)} ", pins, re.MULTILINE
        )
    assert "**not** tested" in reported
    assert not LINE.search(reported)
