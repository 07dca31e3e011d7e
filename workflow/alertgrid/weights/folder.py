"""How are initial weights kept? In an encoder folder: model.safetensors, config.json, manifest.json.

A folder is written from a hub model at a pinned revision (`hub`), from local files (`local`), or by a
pre-training of ours (`pretraining`).
Loading is strict: hash, architecture and every key must agree, so that random weights never pass for trained ones.
Pickled files are read with `weights_only=True` and rewritten as safetensors.
timm itself adapts the first convolution to fewer or more cutouts and relative positions to another input size, and
can read the folder too (`local-dir:`). Source: timm 1.0.
"""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ..errors import StudyError
from ..files import atomic_path, read_json, sha256, write_json

MODEL, CONFIG, MANIFEST = "model.safetensors", "config.json", "manifest.json"
FETCH = "run `snakemake fetch` on a node with internet, then start again"


def write_encoder_folder(
    folder: str | Path,
    state: Mapping[str, Tensor],
    *,
    architecture: str,
    origin: str,
    revision: str,
    trained_on: Sequence[str],
    licence: str,
    normalisation: str,
    image_size: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an encoder folder and return its manifest, which comes last, so a folder that has one is complete.

    Parameters
    ----------
    state : mapping
        State dict of the timm network (`architecture`) without classifier, three input channels.
    origin, revision : str
        Where the weights come from, for example `hub:owner/name` and a commit.
    trained_on : sequence of str
        Everything the weights have seen, in order.
    normalisation : str
        Input of the pre-training.
    image_size : int, optional
        Side that the network was created for, when it is not timm's default.
    details : mapping, optional
        More entries of the manifest.
    """
    folder = Path(folder)
    _write_tensors(folder / MODEL, state)
    write_json(folder / CONFIG, _timm_config(architecture, image_size))
    manifest = {
        "architecture": architecture,
        "origin": origin,
        "revision": revision,
        "sha256": sha256(folder / MODEL),
        "licence": licence,
        "input_normalisation": normalisation,
        "trained_on": list(trained_on),
        "label": " -> ".join(trained_on),
        **(details or {}),
    }
    write_json(folder / MANIFEST, manifest)
    return read_json(folder / MANIFEST)


def _write_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write safetensors; not by its `save_file`, whose files nobody else may read."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(save({key: value.detach().cpu().contiguous().clone() for key, value in state.items()}))


def _timm_config(architecture: str, image_size: int | None) -> dict[str, Any]:
    """config.json as timm writes it for a network without classifier."""
    import timm  # takes seconds, and runs without initial weights do without

    published = timm.get_pretrained_cfg(architecture)
    config: dict[str, Any] = {"architecture": architecture, "num_classes": 0}
    if image_size is not None:
        config["model_args"] = {"img_size": image_size}
    side = image_size or published.input_size[-1]
    names = {"first_conv": published.first_conv, "classifier": published.classifier}
    return {**config, "pretrained_cfg": {"input_size": [3, side, side], "num_classes": 0, **names}}


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Manifest of a complete encoder folder whose weights still have their hash.

    Raises
    ------
    StudyError
        The folder or one of its files is absent, or the weights changed.
    """
    folder = Path(folder)
    for name in (MANIFEST, CONFIG, MODEL):
        if not (folder / name).is_file():
            raise StudyError(str(folder / name), "is absent", "a complete encoder folder", FETCH)
    manifest = read_json(folder / MANIFEST)
    found = sha256(folder / MODEL)
    if found != manifest["sha256"]:
        raise StudyError(
            str(folder / MODEL),
            f"has SHA-256 {found}",
            f"{manifest['sha256']}, as its manifest says",
            "delete the folder and fetch or pre-train it again",
        )
    return manifest


def load_encoder_weights(encoder: nn.Module, folder: str | Path) -> dict[str, Any]:
    """Load an encoder folder into an encoder of `build_encoder`, every weight or none.

    Parameters
    ----------
    encoder : nn.Module
        Changed in place; its number of cutouts and its input size may differ from the folder's.
    folder : path
        Encoder folder.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    StudyError
        Folder incomplete or changed, another architecture, or keys or shapes that do not match.
    """
    manifest = read_manifest(folder)
    expected = encoder.spec.timm_name if encoder.spec.pretrainable else "a network that takes no initial weights"
    if manifest["architecture"] != expected:
        raise StudyError(
            str(Path(folder) / MANIFEST), f"architecture is {manifest['architecture']!r}", f"{expected}",
            "give the folder of the right architecture, or exclude this cell",
        )  # fmt: skip
    state = {key: value for key, value in load_file(Path(folder) / MODEL).items() if not key.startswith(encoder.unused)}
    backbone = encoder.backbone
    adapted = _adapt(state, backbone, encoder.in_channels)
    _require_match(adapted, backbone.state_dict(), str(Path(folder) / MODEL))
    backbone.load_state_dict(adapted, strict=True)
    return manifest


def _adapt(state: Mapping[str, Tensor], backbone: nn.Module, in_channels: int) -> dict[str, Tensor]:
    """Weights for the backbone's input size and channels, by timm's own functions."""
    from timm.models import adapt_input_conv

    module = importlib.import_module(type(backbone).__module__)
    family_filter = getattr(module, "checkpoint_filter_fn", None)
    adapted = dict(family_filter(dict(state), backbone) if family_filter else state)
    first = backbone.pretrained_cfg.get("first_conv") or ()
    for name in (first,) if isinstance(first, str) else first:
        key = f"{name}.weight"
        if key in adapted:
            adapted[key] = adapt_input_conv(in_channels, adapted[key])
    return adapted


def _require_match(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str) -> None:
    """Raise unless both have the same keys and shapes."""
    missing, surplus = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    shapes = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    problems = {"misses": missing, "has unknown": surplus, "has another shape for": shapes}
    found = [f"{what} {len(keys)} keys ({', '.join(keys[:3])})" for what, keys in problems.items() if keys]
    if found:
        raise StudyError(where, "; ".join(found), f"the {len(wanted)} weights of the network", "check the architecture")


def encoder_state(raw: Mapping[str, Tensor], architecture: str, where: str) -> dict[str, Tensor]:
    """Weights of a checkpoint of timm's format without the classifier, complete for three input channels.

    Raises
    ------
    StudyError
        A key is missing, unknown or has another shape than timm's network.
    """
    import timm

    with torch.random.fork_rng(devices=[]):
        network = timm.create_model(architecture, pretrained=False, num_classes=0)
    heads = network.pretrained_cfg.get("classifier") or ()
    prefixes = tuple(f"{name}." for name in ((heads,) if isinstance(heads, str) else heads))
    state = {key: value for key, value in raw.items() if not key.startswith(prefixes)}
    _require_match(state, network.state_dict(), where)
    return state


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Tensors of a safetensors or pickled file; nothing but tensors is unpickled."""
    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, Mapping):
            raise ValueError(f"holds a {type(state).__name__}")
    except (OSError, RuntimeError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise StudyError(
            str(path), f"cannot be read: {error}", "safetensors, or a pickled mapping of tensors", "fetch it again"
        ) from error
    for nested in ("state_dict", "model"):
        if isinstance(state.get(nested), Mapping):
            state = state[nested]
    # A network saved inside DataParallel carries one more level in its names.
    return {key.removeprefix("module."): value for key, value in state.items()}
