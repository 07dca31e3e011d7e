"""Which network did a run leave? Rebuilt from its folder, with its best weights, for inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..columns import CHANNELS, METADATA_COLUMNS, STAMP_SETS, STAMP_SIZE
from ..errors import StudyError
from ..files import sha256
from ..grid import METADATA_CELL, cell_name, run_name
from ..models import build_fusion, build_model
from ..training.fusion import load_branch
from ..training.records import read_record, read_weights

INPUTS = {
    "image": ("stamps",), "metadata": ("metadata",), "fusion": ("stamps", "metadata"), "joint": ("stamps", "metadata")
}  # fmt: skip


def load_network(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Network of a finished run in evaluation mode, and its record.

    Frozen fusion is rebuilt from the image and metadata runs beside it, since its own record holds the settings of its
    head alone.

    Raises
    ------
    StudyError
        The run is not finished, its weights do not fit, or a run that it stands on is absent or has changed.
    """
    folder, record = Path(folder), read_record(folder)
    channels, models = len(STAMP_SETS[record["stamps"]]), record["settings"]["models"]
    if record["inputs"] == "fusion":
        model = build_fusion(*(_branch(folder, record, name, channels) for name in ("image", "metadata")), models)
    else:
        kind = "fusion" if record["inputs"] == "joint" else record["inputs"]
        model = build_model(record["architecture"], kind, channels, models)
    try:
        model.load_state_dict(read_weights(folder))
    except RuntimeError as error:
        where, expected = str(folder / "weights.safetensors"), "weights of the network in run.json"
        raise StudyError(where, str(error), expected, "train that run again") from None
    return model.eval(), record


def _branch(folder: Path, record: dict[str, Any], name: str, channels: int) -> nn.Module:
    """The image or metadata network that frozen fusion stands on."""
    if name == "metadata":
        cell = METADATA_CELL + ("-permuted" if record["labels"] == "permuted" else "")
    else:
        axes = ("architecture", "pretraining", "inputs", "stamps", "labels")
        cell = cell_name(**{axis: record[axis] for axis in axes} | {"inputs": "image"})
    branch = folder.resolve().parents[2] / run_name(cell, record["fraction"], record["seed"])
    weights = branch / "weights.safetensors"
    expected = f"the {name} run that {record['cell']} stands on"
    if not weights.is_file():
        raise StudyError(str(weights), "there is no such file", expected, "keep that run's folder, or train it again")
    if sha256(weights) != record["input_hashes"][f"{name}_run"]:
        raise StudyError(str(weights), "has changed since", expected, f"train {folder} again")
    return load_branch(branch, name, channels, {})


class Exported(nn.Module):
    """A network whose arguments are its inputs alone, and whose outputs are logit and score."""

    def __init__(self, network: nn.Module, inputs: str):
        super().__init__()
        self.network, self.names = network, INPUTS[inputs]

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs in the order of `names` -> logits (B,), scores (B,) in [0, 1]."""
        named = dict(zip(self.names, given, strict=True))
        logit = self.network(named.get("stamps"), named.get("metadata"))
        return logit, torch.sigmoid(logit)


def random_inputs(network: Exported, channels: int, rows: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random stamps of unit norm, and metadata like those that the network was trained on."""
    rng = torch.Generator().manual_seed(seed)
    stamps = torch.randn(rows, channels, STAMP_SIZE, STAMP_SIZE, generator=rng)
    stamps /= torch.linalg.vector_norm(stamps, dim=(2, 3), keepdim=True)
    metadata = torch.randn(rows, len(METADATA_COLUMNS), generator=rng)
    for layer in network.modules():
        # The batch normalisation at the entrance knows mean and spread of each column.
        if isinstance(layer, nn.BatchNorm1d) and layer.num_features == len(METADATA_COLUMNS):
            metadata = layer.running_mean + metadata * layer.running_var.sqrt()
            break
    made = {"stamps": stamps, "metadata": metadata}
    return tuple(made[name] for name in network.names)


def description(record: dict[str, Any], weights: Path) -> dict[str, str]:
    """What a user of the file must know, as text by name."""
    settings = record["settings"]["models_resolved"]
    names = [CHANNELS[channel] for channel in STAMP_SETS[record["stamps"]]]
    said = {name: record[name] for name in ("cell", "architecture", "pretraining", "inputs", "labels")}
    said |= {name: record[name] for name in ("fraction", "seed", "git_revision")}
    said["weights_sha256"] = sha256(weights)
    said["trained_with"] = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    if "stamps" in INPUTS[record["inputs"]]:
        said["stamps"] = f"float32 (N, {len(names)}, {STAMP_SIZE}, {STAMP_SIZE})"
        said["stamps_channels"] = ",".join(names)
        said["stamps_normalisation"] = "each cutout divided by its L2 norm, missing pixels 0 before, padded with 1e-9"
        said["normalisation_inside"] = settings["input_normalisation"]
    if "metadata" in INPUTS[record["inputs"]]:
        said["metadata"] = f"float32 (N, {len(METADATA_COLUMNS)}), raw values"
        said["metadata_columns"] = ",".join(METADATA_COLUMNS)
    said["outputs"] = "logit (N,), score (N,) = sigmoid(logit): score of label 1"
    return {name: str(value) for name, value in said.items()}
