"""Which initial weights has somebody at hand? A local file or folder becomes a checked encoder folder.

Nothing is guessed: weights of another network are refused, and what they have seen is stated by the study or by the
manifest of an encoder folder, so that a chain such as ImageNet -> Galaxy Zoo keeps its name.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import StudyError
from ..files import atomic_path, read_json, sha256, write_json
from .folder import CONFIG, MANIFEST, MODEL, encoder_state, read_manifest, read_tensors, write_encoder_folder


def import_encoder(
    folder: str | Path,
    path: str | Path,
    *,
    architecture: str,
    trained_on: Sequence[str] = (),
    **facts: str,
) -> dict[str, Any]:
    """Write the encoder folder of local weights; its manifest.

    Parameters
    ----------
    folder : path
        Encoder folder to write.
    path : path
        A file (safetensors, or pickled tensors: bin, pth, pt), a folder in the layout of timm's `local-dir:`, or an
        encoder folder, whose manifest then says what its weights have seen.
    architecture : str
        timm architecture of the weights.
    trained_on : sequence of str
        Everything the weights have seen, in order.
    **facts : str
        licence, and normalisation: the input of the pre-training.

    Raises
    ------
    StudyError
        There are no weights, they are of another network, or nobody says what they have seen.
    """
    if (Path(path) / MANIFEST).is_file():
        return _import_folder(Path(folder), Path(path), architecture, trained_on)
    path = _weights_file(Path(path), architecture)
    if not trained_on:
        raise StudyError(
            str(path), "does not say what it was trained on", "trained_on, in order", "state trained_on beside it"
        )
    digest = sha256(path)
    return write_encoder_folder(
        folder,
        encoder_state(read_tensors(path), architecture, str(path)),
        architecture=architecture,
        origin=f"local:{path.name}",
        revision=digest[:12],
        trained_on=trained_on,
        **{"licence": "unknown", "normalisation": "unknown", **facts},
        details={"source_file": path.name, "source_sha256": digest},
    )


def _import_folder(folder: Path, source: Path, architecture: str, trained_on: Sequence[str]) -> dict[str, Any]:
    """Write an encoder folder from another one, with its hash checked and its history kept."""
    manifest = read_manifest(source)
    stated = {"architecture": architecture, **({"trained_on": list(trained_on)} if trained_on else {})}
    for key, value in stated.items():
        if manifest[key] != value:
            expected = f"{value!r}, as the study says"
            raise StudyError(str(source / MANIFEST), f"{key} is {manifest[key]!r}", expected, "correct one of the two")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MODEL, CONFIG):
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(source / name, temporary)
    write_json(folder / MANIFEST, {**manifest, "imported_from": f"local:{source.name}"})
    return read_manifest(folder)


def _weights_file(path: Path, architecture: str) -> Path:
    """The file itself, or the weights inside a folder, whose config.json must not name another network."""
    names = (MODEL, "pytorch_model.bin")
    config = read_json(path / CONFIG) if (path / CONFIG).is_file() else {}
    if config.get("architecture", architecture) != architecture:
        raise StudyError(
            str(path / CONFIG), f"architecture is {config['architecture']!r}", architecture, "exclude this cell"
        )
    candidates = [path / name for name in names] if path.is_dir() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise StudyError(
        str(path), "holds no weights", f"a file, or a folder with {' or '.join(names)}", "correct the path"
    )
