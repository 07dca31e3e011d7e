"""Model cards and checklist: filled in from the records, and silent about nothing that is not recorded."""

from __future__ import annotations

import pandas as pd
import pytest
import synthetic_record
import synthetic_report
import toy_training
from alertgrid.cards import write as cards
from alertgrid.page import provenance
from alertgrid.tables import SCHEMAS, records
from alertgrid.tables.recorded import explained


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    return synthetic_report.write_tables(tmp_path_factory.mktemp("study") / "tables")


def test_one_card_per_cell_with_its_own_numbers(tables, tmp_path):
    written = cards.write_cards(tables, tmp_path, study="demo", data="Simulated sky.", licence="MIT")
    assert {path.stem for path in written} == set(synthetic_report.CELLS)
    text = (tmp_path / "convnext_pico-galaxies-fusion.md").read_text()
    assert "| ROC AUC | 0.965 (0.953 to 0.977) |" in text
    assert "95 % intervals; 3 seeds, 420 sources, 6,120 alerts" in text
    assert "| parameters | 8,800,000 |" in text
    assert "| 100 % | 3 | 3,400 | 51,000 | 5,200 |" in text
    assert "| bts_p1 | Completeness | 0.965 (0.915 to 1.000) |" in text
    assert "Simulated sky." in text
    assert "| licence | MIT; the initial weights have their own" in text
    assert "| licence | MIT |" in (tmp_path / "btsbot_cnn-none-image.md").read_text()
    assert "| training.learning_rate | 0.0001 |" in text
    assert "Inputs (SHA-256), dataset: " + "ab" * 32 in text
    assert "Initial weights (SHA-256), convnext_pico, simulated galaxies: " + "ef" * 32 in text
    assert "Hardware, driver: 570.86.15" in text
    assert "| Tesla T4 | fp32 | eager | 1 |" in text
    assert "| Tesla T4 | fp32 | eager | 256 |" in text
    assert "| 1.20 (1.10 to 1.30) |" in text
    assert text.index("100 % of the training") < text.index("10 % of the training")


def test_every_cell_has_its_own_cost(tables, tmp_path):
    cards.write_cards(tables, tmp_path, study="demo")
    texts = {path.stem: path.read_text() for path in tmp_path.glob("*.md")}
    assert not [cell for cell, text in texts.items() if "not timed" in text]
    blind = texts["convnext_pico-galaxies-image-science_template"]
    assert "Measured with all three cutouts." in blind
    assert "Measured with all three cutouts." not in texts["convnext_pico-galaxies-image"]


def test_a_control_says_that_it_is_one(tables, tmp_path):
    cards.write_cards(tables, tmp_path, study="demo")
    assert "must not be used" in (tmp_path / "convnext_pico-galaxies-image-permuted.md").read_text()
    assert "must not be used" not in (tmp_path / "btsbot_cnn-none-image.md").read_text()


def test_cards_from_records_alone(tmp_path):
    (tmp_path / "tables").mkdir()
    record = {"run": "a-none-image/f1/s0", "cell": "a-none-image", "fraction": 1.0, "seed": 0}
    pd.DataFrame([record]).to_csv(tmp_path / "tables" / "runs.csv", index=False)
    (card,) = cards.write_cards(tmp_path / "tables", tmp_path, study="x")
    text = card.read_text()
    assert "No run of this cell could be judged" in text
    assert "| parameters | not recorded |" in text
    assert "| architecture | a |" in text
    assert "not timed" in text


def test_no_runs_no_cards(tmp_path):
    assert cards.write_cards(tmp_path, tmp_path, study="x") == []


def test_checklist_answers_what_is_recorded(tables, tmp_path):
    counts = pd.DataFrame({"split": ["test"], "band": ["all"], "n_alerts": [1200], "n_sources": [40]})
    counts.to_csv(tables / "dataset_counts.csv", index=False)
    pd.DataFrame({"reason": ["cut off"], "n_alerts": [7]}).to_csv(tables / "dataset_refused.csv", index=False)
    found = cards.write_checklist(
        tables, tmp_path / "list.md", study="demo", facts={"code": "https://example.org/code", "licence": "MIT"}
    )
    by_question = {answer.question: answer for answer in found}
    assert by_question["Is the revision recorded?"].answer == "yes"
    assert by_question["Where is the code?"].evidence == "https://example.org/code"
    kept = by_question["Are the trained weights kept, under which licence?"].evidence
    assert kept == "weights.safetensors in the folder of each run; MIT"
    assert by_question["Are the dependencies pinned?"].answer == "not recorded"
    assert "1,200 alerts of 40 sources" in by_question["Are the numbers of examples given for every split?"].evidence
    assert "7 alerts refused" in by_question["Is it said what was left out, and why?"].evidence
    assert "84 runs; 1 failed or missing" in by_question["Is the number of runs given?"].evidence
    assert by_question["Can the data be identified?"].answer == "yes"
    assert by_question["Is the machine described?"].evidence == "Tesla T4 driver 570.86.15"
    text = (tmp_path / "list.md").read_text()
    assert text.index("## Models") < text.index("## Data") < text.index("## Code") < text.index("## Results")


def test_checklist_of_half_recorded_and_of_unrecorded_runs(tmp_path):
    runs = synthetic_report.runs()
    runs.loc[runs.index[:10], ["git_revision", "input_hashes.dataset"]] = None
    runs.to_csv(tmp_path / "runs.csv", index=False)
    found = {answer.question: answer.answer for answer in cards.write_checklist(tmp_path, tmp_path / "a.md", study="x")}
    assert found["Is the revision recorded?"] == "in part"
    assert found["Can the data be identified?"] == "in part"
    (tmp_path / "runs.csv").unlink()
    found = cards.write_checklist(tmp_path, tmp_path / "b.md", study="x")
    assert {answer.answer for answer in found} == {"not recorded"}


def test_the_records_of_these_tests_have_the_keys_of_real_ones(tmp_path):
    real = toy_training.run_toy(toy_training.write_toy(tmp_path), tmp_path)
    made = synthetic_record.record("btsbot_cnn-none-image", {"inputs": "image"}, 1e5, 1.0, 0)
    assert set(made) <= set(real)
    assert made["input_hashes"].keys() == real["input_hashes"].keys()
    assert made["initial_weights"] == real["initial_weights"]
    assert made["hardware"].keys() - real["hardware"].keys() == {"driver"}, "on a GPU alone"
    found = provenance.provenance(pd.DataFrame([records.flatten(real)]))
    assert found["Inputs (SHA-256)"] == real["input_hashes"]
    assert found["Hardware"]["device name"] == real["hardware"]["device_name"]
    columns = records.flatten(real).keys() - SCHEMAS["runs"].keys()
    assert not [column for column in columns if "as in the record" in explained(column)[1]]
