"""The released fine-tuned BTSbot models (pytorch_model.bin and train_config.json) in the networks of this package.

Upstream's class is in train_config.json (`model_name`); its layers and ours are the same, so loading is a renaming of
keys, checked to be complete in both directions. Source of the names: btsbot/architectures.py of nabeelre/BTSbot 2.0.7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..columns import METADATA_COLUMNS
from ..errors import StudyError
from ..files import read_json, sha256
from ..models import build_fusion, build_model
from .folder import FETCH, MANIFEST, read_tensors

WEIGHTS, CONFIG = "pytorch_model.bin", "train_config.json"
# model_kind holds a timm name or the name of a hub repository.
_ARCHITECTURES = (("maxvit_tiny", "maxvit_tiny"), ("convnext_pico", "convnext_pico"))

# Upstream's numbered layers of each network -> our names; the rest of a timm network keeps its own names.
_HEAD_OF_8 = {"3": "head.0", "5": "head.2", "8": "head.5"}
_HEAD_OF_6 = {"1": "head.0", "3": "head.2", "6": "head.5"}
_RULES: dict[str, list[tuple[str, str]]] = {
    "ConvNeXt": [
        (r"convnext\.head\.1\.(.*)", r"encoder.backbone.head.norm.\1"),
        *[(rf"convnext\.head\.{old}\.(.*)", rf"{new}.\1") for old, new in _HEAD_OF_8.items()],
        (r"convnext\.(?!head\.)(.*)", r"encoder.backbone.\1"),
    ],
    "MaxViT": [
        *[(rf"maxvit\.head\.{old}\.(.*)", rf"{new}.\1") for old, new in _HEAD_OF_6.items()],
        (r"maxvit\.(?!head\.)(.*)", r"encoder.backbone.\1"),
    ],
    "um_cnn": [(r"conv_layers\.(.*)", r"encoder.layers.\1"), (r"head\.(.*)", r"head.\1")],
    "um_nn": [(r"network\.6\.(.*)", r"head.1.\1"), (r"network\.([0-4]\..*)", r"layers.\1")],
    "mm_ConvNeXt": [(r"convnext_backbone\.(.*)", r"encoder.backbone.\1")],
    "mm_MaxViT": [(r"maxvit_backbone\.(.*)", r"encoder.backbone.\1")],
    "mm_cnn": [(r"conv_layers\.(.*)", r"encoder.layers.\1")],
}
_JOINT = [(r"metadata_branch\.(.*)", r"metadata.\1"), (r"combined_head\.(.*)", r"head.\1")]


def load_published(folder: str | Path) -> nn.Module:
    """Load a released BTSbot model; nothing is trained.

    Parameters
    ----------
    folder : path
        Holds pytorch_model.bin and train_config.json, and manifest.json where `hub.fetch_published` wrote it.

    Returns
    -------
    nn.Module
        In eval mode: `forward(stamps (B, 3, 63, 63), metadata (B, 25)) -> logits (B,)`; image models ignore the
        metadata.

    Raises
    ------
    StudyError
        A file is absent or changed, the model is of an unknown kind, or its weights do not fit.
    """
    folder = Path(folder)
    _check_files(folder)
    config = read_json(folder / CONFIG)
    network = build_published(config, str(folder / CONFIG))
    state = rename(read_tensors(folder / WEIGHTS), config, str(folder / WEIGHTS))
    _load(network, state, str(folder / WEIGHTS))
    return network.eval()


def _check_files(folder: Path) -> None:
    """Refuse absent files, and files that are not the fetched ones."""
    for name in (WEIGHTS, CONFIG):
        if not (folder / name).is_file():
            raise StudyError(str(folder / name), "is absent", f"{WEIGHTS} and {CONFIG}", FETCH)
    manifest = read_json(folder / MANIFEST) if (folder / MANIFEST).is_file() else {}
    for name, digest in manifest.get("files", {}).items():
        if sha256(folder / name) != digest:
            raise StudyError(str(folder / name), "changed since it was fetched", f"SHA-256 {digest}", FETCH)


def build_published(config: Mapping[str, Any], where: str) -> nn.Module:
    """Our network of upstream's training configuration, with random weights.

    Parameters
    ----------
    config : mapping
        train_config.json; `frozen_fusion` holds `image_model_config` and `meta_model_config`.
    where : str
        Name of the file, for errors.
    """
    kind = config.get("model_name")
    try:
        if kind == "frozen_fusion":
            image = build_published(config["image_model_config"], where)
            metadata = build_published(config["meta_model_config"], where)
            return build_fusion(image, metadata, {"fusion": _combined(config)})
        if kind not in _RULES:
            raise StudyError(where, f"model_name is {kind!r}", f"frozen_fusion or one of {sorted(_RULES)}", "update it")
        inputs = "metadata" if kind == "um_nn" else "fusion" if kind.startswith("mm_") else "image"
        return build_model(_architecture(config, where), inputs, 3, _settings(config))
    except KeyError as error:
        raise StudyError(
            where, f"has no key {error}", f"every setting of a {kind} network", "fetch it again"
        ) from error


def _architecture(config: Mapping[str, Any], where: str) -> str:
    """Our name of the encoder."""
    kind = config["model_name"]
    if kind == "um_nn":
        _check_columns(config, where)
        return "metadata_net"
    if kind.endswith("_cnn"):
        return "btsbot_cnn"
    for part, name in _ARCHITECTURES:
        if part in config["model_kind"] and "rmlp" not in config["model_kind"]:
            return name
    # Any other timm tag: its architecture stands before the dot.
    return config["model_kind"].split(".")[0]


def _check_columns(config: Mapping[str, Any], where: str) -> None:
    """The metadata columns must be ours, in our order, since the network knows them by position only."""
    columns = tuple(config["metadata_cols"])
    if columns != METADATA_COLUMNS:
        raise StudyError(where, f"metadata_cols are {columns}", f"{METADATA_COLUMNS}", "use a model of these columns")


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Upstream's configuration in the words of `models.settings`."""
    kind = config["model_name"]
    settings: dict[str, Any] = {}
    if "MaxViT" in kind:
        settings["input_size"] = _upstream_size(config["model_kind"])
    if kind.endswith("_cnn"):
        settings["cnn"] = {
            "channels": (config["conv1_channels"], config["conv2_channels"]),
            "kernel": config["conv_kernel"],
            "dropouts": (config["conv_dropout1"], config["conv_dropout2"]),
        }
    if kind == "um_cnn":
        settings["cnn"] |= _dense(config)
    elif kind == "um_nn":
        widths = (config["meta_fc1_neurons"], config["meta_fc2_neurons"])
        settings["metadata"] = {"widths": widths, "dropout": config["meta_dropout"]}
    elif kind.startswith("mm_"):
        _check_columns(config, kind)
        widths = (config["meta_fc1_neurons"], config["meta_fc2_neurons"])
        branch = {"metadata_widths": widths, "metadata_dropout": config["meta_dropout"]}
        settings["joint"] = {**_combined(config), **branch}
    else:
        settings["head"] = _dense(config)
    return settings


def _upstream_size(model_kind: str) -> int:
    """Side that upstream resizes stamps to for MaxViT: the number before the tag, else 224."""
    match = re.search(r"_(\d+)\.", model_kind)
    return int(match.group(1)) if match else 224


def _dense(config: Mapping[str, Any]) -> dict[str, Any]:
    """Widths and dropout of an image head; older configurations say `dropout1`."""
    dropout = config["dropout"] if "dropout" in config else config["dropout1"]
    return {"widths": (config["fc1_neurons"], config["fc2_neurons"]), "dropout": dropout}


def _combined(config: Mapping[str, Any]) -> dict[str, Any]:
    """Widths and dropout of a fusion head."""
    return {"widths": (config["comb_fc1_neurons"], config["comb_fc2_neurons"]), "dropout": config["comb_dropout"]}


def rename(state: Mapping[str, Tensor], config: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """Upstream's state dict under our names; every key must be known.

    Parameters
    ----------
    state : mapping
        Upstream key -> tensor.
    config : mapping
        train_config.json.
    where : str
        Name of the file, for errors.
    """
    return {_new_name(key, config, where): value for key, value in state.items()}


def _new_name(key: str, config: Mapping[str, Any], where: str) -> str:
    """Our name of one weight."""
    if config["model_name"] == "frozen_fusion":
        branches = {
            "image_branch.": ("image_model_config", "image."),
            "meta_branch.": ("meta_model_config", "metadata."),
        }
        for prefix, (section, ours) in branches.items():
            if key.startswith(prefix):
                return ours + _new_name(key.removeprefix(prefix), config[section], where)
        rules = [(r"combined_head\.(.*)", r"head.layers.\1")]
    else:
        kind = config["model_name"]
        rules = _RULES[kind] + (_JOINT if kind.startswith("mm_") else [])
    for pattern, replacement in rules:
        if re.fullmatch(pattern, key):
            return re.sub(pattern, replacement, key)
    raise StudyError(
        where, f"has the unknown key {key!r}", f"keys of {config['model_name']}", "check train_config.json"
    )


def _load(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load strictly and explain a misfit."""
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise StudyError(
            where, f"does not fit: {error}", "the weights of train_config.json's network", FETCH
        ) from error
