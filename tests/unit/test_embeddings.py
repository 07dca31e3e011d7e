"""Embeddings of the frozen branches where memory is short: smaller batches, the same values."""

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


def embed(data, folder, room=1000, name="train"):
    """Feed of 37 alerts in eight views, embedded 16 at a time; the embedder."""
    model = Branches()
    model.room = room
    embedder = Embedder(model, data, Checkpoints(folder, "x"), batch=16)
    labels = np.zeros(len(data.catalogue), np.float32)
    return embedder.split(name, ROWS, labels, all_views=True, precision="fp32"), embedder


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
