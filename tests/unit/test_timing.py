"""Timing on a CPU with the smallest networks: figures that can be known, and none that depend on the machine."""

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid import stopwatch, timing
from alertgrid.errors import StudyError
from alertgrid.files import read_json
from alertgrid.machine import describe_machine
from alertgrid.tables import SCHEMAS

SMALL = {"batches": (1, 4), "repeats": 3, "warmup": 1, "max_seconds": 1.0, "threads": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("timing")
    paths = {"output": folder / "timing.csv", "record": folder / "machine.json"}
    frame = timing.time_architecture(architecture="metadata_net", inputs="metadata", **SMALL, **paths)
    return frame, paths


def test_rows_and_files(table):
    frame, paths = table
    assert list(frame) == list(SCHEMAS["timing"])
    assert len(frame) == 2 * 2 * 2  # precisions, batches, networks
    pd.testing.assert_frame_equal(pd.read_csv(paths["output"]), frame)
    machine = read_json(paths["record"])
    assert machine["type"] == "cpu"
    assert machine["threads"] == 1


def test_numbers_agree_with_each_other(table):
    frame, _ = table
    np.testing.assert_allclose(frame["throughput"], frame["batch"] / frame["latency_ms"] * 1e3)
    assert (frame["throughput_low"] <= frame["throughput"]).all()
    assert (frame["throughput"] <= frame["throughput_high"]).all()
    assert (frame.loc[frame["architecture"] == "btsbot_cnn", "relative_to_custom"] == 1).all()
    own = frame[frame["architecture"] == "metadata_net"].iloc[0]
    cnn = frame[frame["architecture"] == "btsbot_cnn"].iloc[0]
    assert own["relative_to_custom"] == pytest.approx(cnn["latency_ms"] / own["latency_ms"])


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
    options = {**SMALL, "batches": (2,), "precisions": ("fp32",)}
    frame = timing.time_architecture(architecture="btsbot_cnn", inputs=inputs, **options)
    assert len(frame) == 1
    assert frame["relative_to_custom"].iloc[0] == 1
    assert frame["input_size"].iloc[0] == 63


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with pytest.raises(StudyError, match="precisions"):
        timing.time_architecture(architecture="btsbot_cnn", precisions=("fp8",))
    assert torch.get_num_threads() == before


def test_memory_of_a_call_is_what_it_holds():
    def call():
        return torch.ones(40 * 2**18) + 1  # two tensors of 40 MiB

    found = stopwatch.peak_memory(call, torch.device("cpu"))
    assert np.isnan(found) or 70 < found < 100


def test_a_network_that_does_not_fit_leaves_the_others(monkeypatch):
    def full():
        raise torch.OutOfMemoryError("no room")

    times, memory = stopwatch.measure([full, lambda: None], torch.device("cpu"), 0, 4, 0.0)
    assert len(times[0]) == 0
    assert len(times[1]) == 3  # not fewer than three calls, whatever the time
    assert len(memory) == 2
    assert np.isnan(memory[0])


def test_unusable_devices_and_unknown_keys_are_refused():
    with pytest.raises(StudyError, match="'batch' is unknown"):
        timing.time_architecture(architecture="btsbot_cnn", batch=(1,))
    with pytest.raises(StudyError, match="abacus"):
        timing.time_architecture(architecture="btsbot_cnn", device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(StudyError, match="cuda"):
            timing.time_architecture(architecture="btsbot_cnn", device="cuda")


def test_machine_without_nvidia_smi(monkeypatch):
    from alertgrid import machine

    assert describe_machine(torch.device("cpu"))["torch"] == torch.__version__
    monkeypatch.setenv("PATH", "")
    assert machine._nvidia_smi() == {}
