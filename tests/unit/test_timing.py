"""Timing on a CPU with the smallest networks: figures that can be known, and none that depend on the machine."""

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.errors import StudyError
from alertgrid.files import read_json
from alertgrid.tables import SCHEMAS
from alertgrid.tables.records import read_machines
from alertgrid.timing import measure as timing
from alertgrid.timing import stopwatch

CPU = torch.device("cpu")
SMALL = {"batches": (4, 1), "repeats": 3, "warmup": 1, "max_seconds": 1.0, "threads": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timing")
    paths = {"output": folder / "metadata_net-metadata.csv", "record": folder / "metadata_net-metadata.json"}
    frame = timing.time_network(architecture="metadata_net", inputs="metadata", device="cpu", **SMALL, **paths)
    return frame, paths


def test_rows_and_files(table):
    frame, paths = table
    assert list(frame) == list(SCHEMAS["timing"])
    assert len(frame) == 2 * 2 * 2  # precisions, batches, networks
    assert set(frame["job"]) == {"metadata_net-metadata"}
    assert set(frame["architecture"]) == {"metadata_net", "btsbot_cnn"}
    assert (frame["repeats"] == 3).all()
    pd.testing.assert_frame_equal(pd.read_csv(paths["output"]), frame)
    machine = read_json(paths["record"])["cpu"]
    assert (machine["type"], machine["threads"]) == ("cpu", 1)
    row = read_machines(paths["record"]).iloc[0]
    assert (row["job"], row["device"], row["threads"]) == ("metadata_net-metadata", frame["device"].iloc[0], 1)


def test_numbers_agree_with_each_other(table):
    frame, _ = table
    np.testing.assert_allclose(frame["throughput"], frame["batch"] / frame["latency_ms"] * 1e3)
    assert (frame["throughput_low"] <= frame["throughput"]).all()
    assert (frame["throughput"] <= frame["throughput_high"]).all()
    assert (frame["relative_low"] <= frame["relative_to_custom"]).all()
    assert (frame["relative_to_custom"] <= frame["relative_high"]).all()
    assert (frame.loc[frame["architecture"] == "btsbot_cnn", "relative_to_custom"] == 1).all()
    np.testing.assert_allclose(frame["memory_mb"], frame["weights_mb"] + frame["peak_memory_mb"])


def test_the_custom_cnn_is_divided_turn_by_turn(monkeypatch):
    times = [np.array([1.0, 2.0, 4.0]), np.array([2.0, 6.0, 4.0])]
    monkeypatch.setattr(timing, "measure", lambda *given: (times, [0.0, 0.0]))
    options = {**SMALL, "batches": (4,), "precisions": ("fp32",)}
    own = timing.time_network(architecture="metadata_net", inputs="metadata", device="cpu", **options).iloc[0]
    assert tuple(own[["relative_to_custom", "relative_low", "relative_high"]]) == (2.0, 1.0, 3.0)


def test_sizes_are_those_of_the_published_networks(table):
    frame, _ = table
    own = frame[frame["architecture"] == "metadata_net"].iloc[0]
    cnn = frame[frame["architecture"] == "btsbot_cnn"].iloc[0]
    # 25 columns: normalisation 2 x 25, layers 25 -> 128 -> 128 -> 1 with biases.
    assert own["parameters"] == 50 + 26 * 128 + 129 * 128 + 129
    assert own["gflops"] == pytest.approx(2 * (25 * 128 + 128 * 128 + 128) / 1e9)
    assert own["input_size"] == 0
    assert cnn["input_size"] == 63
    assert cnn["gflops"] == pytest.approx(0.52, rel=0.01)
    assert cnn["weights_mb"] == pytest.approx(cnn["parameters"] * 4 / 2**20, rel=1e-3)


@pytest.mark.parametrize("inputs", ["image", "fusion", "joint"])
def test_custom_network_alone_is_its_own_measure(inputs):
    options = {**SMALL, "batches": (2,), "precisions": ("fp32",), "device": "cpu"}
    frame = timing.time_network(architecture="btsbot_cnn", inputs=inputs, **options)
    assert len(frame) == 1
    assert frame["relative_to_custom"].iloc[0] == 1
    assert frame["input_size"].iloc[0] == 63


def test_both_devices_are_measured_where_there_is_a_gpu(monkeypatch):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert timing._devices("auto") == [gpu, CPU]
    assert timing._devices("cuda") == [gpu]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert timing._devices("auto") == [CPU]


def test_too_slow_a_batch_and_all_above_it_are_left_out(monkeypatch):
    called = []

    def measure(calls, *given):
        batch = 4 ** len(called)
        called.append([call is not None for call in calls])
        # The network takes 0.5 s an alert, the custom CNN 0.1 s.
        return [np.array([slow * batch] if call else []) for call, slow in zip(calls, (0.5, 0.1), strict=True)], [
            0.0,
            0.0,
        ]

    monkeypatch.setattr(timing, "measure", measure)
    options = {**SMALL, "batches": (64, 1, 16, 4), "precisions": ("fp32",), "max_seconds": 10.0}
    frame = timing.time_network(architecture="metadata_net", inputs="metadata", device="cpu", **options)
    own = frame[frame["architecture"] == "metadata_net"].set_index("batch")
    assert called == [[True, True], [True, True], [True, True], [False, True]]
    assert own["repeats"].to_dict() == {1: 1, 4: 1, 16: 1, 64: 0}
    assert np.isnan(own.at[64, "throughput"])
    assert np.isnan(own.at[64, "relative_to_custom"])


def test_arithmetic_is_put_back_and_float32_is_meant():
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    with pytest.raises(StudyError, match="precisions"):
        timing.time_network(architecture="btsbot_cnn", precisions=("fp8",))
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before


def test_memory_of_a_call_is_what_it_holds():
    def call():
        return torch.ones(40 * 2**18) + 1  # two tensors of 40 MiB

    call()
    found = stopwatch.peak_memory(call, CPU)
    assert np.isnan(found) or 70 < found < 100


def test_a_network_that_does_not_fit_or_compile_leaves_the_others():
    def full():
        raise torch.OutOfMemoryError("no room")

    def strange():
        raise stopwatch.CannotCompile("no compiler")

    times, memory = stopwatch.measure([full, strange, None, lambda: None], CPU, 0, 4, 0.0)
    assert [len(found) for found in times] == [0, 0, 0, 3]  # not fewer than three calls, whatever the time
    assert np.isnan(memory[:3]).all()


def test_what_cannot_be_compiled_is_an_empty_row(monkeypatch, capsys):
    def no_compiler(model, **options):
        def call(*given):
            raise RuntimeError("no C++ compiler")

        return call

    monkeypatch.setattr(torch, "compile", no_compiler)
    options = {**SMALL, "batches": (2,), "precisions": ("fp32",), "modes": ("eager", "compiled"), "device": "cpu"}
    frame = timing.time_network(architecture="btsbot_cnn", **options).set_index("mode")
    assert frame["repeats"].to_dict() == {"eager": 3, "compiled": 0}
    assert "cannot be compiled for cpu: no C++ compiler" in capsys.readouterr().out


def test_unusable_devices_and_unknown_keys_are_refused():
    with pytest.raises(StudyError, match="'batch' is unknown"):
        timing.time_network(architecture="btsbot_cnn", batch=(1,))
    with pytest.raises(StudyError, match="abacus"):
        timing.time_network(architecture="btsbot_cnn", device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(StudyError, match="cuda"):
            timing.time_network(architecture="btsbot_cnn", device="cuda")
