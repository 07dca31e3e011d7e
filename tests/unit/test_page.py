"""The page: one file, headline and claims first, intervals written out, nothing fetched, missing things named."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import synthetic_report
from alertgrid import figures
from alertgrid.page import costs, efficiency, provenance, sections, views, write_page


class _Reader(HTMLParser):
    """Collects headings, ids, sources and links."""

    def __init__(self):
        super().__init__()
        self.tags, self.ids, self.sources, self.links = [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with two figures, a gallery that was not made, and all tables."""
    folder = tmp_path_factory.mktemp("report")
    tables = synthetic_report.write_tables(folder / "tables")
    few = folder / "few"
    few.mkdir()
    for name in ("multiplier", "performance"):
        (few / f"{name}.csv").write_bytes((tables / f"{name}.csv").read_bytes())
    figures.write_figures(few, folder / "figures")
    write_page(
        folder / "index.html",
        study="demo <&>",
        tables=tables,
        figures=[folder / "figures", folder / "gallery"],
        facts={"Code": {"workflow": "1.2"}},
    )
    return folder


def _read(folder) -> tuple[str, _Reader]:
    text = (folder / "index.html").read_text(encoding="utf-8")
    reader = _Reader()
    reader.feed(text)
    return text, reader


def test_page_needs_no_other_file(page):
    text, reader = _read(page)
    assert reader.sources
    assert all(source.startswith("data:image/png;base64,") for source in reader.sources)
    assert "link" not in reader.tags or all(
        link.startswith(("data:", "#", "tables/", "figures/")) for link in reader.links
    )
    assert "@import" not in text
    assert "url(" not in text
    for link in reader.links:
        if not link.startswith(("data:", "#")):
            assert (page / link).is_file(), link


def test_links_within_the_page_have_targets(page):
    _, reader = _read(page)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link[1:] for link in reader.links if link.startswith("#")} <= set(reader.ids)


def test_overview_comes_first_with_headline_and_claims(page):
    text, reader = _read(page)
    heads = re.findall(r"<h[23]>(.*?)</h[23]>", text)
    assert heads[:3] == ["Overview", "Headline numbers", "Claims of the papers"]
    order = ["overview", "performance", "efficiency", "timing", "calibration", "training", "dataset", "gallery"]
    assert [name for name in reader.ids if name in (*order, "provenance", "absent")] == [*order, "provenance", "absent"]


def test_numbers_carry_their_intervals_and_names_are_escaped(page):
    text, _ = _read(page)
    assert "0.965 (0.953 to 0.977)" in text
    assert "demo &lt;&amp;&gt;" in text
    assert 'class="verdict contradicted">contradicted' in text


def test_missing_runs_and_figures_are_named(page):
    text, _ = _read(page)
    assert "1 run is failed or missing" in text
    assert "<dt>runs failed or missing</dt><dd>1</dd>" in text, "a timing is no run"
    assert "failed after epoch 3: CUDA out of memory" in text
    assert "results/demo/logs/train/maxvit_tiny-galaxies-image/f1/s0.log" in text
    assert "timing: maxvit_tiny.csv" in text[text.index("Inputs that are missing or incomplete") :]
    assert "table efficiency.csv is missing" in text
    assert "its figures were not made" in text


def test_provenance_comes_from_the_records(page):
    text, _ = _read(page)
    assert "0123abc" * 5 in text
    assert text.count("ab" * 32) == 1
    assert text.count("ef" * 32) > 1
    assert "<dt>device name</dt><dd>Tesla T4</dd>" in text
    assert "<dt>image run</dt><dd>6 files, in runs.csv</dd>" in text
    assert "2.11.0" in text
    assert "workflow" in text


def test_same_input_same_page(page):
    text, _ = _read(page)
    tables = page / "tables"
    write_page(page / "index.html", study="demo <&>", tables=tables, figures=[page / "figures", page / "gallery"],
               facts={"Code": {"workflow": "1.2"}})  # fmt: skip
    assert _read(page)[0] == text


def test_an_empty_study_still_has_a_page(tmp_path):
    write_page(tmp_path / "index.html", study="none", tables=tmp_path / "tables", figures=[])
    text, _ = _read(tmp_path)
    assert "no run of this study could be judged yet" in text
    assert "No run record was found" in text
    assert text.count("Nothing to show") == 7


def test_headline_has_one_cell_per_architecture_and_the_external_entrant():
    tables = {"performance": synthetic_report.performance(), "runs": synthetic_report.runs()}
    view = sections.headline(tables, ("roc_auc",))
    assert "greatest validation ROC AUC" in view.note
    cells = [row[0].text for row in view.rows]
    assert cells == [
        "convnext_pico-galaxies-fusion", "maxvit_tiny-galaxies-fusion", "btsbot_v101_score", "btsbot_cnn-none-fusion",
        "metadata_net-none-metadata",
    ]  # fmt: skip
    heads = [column.head for column in view.columns]
    trained = {
        row[0].text: (row[heads.index("training sources (%)")].text, row[heads.index("seeds")].text)
        for row in view.rows
    }
    assert trained["btsbot_v101_score"] == ("", ""), "it was not trained here"
    assert trained["btsbot_cnn-none-fusion"] == ("100", "3")


def test_further_metrics_get_a_table_of_their_own():
    table = synthetic_report.performance()
    table = pd.concat([table, table[table["metric"] == "roc_auc"].assign(metric="mcc")])
    made = {view.title: view for view in sections.sections({"performance": table}, ("roc_auc",))[0].views}
    further = made["Further metrics, largest fraction"]
    assert {len(row[-1].text.split(".")[1]) for row in further.rows} == {3}, "decimals stand below each other"


def test_dataset_tables_and_summary(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    counts = pd.DataFrame(
        {"split": ["test", "test"], "band": ["all", "g"], "n_alerts": [1200, 700], "n_sources": [40, 30]}
    )
    counts.to_csv(tables / "dataset_counts.csv", index=False)
    pd.DataFrame({"column": ["a", "b"], "n_missing": [0, 3]}).to_csv(tables / "dataset_missing.csv", index=False)
    write_page(tmp_path / "index.html", study="x", tables=tables, figures=[])
    text, _ = _read(tmp_path)
    assert "<dt>test alerts (sources)</dt><dd>1,200 (40)</dd>" in text
    assert "Missing values" in text
    assert '<td data-sort="a">' not in text


def test_numbers_as_text():
    assert views.interval(0.93, 0.91, 0.95, 2) == "0.93 (0.91 to 0.95)"
    assert views.interval(0.93, np.nan, 0.95) == "0.930"
    assert views.interval(0.0, 0.0, 0.0, 1) == "0.0 (0.0 to 0.0)"  # the median of days of which most are zero
    assert views.interval(np.nan, 0.1, 0.2) == ""
    assert views.number("a") == ""
    assert [views.significant(value) for value in (0, 12345.6, 0.01234, np.nan)] == ["0", "12,346", "0.0123", ""]


def test_sort_values_are_numbers_and_empty_where_unknown():
    frame = pd.DataFrame({"name": ["b", None], "value": [0.5, np.nan]})
    view = views.view("t", "T", frame, [views.text("name", "name"), views.plain("value (m)", "value", 2)])
    assert [[cell.sort for cell in row] for row in view.rows] == [["b", "0.5"], ["", ""]]
    assert [cell.text for cell in view.rows[0]] == ["b", "0.50"]
    assert not view.folded
    assert views.view("t", "T", frame.iloc[:0], []) is None
    assert views.view("t", "T", frame, [views.text("x", "absent")]) is None


def test_long_tables_are_folded_and_long_texts_keep_their_width():
    frame = pd.DataFrame({"name": ["a sentence of more than thirty-six letters"] * 30})
    view = views.generic("t", "T", frame)
    assert view.folded
    assert view.rows[0][0].kind == "long"


def test_values_that_differ_between_runs_are_counted():
    runs = pd.DataFrame({"device": ["a", "a", "b"], "versions.torch": ["2", "2", "2"], "versions.x": [None] * 3})
    found = provenance.provenance(runs)
    assert found["Runs"]["device"] == "a (2 runs), b (1 run)"
    assert found["Versions"] == {"torch": "2"}
    assert provenance.provenance(None) == {}
    many = pd.DataFrame({"device": [f"d{i}" for i in range(9)]})
    assert provenance.provenance(many)["Runs"]["device"].endswith("and 3 more")


def test_claims_are_stated_once_with_their_verdicts():
    rows = pd.DataFrame(
        {
            "claim": [1, 1, 2],
            "statement": ["A beats B.", "A beats B.", "C."],
            "source": ["arXiv 1", "arXiv 1", np.nan],
            "verdict": ["supported", "undecided", "not measured"],
            "quantity": ["roc_auc: mean", "parameters over", np.nan],
        }
    )
    assert sections.statements({"claims": rows}) == [
        ("1", "A beats B. (arXiv 1)", "supported: 1, undecided: 1"),
        ("2", "C. (no source)", "not measured: 1"),
    ]
    assert sections.statements({}) == []
    # Few rows say what they are about, since a study may measure another thing than the words of the claim.
    named = sections.statements({"claims": rows.assign(scope=["x against y", "", "x against z"])})
    assert [verdicts for _, _, verdicts in named] == ["supported: 1, undecided: 1", "x against z: not measured"]
    measured = [row[2].text for row in sections.claims({"claims": rows}).rows]
    assert measured == ["ROC AUC: mean", "parameters over", ""]


def test_costs_say_which_energy_is_known():
    table = synthetic_report.training_cost()
    unknown = costs.cost(table.assign(energy_wh=np.nan, n_energy=0, energy_of=""))
    assert "No run could read" in unknown.note
    assert "energy (Wh)" not in [column.head for column in unknown.columns]
    assert "wall time (min)" in [column.head for column in unknown.columns]
    known = costs.cost(table.assign(energy_wh=1.5, n_energy=3, energy_of="processor (RAPL)", wall_seconds=9.0))
    assert "work beside" in known.note
    assert {"energy (Wh)", "wall time (s)"} <= {column.head for column in known.columns}
    assert costs.cost(table[:0]) is None


def test_the_custom_cnn_is_shown_once_per_setting():
    timing = synthetic_report.timing()
    other = timing[timing["architecture"] == "btsbot_cnn"].assign(job="maxvit_tiny-image", latency_ms=1e6)
    made = costs.inference(pd.concat([other, timing], ignore_index=True))
    assert len(made.rows) == len(timing)
    heads = [column.head for column in made.columns]
    assert "1,000,000" not in {row[heads.index("latency (ms)")].text for row in made.rows}
    assert made.rows[0][heads.index("over custom CNN")].text == "1.20 (1.10 to 1.30)"
    assert "memory (MiB)" in heads


def test_machines_say_what_they_know():
    table = synthetic_report.machines()
    heads = [column.head for column in costs.machines(table).columns]
    assert {"GPU driver", "GPU (MHz)", "CPU threads"} <= set(heads)
    without = costs.machines(table[table["type"] == "cpu"])
    assert "GPU driver" not in [column.head for column in without.columns]
    assert costs.machines(None) is None


def test_words_that_look_like_numbers_are_sorted_as_words():
    made = views.view("x", "X", pd.DataFrame({"a": ["40", "[16, 32]", "", "0, 1"]}), [views.text("a", "a")])
    assert [row[0].sort for row in made.rows] == ["'40", "[16, 32]", "", "0, 1"]


def test_encoders_are_shown_with_what_they_learned():
    table = pd.DataFrame({"encoder": "a-galaxies", "metric": ["r2 of bulge_fraction"], "value": [0.25], "n": [90]})
    training = sections.sections({"encoders": table}, ("roc_auc",))[4]
    assert [cell.text for cell in training.views[0].rows[0]] == ["a-galaxies", "bulge fraction", "R²", "0.250", "90"]


def test_open_ends_of_a_multiplier_are_words_with_a_note():
    table = pd.DataFrame(
        [("a-b-c", 1.23, 0.0, 2.38, "reached"), ("d-b-c", 3.9, 0.8, np.inf, "at least")],
        columns=["cell", "multiplier", "low", "high", "status"],
    ).assign(reference="a-none-c", metric="roc_auc", level=0.95, method="by test")
    made = efficiency.multiplier({"multiplier": table})
    place = [column.head for column in made.columns].index("times fewer sources (interval)")
    assert [row[place].text for row in made.rows] == ["1.2 (up to 2.4)", "at least 3.9 (0.8 or more)"]
    assert made.note.startswith("Intervals: 95 %; by test. ")
    assert "that no fraction measured matches" in made.note
    closed = efficiency.multiplier({"multiplier": table.assign(low=0.9, high=2.4)})
    assert closed.note == "Intervals: 95 %; by test."
    alone = efficiency.multiplier({"multiplier": table.assign(low=np.nan, high=np.nan, method="none: one seed")})
    assert [row[place].text for row in alone.rows] == ["1.2 (no interval)", "at least 3.9 (no interval)"]
    assert alone.note == "No interval: one seed."


def test_of_many_methods_the_commonest_are_named():
    table = pd.DataFrame({"low": 0.1, "level": 0.95, "method": [*"aabbbcccc", "d"]})
    assert views.levels(table) == "Intervals: 95 %; c; or b; or a; or as the CSV says."
    assert views.levels(table[:5]) == "Intervals: 95 %; b; or a."
    alone = views.levels(table.replace({"method": {"d": "one seed"}}))
    assert alone.endswith("as the CSV says; where there is one seed, of the test sources alone.")
    assert views.levels(None) == views.levels(table[["low"]]) == ""
