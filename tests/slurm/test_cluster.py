"""The study on a real Slurm, undisturbed: GPUs are asked for, nothing is redone; and a sweep as one job array."""

import subprocess
import threading
import time

import pytest
from alertgrid.launch import sweep
from lab import HERE, ROOT, jobs_below, wait_until
from submitit.helpers import DelayedSubmission


def test_a_study_runs_on_slurm_and_a_second_start_has_nothing_to_do(make_study):
    study = make_study(epochs="4/4/4/4", pace=0.2)
    process = study.start()
    number = study.wait_for(lambda: study.job_of(0), 60, process)
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True).stdout
    assert study.finish(process) == 0, study.log()[-3000:]
    assert "TresPerNode=gres:gpu:1" in shown
    assert "Partition=gpu" in shown
    study.check_results()
    study.check_epochs(0, 0, 0, 0)
    again = study.run(study.command())
    assert "Nothing to be done" in again.stderr, again.stderr[-3000:]
    assert not (study.results / "controller.lock").exists()


class Slow:
    """Counts to ten; continues where it was when Slurm warns it."""

    def __init__(self, folder, lives=1):
        self.folder, self.lives = folder, lives

    def __call__(self):
        state = self.folder / "count"
        for number in range(int(state.read_text()) if state.exists() else 0, 10):
            time.sleep(0.4)
            state.write_text(str(number + 1))
        return self.lives

    def checkpoint(self):
        return DelayedSubmission(Slow(self.folder, self.lives + 1))


def second_task(folder):
    """Job number of the array's second task."""
    return next((job for job in jobs_below(folder) if job.endswith("_1")), None)


@pytest.mark.usefixtures("slurm")
def test_a_sweep_is_one_array_whose_tasks_survive_preemption(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'workflow'}:{HERE}")
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()

    def preempt():
        wait_until((tmp_path / "b" / "count").exists, 60)
        subprocess.run(["scancel", "--signal=USR2", second_task(tmp_path)])

    thread = threading.Thread(target=preempt)
    thread.start()
    parameters = {"timeout_min": 5, "mem_gb": 0.5, "slurm_partition": "gpu", "gpus_per_node": 1}
    tasks = [Slow(tmp_path / "a"), Slow(tmp_path / "b")]
    results = sweep.run_tasks(tasks, folder=tmp_path / "jobs", at_once=2, cluster="slurm", parameters=parameters)
    thread.join()
    assert results == [1, 2]
