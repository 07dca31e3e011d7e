"""Fetch published weights: a file of the Hugging Face hub at a pinned revision, into a checked folder.

The only module that reaches the network, and only from the `fetch` rules. Sources: the hub repositories of timm, Zoobot
(arXiv 2404.02973) and BTSbot (arXiv 2512.11957).
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
from huggingface_hub import errors as hub_errors

from ..encoders import encoder_spec
from ..errors import StudyError
from ..files import atomic_path, sha256, write_json
from .folder import FETCH, MANIFEST, MODEL, encoder_state, read_tensors, write_encoder_folder
from .pins import Pins

PUBLISHED_FILES = ("pytorch_model.bin", "train_config.json")


@dataclass(frozen=True)
class HubSource:
    """A file of weights on the Hugging Face hub.

    Parameters
    ----------
    repo, revision, filename : str
        The file; the revision is a commit, its first characters, a tag or a branch (its commit is recorded).
    architecture : str
        timm architecture of the weights.
    trained_on : tuple of str
        Everything the weights have seen, in order.
    licence : str or None
        Of the weights; None takes the repository's model card at its word.
    normalisation : str
        Input of its pre-training, for the record.
    sha256 : str or None
        Expected hash of the file; None accepts the first download and every later one only if equal (see `pins`).
    """

    repo: str
    revision: str
    filename: str
    architecture: str
    trained_on: tuple[str, ...]
    licence: str | None
    normalisation: str
    sha256: str | None = None


_ZOOBOT = {
    "filename": "pytorch_model.bin",
    # Every Galaxy Zoo encoder of Zoobot started from ImageNet weights (arXiv 2404.02973).
    "trained_on": ("ImageNet", "Galaxy Zoo"),
    "licence": "apache-2.0",
    # The repositories' config.json carries ImageNet's constants, which Zoobot's training never used.
    "normalisation": "[0, 1], 3 channels, 224 pixels, no mean and standard deviation",
}
# Revision and, where the hub's page states it, SHA-256 of timm's ImageNet weights; the first download records other
# hashes.
IMAGENET_PINS: dict[str, tuple[str, str | None]] = {
    "convnext_pico": (
        "0d879cb0cfd9b851a13f007d3ed170dd049f1476",
        "886829b6326981758d9996f4f18b3ac61c49f259cb9fad37ef1d1e8306b64875",
    ),
    "maxvit_tiny_rw_224": ("b80aa14b07f3fd9e73979d609cfcb5653f1d7d53", None),
}
GALAXY_ZOO: dict[str, HubSource] = {
    source.architecture: source
    for source in (
        HubSource(
            "mwalmsley/zoobot-encoder-convnext_pico",
            "ca4dc5278aa675d7982e690a1ec10de8e945963e",
            architecture="convnext_pico",
            **_ZOOBOT,
        ),
        HubSource(
            "mwalmsley/baseline-encoder-regression-maxvit_tiny",
            "77a3a77",
            architecture="maxvit_tiny_rw_224",
            **_ZOOBOT,
        ),
    )
}


def hub_source(pretraining: str | Mapping[str, Any], architecture: str) -> HubSource:
    """Hub file for a published pre-training of an encoder.

    Parameters
    ----------
    pretraining : {"imagenet", "galaxyzoo"} or mapping
        "imagenet" is timm's default tag (convnext_pico.d1_in1k, maxvit_tiny_rw_224.sw_in1k, ...); a mapping names any
        other repository by the fields of `HubSource`.
    architecture : str
        Name of an encoder.

    Raises
    ------
    StudyError
        Nobody has published such weights.
    """
    architecture = encoder_spec(architecture).timm_name
    if isinstance(pretraining, Mapping):
        return _named_source(pretraining, architecture)
    published = timm.get_pretrained_cfg(architecture) if architecture else None
    if pretraining == "imagenet" and published is not None and published.hf_hub_id:
        revision, digest = IMAGENET_PINS.get(architecture, ("main", None))
        return HubSource(
            published.hf_hub_id,
            revision,
            MODEL,
            architecture,
            ("ImageNet",),
            published.license,
            f"mean {published.mean}, standard deviation {published.std}, {published.input_size[-1]} pixels",
            digest,
        )
    if pretraining == "galaxyzoo" and architecture in GALAXY_ZOO:
        return GALAXY_ZOO[architecture]
    raise StudyError(
        f"pretraining {pretraining!r} of {architecture!r}",
        "has no published weights",
        f"imagenet for a timm architecture with weights, galaxyzoo for {', '.join(GALAXY_ZOO)}",
        "exclude this cell, or name a hub repository or a local folder for it",
    )


def _named_source(fields: Mapping[str, Any], architecture: str) -> HubSource:
    """A repository that the study names itself."""
    defaults = {"filename": MODEL, "licence": None, "normalisation": "unknown"}
    values = {**defaults, "trained_on": (str(fields.get("repo")),), **fields, "architecture": architecture}
    try:
        return HubSource(**{**values, "trained_on": tuple(values["trained_on"])})
    except TypeError as error:
        raise StudyError(
            "pretraining.hub", str(error), "repo, revision and fields of HubSource", "correct the keys"
        ) from error


def fetch_encoder(folder: str | Path, source: HubSource, pins: Pins) -> dict:
    """Download weights and write their encoder folder.

    Parameters
    ----------
    folder : path
        Encoder folder.
    source : HubSource
        What to download.
    pins : Pins
        What earlier fetches got; this one must get the same, and is pinned if it is the first.

    Returns
    -------
    dict
        The manifest; `revision` is the full commit, `source_sha256` the hash of the downloaded file.

    Raises
    ------
    StudyError
        No network, no such file, a changed hash, or weights that are not timm's for this architecture.
    """
    repo, filename = source.repo, source.filename
    commit = pins.commit(repo, source.revision) or full_revision(repo, source.revision)
    path = download(repo, filename, commit)
    digest = _checked_hash(path, source.sha256 or pins.digest(repo, source.revision, filename), repo, pins)
    where = f"{repo}@{commit}/{filename}"
    manifest = write_encoder_folder(
        folder,
        encoder_state(read_tensors(path), source.architecture, where),
        architecture=source.architecture,
        origin=f"hub:{repo}",
        revision=commit,
        trained_on=source.trained_on,
        licence=source.licence or card_licence(repo, commit),
        normalisation=source.normalisation,
        details={"source_file": filename, "source_sha256": digest},
    )
    pins.record(repo, source.revision, commit, {filename: digest})
    return manifest


def fetch_published(folder: str | Path, repo: str, revision: str, pins: Pins, digest: str | None = None) -> dict:
    """Download a released fine-tuned BTSbot model as it is: weights, training configuration, manifest.

    Parameters
    ----------
    folder : path
        Made when absent.
    repo : str
        For example `nabeelr/BTSbot-convnext-pico-galaxyzoo-metadata`.
    revision : str
        Commit, tag or branch.
    pins : Pins
        As for `fetch_encoder`.
    digest : str, optional
        SHA-256 that the weights must have.

    Returns
    -------
    dict
        The manifest: origin, commit, licence of the model card and the SHA-256 of each file.
    """
    folder, commit = Path(folder), pins.commit(repo, revision) or full_revision(repo, revision)
    hashes = {}
    for name in PUBLISHED_FILES:
        path = download(repo, name, commit)
        wanted = digest if name == PUBLISHED_FILES[0] else None
        hashes[name] = _checked_hash(path, wanted or pins.digest(repo, revision, name), repo, pins)
        with atomic_path(folder / name) as temporary:
            shutil.copyfile(path, temporary)
    licence = card_licence(repo, commit)
    manifest = {"origin": f"hub:{repo}", "revision": commit, "licence": licence, "files": hashes}
    write_json(folder / MANIFEST, manifest)
    pins.record(repo, revision, commit, hashes)
    return manifest


def full_revision(repo: str, revision: str) -> str:
    """The commit of 40 digits that a branch, a tag or the first digits of a commit stand for."""
    if _is_commit(revision) and len(revision) == 40:
        return revision
    with _explained(repo, revision):
        api = huggingface_hub.HfApi()
        if not _is_commit(revision):
            return api.model_info(repo, revision=revision).sha
        found = [commit.commit_id for commit in api.list_repo_commits(repo) if commit.commit_id.startswith(revision)]
    if len(found) != 1:
        raise StudyError(
            f"{repo}@{revision}", f"fits {len(found)} commits", "the first digits of one commit", "give all 40 digits"
        )
    return found[0]


def _is_commit(revision: str) -> bool:
    """Whether a revision is hexadecimal, as commits are."""
    return len(revision) >= 7 and all(digit in "0123456789abcdef" for digit in revision)


def card_licence(repo: str, commit: str) -> str:
    """Licence that the model card of a repository states, `unknown` where it states none."""
    with _explained(repo, commit):
        card = huggingface_hub.HfApi().model_info(repo, revision=commit).card_data
    return getattr(card, "license", None) or "unknown"


def download(repo: str, filename: str, revision: str) -> Path:
    """Path of a hub file in the local cache, downloaded when it is not there."""
    with _explained(repo, revision):
        return Path(huggingface_hub.hf_hub_download(repo, filename, revision=revision))


@contextlib.contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Turn the hub's errors into one that says what to do."""
    try:
        yield
    except (
        hub_errors.RepositoryNotFoundError,
        hub_errors.RevisionNotFoundError,
        hub_errors.EntryNotFoundError,
    ) as error:
        if isinstance(error, hub_errors.LocalEntryNotFoundError):
            raise _offline(repo, revision, error) from error
        raise StudyError(
            f"{repo}@{revision}", f"is not on the hub ({error})", "a public repository, revision and file", "correct it"
        ) from error
    except (hub_errors.HfHubHTTPError, hub_errors.OfflineModeIsEnabled, OSError) as error:
        raise _offline(repo, revision, error) from error


def _offline(repo: str, revision: str, error: Exception) -> StudyError:
    """The error of a machine without internet."""
    reason = f"cannot be downloaded ({type(error).__name__}: {error})"
    return StudyError(f"{repo}@{revision}", reason, "a machine that reaches huggingface.co", FETCH)


def _checked_hash(path: Path, expected: str | None, repo: str, pins: Pins) -> str:
    """SHA-256 of a downloaded file, refused when it is not the expected one."""
    found = sha256(path)
    if expected is not None and found != expected:
        raise StudyError(
            f"{repo}: {path.name}",
            f"has SHA-256 {found}",
            str(expected),
            f"do not use it: find out why it changed, then correct the expected hash, or the entry in {pins.path}",
        )
    return found
