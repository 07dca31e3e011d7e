"""What goes wrong on clusters, done on purpose: the study still ends complete, its results the undisturbed ones."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from alertgrid.status import study_status
from lab import squeue, wait_until


def slurm(*words: str) -> str:
    """One of Slurm's commands, which must succeed."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def all_saved(study, count):
    """Whether every run has saved so many epochs."""
    return all(len(study.lines(seed, "saved")) >= count for seed in range(4))


def check_epochs(study, epochs, disturbances):
    """No epoch is missing, none is begun again but the one that was under way when a run was disturbed."""
    for seed in range(4):
        begun = study.lines(seed, "begun")
        assert sorted(set(begun)) == list(range(epochs))
        assert len(begun) - epochs <= disturbances, (seed, begun)


def test_time_limit_cancel_memory_drain_and_preemption(make_study, reference):
    study = make_study(epochs=60, pace=2.5)
    process = study.start()
    study.wait_for(lambda: all_saved(study, 2), 120, process)
    jobs = {seed: study.job_of(seed) for seed in range(4)}
    slurm("scontrol", "update", f"jobid={jobs[0]}", "timelimit=1")
    slurm("scancel", jobs[1])
    (study.results / "checkpoints/cell/f1/s2/hog").touch()
    study.wait_for(lambda: study.job_of(1) not in (None, jobs[1]), 60, process)
    study.wait_for(lambda: study.job_of(2) not in (None, jobs[2]), 60, process)

    slurm("scontrol", "update", f"nodename={os.uname().nodename}", "state=drain", "reason=test")
    time.sleep(3)
    slurm("scontrol", "update", f"nodename={os.uname().nodename}", "state=resume")
    study.wait_for(lambda: study.job_of(0) not in (None, jobs[0]), 120, process)

    last = study.job_of(3)
    assert last == jobs[3], "the run that nobody touched is still in its first job"
    slurm("sbatch", "--partition=urgent", "--gres=gpu:4", "--output=/dev/null", "--wrap=sleep 2")

    # A trainer that saves and leaves within the grace time has failed for Slurm: then it is a retry, not a requeue.
    def again():
        return "Restarts=1" in slurm("scontrol", "show", "job", last) or study.job_of(3) not in (None, last)

    study.wait_for(again, 90, process)

    assert study.finish(process) == 0, study.log()[-3000:]
    assert study.results_of() == reference(60)
    # Each run was disturbed once on its own and perhaps once more by the preemption.
    check_epochs(study, 60, disturbances=2)


def test_work_longer_than_any_limit_goes_on_in_the_same_job(make_study, reference):
    study = make_study(epochs=12, pace=1)
    process = study.start("--retries", "0")
    study.wait_for(lambda: all_saved(study, 1), 120, process)
    number = study.job_of(1)
    (study.results / "checkpoints/cell/f1/s1/requeue").touch()
    study.wait_for(lambda: "Restarts=1" in slurm("scontrol", "show", "job", number), 60, process)
    assert study.finish(process) == 0, study.log()[-3000:]
    assert study.results_of() == reference(12)
    check_epochs(study, 12, disturbances=0)


def test_a_killed_controller_is_started_again_without_training_twice(make_study, reference):
    study = make_study(epochs=20, pace=1)
    process = study.start()
    study.wait_for(lambda: all_saved(study, 1), 120, process)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert [run.state for run in study_status(study.results)] == ["running"] * 4
    plain = study.run(study.command())
    assert plain.returncode != 0
    assert study.run(study.command("--unlock")).returncode == 0
    unlocked = study.run(study.command())
    assert unlocked.returncode != 0
    assert "still in Slurm" in unlocked.stderr
    assert "python -m alertgrid resume --study toy" in unlocked.stderr

    resumed = study.run(study.alertgrid())
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "waiting for" in resumed.stdout
    assert study.results_of() == reference(20)
    check_epochs(study, 20, disturbances=0)


def test_resume_can_cancel_what_is_left(make_study, reference):
    study = make_study(epochs=20, pace=1)
    process = study.start()
    study.wait_for(lambda: all_saved(study, 1), 120, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = study.run(study.alertgrid("--cancel"))
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert study.results_of() == reference(20)
    check_epochs(study, 20, disturbances=1)


def test_a_second_controller_refuses_and_names_the_first(make_study, reference):
    study = make_study(epochs=12, pace=1)
    process = study.start()
    study.wait_for((study.results / "controller.lock").exists, 60, process)
    second = study.run(study.command())
    assert second.returncode != 0
    assert f"process {process.pid}" in second.stderr
    unlock = study.run(study.command("--unlock"))
    assert unlock.returncode != 0
    assert "already under way" in unlock.stderr
    assert study.finish(process) == 0, study.log()[-3000:]
    assert study.results_of() == reference(12)
    check_epochs(study, 12, disturbances=0)


def test_the_controller_as_a_job_requeues_itself(make_study, reference):
    study = make_study(epochs=20, pace=1)
    words = ("--minutes", "10", "--memory-gb", "1")
    launched = study.run(study.alertgrid(*words, code="run_launch"))
    assert launched.returncode == 0, launched.stderr
    number = launched.stdout.split("job ")[1].split()[0]
    log = Path(launched.stdout.split("its log: ")[1].splitlines()[0])
    wait_until(lambda: all_saved(study, 1), 120, "a first epoch")
    second = study.run(study.alertgrid(code="run_launch"))
    assert second.returncode != 0
    assert f"Slurm job {number}" in second.stderr

    slurm("scancel", "--signal=USR2", number)
    wait_until(lambda: "Restarts=1" in slurm("scontrol", "show", "job", number), 60, "the requeue")
    wait_until(lambda: not squeue(), 300, "the end of all jobs")
    assert "waiting for" in log.read_text()
    assert study.results_of() == reference(20)
    check_epochs(study, 20, disturbances=0)
    assert (study.results / "table.csv").exists()


@pytest.mark.parametrize("options", ["size=400k", "size=4m,ro"])
def test_a_full_or_read_only_disk_stops_clearly_and_is_mended(make_study, reference, options):
    study = make_study(epochs=4)
    checkpoints = study.results / "checkpoints"
    checkpoints.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", checkpoints], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        if "ro" not in options:
            subprocess.run(["dd", "if=/dev/zero", f"of={checkpoints}/filler", "bs=1k"], capture_output=True)
        assert study.finish(study.start("--retries", "0")) != 0
        log = (study.results / "logs/train/cell/f1/s0.log").read_text()
        assert ("Read-only file system" if "ro" in options else "No space left on device") in log
        assert not (study.results / "runs/cell/f1/s0/run.json").exists()
        slurm("mount", "-o", "remount,rw,size=4m", str(checkpoints))
        (checkpoints / "filler").unlink(missing_ok=True)
        assert study.finish(study.start()) == 0, study.log()[-3000:]
        assert study.results_of() == reference(4)
    finally:
        subprocess.run(["umount", checkpoints], check=True)
