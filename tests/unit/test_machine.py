"""What the machine offers, what is recorded of it, and when it asks to stop."""

import signal
import threading
from types import SimpleNamespace

import pytest
import torch
from alertgrid import nvidia
from alertgrid.errors import StudyError
from alertgrid.tables import SCHEMAS
from alertgrid.timing.machine import describe_machine
from alertgrid.training import hardware, records
from alertgrid.training.interrupts import Interrupted, Watch, find_deadline
from toy_training import CPU


def test_hardware_choices(monkeypatch):
    assert hardware.choose_device("cpu") == CPU
    assert hardware.choose_device(CPU) is CPU
    assert hardware.available_memory(CPU) > 0
    assert hardware.choose_precision("fp32", CPU, "image") == "fp32"
    assert hardware.choose_precision("auto", CPU, "metadata") == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert hardware.choose_precision("auto", CPU, "image") == "fp32"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert hardware.choose_precision("auto", CPU, "image") == "bf16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert hardware.choose_device("auto") == CPU
    with pytest.raises(StudyError, match="no GPU is visible"):
        hardware.choose_device("cuda")


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Write what control groups say: text of /proc/self/cgroup, and path below /sys/fs/cgroup -> content."""
    monkeypatch.setattr(hardware, "CONTROL_GROUPS", tmp_path / "self")
    monkeypatch.setattr(hardware, "GROUP_ROOT", tmp_path)
    for name in hardware.SLURM_MEMORY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hardware.psutil, "virtual_memory", lambda: SimpleNamespace(available=64 * 2**30))
    monkeypatch.setattr(hardware.psutil.Process, "memory_info", lambda process: SimpleNamespace(rss=2**30))

    def write(own, limits):
        (tmp_path / "self").write_text(own)
        for name, content in limits.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)

    return write


JOB = "slurm/uid_1/job_7"
ONE = f"12:pids:/{JOB}\n4:memory:/{JOB}/step_0/task_0\n"
TWO = f"0::/{JOB}/step_0/task_0\n"
NONE = {"memory.max": "max\n"}


@pytest.mark.parametrize(
    ("own", "limits", "slurm", "given", "gibibytes"),
    [
        ("0::/\n", NONE, {}, None, 64),
        ("0::/\n", {"memory.max": f"{8 * 2**30}\n"}, {}, None, 7),
        (TWO, {f"{JOB}/memory.max": f"{8 * 2**30}\n", f"{JOB}/step_0/memory.max": "max\n"}, {}, None, 7),
        (ONE, {f"memory/{JOB}/memory.limit_in_bytes": f"{8 * 2**30}\n"}, {}, None, 7),
        (ONE, {"memory/memory.limit_in_bytes": f"{8 * 2**30}\n"}, {}, None, 7),  # the path of the host, in a container
        ("0::/\n", NONE, {"SLURM_MEM_PER_NODE": "8192"}, None, 7),
        ("0::/\n", NONE, {"SLURM_MEM_PER_CPU": "2048", "SLURM_CPUS_ON_NODE": "4"}, None, 7),
        ("0::/\n", NONE, {"SLURM_MEM_PER_NODE": "0"}, None, 64),
        ("0::/\n", NONE, {}, 8 * 2**30 // 10**6, 7),
        ("0::/\n", {"memory.max": f"{2**20}\n"}, {}, None, 0),
    ],
)
def test_memory_is_what_the_job_may_take(groups, monkeypatch, own, limits, slurm, given, gibibytes):
    groups(own, limits)
    for name, value in slurm.items():
        monkeypatch.setenv(name, value)
    assert hardware.available_memory(CPU, given) / 2**30 == pytest.approx(gibibytes, abs=0.01)


def test_processes_that_train_together_share_the_memory_of_the_job(groups, monkeypatch):
    groups("0::/\n", {"memory.max": f"{8 * 2**30}\n"})
    monkeypatch.setattr(hardware.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(hardware.distributed, "get_world_size", lambda: 2)
    assert hardware.available_memory(CPU) == 3 * 2**30


def test_arithmetic_is_put_back():
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    with hardware.arithmetic(CPU, threads=1, deterministic=True):
        assert torch.get_num_threads() == 1
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == before


def test_record_words(monkeypatch, tmp_path):
    assert records.versions()["torch"] == torch.__version__.split("+")[0]
    assert len(records.git_revision().rstrip("+")) in (40, len("unknown"))
    monkeypatch.setattr(records, "PACKAGES", ("no-such-package",))
    assert records.versions()["no-such-package"] == "absent"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert records.git_revision() == "unknown"


def test_a_gpu_is_asked_in_its_own_words(monkeypatch):
    gpu = torch.device("cuda", 0)
    answers = {
        "is_available": True, "mem_get_info": (7, 9), "max_memory_allocated": 5, "get_device_name": "H200",
        "is_bf16_supported": True,
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *given, answer=answer, **options: answer)
    assert hardware.choose_device("auto") == gpu
    assert hardware.choose_device("cuda") == gpu
    assert hardware.available_memory(gpu) == 7
    assert hardware.peak_memory(gpu) == 5
    assert hardware.device_name(gpu) == "H200"
    assert hardware.choose_precision("auto", gpu, "image") == "bf16"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    with hardware.arithmetic(gpu, threads=None, deterministic=True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_deadline_is_the_earliest(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert find_deadline() is None
    assert find_deadline(deadline=5.0, budget_seconds=100) == 5.0
    monkeypatch.setenv("SLURM_JOB_END_TIME", "3")
    assert find_deadline(deadline=5.0) == 3.0


def test_watch_remembers_sigterm_and_restores_the_handler():
    before = signal.getsignal(signal.SIGTERM)
    with Watch() as watch:
        assert watch.reason() is None
        watch.check()
        signal.raise_signal(signal.SIGTERM)
        assert watch.reason() == "SIGTERM received"
        with pytest.raises(Interrupted):
            watch.check()
    assert signal.getsignal(signal.SIGTERM) is before
    assert Watch(deadline=0.0).reason() == "the time given to this run is used up"


def test_watch_works_outside_the_main_thread():
    found = []

    def look():
        with Watch() as watch:
            found.append(watch.reason())

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [None]


# What nvidia-smi says


def test_without_a_driver_nothing_is_said_of_a_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(nvidia, "uuid_of", lambda device: "GPU-1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia.known(torch.device("cuda", 0), ["driver_version"]) == {}
    assert describe_machine(CPU)["torch"] == torch.__version__


def test_the_gpu_of_the_job_is_asked_and_no_other(monkeypatch, tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text('#!/bin/sh\necho "$@" > "$(dirname "$0")/asked"\necho "550.54, 1980, 2619, 1980, 700.00"\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(nvidia, "uuid_of", lambda device: "GPU-7")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "H200")
    found = describe_machine(torch.device("cuda", 0))
    assert "-i GPU-7" in (tmp_path / "asked").read_text()
    assert (found["driver"], found["sm_mhz"], found["power_limit_w"]) == ("550.54", "1980", "700.00")
    assert set(found) - {"platform"} <= set(SCHEMAS["machines"])
