"""The page in a real browser: no error on its console, no sideways scroll on a phone, tables that sort."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.report import Pictures

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
)

# The page lies in a frame as wide as a phone; what drives it stands outside, so that the page's own security policy stays as it is.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><iframe width="375" height="800" srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
addEventListener("load", () => {{
  const view = document.querySelector("iframe").contentWindow, page = view.document, found = {{}};
  const table = page.querySelector("table[data-sortable]");
  const column = Array.from(table.tHead.rows[0].cells).findIndex((cell) => cell.textContent.startsWith("DiffROAR"));
  const heading = table.tHead.rows[0].cells[column];
  const values = () => Array.from(table.tBodies[0].rows, (row) => row.cells[column].dataset.order);
  found.sideways = page.documentElement.scrollWidth - view.innerWidth;
  found.before = values();
  heading.querySelector("button").click();
  found.up = values(); found.sort_up = heading.getAttribute("aria-sort");
  heading.querySelector("button").click();
  found.down = values(); found.sort_down = heading.getAttribute("aria-sort");
  found.pictures = Array.from(page.images, (image) => image.naturalWidth);
  found.shown = ["wide", "narrow"].filter((name) => view.getComputedStyle(page.querySelector("." + name)).display !== "none");
  view.dispatchEvent(new Event("beforeprint"));
  found.open = page.querySelector("details").open;
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="the browser `chromium` is not installed")
def test_the_page_on_a_phone(
    tmp_path: Path,
    make_result: Callable[..., DiffROARResult],
    make_pictures: Callable[..., Pictures],
    page_of: Callable[..., str],
) -> None:
    results = {
        "standard": make_result("standard", seeds=2),
        "a_long_name_without_spaces_or_hyphens": make_result("robust", seeds=2),
    }
    page = page_of(results, pictures=make_pictures(tuple(results)))
    (tmp_path / "harness.html").write_text(HARNESS.format(page=html.escape(page)), encoding="utf-8")
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'user'}", "--dump-dom", (tmp_path / "harness.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "CONSOLE" not in done.stderr
    answer = re.search(r'<pre id="found">(.+?)</pre>', done.stdout, re.DOTALL)
    assert answer, done.stderr
    found = json.loads(html.unescape(answer.group(1)))
    ordered = sorted(found["before"], key=float)
    assert found["before"] not in (ordered, ordered[::-1])
    assert [float(value) for value in found["up"]] == [float(value) for value in ordered]
    assert [float(value) for value in found["down"]] == [float(value) for value in ordered[::-1]]
    assert (found["sort_up"], found["sort_down"]) == ("ascending", "descending")
    assert found["sideways"] <= 0
    assert found["pictures"] == [8] * 12
    assert found["shown"] == ["narrow"]
    assert found["open"] is True
