"""The page in a real browser: headless Chromium opens it from file:// and reports what a reader would meet.

A script at the head of a copy of the page gathers errors; one at its end sorts every table, measures images and widths,
and sends its findings to the page around it, which holds it in a frame of the width asked for (a window cannot be made
narrower than 500 px) and which Chromium prints with `--dump-dom`. No driver is needed.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import synthetic_study
from alertgrid import figures
from alertgrid.compare import write_comparison
from alertgrid.files import read_json, write_json
from alertgrid.page import write_page
from generated_study import load_generator

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 400)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH"),
]

LISTEN = """<script>
window.findings = {errors: []};
const note = (...words) => findings.errors.push(words.join(" "));
const failed = event => event.message || "failed to load " + (event.target.src || event.target.href);
window.addEventListener("error", event => note(failed(event)), true);
window.addEventListener("unhandledrejection", event => note(event.reason));
console.error = note; console.warn = note;
</script>"""

LOOK = """<script>
const pause = () => new Promise(done => setTimeout(done, 20));
const keys = (table, column) => [...table.tBodies[0].rows].map(row => row.cells[column].dataset.sort);
const ordered = (values, sign) => {
  const known = values.filter(value => value !== "");
  const numeric = known.every(value => !isNaN(+value));
  const rank = (a, b) => numeric ? +a - +b : a.localeCompare(b);
  return values.slice(0, known.length).every(value => value !== "")
    && known.every((value, i) => i === 0 || sign * rank(known[i - 1], value) <= 0);
};
window.addEventListener("load", async () => {
  document.querySelectorAll("details").forEach(fold => fold.open = true);
  await pause();
  findings.tables = [];
  for (const table of document.querySelectorAll("table.sortable")) {
    const result = {descending: 0, ascending: 0, columns: table.tHead.rows[0].cells.length};
    for (let column = 0; column < result.columns; column++) {
      const head = table.tHead.rows[0].cells[column];
      head.click(); await pause();
      result.descending += ordered(keys(table, column), -1) && head.getAttribute("aria-sort") === "descending";
      head.click(); await pause();
      result.ascending += ordered(keys(table, column), 1) && head.getAttribute("aria-sort") === "ascending";
    }
    findings.tables.push(result);
  }
  const shown = image => [image.alt, image.naturalWidth, image.getBoundingClientRect().width];
  findings.images = [...document.images].map(shown);
  findings.width = window.innerWidth;
  findings.scroll = document.documentElement.scrollWidth;
  const wide = element => !element.closest(".scroll") && element.getBoundingClientRect().right > innerWidth + 1;
  findings.wide = [...document.body.querySelectorAll("*")].filter(wide).map(element => element.outerHTML.slice(0, 80));
  findings.requests = performance.getEntriesByType("resource")
    .map(entry => entry.name).filter(name => !name.startsWith("data:"));
  findings.smallest = Math.min(...[...document.querySelectorAll("p, td, th, dd, dt, figcaption, a")]
    .map(element => parseFloat(getComputedStyle(element).fontSize)));
  parent.postMessage(JSON.stringify(findings), "*");
});
</script>"""

FRAME = """<!doctype html><title>frame</title><body style="margin: 0">
<script>window.onmessage = event => {{
  const out = document.createElement("pre");
  out.id = "findings"; out.textContent = event.data;
  document.body.append(out);
}};</script>
<iframe src="probed.html" style="width: {width}px; height: 900px; border: 0"></iframe>"""


@pytest.fixture(scope="module", params=["report", "comparison"])
def page(tmp_path_factory, request) -> Path:
    """The report of the synthetic study, and a comparison of two studies; or the page that ALERTGRID_PAGE names."""
    if "ALERTGRID_PAGE" in os.environ:
        return Path(os.environ["ALERTGRID_PAGE"])
    folder = tmp_path_factory.mktemp("study")
    return report(folder) if request.param == "report" else comparison(folder)


def comparison(folder: Path) -> Path:
    """Two generated studies, the later one with fewer runs and another setting."""
    generator = load_generator()
    sizes = {"cells": 4, "fractions": 2, "alerts": 400, "per_source": 5}
    for name, seeds in (("before", 2), ("after", 1)):
        generator.study(folder / name, Namespace(seeds=seeds, **sizes))
    for path in (folder / "after").rglob("run.json"):
        write_json(path, read_json(path) | {"threads": 8, "precision": "bf16"})
    write_comparison(folder / "before", folder / "after", folder / "out")
    return folder / "out" / "index.html"


def report(folder: Path) -> Path:
    """The report of the synthetic study, with every figure and the galleries."""
    paths = synthetic_study.write_study(folder, count=120)
    figures.write_figures(paths["tables"], folder / "figures", catalogue=paths["catalogue.h5"])
    figures.contact_sheet(paths["dataset.h5"], folder / "sheet")
    figures.example_gallery(paths["dataset.h5"], paths["predictions.h5"], folder / "examples", run="cell/f1/s0")
    parts = [folder / name for name in ("figures", "sheet", "examples")]
    return write_page(folder / "index.html", study="demo", tables=paths["tables"], figures=parts)


@pytest.fixture(scope="module", params=WIDTHS)
def findings(page, request, tmp_path_factory) -> dict:
    """What the browser found at one width."""
    text = page.read_text(encoding="utf-8")
    probed = tmp_path_factory.mktemp("browser") / "probed.html"
    probed.write_text(
        text.replace("<head>", "<head>" + LISTEN, 1).replace("</body>", LOOK + "</body>", 1), encoding="utf-8"
    )
    frame = probed.with_name("frame.html")
    frame.write_text(FRAME.format(width=request.param), encoding="utf-8")
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1400,900",
        "--virtual-time-budget=60000", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    match = re.search(r'<pre id="findings">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, f"the page's script did not finish: {done.stderr[-2000:]}"
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return {**json.loads(html.unescape(match[1])), "asked": request.param, "console": console}


def test_no_console_error_and_no_request(findings):
    assert findings["errors"] == []
    assert findings["console"] == []
    assert findings["requests"] == []


def test_every_table_sorts_by_every_column_both_ways(findings):
    assert findings["tables"]
    for table in findings["tables"]:
        assert table["descending"] == table["columns"], table
        assert table["ascending"] == table["columns"], table


def test_every_figure_loads(findings):
    assert findings["images"]
    for name, natural, shown in findings["images"]:
        assert natural > 0, name
        assert shown > 300, name


def test_nothing_is_wider_than_the_window(findings):
    assert findings["width"] == findings["asked"]
    assert findings["wide"] == []
    assert findings["scroll"] <= findings["asked"]


def test_no_text_is_smaller_than_13_pixels(findings):
    assert findings["smallest"] >= 13
