"""Batches: their order, their symmetries, and the rows they hold."""

import tracemalloc
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from alertgrid.columns import STAMP_SETS
from alertgrid.dataset import open_stamps
from alertgrid.training.augment import apply_symmetry
from alertgrid.training.data import Feed, Table, content_hash, load_data, stamp_feed
from alertgrid.training.randomness import own_randomness, plan_epoch, reseed, steps_per_epoch
from toy_training import CPU, write_toy


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp("toy"))


def plan(epoch=0, seed=1, **options):
    return plan_epoch(
        seed, epoch, 50, **{"batch_size": 8, "drop_last": True, "augment": True, "device": CPU, **options}
    )


def test_plan_depends_on_seed_and_epoch_alone():
    first, again, later, other = plan(), plan(), plan(epoch=1), plan(seed=2)
    assert all(torch.equal(*pair) for pair in zip(first.order, again.order, strict=True))
    assert first.seeds == again.seeds
    assert not torch.equal(first.order[0], later.order[0])
    assert not torch.equal(first.order[0], other.order[0])
    assert len(first.order) == len(first.symmetry) == len(first.seeds) == 6
    assert torch.cat(first.order).unique().numel() == 48
    assert torch.cat(plan(augment=False).symmetry).eq(0).all()
    assert set(torch.cat(plan(batch_size=50).symmetry).tolist()) == set(range(8))


@pytest.mark.parametrize(
    ("count", "drop_last", "steps"), [(64, True, 8), (70, True, 8), (70, False, 9), (65, False, 8), (3, True, 1)]
)
def test_steps_per_epoch(count, drop_last, steps):
    assert steps_per_epoch(count, 8, drop_last) == steps


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    with own_randomness(CPU):
        reseed(5, CPU)
        first = torch.rand(3)
        reseed(5, CPU)
        assert torch.equal(first, torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_symmetries_are_the_eight_of_the_square():
    stamps = torch.arange(2 * 9, dtype=torch.float16).reshape(1, 2, 3, 3).expand(8, -1, -1, -1)
    views = apply_symmetry(stamps, torch.arange(8))
    wanted = [torch.rot90(flipped, turns, (2, 3)) for flipped in (stamps, stamps.flip(3)) for turns in range(4)]
    for view in range(8):
        assert torch.equal(views[view], wanted[view][view])
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8


@pytest.mark.parametrize("stamps", ["all", "difference", "science_difference", "science_template"])
@pytest.mark.parametrize("resident", ["yes", "no", "auto"])
def test_stamps_are_those_of_the_file(files, stamps, resident):
    rows = np.array([3, 7, 20])
    data = load_data(*files, stamps=stamps, device="cpu", rows=rows, resident=resident)
    feed = stamp_feed(data, rows, np.zeros(len(data.catalogue), np.float32), "joint")
    images, metadata = next(feed.stream([torch.tensor([2, 0])]))
    assert np.array_equal(images.numpy(), open_stamps(files[0])[[20, 3]][:, STAMP_SETS[stamps]])
    assert metadata.shape == (2, 25)
    assert data.channels == len(STAMP_SETS[stamps])


def test_stamps_that_take_more_than_half_of_the_given_memory_stay_in_the_file(files, monkeypatch):
    monkeypatch.setattr(
        "alertgrid.training.hardware.psutil.Process.memory_info", lambda process: SimpleNamespace(rss=0)
    )
    size = open_stamps(files[0]).nbytes
    for memory_mb, mapped in ((2 * size // 10**6 - 1, True), (2 * size // 10**6 + 1, False)):
        data = load_data(*files, device="cpu", memory_mb=memory_mb)
        assert (data.stamps.rows is None) == mapped


def test_prefetching_gives_the_same_batches(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    table = Table(torch.arange(20.0).reshape(10, 2), torch.tensor([9, 8, 7]), CPU)
    batches = [torch.tensor([0, 2]), torch.tensor([1])]
    found = list(table._prefetch(batches))
    assert [batch.tolist() for batch in found] == [table.take(batch).tolist() for batch in batches]
    meta = Table(table.values, table.rows, torch.device("meta"))
    assert [batch.device.type for batch in meta.stream(batches)] == ["meta", "meta"]
    assert list(meta.stream([])) == []


def test_feed_of_views_takes_the_view_asked_for():
    image = Table(torch.arange(24.0).reshape(24, 1), None, CPU)
    feed = Feed(image, None, torch.zeros(3), rows=np.arange(3), views=8)
    order, turns = [torch.tensor([0, 2])], [torch.tensor([5, 1])]
    assert next(feed.stream(order, turns))[0].flatten().tolist() == [5.0, 17.0]
    assert next(feed.stream(order))[0].flatten().tolist() == [0.0, 16.0]


def test_content_hash_sees_every_column(files, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(files[0].read_bytes())
    assert content_hash(copy) == content_hash(files[0])
    with h5py.File(copy, "r+") as file:
        file["catalogue/magpsf"][3] += 0.1
    assert content_hash(copy) != content_hash(files[0])


def test_content_hash_needs_little_memory_beside_the_tables(monkeypatch):
    count = 200_000
    table = pd.DataFrame({"candid": np.arange(count), "magpsf": np.linspace(12, 21, count)})
    metadata = np.ones((count, 25), np.float32)
    for name, value in (("attributes", {"source": "toy"}), ("catalogue", table), ("metadata", metadata)):
        monkeypatch.setattr(f"alertgrid.training.data.read_{name}", lambda path, value=value: value)
    tracemalloc.start()
    try:
        content_hash("dataset.h5")
        assert tracemalloc.get_traced_memory()[1] < metadata.nbytes / 2
    finally:
        tracemalloc.stop()
