"""Embeddings of the frozen branches where memory is short: smaller batches, or a file; the same values."""

import dataclasses
import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from alertgrid.checkpoints import Checkpoints
from alertgrid.errors import StudyError
from alertgrid.training import load_data
from alertgrid.training.fusion import Embedder
from torch import nn
from toy_training import write_toy

ROWS = np.arange(3, 40)


class Branches(nn.Module):
    """Sums of rows of pixels, and the metadata; runs out of memory above `room` alerts."""

    room = 1000

    def embeddings(self, stamps, metadata):
        if len(stamps) > self.room:
            raise torch.OutOfMemoryError("simulated")
        return stamps.sum(3).flatten(1), metadata


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(*write_toy(tmp_path_factory.mktemp("toy")), device="cpu")


def embed(data, folder, room=1000, precision="fp32"):
    """Feed of 37 alerts in eight views, embedded 16 at a time; the embedder."""
    model = Branches()
    model.room = room
    embedder = Embedder(model, data, Checkpoints(folder, "x"), batch=16)
    labels = np.zeros(len(data.catalogue), np.float32)
    return embedder.split("train", ROWS, labels, all_views=True, precision=precision), embedder


def same(first, second):
    return all(torch.equal(getattr(first, part).values, getattr(second, part).values) for part in ("image", "metadata"))


def test_out_of_memory_halves_the_batches_of_what_is_left(data, tmp_path, capsys):
    whole, _ = embed(data, tmp_path / "whole")
    halved, embedder = embed(data, tmp_path / "halved", room=5)
    assert same(whole, halved)
    assert embedder.batch == 4
    assert capsys.readouterr().err.count("embedding: the memory of cpu ran out") == 2  # in the first view alone
    with pytest.raises(StudyError, match="single alert"):
        embed(data, tmp_path / "none", room=0)


def test_what_is_done_before_memory_runs_out_is_not_done_again(data, tmp_path, monkeypatch):
    seen, plain = [], Branches.embeddings

    def full_at_the_third(branches, stamps, metadata):
        seen.append(len(stamps))
        if len(seen) == 3:
            raise torch.OutOfMemoryError("simulated")
        return plain(branches, stamps, metadata)

    monkeypatch.setattr(Branches, "embeddings", full_at_the_third)
    embed(data, tmp_path)
    assert seen[:7] == [16, 16, 5, 5, 8, 8, 8]


def test_views_that_were_kept_in_another_precision_are_made_again(data, tmp_path, monkeypatch):
    seen, plain = [], Branches.embeddings

    def embeddings(branches, stamps, metadata):
        seen.append(len(stamps))
        return plain(branches, stamps, metadata)

    monkeypatch.setattr(Branches, "embeddings", embeddings)
    monkeypatch.setattr("alertgrid.training.fusion.WORTH_SECONDS", 0.0)
    counts = []
    for precision in ("bf16", "bf16", "fp32", "fp32"):
        embed(data, tmp_path, precision=precision)
        counts.append(sum(seen))
        seen.clear()
    assert counts == [8 * len(ROWS), 0, 8 * len(ROWS), 0]


def test_what_fits_no_memory_lies_in_a_file_with_the_same_bits(data, tmp_path, monkeypatch, capsys):
    memory, _ = embed(data, tmp_path / "memory")
    assert "on disk" not in capsys.readouterr().err
    monkeypatch.setattr("alertgrid.training.fusion.available_memory", lambda device, memory_mb: 0)
    disk, _ = embed(data, tmp_path / "disk")
    assert same(memory, disk)
    assert str(tmp_path / "disk") in Path("/proc/self/maps").read_text()
    order, turns = [torch.tensor([30, 2]), torch.tensor([7])], [torch.tensor([3, 6]), torch.tensor([0])]
    for first, second in zip(memory.stream(order, turns), disk.stream(order, turns), strict=True):
        assert all(map(torch.equal, first, second))
    size = disk.image.values.nbytes / 1e9
    assert f"embeddings of {size:.3g} GB take over half of the memory that is free on cpu" in capsys.readouterr().err
    assert not list((tmp_path / "disk").iterdir())  # nothing is left over when the process is killed


def test_the_memory_of_the_job_counts(data, tmp_path, capsys):
    embed(dataclasses.replace(data, memory_mb=1), tmp_path)
    assert "they lie on disk" in capsys.readouterr().err


def test_a_disk_without_space_for_embeddings_is_said_before_they_are_made(data, tmp_path, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("alertgrid.training.fusion.available_memory", lambda device, memory_mb: 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StudyError, match="cannot be written"):
        embed(data, tmp_path)
