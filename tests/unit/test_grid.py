"""The grid: every combination once, dependencies added, the impossible refused."""

from __future__ import annotations

import pytest
from alertgrid.errors import StudyError
from alertgrid.grid import (
    COLUMNS,
    METADATA_CELL,
    assign_packs,
    cell_name,
    check_pretraining,
    expand_grid,
    run_name,
)

AXES = {
    "architectures": ["btsbot_cnn", "convnext_pico"],
    "pretraining": ["none", "galaxies"],
    "inputs": ["image", "fusion"],
    "fractions": [0.1, 1.0],
    "seeds": [0, 1],
    "exclude": [{"architecture": "btsbot_cnn", "pretraining": "galaxies"}],
}


def test_names():
    assert cell_name("convnext_pico", "galaxies", "fusion") == "convnext_pico-galaxies-fusion"
    assert cell_name("a", "none", "image", "science_template", "permuted") == "a-none-image-science_template-permuted"
    assert run_name("a-none-image", 1, 3) == "a-none-image/f1/s3"
    assert run_name("a-none-image", 0.25, 3) == "a-none-image/f0.25/s3"


def test_every_run_once_and_fusion_brings_what_it_stands_on():
    grid = expand_grid(**AXES)
    assert tuple(grid.columns) == COLUMNS
    assert grid["run"].is_unique
    image = {"btsbot_cnn-none-image", "convnext_pico-none-image", "convnext_pico-galaxies-image"}
    assert set(grid["cell"]) == image | {name.replace("image", "fusion") for name in image} | {METADATA_CELL}
    assert len(grid) == 7 * 4


def test_fewer_seeds_for_expensive_networks_and_metadata_runs_for_all_of_them():
    grid = expand_grid(**{**AXES, "seeds": [0]}, seeds_of={"btsbot_cnn": [0, 5], "convnext_pico": [3]})
    seeds = grid.groupby("cell")["seed"].unique().map(sorted)
    assert seeds["btsbot_cnn-none-image"] == [0, 5]
    assert seeds["convnext_pico-none-fusion"] == [3]
    assert seeds[METADATA_CELL] == [0, 3, 5]


def test_draws_follow_seeds():
    grid = expand_grid(**{**AXES, "seeds": [0, 1, 2, 3]}, draws=3)
    assert (grid["draw"] == grid["seed"] % 3).all()


def test_controls_train_on_permuted_labels_at_the_largest_fraction():
    grid = expand_grid(**AXES, permuted={"btsbot_cnn-none-image": [7, 8]})
    control = grid[grid["labels"] == "permuted"]
    assert control["run"].tolist() == [
        "btsbot_cnn-none-image-permuted/f1/s7",
        "btsbot_cnn-none-image-permuted/f1/s8",
    ]


def test_a_rule_leaves_out_every_cell_that_it_fits():
    rules = [*AXES["exclude"], {"architecture": "convnext_pico", "pretraining": "none"}, {"inputs": "metadata"}]
    grid = expand_grid(**{**AXES, "inputs": ["image", "metadata"], "exclude": rules})
    assert set(grid["cell"]) == {"btsbot_cnn-none-image", "convnext_pico-galaxies-image"}


def test_stamps_axis():
    grid = expand_grid(**{**AXES, "inputs": ["image"]}, stamps=["all", "science_template"])
    assert "convnext_pico-none-image-science_template" in set(grid["cell"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exclude": []}, r"btsbot_cnn x galaxies is impossible.*\n.*\n.*add \{architecture: btsbot_cnn"),
        ({"stamps": ["scince"]}, r"grid\.stamps: 'scince' is unknown"),
        ({"exclude": [{"architecture": name} for name in AXES["architectures"]], "inputs": ["image"]}, "has no cell"),
        ({"exclude": [*AXES["exclude"], {"inputs": "image"}]}, r"exclude\.1: .*leaves out btsbot_cnn-none-image, from"),
        (
            {"exclude": [*AXES["exclude"], {"inputs": "metadata"}]},
            r"leaves out metadata_net-none-metadata, from",
        ),
        ({"permuted": {"btsbot_cnn-none-imag": [0]}}, r"\n.*did you mean 'btsbot_cnn-none-image'"),
        ({"permuted": {"resnet-none-image": [0]}}, r"grid\.permuted: 'resnet-none-image' is no cell"),
    ],
)
def test_mistakes_are_named(change, said):
    with pytest.raises(StudyError, match=said):
        expand_grid(**{**AXES, **change})


def test_pretrainings_are_defined():
    check_pretraining(["none", "galaxies"], {"galaxies": {"start": "fractals"}, "fractals": {}})
    with pytest.raises(StudyError, match=r"pretraining\.a\.start: a starts from b starts from b"):
        check_pretraining(["a"], {"a": {"start": "b"}, "b": {"start": "b"}})
    with pytest.raises(StudyError, match=r"grid\.pretraining: 'galaxys' is not defined"):
        check_pretraining(["galaxys"], {"galaxies": {}})
    with pytest.raises(StudyError, match=r"pretraining\.galaxies\.start: 'fractal' is not defined"):
        check_pretraining(["galaxies"], {"galaxies": {"start": "fractal"}, "fractals": {}})


# Which runs share a job


def packs(fractions, seeds, packing, **axes):
    """Job -> [(fraction, seed)] of its runs, of a study with image runs of one network."""
    grid = expand_grid(**{**AXES, "fractions": fractions, "seeds": seeds, "inputs": ["image"], **axes})
    groups = grid.assign(pack=assign_packs(grid, packing)).groupby("pack", sort=False)
    return {pack: list(zip(runs["fraction"], runs["seed"], strict=True)) for pack, runs in groups}


ONE = {"architectures": ["btsbot_cnn"], "pretraining": ["none"]}


def test_without_packing_a_run_is_its_own_job():
    grid = expand_grid(**AXES)
    assert assign_packs(grid, 0).equals(grid["run"])


def test_runs_join_the_first_job_with_room_the_largest_first():
    found = packs([0.1, 0.5, 1.0], [0, 1], 1.5, **ONE)
    assert {pack: set(runs) for pack, runs in found.items()} == {
        "train_btsbot_cnn-none-image_0": {(1.0, 0), (0.5, 0)},
        "train_btsbot_cnn-none-image_1": {(1.0, 1), (0.5, 1)},
        "train_btsbot_cnn-none-image_2": {(0.1, 0), (0.1, 1)},
    }


def test_a_run_above_the_limit_is_alone_and_decimals_add_up():
    assert [len(runs) for runs in packs([1.0], [0, 1, 2], 0.5, **ONE).values()] == [1, 1, 1]
    assert [len(runs) for runs in packs([0.1], list(range(20)), 1, **ONE).values()] == [10, 10]


def test_every_run_is_in_one_job_of_its_own_cell():
    grid = expand_grid(**AXES, permuted={METADATA_CELL: [7, 8]})
    found = grid.assign(pack=assign_packs(grid, 2))
    assert found.groupby("pack")["cell"].nunique().eq(1).all()
    assert found.groupby("pack")["fraction"].sum().le(2).all()
    rules = found["pack"].str.split("_").str[0]
    assert (rules == found["inputs"].map(lambda inputs: "fuse" if inputs == "fusion" else "train")).all()
    assert assign_packs(grid, 2).equals(found["pack"])


def test_words_of_cells_have_numbers_of_their_own():
    grid = expand_grid(**AXES, permuted={METADATA_CELL: [7, 8]})
    found = grid.assign(pack=assign_packs(grid, {"all": 1.1, "metadata": 9, "permuted": 1, "convnext_pico-image": 0}))
    jobs = found.groupby("cell")["pack"].nunique()
    assert jobs["btsbot_cnn-none-image"] == 2
    assert jobs[METADATA_CELL] == 1
    assert jobs[f"{METADATA_CELL}-permuted"] == 2
    assert jobs["convnext_pico-galaxies-image"] == 4
