"""Figures: what is drawn, what the captions say, what is skipped and why, and that equal tables give equal bytes."""

from __future__ import annotations

import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import synthetic_report
import synthetic_study
from alertgrid import figures
from alertgrid.figures import efficiency, style, words, writing
from alertgrid.figures.dataset import load_catalogue
from alertgrid.figures.differences import differences
from alertgrid.figures.performance import performance
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The files of the synthetic study."""
    return synthetic_study.write_study(tmp_path_factory.mktemp("study"), count=120)


@pytest.fixture(scope="module")
def drawings(study):
    """Every drawing of the synthetic study by name, not written to files."""
    plans = figures.plan_figures(figures.read_tables(study["tables"]), load_catalogue(study["catalogue.h5"]))
    return {drawing.name: drawing for _, name, draw in plans if name != "encoders" for drawing in draw()}


@pytest.fixture(scope="module")
def written(study, tmp_path_factory):
    """Captions and folder of what two of the tables give."""
    keep, output = tmp_path_factory.mktemp("two"), tmp_path_factory.mktemp("figures")
    for name in ("performance", "multiplier"):
        (keep / f"{name}.csv").write_bytes((study["tables"] / f"{name}.csv").read_bytes())
    return keep, output, figures.write_figures(keep, output)


def test_every_figure_is_drawn_in_a_journal_width(drawings):
    expected = {"performance", "differences_baseline", "differences_pretraining", "policy_overall", "policy_magnitude"}
    expected |= {
        "efficiency_roc_auc",
        "multiplier",
        "accuracy_cost_tesla_t4",
        "accuracy_cost_cpu_4_threads",
        "throughput",
    }
    expected |= {"calibration", "score_distributions", "dataset_counts", "dataset_magnitudes", "dataset_missing"}
    expected |= {f"curves_{cell}" for cell in synthetic_report.CELLS}
    assert expected <= set(drawings)
    for drawing in drawings.values():
        assert len(drawing.caption) > 20
        assert drawing.figure.get_figwidth() in (style.COLUMN_WIDTH, style.PAGE_WIDTH)
        assert drawing.figure.get_figheight() <= style.MAX_HEIGHT


def test_figures_are_written_as_pdf_and_png_with_captions(written):
    _, output, captions = written
    assert set(captions["figures"]) == {"performance", "multiplier"}
    assert json.loads((output / "captions.json").read_text()) == captions
    for name, entry in captions["figures"].items():
        assert entry["files"] == [f"{name}.pdf", f"{name}.png"]
        assert (output / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(output / f"{name}.png") as image:
            assert image.width == round(entry["width_in"] * style.PNG_DPI)
            assert np.asarray(image.convert("L")).std() > 5  # not blank


def test_captions_state_n_from_the_tables(drawings):
    captions = {name: drawing.caption for name, drawing in drawings.items()}
    assert "95 % intervals" in captions["performance"]
    assert "1 to 3 seeds, 420 test sources, 6,120 test alerts" in captions["performance"]
    assert "340 to 3,400 training sources" in captions["efficiency_roc_auc"]
    assert "9 runs of 12 epochs" in captions["curves_btsbot_cnn-none-image"]
    assert "120 alerts of" in captions["dataset_counts"]
    assert "(30 of 48)" in captions["differences_baseline"]
    assert "95 % intervals (percentiles of a bootstrap): 3 seeds, 420 test sources" in captions["multiplier"]
    assert "95 % intervals (cluster bootstrap)" in captions["policy_magnitude"]
    assert "scores per cell" in captions["score_distributions"]
    assert "empty text" in captions["dataset_missing"]


def test_level_decides_what_is_filled_and_a_lower_brier_score_is_better():
    table = synthetic_report.differences().assign(level=0.9, p_holm=0.07)
    table["metric"] = table["metric"].replace("average_precision", "brier")
    drawing = next(differences({"differences": table}, ["roc_auc", "brier"]))
    assert "p < 0.1 after Holm" in drawing.caption
    assert "(48 of 48)" in drawing.caption
    assert "worse for Brier score" in drawing.caption
    (legend,) = drawing.figure.legends
    assert "p < 0.1 (Holm)" in [text.get_text() for text in legend.get_texts()]
    faces = {line.get_markerfacecolor() for line in drawing.figure.axes[0].lines if line.get_marker() in "os^D"}
    assert "white" not in faces
    bars = {round(bar.get_width(), 6) for bar in drawing.figure.axes[0].patches}
    assert bars == {0.06}  # twice what is detectable among so many, not alone


def test_differences_of_one_seed_are_neither_filled_nor_tested():
    table = synthetic_report.differences().assign(p_holm=np.nan, detectable_holm=np.nan, n_seeds=1)
    drawing = next(differences({"differences": table}, ["roc_auc"]))
    assert "(0 of 0)" in drawing.caption
    assert "With one seed, whose spread is not measured, no mark is filled." in drawing.caption
    axes = drawing.figure.axes[0]
    assert {line.get_markerfacecolor() for line in axes.lines if line.get_marker() in "os^D"} == {"white"}
    assert not axes.patches


def test_same_tables_same_bytes_and_no_date_in_them(written, tmp_path):
    keep, output, _ = written
    captions = figures.write_figures(keep, tmp_path / "again")
    for entry in captions["figures"].values():
        for name in entry["files"]:
            assert (tmp_path / "again" / name).read_bytes() == (output / name).read_bytes(), name
    assert b"CreationDate" not in (output / "performance.pdf").read_bytes()


def test_missing_and_empty_tables_are_skipped_with_a_reason(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "efficiency.csv").write_text("")
    (tables / "timing.csv").write_text("cell,metric\n")
    synthetic_report.performance().iloc[:0].to_csv(tables / "performance.csv", index=False)
    captions = figures.write_figures(tables, tmp_path / "figures", catalogue=tmp_path / "none.h5")
    assert captions["figures"] == {}
    assert captions["skipped"]["performance"] == "table performance.csv is empty"
    assert captions["skipped"]["efficiency"] == "table efficiency.csv is missing"
    assert "has no column job" in captions["skipped"]["throughput"]
    assert captions["skipped"]["dataset_counts"] == "there is no catalogue"
    assert len(captions["skipped"]) == len(figures.FROM_TABLES) + 3


def test_policies_that_no_source_can_meet_are_not_drawn(tmp_path):
    (tmp_path / "tables").mkdir()
    synthetic_report.policies().assign(estimate=None).to_csv(tmp_path / "tables/policies.csv", index=False)
    skipped = figures.write_figures(tmp_path / "tables", tmp_path / "figures")["skipped"]
    for name in ("policy_overall", "policy_magnitude"):
        assert "completeness is not defined" in skipped[name]


def test_a_table_without_its_rows_is_skipped_with_a_reason(tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    policies = synthetic_report.policies()
    policies.assign(stratum="band=g").to_csv(tables / "policies.csv", index=False)
    performance = synthetic_report.performance().query("architecture == 'external'")
    performance.to_csv(tables / "performance.csv", index=False)
    synthetic_report.timing().to_csv(tables / "timing.csv", index=False)
    synthetic_report.dataset_missing().assign(fraction_missing=0.0).to_csv(tables / "dataset_missing.csv", index=False)
    control = synthetic_report.efficiency().query("cell.str.contains('permuted')")
    control.to_csv(tables / "efficiency.csv", index=False)
    captions = figures.write_figures(tables, tmp_path / "figures")
    assert captions["skipped"]["policy_overall"] == "table policies.csv has no row for stratum 'all'"
    assert captions["skipped"]["policy_magnitude"] == "table policies.csv has no magnitude bins"
    assert "no architecture in common" in captions["skipped"]["accuracy_cost"]
    assert captions["skipped"]["dataset_missing"] == "no metadata value is missing"
    assert "performance" in captions["figures"]
    assert not any(name.startswith("efficiency") for name in captions["figures"])


def test_forest_plot_has_one_row_a_cell_best_on_top_and_controls_apart():
    with style.house_style():
        (drawing,) = performance({"performance": synthetic_report.performance()}, words.PRIMARY)
    upper, _, lower, _ = drawing.figure.axes
    names = [label.get_text() for label in upper.get_yticklabels()]
    assert names[0] == "convnext_pico-galaxies-fusion"
    assert "btsbot_v101_score" in names
    assert [label.get_text() for label in lower.get_yticklabels()] == ["convnext_pico-galaxies-image-permuted"]
    drawn = {round(float(line.get_xdata()[0]), 4) for line in upper.lines if len(line.get_xdata()) == 1}
    table = synthetic_report.performance().query("metric == 'roc_auc' and labels != 'permuted'")
    assert drawn == set(table["estimate"].round(4))


def test_style_leaves_matplotlib_as_it_was():
    before = {key: mpl.rcParams[key] for key in ("font.size", "pdf.fonttype", "axes.grid", "axes.edgecolor")}
    with style.house_style():
        assert mpl.rcParams["pdf.fonttype"] == 42
        assert mpl.rcParams["font.size"] == 7
    assert {key: mpl.rcParams[key] for key in before} == before


def _texts(figure):
    """Every text a reader sees: labels, titles, legends, and the ticks within the axes' limits."""
    yield from figure.texts
    for legend in [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]:
        yield from legend.get_texts()
    for axes in figure.axes:
        if axes.get_visible():
            yield from (axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts)
            for axis, place in ((axes.xaxis, 0), (axes.yaxis, 1)):
                low, high = sorted(axis.get_view_interval())
                yield from (tick for tick in axis.get_ticklabels() if low <= tick.get_position()[place] <= high)


@pytest.mark.slow
def test_no_text_is_cut_off(drawings):
    for name, drawing in drawings.items():
        with style.house_style():
            painted = FigureCanvasAgg(drawing.figure)
            painted.draw()
            canvas = drawing.figure.bbox
            for text in _texts(drawing.figure):
                if text.get_visible() and text.get_text().strip():
                    box = text.get_window_extent(painted.get_renderer())
                    assert canvas.x0 - 1 <= box.x0, (name, text.get_text())
                    assert box.x1 <= canvas.x1 + 1, (name, text.get_text())


def test_captions_are_escaped_for_snakemakes_own_report(tmp_path):
    from docutils.core import publish_parts

    text = "cell_a_ with `quotes`, *stars*, |bars| and a back\\slash"
    assert text in publish_parts(writing.escape(text), writer="html")["body"]


@pytest.mark.slow
def test_two_processes_draw_the_same_as_one(tmp_path):
    tables = synthetic_report.write_tables(tmp_path / "tables")
    for name in ("history", "performance", "policies"):  # fewer, for time
        (tables / f"{name}.csv").unlink()
    alone, together = (figures.write_figures(tables, tmp_path / str(n), workers=n) for n in (1, 2))
    assert list(alone["figures"]) == list(together["figures"])
    assert alone == together
    for path in sorted(path for path in (tmp_path / "1").rglob("*") if path.is_file()):
        name = path.relative_to(tmp_path / "1")
        assert path.read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_the_main_figures_come_in_both_widths(tmp_path):
    tables = synthetic_report.write_tables(tmp_path / "tables")
    for name in ("history", "policies", "differences", "multiplier", "calibration"):
        (tables / f"{name}.csv").unlink()
    found = figures.write_figures(tables, tmp_path / "figures")["figures"]
    both = {name for name, entry in found.items() if "column" in entry}
    assert {"performance", "efficiency_roc_auc", "efficiency_average_precision", "strata", "magnitude_scores"} <= both
    assert any(name.startswith("accuracy_cost") for name in both)
    for name in both:
        assert found[name]["width_in"] == style.PAGE_WIDTH
        with Image.open(tmp_path / "figures" / found[name]["column"][1]) as picture:
            assert picture.width == round(style.COLUMN_WIDTH * style.PNG_DPI)
        assert (tmp_path / "figures" / found[name]["column"][0]).read_bytes().startswith(b"%PDF")


def test_a_small_screen_gets_the_figure_drawn_for_one_column(tmp_path):
    from alertgrid.page import write_page

    tables = synthetic_report.write_tables(tmp_path / "tables")
    for name in ("history", "policies", "differences", "multiplier", "calibration", "timing"):
        (tables / f"{name}.csv").unlink()
    figures.write_figures(tables, tmp_path / "figures")
    text = write_page(tmp_path / "index.html", study="x", tables=tables, figures=[tmp_path / "figures"]).read_text()
    assert text.count('<source media="(max-width: 700px)"') == 5
    assert 'href="figures/column/performance.pdf"' in text


def test_lower_bounds_of_the_multiplier_say_their_number():
    rows = [
        ("a-galaxies-image", 3.9, "at least"),
        ("b-galaxies-image", np.nan, "not reached"),
        ("c-x-image", 1.1, "reached"),
    ]
    table = pd.DataFrame(rows, columns=["cell", "multiplier", "status"]).assign(
        reference="r", metric="roc_auc", low=[0.8, 0.0, np.nan], high=[np.inf, 0.9, np.nan]
    )
    (drawing,) = efficiency.multiplier({"multiplier": table}, ["roc_auc"])
    axes = drawing.figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["at least 3.9", "not reached"]
    low, high = axes.get_xlim()
    assert low <= 0.5
    assert high >= 4
    arrows = {line.get_marker(): line.get_xydata().tolist() for line in axes.lines if line.get_marker() in ("<", ">")}
    assert arrows == {">": [[high, 0]], "<": [[low, 1]]}
    assert "An arrow to the left: the interval includes that no fraction measured" in drawing.caption
    assert "Rows without a line have no interval" in drawing.caption
