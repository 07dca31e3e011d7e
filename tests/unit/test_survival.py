"""Killed at any moment, a run goes on and ends with the same bits; asked to stop, it says so with its exit status."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from alertgrid.__main__ import main
from alertgrid.files import read_json
from alertgrid.training import EXIT_STATUS
from alertgrid.training.step import Learner
from toy_training import MODELS, RECIPE, run_toy, same_run, write_toy

KILLS = 20
RUN = "metadata_net-none-metadata/f1/s1"  # what the command trains, unless told otherwise


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def arguments(files, folder, inputs="metadata", **recipe):
    architecture = "metadata_net" if inputs == "metadata" else "btsbot_cnn"
    values = {
        "dataset": files[0], "catalogue": files[1], "architecture": architecture, "pretraining": "none",
        "inputs": inputs, "training": json.dumps({**RECIPE, **recipe}), "models": json.dumps(MODELS),
        "checkpoints": folder / "checkpoints", "runs": folder / "runs", "device": "cpu", "threads": 1,
    }  # fmt: skip
    options = (str(part) for name, value in values.items() for part in (f"--{name}", value))
    return ["train", *options, "--run", "1.0", "1", "0"]


def start(command, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, *command], env=environment, stderr=subprocess.PIPE, text=True, **options)


def wait_for(path, process, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)


# The command


def test_command_trains_and_says_one_line(files, tmp_path, capsys):
    (tmp_path / "recipe.json").write_text(json.dumps({**RECIPE, "epochs": 1}))
    command = arguments(files, tmp_path)
    command[command.index("--training") + 1] = f"@{tmp_path / 'recipe.json'}"
    assert main(command) == 0
    output = capsys.readouterr().out.splitlines()
    assert len(output) == 1
    assert output[0].startswith("metadata_net-none-metadata fraction 1 seed 1: val AUC 0.")


def test_command_is_told_apart_how_to_use_the_machine(files, tmp_path, capsys):
    assert main([*arguments(files, tmp_path), "--machine", "score_batch=32", "resident=no"]) == 0
    used = read_json(tmp_path / "runs" / RUN / "run.json")["settings"]["training"]
    assert (used["score_batch"], used["resident"]) == (32, "no")
    assert main([*arguments(files, tmp_path), "--machine"]) == 0  # as the rules say it where the profile is silent
    assert main([*arguments(files, tmp_path), "--machine", "epochs=3"]) == 1
    assert "--machine: 'epochs' is unknown" in capsys.readouterr().err


def test_command_explains_errors(files, tmp_path, capsys):
    assert main(arguments(files, tmp_path, epocs=3)) == 1
    assert "did you mean 'epochs'" in capsys.readouterr().err
    for text in ("{", "[1]", "@nowhere.json"):
        command = arguments(files, tmp_path)
        command[command.index("--models") + 1] = text
        with pytest.raises(SystemExit):
            main(command)


def test_used_up_time_gives_the_distinct_status(files, tmp_path, capsys):
    command = arguments(files, tmp_path)
    assert main([*command, "--budget-seconds", "1"]) == EXIT_STATUS == 75
    assert "start again to go on: " in capsys.readouterr().err
    assert main(command) == 0
    run_toy(files, tmp_path / "whole", inputs="metadata", architecture="metadata_net")
    same_run(tmp_path / "runs" / RUN, tmp_path / "whole" / "out")


def train_but_not_predict(command, monkeypatch):
    """Run a command that is asked to stop when its training has ended."""
    score = Learner.score

    def late(learner, feed, precision, tick=None):
        if not learner.network.training:  # still in evaluation mode from the last validation: these are the predictions
            signal.raise_signal(signal.SIGTERM)
        return score(learner, feed, precision, tick)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "score", late)
        assert main(command) == EXIT_STATUS


def test_stop_before_the_predictions_keeps_the_training(files, tmp_path, monkeypatch, capsys):
    train_but_not_predict(arguments(files, tmp_path), monkeypatch)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(Learner, "step", None)
    assert main(arguments(files, tmp_path)) == 0
    assert "resumed after epoch 3, step 0" in capsys.readouterr().err


def test_second_trainer_refuses(files, tmp_path, capsys, monkeypatch):
    from alertgrid.locks import hold

    monkeypatch.setattr("alertgrid.training.run.HANDOVER_SECONDS", 0.1)
    with hold(tmp_path / "checkpoints" / RUN / "lock.json", "training of this run"):
        assert main(arguments(files, tmp_path)) == 1
    assert "already under way" in capsys.readouterr().err


def test_damaged_checkpoint_costs_steps_but_no_bit(files, tmp_path, monkeypatch, capsys):
    step, count = Learner.step, []

    def fail(*parts):
        count.append(1)
        if len(count) == 9:
            raise RuntimeError("killed")
        return step(*parts)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "step", fail)
        assert main(arguments(files, tmp_path, checkpoint_minutes=0.0)) == 1
    assert "RuntimeError: killed" in capsys.readouterr().err
    newest = max((tmp_path / "checkpoints" / RUN).glob("step-*.ckpt"))
    newest.write_bytes(newest.read_bytes()[:-10])
    assert main(arguments(files, tmp_path, checkpoint_minutes=0.0)) == 0
    assert "is damaged; the one before is used" in capsys.readouterr().err
    run_toy(files, tmp_path / "whole", inputs="metadata", architecture="metadata_net")
    same_run(tmp_path / "runs" / RUN, tmp_path / "whole" / "out")


def test_other_settings_start_anew(files, tmp_path, capsys):
    assert main([*arguments(files, tmp_path, learning_rate=0.5), "--budget-seconds", "1"]) == EXIT_STATUS
    assert main(arguments(files, tmp_path)) == 0
    assert "belongs to other settings or data" in capsys.readouterr().err
    run_toy(files, tmp_path / "whole", inputs="metadata", architecture="metadata_net")
    same_run(tmp_path / "runs" / RUN, tmp_path / "whole" / "out")


def test_other_code_starts_anew_even_from_an_ended_training(files, tmp_path, monkeypatch, capsys):
    train_but_not_predict([*arguments(files, tmp_path), "--code", "old"], monkeypatch)
    assert main([*arguments(files, tmp_path), "--code", "new"]) == 0
    assert "was written by other code, so training begins anew" in capsys.readouterr().err
    assert read_json(tmp_path / "runs" / RUN / "run.json")["resumed"] == 0


# Real processes, real signals


@pytest.mark.slow
def test_sigterm_with_sigcont_saves_and_leaves(files, tmp_path):
    recipe = {"epochs": 400, "patience": 400, "checkpoint_minutes": 0.0}
    command = ["-m", "alertgrid", *arguments(files, tmp_path, **recipe)]
    process = start(command)
    wait_for(tmp_path / "checkpoints" / RUN / "progress.json", process)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == EXIT_STATUS, error
    assert "SIGTERM received; saved at" in error
    assert not (tmp_path / "checkpoints" / RUN / "lock.json").exists()


def train_in_child(files, folder, recipe, network):
    """Fork a trainer; a fork shares the imports, so that twenty of them are a matter of seconds."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        run_toy(files, folder, recipe=recipe, **network)
        os._exit(0)
    return child


def newest_step(folder):
    """Steps done at the newest checkpoint; 0 before the first."""
    paths = (folder / "checkpoints").glob("step-*.ckpt")
    return max((int(path.stem.removeprefix("step-")) for path in paths), default=0)


def reaches(folder, step, child):
    """Wait until the child has saved at this step or later; False when it ended before."""
    while newest_step(folder) < step:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.0005)
    return True


def kill_until_done(files, folder, recipe, network):
    """Start, kill -9, start again; the number of kills and the exit status of the last one, who was spared.

    Most are killed a random time after a checkpoint or several, wherever they are then: counted in steps, so that a
    fast machine does not come to the end. Every fifth is killed at any time from its start, which may be before it has
    set up anything.
    """
    torch.set_num_threads(1)
    chance = random.Random(7)
    for kills in range(KILLS + 1):
        before = newest_step(folder)
        child = train_in_child(files, folder, recipe, network)
        if kills % 5 == 0:
            time.sleep(chance.uniform(0, 0.1))
        elif reaches(folder, before + chance.randint(1, 5), child):
            time.sleep(chance.uniform(0, 0.002))
        if kills < KILLS:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            print(folder.with_suffix(".log").read_text(), file=sys.stderr)
            return kills, os.waitstatus_to_exitcode(status)
    raise AssertionError("unreachable: the last one is not killed")


@pytest.mark.slow
@pytest.mark.parametrize("network", [("metadata_net", "metadata"), ("btsbot_cnn", "image")], ids=lambda pair: pair[1])
def test_kill_9_at_random_moments_changes_no_bit(files, tmp_path, network):
    # A kill comes some three steps after the one before; there are 150, so that none reaches the end.
    recipe = {"epochs": 25, "patience": 25, "checkpoint_minutes": 0.0}
    network = dict(zip(("architecture", "inputs"), network, strict=True))
    call = f"{tuple(map(str, files))!r}, Path({str(tmp_path / 'killed')!r}), {recipe!r}, {network!r}"
    code = f"from pathlib import Path; import test_survival; print(*test_survival.kill_until_done({call}))"
    process = start(["-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parent)
    output, error = process.communicate(timeout=600)
    assert output.split() == [str(KILLS), "0"], error
    torch.set_num_threads(1)
    run_toy(files, tmp_path / "whole", recipe={**recipe, "checkpoint_minutes": 9.0}, **network)
    same_run(tmp_path / "killed" / "out", tmp_path / "whole" / "out")
    record = json.loads((tmp_path / "killed" / "out" / "run.json").read_text())
    assert record["resumed"] >= KILLS // 2
