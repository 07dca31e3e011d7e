"""What the machine offers, what is recorded of it, and when it asks to stop."""

import signal
import threading

import pytest
import torch
from alertgrid.errors import StudyError
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
    assert records._driver() == "unknown"


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
