"""What is compared: architecture x pre-training x inputs x stamps x training fraction x seed, as a table of runs.

Metadata-only networks have no encoder, so they appear once, as `metadata_net-none-metadata`. A fusion run needs the
image run and the metadata run of its own fraction and seed; where the grid lists fusion without them, they are added,
and an exclusion that takes them away from a fusion that stays is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import pandas as pd

from .columns import STAMP_SETS
from .encoders import ENCODERS
from .errors import StudyError
from .settings.words import ALL, PERMUTED, fits, named_size, suggestion

COLUMNS = (
    "run", "cell", "architecture", "pretraining", "inputs", "stamps", "labels", "fraction", "seed", "draw",
)  # fmt: skip
METADATA_NET = "metadata_net"
METADATA_CELL = "metadata_net-none-metadata"
INPUTS = ("image", "metadata", "fusion", "joint")
# What every run leaves in its folder, in the order of writing: a record says that the rest is whole.
RUN_FILES = ("weights.safetensors", "last.safetensors", "history.csv", "predictions.h5", "run.json")


def cell_name(architecture: str, pretraining: str, inputs: str, stamps: str = "all", labels: str = "given") -> str:
    """Name of a cell, for example `convnext_pico-galaxies-fusion`."""
    parts = [architecture, pretraining, inputs]
    parts += [stamps] * (stamps != "all") + [labels] * (labels != "given")
    return "-".join(parts)


def run_name(cell: str, fraction: float, seed: int) -> str:
    """Folder of a run below `runs/`."""
    return f"{cell}/f{float(fraction):g}/s{seed}"


def assign_packs(grid: pd.DataFrame, packing: float | Mapping[str, float] = 0) -> pd.Series:
    """Name the job that trains each run: runs of a cell share one, until it has as much work as allowed.

    The work of a run is its fraction, so the unit is a training with all training objects of that cell. First-fit
    decreasing: from the largest fraction down, each run joins the first job with room for it. The same grid gives the
    same jobs.

    Parameters
    ----------
    grid : DataFrame
        As `expand_grid` gives.
    packing : float or mapping
        Most work of one job; a run that has more is alone. 0: a job a run. A mapping holds words of cells (as in a
        cell's name, parted by "-"; "all" fits every cell) -> their number; the last that fits counts.

    Returns
    -------
    Series
        `train_{cell}_{number}` or `fuse_{cell}_{number}`; without packing the run itself.
    """
    if not packing:
        return grid["run"]
    most = _most_work(grid["cell"].unique(), packing if isinstance(packing, Mapping) else {ALL: packing})
    names = pd.Series("", index=grid.index)
    for cell, runs in grid.groupby("cell", sort=False):
        rule = "fuse" if runs["inputs"].iloc[0] == "fusion" else "train"
        names[runs.index] = [f"{rule}_{cell}_{number}" for number in _first_fit(list(runs["fraction"]), most[cell])]
    return names


def _most_work(cells: Iterable[str], packing: Mapping[str, float]) -> dict[str, float]:
    """Most work of one job of each cell."""
    most = dict.fromkeys(cells, 0.0)
    for words, work in packing.items():
        most.update(dict.fromkeys([cell for cell in most if fits(words, cell)], work))
    return most


def _first_fit(work: Sequence[float], most: float) -> list[int]:
    """Number of the job that each piece of work is put into."""
    room: list[float] = []
    numbers = [0] * len(work)
    for piece in sorted(range(len(work)), key=lambda piece: -work[piece]):
        # Fractions are decimal numbers: ten times 0.1 must fill a whole one.
        fitting = (number for number, left in enumerate(room) if work[piece] <= left + 1e-9)
        numbers[piece] = next(fitting, len(room))
        if numbers[piece] == len(room):
            room.append(most)
        room[numbers[piece]] -= work[piece]
    return numbers


def check_pretraining(names: Iterable[str], defined: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse names on the pre-training axis, or as the start of a chain, that nothing defines.

    Parameters
    ----------
    names : iterable of str
        Values of the axis; "none" needs no definition.
    defined : mapping
        Pre-training -> its settings, of which `start` names another one.

    Raises
    ------
    StudyError
        Names the key and what is defined.
    """
    starts = {f"pretraining.{name}.start": spec.get("start", "none") for name, spec in defined.items()}
    for key, name in [*(("grid.pretraining", name) for name in names), *starts.items()]:
        if name != "none" and name not in defined:
            remedy = f"define {name} under pretraining, or correct the name"
            raise StudyError(key, f"{name!r} is not defined", f"one of {['none', *defined]}", remedy)
    for name in defined:
        _check_chain(name, defined)


def _check_chain(name: str, defined: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a pre-training that would start from itself."""
    chain = [name]
    while (start := defined[chain[-1]].get("start", "none")) != "none":
        if start in chain:
            found = " starts from ".join([*chain, start])
            remedy = "start one of them from none, or from other weights"
            raise StudyError(f"pretraining.{name}.start", found, "a chain with a first pre-training", remedy)
        chain.append(start)


def encoders_needed(grid: pd.DataFrame, pretraining: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Encoders (architecture, pretraining) that the runs start from, and those that these start from in their turn."""
    waiting = list(grid[["architecture", "pretraining"]].drop_duplicates().itertuples(index=False, name=None))
    needed = []
    while waiting:
        architecture, name = waiting.pop(0)
        if name != "none" and (architecture, name) not in needed:
            needed.append((architecture, name))
            waiting.append((architecture, pretraining[name].get("start", "none")))
    return needed


def expand_grid(
    *,
    architectures: Sequence[str],
    pretraining: Sequence[str],
    inputs: Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[int],
    stamps: Sequence[str] = ("all",),
    seeds_of: Mapping[str, Sequence[int]] | None = None,
    exclude: Iterable[Mapping[str, str]] = (),
    permuted: Mapping[str, Sequence[int]] | None = None,
    draws: int = 1,
) -> pd.DataFrame:
    """List every run of a study.

    Parameters
    ----------
    architectures, pretraining, inputs, stamps : sequences of str
        The axes; `pretraining` holds "none" and names of pre-trainings, `inputs` values of `INPUTS`.
    fractions : sequence of float
        Shares of the training objects, in (0, 1].
    seeds : sequence of int
        Seeds of every cell, unless `seeds_of` names the architecture.
    seeds_of : mapping
        Architecture -> its own seeds (expensive networks may have fewer).
    exclude : iterable of mappings
        Each names values of architecture, pretraining, inputs or stamps; cells that match all of them are left out.
    permuted : mapping
        Cell -> seeds of a control that trains on permuted labels at the largest fraction.
    draws : int
        Rankings of training objects; seed s uses draw s % draws.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, one row per run, cells in the order of the axes.

    Raises
    ------
    StudyError
        An impossible combination is neither excluded nor possible, or a control names an unknown cell.
    """
    cells = _cells(architectures, pretraining, inputs, stamps, list(exclude))
    rows = [
        {**cell, "fraction": float(fraction), "seed": int(seed)}
        for cell in cells
        for fraction, seed in product(fractions, _seeds(cell, architectures, seeds, seeds_of or {}))
    ]
    return _named(pd.DataFrame(rows + _controls(cells, permuted or {}, max(fractions))), draws)


def _named(table: pd.DataFrame, draws: int) -> pd.DataFrame:
    """Add cell, draw and run to the axes."""
    axes = table[["architecture", "pretraining", "inputs", "stamps", "labels"]].to_numpy()
    table["cell"] = [cell_name(*values) for values in axes]
    table["draw"] = table["seed"] % draws
    names = zip(table["cell"], table["fraction"], table["seed"], strict=True)
    table["run"] = [run_name(*name) for name in names]
    return table[list(COLUMNS)]


def possible_cells(
    architectures: Iterable[str], pretraining: Iterable[str], inputs: Iterable[str], stamps: Iterable[str]
) -> list[dict[str, str]]:
    """Cells of the axes before any is excluded, with those that fusion needs added."""
    wanted = set(inputs)
    if "fusion" in wanted:
        wanted |= {"image", "metadata"}
    cells = [_cell(METADATA_NET, "none", "metadata", "all")] if "metadata" in wanted else []
    kinds = [kind for kind in INPUTS if kind in wanted and kind != "metadata"]
    return cells + [_cell(*values) for values in product(architectures, pretraining, kinds, stamps)]


def rule_fits(rule: Mapping[str, str], cell: Mapping[str, str]) -> bool:
    """Whether an exclusion leaves out this cell."""
    return all(cell[axis] == value for axis, value in rule.items())


def _cells(architectures, pretraining, inputs, stamps, exclude) -> list[dict[str, str]]:
    """Cells of the study: those of the axes that no rule excludes, impossible ones refused."""
    possible = possible_cells(architectures, pretraining, inputs, stamps)
    cells = [cell for cell in possible if not any(rule_fits(rule, cell) for rule in exclude)]
    if not cells:
        raise StudyError("grid", "has no cell", "at least one", "list architectures and inputs, or exclude less")
    for cell in cells:
        _check_possible(cell)
        _check_parts(cell, cells, exclude)
    return cells


def _check_parts(cell: Mapping[str, str], cells, exclude) -> None:
    """Refuse a fusion whose image or metadata cell is excluded."""
    if cell["inputs"] != "fusion":
        return
    for part in ({**cell, "inputs": "image"}, _cell(METADATA_NET, "none", "metadata", "all")):
        if part not in cells:
            number = next(number for number, rule in enumerate(exclude) if rule_fits(rule, part))
            raise StudyError(
                f"grid.exclude.{number}",
                f"{dict(exclude[number])} leaves out {cell_name(**part)}, from which {cell_name(**cell)} starts",
                "both, or neither",
                "exclude the fusion too, or remove the rule",
            )


def _cell(architecture: str, pretraining: str, inputs: str, stamps: str) -> dict[str, str]:
    """One cell on the labels as given."""
    cell = {"architecture": architecture, "pretraining": pretraining, "inputs": inputs, "stamps": stamps}
    return {**cell, "labels": "given"}


def _check_possible(cell: Mapping[str, str]) -> None:
    """Refuse a pre-trained network that has no pre-training, and stamps nobody knows."""
    if cell["stamps"] not in STAMP_SETS:
        raise StudyError("grid.stamps", f"{cell['stamps']!r} is unknown", f"one of {sorted(STAMP_SETS)}", "correct it")
    encoder = ENCODERS.get(cell["architecture"])
    if cell["pretraining"] != "none" and encoder and not encoder.pretrainable:
        raise StudyError(
            "grid.pretraining",
            f"{cell['architecture']} x {cell['pretraining']} is impossible: this network is not pre-trained",
            f"{cell['architecture']} with 'none' only",
            f"add {{architecture: {cell['architecture']}, pretraining: {cell['pretraining']}}} to grid.exclude",
        )


def _seeds(cell, architectures, seeds, seeds_of) -> Sequence[int]:
    """Seeds of a cell; metadata runs exist for every seed that any fusion may ask for."""

    def of(network: str) -> Sequence[int]:
        return seeds_of.get(network, seeds_of.get(named_size(network)[0], seeds))

    if cell["inputs"] != "metadata":
        return of(cell["architecture"])
    return sorted({seed for name in (METADATA_NET, *architectures) for seed in of(name)})


def _controls(cells, permuted, fraction) -> list[dict]:
    """Runs on permuted labels."""
    by_name = {cell_name(**cell): cell for cell in cells}
    rows = []
    for name, seeds in permuted.items():
        if name not in by_name or by_name[name]["inputs"] == "fusion":
            allowed = [known for known, cell in by_name.items() if cell["inputs"] != "fusion"]
            remedy = suggestion(name, allowed, "correct it")
            raise StudyError("grid.permuted", f"{name!r} is no cell with one input", f"one of {allowed}", remedy)
        rows += [{**by_name[name], "labels": PERMUTED, "fraction": float(fraction), "seed": seed} for seed in seeds]
    return rows
