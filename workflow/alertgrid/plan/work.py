"""What is there to do, and how much of it? Trainings, pre-trainings, trials of searches, timings, published models.

Everything that may cost a GPU is a task. Its amount of work is counted in alerts, so that a rate makes hours of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from ..grid import assign_packs, cell_name, encoders_needed, expand_grid
from ..settings.study import pretraining_recipe, run_recipe
from ..settings.words import asked_size
from ..timing.settings import Sweep
from ..tuning.search_space import searched_cells
from .rates import sized
from .sizes import count_images

# Frozen fusion embeds each training alert once in each of the eight symmetries of a square, if it augments.
FUSION_VIEWS = 8
# A timing measures two networks; two of the calls before it find out the memory, and one comes before those at least.
NETWORKS_TIMED, FEWEST_BEFORE = 2, 3
# The order in which tasks wait for one another.
STAGES = ("pretrain", "tune", "score", "time", "train", "fuse")


@dataclass(frozen=True)
class Task:
    """One piece of work.

    `run` names it as the folders do, `cell` the line of the plan that it belongs to, `job` what it shares a start with.
    `trained` and `scored` count alerts through the whole network (a training step, a forward pass), `embedded` those
    through the frozen image branch of a fusion, `kept` those whose embeddings lie on disk until it is done. `weights`
    and `predicted` are what it leaves: copies of its parameters, and scores. `note` says what could not be counted.
    """

    run: str
    cell: str
    job: str
    stage: str
    architecture: str
    inputs: str = "image"
    devices: int = 1
    trained: float = 0.0
    scored: float = 0.0
    embedded: float = 0.0
    kept: float = 0.0
    weights: int = 0
    predicted: int = 0
    note: str = ""


def work_of(settings: Mapping[str, Any], alerts: Mapping[str, int], devices: int = 1) -> pd.DataFrame:
    """Every task of a study, done or not, one row each with the fields of `Task`.

    Parameters
    ----------
    settings : mapping
        The resolved study.
    alerts : mapping
        Number of alerts in train, val and test.
    devices : int
        How many share a training.
    """
    grid = training_grid(settings)
    tasks = [
        *trainings(settings, grid, alerts, devices),
        *pretrainings(settings, grid),
        *trials(settings, grid, alerts),
        *timings(settings, grid),
        *entrants(settings, alerts),
    ]
    return pd.DataFrame(map(asdict, tasks))


def training_grid(settings: Mapping[str, Any]) -> pd.DataFrame:
    """The runs of the study with the job that trains each."""
    grid = expand_grid(**settings["grid"], draws=settings["splits"]["draws"])
    return grid.assign(pack=assign_packs(grid, settings.get("packing", 0)))


def trainings(
    settings: Mapping[str, Any], grid: pd.DataFrame, alerts: Mapping[str, int], devices: int = 1
) -> Iterator[Task]:
    """The runs of the grid."""
    for run in grid.to_dict("records"):
        recipe = _recipe(settings, run)
        stage = "fuse" if run["inputs"] == "fusion" else "train"
        work = _amounts(settings, run, recipe, run["fraction"], alerts)
        yield Task(run["run"], run["cell"], run["pack"], stage, **work, devices=devices, weights=2)


def _recipe(settings: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe of a run; where a search chooses the number of epochs, the most that it may choose."""
    recipe = run_recipe(settings["training"], run["cell"])
    search = settings.get("tuning", {}).get(run["architecture"]) if recipe.get("tuned") else None
    return recipe | {"epochs": _most_epochs(search) or _epochs(recipe)}


def _most_epochs(search: Mapping[str, Any] | None) -> int:
    """Epochs of the longest trial of a search; 0 without one that varies them."""
    bounds = search["ranges"].get("training.epochs", {}) if search else {}
    return max([bounds.get("high", 0), *bounds.get("choices", ())])


def _epochs(recipe: Mapping[str, Any]) -> int:
    """Most epochs of a recipe; the trainer's own number where the study leaves it out."""
    if "epochs" in recipe:
        return recipe["epochs"]
    from ..training.recipe import Recipe  # brings torch, which takes seconds

    return Recipe().epochs


def _amounts(
    settings: Mapping[str, Any], run: Mapping[str, Any], recipe: Mapping[str, Any], fraction: float, alerts
) -> dict[str, Any]:
    """Network and work of one training: all its epochs (early stopping is not counted on), one test."""
    trained = alerts["train"] * fraction
    judged = alerts["val"] + alerts["test"]
    work = {"trained": trained * recipe["epochs"], "scored": alerts["val"] * recipe["epochs"] + alerts["test"]}
    if run["inputs"] == "fusion":
        views = FUSION_VIEWS if recipe.get("augment", True) else 1
        frozen = settings["models"].get("fusion", {}).get("mode", "clean") == "clean"
        embedded = trained * views + judged
        work |= {"embedded": embedded, "kept": embedded} if frozen else {"embedded": sum(work.values())}
    network = run["architecture"] if run["inputs"] == "metadata" else _network(settings, run["architecture"])
    return {**work, "architecture": network, "inputs": run["inputs"], "predicted": judged}


def _network(settings: Mapping[str, Any], architecture: str) -> str:
    """Architecture with the size that its images are resized to."""
    return sized(architecture, asked_size(settings["models"], architecture))


def pretrainings(settings: Mapping[str, Any], grid: pd.DataFrame) -> Iterator[Task]:
    """Encoders that are trained here; a pre-training uses one device."""
    for architecture, name in encoders_needed(grid, settings["pretraining"]):
        spec = settings["pretraining"][name]
        if "corpus" in spec:
            images = count_images(spec["corpus"])
            recipe = pretraining_recipe(settings["training"], spec.get("training", {}), f"{architecture}-{name}")
            run = f"encoders/{architecture}-{name}"
            yield Task(
                run, run, run, "pretrain", _network(settings, architecture), weights=1,
                # ASSUME: the tenth that validates costs as much as if it were trained on.
                trained=(images or 0) * _epochs(recipe),
                note="" if images else f"corpus of {name}: its labels cannot be read yet, so it counts nothing",
            )  # fmt: skip


def searches_used(settings: Mapping[str, Any], grid: pd.DataFrame) -> list[dict[str, Any]]:
    """Cells that are searched before runs train with what was found; searches that no run waits for are not started."""
    cells = searched_cells(grid, settings.get("tuning", {})).to_dict("records")
    tuned = {
        cell_name(run["architecture"], run["pretraining"], run["inputs"], run["stamps"])
        for run in grid.drop_duplicates("cell").to_dict("records")
        if run_recipe(settings["training"], run["cell"]).get("tuned")
    }
    return [cell for cell in cells if cell["cell"] in tuned]


def trials(settings: Mapping[str, Any], grid: pd.DataFrame, alerts: Mapping[str, int]) -> Iterator[Task]:
    """Trials of the searches, each on one device; that hopeless ones are ended early is not counted on."""
    for cell in searches_used(settings, grid):
        search = settings["tuning"][cell["architecture"]]
        work = _amounts(settings, cell, _recipe(settings, cell), search.get("fraction", 1.0), alerts)
        name = f"tuning/{cell['cell']}"
        for number in range(search["trials"]):
            worker = number % search.get("at_once", 4)
            yield Task(f"{name}/t{number}", name, f"{name}/{worker}", "tune", **work, weights=2)


def timings(settings: Mapping[str, Any], grid: pd.DataFrame) -> Iterator[Task]:
    """Timings of inference, one a network.

    ASSUME: the custom CNN, timed beside each network, costs as much as it. Compiling is not counted, nor is the CPU
    that is timed in the same job as a GPU.
    """
    sweep = Sweep.of(settings["timing"])
    calls = max(sweep.warmup, FEWEST_BEFORE) + sweep.repeats
    scored = NETWORKS_TIMED * calls * len(sweep.precisions) * len(sweep.modes) * sum(sweep.batches)
    for architecture, inputs in grid[["architecture", "inputs"]].drop_duplicates().itertuples(index=False):
        run, network = f"timing/{architecture}-{inputs}", _network(settings, architecture)
        embedded = scored if inputs == "fusion" else 0.0
        yield Task(run, run, run, "time", network, inputs, scored=scored, embedded=embedded)


def entrants(settings: Mapping[str, Any], alerts: Mapping[str, int]) -> Iterator[Task]:
    """Published models, which score the validation and test alerts once."""
    judged = alerts["val"] + alerts["test"]
    for name in settings.get("entrants", {}):
        run = f"entrants/{name}"
        yield Task(run, run, run, "score", "published", scored=judged, predicted=judged)
