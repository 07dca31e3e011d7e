"""Files are whole or absent."""

from __future__ import annotations

import io
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from alertgrid import files, predictions
from alertgrid.errors import StudyError
from alertgrid.progress import Progress


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"n": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"half": 1, "then": object()})
    assert files.read_json(path) == {"n": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_killed_attempts_are_removed_and_nothing_else(tmp_path):
    kept = [
        tmp_path / name for name in ("a.h5", "b.h5", ".b.0123abcd.h5", ".a.h5", ".a.0123abcd.csv", ".a.notahash.h5")
    ]
    for path in (*kept, tmp_path / ".a.0123abcd.h5"):
        path.write_text("x")
    files.remove_leftovers(tmp_path / "a.h5")
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_sigterm_ends_a_write_that_cleans_up(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        _write_and_be_ended(tmp_path / "a")
    assert ended.value.code == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is before
    with ThreadPoolExecutor(1) as thread, pytest.raises(KeyError):
        thread.submit(_fail_within).result()


def _write_and_be_ended(path):
    with files.end_on_sigterm(), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def _fail_within():
    with files.end_on_sigterm():
        raise KeyError


def test_json_refuses_nan_and_strange_values(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "a.json", {"loss": float("nan")})
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"what": object()})
    files.write_json(tmp_path / "b.json", {"path": tmp_path, "n": pd.Series([3])[0]})
    assert files.read_json(tmp_path / "b.json") == {"path": str(tmp_path), "n": 3}


def test_hashes(tmp_path):
    files.write_text(tmp_path / "a", "abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "a") == files.sha256_text("abc") == known
    assert files.hash_files([tmp_path / "a"]) == {"a": known}
    files.write_text(tmp_path / "below/a", "abc")
    assert files.hash_files([tmp_path / "a", tmp_path / "below/a"]) == {"a": known, "below/a": known}
    assert files.hash_files([]) == {}


def test_predictions_come_back_and_bad_ones_are_refused(tmp_path):
    path = tmp_path / "predictions.h5"
    candid = [2466440000000000001, 2466440000000000002]
    predictions.write_predictions(path, candid, ["val", "test"], [0.25, 1.0], {"cell": "a"})
    read = predictions.read_predictions(path)
    assert read.to_dict("list") == {"candid": candid, "split": ["val", "test"], "score": [0.25, 1.0]}
    with pytest.raises(StudyError, match="candid 2466440000000000002 has score nan"):
        predictions.write_predictions(path, candid, ["val", "test"], [0.25, float("nan")], {})
    with pytest.raises(StudyError, match="lengths differ"):
        predictions.write_predictions(path, candid, ["val", "test"], [0.25], {})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StudyError, match="cannot be read"):
        predictions.read_predictions(path)


def test_progress_says_rate_and_time_left():
    stream = io.StringIO()
    progress = Progress(10, "train", every_seconds=0, stream=stream)
    progress.step(5, loss=0.51234)
    line = stream.getvalue()
    assert line.startswith("train 5/10 alerts ")
    assert "s left" in line
    assert "loss=0.5123" in line
    assert "left" not in Progress(0, "read").line(1e9)
