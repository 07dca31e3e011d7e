"""How far a search is, from its journal and the records of its trials: for `status` and for `plan`."""

import optuna
import pytest
from alertgrid import status
from alertgrid.files import write_json, write_text
from alertgrid.plan.recorded import read_records
from alertgrid.tuning import searches
from alertgrid.tuning.journal import Search

CELL = "convnext_pico-none-image"
HOUR = 3600.0


@pytest.fixture
def study(tmp_path):
    """A search of five trials: one complete with its record, one ended early, one under way."""
    folder = tmp_path / "results" / "toy"
    write_text(folder / "grid.csv", "run\na-none-image/f1/s0\n")
    journal = folder / "checkpoints" / "tuning" / CELL / "0123abcd"
    search = Search(journal, {"training.learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}}).open()
    search.set_user_attr("trials", 5)
    for state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED, None):
        trial = search.ask()
        trial.set_user_attr("folder", f"t{trial.number}")
        if state:
            search.tell(trial, 0.5 if state == optuna.trial.TrialState.COMPLETE else None, state=state)
    write_json(journal / "trials/t0/run/run.json", {"wall_seconds": 2 * HOUR, "device": "cuda:0", "epochs": 4})
    progress = {"epoch": 1, "epochs": 4, "seconds": HOUR, "device": "cuda:0", "updated": 0.0}
    write_json(journal / "trials/t2/checkpoints/progress.json", progress)
    return folder


def test_a_search_tells_what_is_settled_and_what_has_begun(study):
    (search,) = searches.read_searches(study)
    assert (search.cell, search.asked, search.found) == (CELL, 5, False)
    assert [record["device"] for record in search.settled] == ["cuda:0"] * 2
    assert search.settled[0]["wall_seconds"] == 2 * HOUR
    assert search.settled[1]["wall_seconds"] < 60  # between its beginning and its end, in this test
    assert [progress["seconds"] for progress in search.begun] == [HOUR]


def test_status_lists_searches_with_their_trials_and_hours(study):
    write_text(study / "checkpoints/tuning" / CELL / "0123abcd/lock.json", "{}")
    found = status.study_status(study)[0]
    assert (found.run, found.state, found.epoch, found.epochs) == (f"tuning/{CELL}", "running", 2, 5)
    assert found.gpu_hours == pytest.approx(3, abs=0.01)
    text = status.describe([found])
    assert f"running  tuning/{CELL}  2 of 5 trials\n" in text
    assert "; 1 searches begun: 0 done, 1 running," in text


def test_a_search_without_a_worker_has_stopped_or_failed_as_its_log_says(study):
    assert status.study_status(study)[0].state == "waiting"  # no log: nobody has started it here
    log = study / "logs" / "tune" / f"{CELL}.log"
    write_text(log, "error: no trial succeeded\n")
    failed = status.study_status(study)[0]
    assert (failed.state, failed.message) == ("failed", "error: no trial succeeded")
    assert "2 of 5 trials  error: no trial succeeded" in status.describe([failed])


def test_a_search_with_results_is_done_even_when_its_journal_is_gone(study, tmp_path):
    write_text(study / "tuning" / CELL / "best.yaml", "trials: 2\n")
    assert status.study_status(study)[0].state == "done"
    other = tmp_path / "results" / "other"
    write_text(other / "tuning" / CELL / "best.yaml", "trials: 3\n")
    (search,) = searches.read_searches(other)
    assert (search.found, search.asked, search.settled) == (True, 3, [{}] * 3)


def test_a_search_that_begins_has_no_trials_yet(tmp_path):
    write_text(tmp_path / "grid.csv", "run\na-none-image/f1/s0\n")
    write_text(tmp_path / "checkpoints/tuning" / CELL / "0123abcd/journal.log", "")
    write_text(tmp_path / "logs/tune/b-none-image.log", "")  # so new that it has no journal
    found = status.study_status(tmp_path)[:2]
    assert [(run.run, run.state, run.epoch) for run in found] == [
        ("tuning/b-none-image", "running", 0),
        (f"tuning/{CELL}", "waiting", 0),
    ]


def test_plan_knows_the_trials_that_are_settled(study):
    records = read_records(study)
    assert set(records) == {f"tuning/{CELL}/t0", f"tuning/{CELL}/t1"}
    assert records[f"tuning/{CELL}/t0"]["wall_seconds"] == 2 * HOUR
