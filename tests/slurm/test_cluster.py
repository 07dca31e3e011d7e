"""The study on a real Slurm, undisturbed: GPUs are asked for, nothing is redone; and a search as one job array."""

import threading
import time
from argparse import Namespace

import pytest
from alertgrid.tuning import search as tuning
from alertgrid.tuning.command import place
from lab import HERE, ROOT, jobs_below, slurm, wait_until


def test_a_study_runs_on_slurm_and_a_second_start_has_nothing_to_do(make_study):
    study = make_study(epochs="4/4/4/4")
    process = study.start()
    number = study.wait_for(lambda: study.job_of(0), 180, process)
    shown = slurm("scontrol", "show", "job", number)
    assert study.finish(process) == 0, study.log()[-3000:]
    assert "TresPerNode=gres:gpu:1" in shown
    assert "Partition=gpu" in shown
    study.check_results()
    study.check_epochs(0, 0, 0, 0)
    again = study.run(study.command())
    assert "Nothing to be done" in again.stderr, again.stderr[-3000:]
    assert not (study.results / "controller.lock").exists()


class Valley:
    """Lowest at 0.3; notes every epoch in its folder, and goes on where it was."""

    def __call__(self, settings, folder, report):
        folder.mkdir(parents=True, exist_ok=True)
        state, value = folder / "epochs", abs(settings["training"]["learning_rate"] - 0.3)
        for epoch in range(len(state.read_text().split()) if state.exists() else 0, 5):
            time.sleep(0.4)
            with open(state, "a") as file:
                file.write(f"{epoch}\n")
            report(epoch, value)
        return value


@pytest.mark.usefixtures("slurm")
def test_a_search_is_one_array_whose_workers_survive_preemption(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'workflow'}:{HERE}")
    monkeypatch.chdir(tmp_path)
    preempted = []

    def preempt():
        wait_until(lambda: len(list((tmp_path / "search").rglob("epochs"))) >= 2, 180)
        preempted.extend(job for job in jobs_below(tmp_path) if job.endswith("_1"))
        slurm("scancel", "--signal=USR2", *preempted)

    thread = threading.Thread(target=preempt)
    thread.start()
    search = tuning.Search(tmp_path / "search", {"training.learning_rate": {"low": 0.0, "high": 1.0}}, seed=1)
    trial = {"partition": "gpu", "gres": "gpu:1", "mem_mb": 1500, "runtime": 5, "threads": 1}  # as a profile says it
    parameters = place(Namespace(trial=trial, cluster=None, minutes=240, threads=1))[1]
    study = tuning.tune(search, Valley(), trials=6, workers=2, cluster="slurm", parameters=parameters)
    thread.join()
    assert "Restarts=1" in slurm("scontrol", "show", "job", *preempted)
    assert len(tuning.settled(study)) == 6
    assert study.best_value < 0.3
    for state in search.folder.rglob("epochs"):
        epochs = state.read_text().split()
        assert epochs == [str(number) for number in range(len(epochs))], state
