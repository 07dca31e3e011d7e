"""A trainer that learns nothing but behaves like the real one: a lock, a checkpoint each epoch, a result by rename.

The result depends on every epoch and on the state carried from one to the next, so that a lost or repeated epoch shows.
Files in the checkpoint folder tell it what to do: `hold` to stay in its second epoch until the file is gone or it is to
stop, `hog` to take memory there until it is killed, `deaf` to hear no signal, `clock` to stop 20 s after the start of
its job, which may take five minutes.
"""

import signal
import sys
import time
from pathlib import Path

import numpy as np
from alertgrid import locks
from alertgrid.files import read_json, write_json
from alertgrid.launch import scheduler

AGAIN = 75
END = scheduler.end_of_job() or float("inf")
stopped = []


def train(seed: int, epochs: int, pace: float, folder: Path, output: Path) -> int:
    """Run the epochs that are left; note each epoch when it begins and when it is saved. The exit status."""
    state_file = folder / "state.json"
    with locks.hold(folder / "lock.json", f"run s{seed}", wait_seconds=20) as lock:
        state = read_json(state_file) if state_file.exists() else {"epoch": 0, "weights": [0.0] * 4, "seconds": 0.0}
        while state["epoch"] < epochs:
            note(folder / "begun", state["epoch"])
            state = one_epoch(state, seed, pace, folder)
            lock.check()
            write_json(state_file, state)
            write_json(folder / "progress.json", progress(state, epochs))
            note(folder / "saved", state["epoch"] - 1)
            if asked_to_stop(folder):
                break
        else:
            write_json(output, {"epochs": epochs, "weights": state["weights"], "wall_seconds": 0.0, "device": "cpu"})
            return 0
    print("stopped, saved", flush=True)
    scheduler.requeue_self()
    return AGAIN


def asked_to_stop(folder: Path) -> bool:
    """Whether a signal has come, or the time is over."""
    late = (folder / "clock").exists() and time.time() > END - 280
    return late or (bool(stopped) and not (folder / "deaf").exists())


def one_epoch(state: dict, seed: int, pace: float, folder: Path) -> dict:
    """The next state, after `pace` seconds."""
    time.sleep(pace)
    while state["epoch"] == 1 and (folder / "hold").exists() and not asked_to_stop(folder):
        time.sleep(0.1)
        if (folder / "hog").exists():
            (folder / "hog").unlink()
            memory = [np.ones(2**26) for _ in range(4)]
            time.sleep(60)
            del memory
    step = np.random.default_rng([seed, state["epoch"]]).normal(size=4)
    weights = 0.9 * np.array(state["weights"]) + step
    return {"epoch": state["epoch"] + 1, "weights": weights.tolist(), "seconds": state["seconds"] + pace}


def progress(state: dict, epochs: int) -> dict:
    """What `status` reads."""
    return {key: state[key] for key in ("epoch", "seconds")} | {
        "epochs": epochs,
        "step": state["epoch"],
        "device": "cpu",
        "updated": time.time(),
    }


def note(path: Path, epoch: int) -> None:
    """Add a line to a file that only grows."""
    with open(path, "a") as file:
        file.write(f"{epoch}\n")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    seed, epochs, pace, folder, output = sys.argv[1:]
    sys.exit(train(int(seed), int(epochs), float(pace), Path(folder), Path(output)))
