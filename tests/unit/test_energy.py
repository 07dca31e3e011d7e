"""Energy from made-up counters: added up, turned over, given up when one fails, never invented."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid import energy
from alertgrid.energy import Meter, find_readers, rapl_reader, smi_reader
from alertgrid.files import read_json
from alertgrid.tables.costs import training_cost
from alertgrid.tables.records import flatten
from toy_training import run_toy, write_toy

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def zone(folder, name, kind, microjoules, size=1_000_000):
    path = folder / name
    path.mkdir(parents=True)
    for file, value in (("name", kind), ("energy_uj", microjoules), ("max_energy_range_uj", size)):
        (path / file).write_text(f"{value}\n")
    return path


@pytest.fixture
def powercap(tmp_path):
    """Two processors, one with its cores apart, and the whole platform."""
    folder = tmp_path / "powercap"
    zone(folder, "intel-rapl:0", "package-0", 400_000)
    zone(folder, "intel-rapl:0:0", "core", 100_000)
    zone(folder, "intel-rapl:1", "package-1", 900_000)
    zone(folder, "intel-rapl:2", "psys", 5_000_000)
    return folder


def add(folder, name, microjoules):
    file = folder / name / "energy_uj"
    fresh = file.with_name("fresh")
    fresh.write_text(str((int(file.read_text()) + microjoules) % 1_000_001))
    fresh.replace(file)  # at once, as the kernel does


def test_processors_are_added_and_their_parts_are_not(powercap):
    with Meter(CPU, powercap) as meter:
        for name in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:1", "intel-rapl:2"):
            add(powercap, name, 50_000)
        assert meter.record() == {"energy_joules": pytest.approx(0.1), "energy_of": "processor (RAPL)"}


def test_a_counter_that_turns_over_between_readings_is_followed(powercap):
    read = rapl_reader([powercap / "intel-rapl:1"])
    for _ in range(5):
        add(powercap, "intel-rapl:1", 600_000)
        total = read()
    assert total == pytest.approx(3.0)


def test_it_is_read_while_the_job_runs(powercap):
    with Meter(CPU, powercap, every=0.01) as meter:
        for turn in range(1, 5):
            add(powercap, "intel-rapl:1", 700_000)
            end = time.monotonic() + 30
            while meter.joules["processor (RAPL)"] < 0.7 * turn - 1e-9 and time.monotonic() < end:
                time.sleep(0.01)
    assert meter.record()["energy_joules"] == pytest.approx(2.8)


def test_nothing_is_said_where_nothing_can_be_read(tmp_path, powercap):
    nothing = {"energy_joules": None, "energy_of": ""}
    with Meter(CPU, tmp_path / "absent") as meter:
        assert meter.record() == nothing
    (powercap / "intel-rapl:0" / "energy_uj").unlink()  # as where only root may read
    with Meter(CPU, powercap) as meter:
        assert meter.record() == nothing


def test_a_counter_that_fails_later_is_given_up(powercap):
    with Meter(CPU, powercap) as meter:
        add(powercap, "intel-rapl:0", 50_000)
        (powercap / "intel-rapl:0" / "energy_uj").write_text("nonsense")
        assert meter.record()["energy_joules"] is None


def test_a_resumed_job_was_not_measured_from_its_beginning(powercap):
    with Meter(CPU, powercap) as meter:
        add(powercap, "intel-rapl:0", 50_000)
        assert meter.record(whole=False) == {"energy_joules": None, "energy_of": ""}


@pytest.fixture
def gpu(monkeypatch):
    names = ("12-ab", "34-cd", "56-ef")
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=names[torch.device(device).index])
    )


@pytest.fixture
def millijoules(gpu, monkeypatch):
    """What NVML's counters of three GPUs say, by the names of these."""
    counters = {"GPU-12-ab": 7_000, "GPU-34-cd": 500, "GPU-56-ef": 0}
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: counters[handle],
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return counters


@pytest.mark.parametrize(("devices", "joules"), [(1, 2.55), (2, 3.55)])
def test_gpus_by_nvml(millijoules, powercap, devices, joules):
    with Meter(GPU, powercap, devices=devices) as meter:
        for name, more in zip(millijoules, (2_500, 1_000, 10_000), strict=True):
            millijoules[name] += more
        add(powercap, "intel-rapl:0", 50_000)
        found = meter.record()
    assert found == {"energy_joules": pytest.approx(joules), "energy_of": "GPU (NVML) + processor (RAPL)"}


def test_gpus_of_which_one_cannot_be_read_are_not_half_counted(millijoules, monkeypatch, tmp_path):
    del millijoules["GPU-34-cd"]
    monkeypatch.setattr(energy, "smi_power", lambda uuid: {}[uuid])
    assert list(find_readers(GPU, tmp_path)) == ["GPU (NVML)"]
    assert find_readers(GPU, tmp_path, devices=2) == {}


def test_gpu_by_the_power_that_nvidia_smi_gives(gpu, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)  # not installed
    asked = []

    def answer(command, **options):
        asked.append(command)
        return SimpleNamespace(stdout="100.0\n")

    monkeypatch.setattr(subprocess, "run", answer)
    assert list(find_readers(GPU, tmp_path)) == ["GPU (power by nvidia-smi)"]
    assert asked[0][:3] == ["nvidia-smi", "-i", "GPU-12-ab"]
    times = iter([0.0, 10.0, 30.0])
    read = smi_reader("GPU-12-ab", clock=lambda: next(times))
    assert [read(), read()] == [1000.0, 3000.0]


def test_gpu_without_any_way_to_read_it(gpu, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)

    def fail(command, **options):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", fail)
    assert find_readers(GPU, tmp_path) == {}


def test_a_run_records_its_energy(tmp_path, powercap, monkeypatch):
    monkeypatch.setattr(Meter.__init__, "__defaults__", (powercap, 10.0))
    real = energy.rapl_reader

    def busy(zones):
        read = real(zones)
        add(powercap, "intel-rapl:0", 120_000)
        return read

    monkeypatch.setattr(energy, "rapl_reader", busy)
    files = write_toy(tmp_path)
    run_toy(files, tmp_path / "run", inputs="metadata", architecture="metadata_net", recipe={"epochs": 1})
    record = read_json(tmp_path / "run" / "out" / "run.json")
    assert record["energy_joules"] == pytest.approx(0.12)
    assert record["energy_of"] == "processor (RAPL)"


def test_the_energy_of_a_run_is_that_of_all_its_devices(tmp_path, monkeypatch):
    def meter(device, devices):
        raise RuntimeError(f"{devices} devices")

    monkeypatch.setattr("alertgrid.training.run.Meter", meter)
    monkeypatch.setattr("alertgrid.training.parallel.size", lambda: 3)
    with pytest.raises(RuntimeError, match="3 devices"):
        run_toy(write_toy(tmp_path), tmp_path / "run", inputs="metadata", architecture="metadata_net")


def test_cost_table_sums_what_is_known():
    joules = [3600.0, None, 7200.0, None]
    base = {"fraction": 1.0, "wall_seconds": 10.0, "device": "cpu"}
    rows = [
        flatten({**base, "cell": cell, "energy_joules": value, "energy_of": "processor (RAPL)" if value else ""})
        for cell, value in zip(["a", "a", "a", "b"], joules, strict=True)
    ]
    table = training_cost(pd.DataFrame(rows)).set_index("cell")
    assert table.loc["a", ["energy_wh", "n_energy", "energy_of"]].tolist() == [3.0, 2, "processor (RAPL)"]
    assert np.isnan(table.loc["b", "energy_wh"])
    assert table.loc["b", ["n_energy", "energy_of"]].tolist() == [0, ""]
