"""Run folder -> ONNX file, kept only when onnxruntime gives the network's own numbers."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..columns import STAMP_SETS
from ..dataset import open_stamps, read_catalogue, read_metadata
from ..errors import StudyError
from ..files import atomic_path
from ..predictions import read_predictions
from ..training.records import git_revision
from .network import Exported, description, load_network, random_inputs

TOLERANCE = 1e-4  # largest difference of a logit, relative to 1 or to the logit itself where that is greater
STORED = 0.01  # largest difference from a score in predictions.h5, which another machine or precision may have made
PREFIX = "alertgrid."


@dataclass(frozen=True)
class Checked:
    """How the file was checked.

    Attributes
    ----------
    rows : int
        Alerts compared, in batches of one and of all of them.
    origin : str
        "dataset" for real rows, "random" for random stamps and metadata.
    difference : float
        Largest difference of a logit, onnxruntime from torch, relative to max(1, |logit|).
    tolerance : float
    spread : float
        Largest minus smallest logit of these rows: what a difference may be seen against.
    stored_difference : float or None
        Largest difference from the scores in predictions.h5; None where they were not compared.
    """

    rows: int
    origin: str
    difference: float
    tolerance: float
    spread: float
    stored_difference: float | None = None


def export_run(
    folder: str | Path,
    output: str | Path,
    *,
    dataset: str | Path | None = None,
    rows: int = 64,
    tolerance: float = TOLERANCE,
) -> Checked:
    """Write a finished run as ONNX.

    Parameters
    ----------
    folder : path
        `results/{study}/runs/{cell}/f{fraction}/s{seed}`.
    output : path
        The file, self-contained; inputs `stamps` and/or `metadata` of any batch size, outputs `logit` and `score`.
    dataset : path, optional
        dataset.h5 for the check; the study's own by default. Where it is away, random inputs are taken.
    rows : int
        Alerts of the check.
    tolerance : float
        See `Checked.difference`.

    Returns
    -------
    Checked

    Raises
    ------
    StudyError
        The run is unusable, or the check fails: then no file is left, and one that was there stays as it was.
    """
    folder = Path(folder)
    network, record = load_network(folder)
    exported = Exported(network, record["inputs"]).eval()
    dataset = Path(dataset) if dataset else folder.resolve().parents[3] / "dataset.h5"
    if dataset.exists():
        origin, (inputs, stored) = "dataset", dataset_inputs(dataset, exported, folder, record["stamps"], rows)
    else:
        origin, inputs = "random", random_inputs(exported, len(STAMP_SETS[record["stamps"]]), rows)
        stored = None
    said = description(record, folder / "weights.safetensors")
    with atomic_path(output) as temporary:
        found = _convert_checked(exported, inputs, stored, temporary, (origin, tolerance))
        _accept(found, str(output))
        _describe(temporary, said | {"check": json.dumps(asdict(found)), "exported_with": _versions()})
    return found


def _convert_checked(
    exported: Exported, inputs: Sequence[Tensor], stored: np.ndarray | None, path: Path, how: tuple[str, float]
) -> Checked:
    """Write the file and compare its numbers with the network's and with stored scores."""
    with torch.no_grad():
        logit, score = (value.numpy() for value in exported(*inputs))
    _convert(exported, inputs, path)
    difference = largest_difference(path, exported.names, inputs, logit)
    beside = None if stored is None else float(np.abs(score - stored).max())
    origin, tolerance = how
    return Checked(len(logit), origin, difference, tolerance, float(np.ptp(logit)), beside)


def dataset_inputs(
    dataset: Path, exported: Exported, folder: Path, stamps: str, rows: int
) -> tuple[tuple[Tensor, ...], np.ndarray | None]:
    """Inputs of test alerts spread over the dataset, and the run's own scores of them where it has them.

    Raises
    ------
    StudyError
        The dataset lacks alerts of the run's predictions.
    """
    candid, scores = read_catalogue(dataset)["candid"].to_numpy(), None
    chosen = np.arange(len(candid))
    if (folder / "predictions.h5").exists():
        table = read_predictions(folder / "predictions.h5").query("split == 'test'").set_index("candid")["score"]
        chosen = np.flatnonzero(np.isin(candid, table.index))
        if not len(chosen):
            expected = "the dataset that the run was trained on"
            raise StudyError(str(dataset), "holds no test alert of the run", expected, "give it with --dataset")
    chosen = np.unique(chosen[np.linspace(0, len(chosen) - 1, min(rows, len(chosen))).round().astype(int)])
    if (folder / "predictions.h5").exists():
        scores = table.loc[candid[chosen]].to_numpy()
    made = {}
    if "stamps" in exported.names:
        block = open_stamps(dataset)[chosen][:, list(STAMP_SETS[stamps])]
        made["stamps"] = torch.from_numpy(np.ascontiguousarray(block, np.float32))
    if "metadata" in exported.names:
        made["metadata"] = torch.from_numpy(read_metadata(dataset)[chosen])
    return tuple(made[name] for name in exported.names), scores


def _convert(exported: Exported, inputs: Sequence[Tensor], path: Path) -> None:
    """Translate the network; any batch size."""
    for layer in exported.modules():
        # Fused attention leaves strides that the exporter cannot follow when the batch size is free.
        if hasattr(layer, "fused_attn"):
            layer.fused_attn = False
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and onnxscript about their own parts; the result is checked
        program = torch.onnx.export(
            exported,
            tuple(given[:2] for given in inputs),
            dynamo=True,
            input_names=list(exported.names),
            output_names=["logit", "score"],
            dynamic_shapes={"given": tuple({0: "n"} for _ in inputs)},
            verbose=False,
        )
    program.save(path, external_data=False)


def largest_difference(path: Path, names: Sequence[str], inputs: Sequence[Tensor], logit: np.ndarray) -> float:
    """Largest difference of onnxruntime's logits from `logit`, relative to max(1, |logit|), alone and in a batch.

    Infinite where an output is not finite or its score is not the sigmoid of its logit.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for part in (slice(0, 1), slice(None)):
        feed = {name: given[part].numpy() for name, given in zip(names, inputs, strict=True)}
        found, score = session.run(["logit", "score"], feed)
        consistent = np.allclose(score, 1 / (1 + np.exp(-found.astype(float))), atol=1e-6)
        if found.shape != logit[part].shape or not np.isfinite(found).all() or not consistent:
            return np.inf
        worst = max(worst, float((np.abs(found - logit[part]) / np.maximum(1, np.abs(logit[part]))).max()))
    return worst


def _accept(found: Checked, output: str) -> None:
    """Refuse a file that does not give the network's numbers."""
    if not found.difference <= found.tolerance:
        problem = f"onnxruntime differs from torch by {found.difference:.2g} of a logit on {found.rows} rows"
        expected = f"at most {found.tolerance:g}"
        raise StudyError(output, problem, expected, "do not use this export; raise --tolerance if you accept it")
    if found.stored_difference is not None and not found.stored_difference <= STORED:
        problem = f"the network's scores differ from predictions.h5 by up to {found.stored_difference:.2g}"
        expected = f"at most {STORED:g}, on the dataset that the run was trained on"
        raise StudyError(output, problem, expected, "give the right dataset.h5, or train the run again")


def _describe(path: Path, said: Mapping[str, str]) -> None:
    """Put the description into the file and let onnx check it whole."""
    import onnx

    model = onnx.load(path)
    model.producer_name, model.doc_string = "alertgrid", f"{said['cell']}, trained by alertgrid"
    onnx.helper.set_model_props(model, {PREFIX + name: value for name, value in said.items()})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _versions() -> str:
    """What made the file."""
    packages = [f"{name} {version(name)}" for name in ("torch", "onnx", "onnxscript", "onnxruntime")]
    return ", ".join([*packages, f"alertgrid {git_revision()}"])
