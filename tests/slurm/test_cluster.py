"""The study on a real Slurm, undisturbed: GPUs are asked for, results are those of one machine, nothing is redone."""

import subprocess

import pytest
from alertgrid.launch import sweep
from lab import wait_until
from submitit.helpers import DelayedSubmission


@pytest.mark.parametrize(
    ("profile", "request_seen"),
    [("slurm", "TresPerNode=gres:gpu:1"), ("slurm-gpus", "TresPerJob=gres:gpu:1"), ("slurm-nodbd", "gres:gpu:1")],
)
def test_a_study_runs_on_slurm_with_gpus(make_study, reference, profile, request_seen):
    study = make_study(profile=profile)
    process = study.start()
    number = study.wait_for(lambda: study.job_of(0), 60, process)
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True).stdout
    assert study.finish(process) == 0, study.log()[-3000:]
    assert request_seen in shown
    assert "Partition=gpu" in shown
    assert study.results_of() == reference(4)
    assert all(study.lines(seed, "begun") == [0, 1, 2, 3] for seed in range(4))
    again = study.run(study.command())
    assert "Nothing to be done" in again.stderr, again.stderr[-3000:]
    assert not (study.results / "controller.lock").exists()


class Slow:
    """Counts to ten; continues where it was when Slurm warns it."""

    def __init__(self, folder, lives=1):
        self.folder, self.lives = folder, lives

    def __call__(self):
        import time

        state = self.folder / "count"
        for number in range(int(state.read_text()) if state.exists() else 0, 10):
            time.sleep(0.4)
            state.write_text(str(number + 1))
        return self.lives

    def checkpoint(self):
        return DelayedSubmission(Slow(self.folder, self.lives + 1))


def test_a_sweep_is_one_array_whose_tasks_survive_preemption(slurm, tmp_path, monkeypatch):
    import threading

    from lab import HERE, ROOT, squeue

    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'workflow'}:{HERE}")
    for name in "ab":
        (tmp_path / name).mkdir()

    def preempt():
        wait_until((tmp_path / "b" / "count").exists, 60)
        subprocess.run(["scancel", "--signal=USR2", next(job for job in squeue() if job.endswith("_1"))])

    thread = threading.Thread(target=preempt)
    thread.start()
    parameters = {"timeout_min": 5, "mem_gb": 0.5, "slurm_partition": "gpu", "gpus_per_node": 1}
    tasks = [Slow(tmp_path / "a"), Slow(tmp_path / "b")]
    results = sweep.run_tasks(tasks, folder=tmp_path / "jobs", at_once=2, cluster="slurm", parameters=parameters)
    thread.join()
    assert results == [1, 2]
