"""What goes wrong on clusters, done on purpose: the study still ends complete, its results the undisturbed ones."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from alertgrid.status import study_status
from lab import jobs_below, slurm, wait_until

AGAIN = "Restarts=[1-9]"


def shown(number):
    """What Slurm says of a job."""
    return slurm("scontrol", "show", "job", number)


def shows(number, pattern, process, study):
    """Wait until Slurm says this of a job."""
    study.wait_for(lambda: re.search(pattern, shown(number)), 240, process)


def begin_and_hold(study, *options):
    """Start a study and wait until every run is in its second epoch."""
    study.hold()
    process = study.start(*options)
    study.wait_for(study.holds, 180, process)
    return process, [study.job_of(seed) for seed in range(len(study.epochs))]


def check_end(study, process, *disturbances):
    """The study ends complete, with the undisturbed results and no epoch too many."""
    assert study.finish(process) == 0, study.log()[-3000:]
    study.check_results()
    study.check_epochs(*disturbances)


@pytest.mark.alone
def test_preempted_jobs_are_requeued_and_a_drained_node_is_waited_for(make_study):
    study = make_study(epochs="6/6/6/6")
    study.ask(0, "deaf")  # killed at the end of the grace time, without a word
    process, jobs = begin_and_hold(study, "--retries", "0")
    slurm("sbatch", "--partition=urgent", "--gres=gpu:8", "--output=/dev/null", "--wrap=sleep 1")
    for number in jobs:
        shows(number, AGAIN, process, study)
    node = f"nodename={os.uname().nodename}"
    slurm("scontrol", "update", node, "state=drain", "reason=test")
    for number in jobs:
        shows(number, "JobState=PENDING", process, study)
    study.release()
    slurm("scontrol", "update", node, "state=resume")
    check_end(study, process, 1, 0, 0, 0)


def test_time_limits_cancel_and_memory(make_study):
    # A signal a minute before the limit, and the limit set when the run is under way: four minutes are too long a test.
    study = make_study(epochs="6/6/6/6/6", changes={"train": {"slurm_extra": "--signal=TERM@60"}})
    study.ask(0, "deaf")
    study.ask(4, "clock")
    process, jobs = begin_and_hold(study)
    slurm("scontrol", "update", f"jobid={jobs[0]}", "timelimit=1")
    slurm("scontrol", "update", f"jobid={jobs[3]}", "timelimit=2")
    slurm("scancel", jobs[1])
    study.ask(2, "hog")
    ends = {1: "JobState=CANCELLED", 2: "JobState=FAILED", 4: AGAIN, 3: AGAIN, 0: "JobState=TIMEOUT"}
    for seed, end in ends.items():
        shows(jobs[seed], end, process, study)
        study.release(seed)
    check_end(study, process, 1, 0, 1, 0, 0)


def test_a_killed_controller_is_started_again_without_training_twice(make_study):
    study = make_study()
    process, _ = begin_and_hold(study)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert [run.state for run in study_status(study.results)] == ["running"] * 2
    locked = study.run(study.command())
    assert locked.returncode != 0
    assert "go on with: python -m alertgrid resume --study toy" in locked.stderr
    assert study.run(study.command("--unlock")).returncode == 0
    unlocked = study.run(study.command())
    assert unlocked.returncode != 0
    assert "2 jobs of an earlier Snakemake are still in Slurm" in unlocked.stderr

    study.release(0)
    resuming = study.start_alertgrid("resume")
    study.wait_for(lambda: "waiting for" in study.log(), 180, resuming)
    study.release()
    check_end(study, resuming, 0, 0)


def test_a_second_controller_refuses_and_names_the_first(make_study):
    study = make_study(profile="slurm-gpus")
    process, jobs = begin_and_hold(study)
    second = study.run(study.command())
    assert second.returncode != 0
    assert f"process {process.pid}" in second.stderr
    unlock = study.run(study.command("--unlock"))
    assert unlock.returncode != 0
    assert "already under way" in unlock.stderr
    assert "TresPerJob=gres:gpu:1" in shown(jobs[0])
    study.release()
    check_end(study, process, 0, 0)


def test_the_controller_as_a_job_requeues_itself_and_cancels_what_it_left(make_study):
    study = make_study()
    study.hold()
    launched = study.run(study.alertgrid("launch", "--minutes", "10", "--memory-gb", "1", "--cancel"))
    assert launched.returncode == 0, launched.stderr
    number = launched.stdout.split("job ")[1].split()[0]
    log = Path(launched.stdout.split("its log: ")[1].splitlines()[0])
    wait_until(study.holds, 180, "the second epoch")
    second = study.run(study.alertgrid("launch"))
    assert second.returncode != 0
    assert f"Slurm job {number}" in second.stderr

    slurm("scancel", "--signal=USR2", number)
    wait_until(lambda: re.search(AGAIN, shown(number)), 180, "the requeue")
    wait_until(lambda: "waiting for" in log.read_text(), 180, "its next life")
    study.release()
    wait_until(lambda: not jobs_below(study.folder), 300, "the end of all jobs")
    study.check_results()
    study.check_epochs(0, 0)
    assert (study.results / "table.csv").exists()


@contextlib.contextmanager
def disk(folder, size):
    """A small disk of its own; its remount changes options."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield lambda options: slurm("mount", "-o", f"remount,{options}", str(folder))
    finally:
        slurm("umount", str(folder))


def test_a_read_only_and_a_full_disk_stop_clearly_and_are_mended(make_study):
    study = make_study(profile="slurm-nodbd")
    with disk(study.folder / "results", "8m") as results, disk(study.results / "checkpoints", "40k") as checkpoints:
        results("ro,size=8m")
        refused = study.run(study.command())
        assert refused.returncode != 0
        assert "Read-only file system" in refused.stderr
        assert "what to do: mend it and start again" in refused.stderr
        results("rw,size=8m")
        (study.results / "checkpoints/filler").write_bytes(bytes(40 * 1024))
        assert study.finish(study.start("--retries", "0")) != 0
        log = (study.results / "logs/train/cell/f1/s0.log").read_text()
        assert "cannot be written: [Errno 28] No space left on device" in log or "cannot be written: No space" in log
        assert not (study.results / "runs/cell/f1/s0/run.json").exists()
        checkpoints("rw,size=4m")
        check_end(study, study.start(), 1, 1)
