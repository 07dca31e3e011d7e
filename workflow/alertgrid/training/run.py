"""One run of the grid from its data to its folder: set up, resume, train, predict, record."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from ..checkpoints import Checkpoints
from ..columns import STAMP_SETS
from ..errors import StudyError
from ..files import sha256, sha256_text, write_json
from ..grid import cell_name
from ..locks import hold
from ..models import build_fusion, build_model, count_parameters, resolve_settings
from ..predictions import write_predictions
from . import fusion, records
from .data import Data, Feed, stamp_feed
from .hardware import arithmetic, choose_precision, peak_memory
from .interrupts import Watch
from .loop import State, Training, scores_of
from .randomness import initial_seed
from .recipe import Recipe
from .selection import Selection, select
from .step import Learner


@dataclass(frozen=True)
class RunSpec:
    """Which run of the grid this is; the words are those of grid.csv."""

    architecture: str
    pretraining: str
    inputs: str
    fraction: float
    seed: int
    draw: int = 0
    stamps: str = "all"
    labels: str = "true"

    @property
    def cell(self) -> str:
        """Name of the cell."""
        return cell_name(self.architecture, self.pretraining, self.inputs, self.stamps, self.labels)

    @property
    def name(self) -> str:
        """Short name for the log."""
        return f"{self.cell} f{self.fraction:g} s{self.seed}"


@dataclass(frozen=True)
class Sources:
    """Folders that a run starts from: an encoder's weights, or the two runs that frozen fusion joins."""

    encoder: str | Path | None = None
    image_run: str | Path | None = None
    metadata_run: str | Path | None = None

    def hashes(self) -> dict[str, str]:
        """Name -> SHA-256 of the weights used."""
        files = {
            "encoder": self.encoder and Path(self.encoder) / "model.safetensors",
            "image_run": self.image_run and Path(self.image_run) / "weights.safetensors",
            "metadata_run": self.metadata_run and Path(self.metadata_run) / "weights.safetensors",
        }
        return {name: _hash(path) for name, path in files.items() if path}


def _hash(path: Path) -> str:
    """SHA-256 of a file that must be there."""
    if not path.is_file():
        raise StudyError(str(path), "there is no such file", "the weights this run starts from", "make them first")
    return sha256(path)


def train_run(
    data: Data,
    spec: RunSpec,
    *,
    recipe: Recipe,
    models: Mapping[str, Any],
    output: str | Path,
    checkpoints: str | Path,
    sources: Sources | None = None,
    threads: int | None = None,
    deadline: float | None = None,
) -> dict[str, Any]:
    """Train one run, or go on with it, and write its folder.

    Parameters
    ----------
    data : Data
        From `data.load_data`; may be shared by several runs.
    spec : RunSpec
        Which run.
    recipe : Recipe
        How to train.
    models : mapping
        Settings of the networks (see `models.settings`).
    output : path
        Run folder: weights.safetensors (best), last.safetensors, history.csv, predictions.h5 and, at last, run.json.
    checkpoints : path
        Folder of the checkpoints and the lock, outside the outputs; emptied at the end.
    sources : Sources
        Weights to start from.
    threads : int, optional
        Threads of the CPU.
    deadline : float, optional
        Seconds since 1970 at which the time ends.

    Returns
    -------
    dict
        The content of run.json.

    Raises
    ------
    Interrupted
        Stopped before the end by a signal or the deadline; saved.
    StudyError
        Bad input, a loss that is not a number, or another trainer at work on this run.
    """
    sources = sources or Sources()
    with (
        hold(Path(checkpoints) / "lock.json", f"training of {spec.name}") as lock,
        Watch(deadline, recipe.stop_margin_seconds) as watch,
        arithmetic(data.device, threads=threads, deterministic=recipe.deterministic),
    ):
        run = _Run(data, spec, recipe, models, sources, watch)
        keeper = Checkpoints(checkpoints, run.fingerprint(), guard=lock.check)
        state = run.train(keeper)
        lock.check()
        record = run.write(Path(output), state)
        keeper.clear()
    return record


class _Run:
    """What the steps of one run share."""

    def __init__(self, data: Data, spec: RunSpec, recipe: Recipe, models, sources: Sources, watch: Watch):
        self.data, self.spec, self.recipe, self.models = data, spec, recipe, models
        self.sources, self.watch = sources, watch
        self.precision = choose_precision(recipe.precision, data.device, spec.inputs)
        self.selection: Selection = select(
            data.catalogue,
            fraction=spec.fraction,
            draw=spec.draw,
            n_max=recipe.max_alerts_per_source,
            labels=spec.labels,
            seed=spec.seed,
        )
        self.hashes = {**data.hashes, **sources.hashes()}

    def fingerprint(self) -> str:
        """What this training is, in a few characters: its place on the grid, recipe, networks and data."""
        parts = {
            "run": asdict(self.spec),
            "recipe": self.recipe.identity(),
            "models": resolve_settings(self.spec.architecture, self.models),
            "hashes": self.hashes,
        }
        return sha256_text(json.dumps(parts, sort_keys=True))

    def train(self, keeper: Checkpoints) -> State:
        """Set up, resume, train; leaves the learner and the feeds in place."""
        model = self._model()
        self.feeds, network = self._feeds(model)
        self.learner = self._learner(model, network)
        if len(self.feeds["train"]) < self.recipe.batch_size:
            print(f"{self.spec.name}: only {len(self.feeds['train'])} training alerts, one batch", file=sys.stderr)
        training = Training(
            self.learner,
            self.feeds["train"],
            self.feeds["val"],
            recipe=self.recipe,
            seed=self.spec.seed,
            checkpoints=keeper,
            watch=self.watch,
            name=self.spec.name,
        )
        state = training.run()
        self.best, self.last = training.best, {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(training.best)
        return state

    def _model(self) -> nn.Module:
        """The network with its initial weights, on the device."""
        spec, channels, seed = self.spec, self.data.channels, initial_seed(self.spec.seed)
        if spec.inputs == "fusion":
            model = self._fusion(channels, seed)
        else:
            kind = "fusion" if spec.inputs == "joint" else spec.inputs
            model = build_model(spec.architecture, kind, channels, self.models, seed=seed)
            if self.sources.encoder:
                self._start_from_encoder(model)
        model = model.to(self.data.device)
        if self._channels_last():
            model = model.to(memory_format=torch.channels_last)
        return model

    def _fusion(self, channels: int, seed: int) -> nn.Module:
        """Frozen fusion of the two runs given."""
        if not (self.sources.image_run and self.sources.metadata_run):
            raise StudyError("--image-run, --metadata-run", "missing", "both, for fusion", "name the two finished runs")
        own = {"fraction": self.spec.fraction, "seed": self.spec.seed, "labels": self.spec.labels}
        image_own = {**own, "architecture": self.spec.architecture, "stamps": self.spec.stamps}
        image = fusion.load_branch(self.sources.image_run, "image", channels, image_own)
        metadata = fusion.load_branch(self.sources.metadata_run, "metadata", channels, own)
        return build_fusion(image, metadata, self.models, seed=seed)

    def _start_from_encoder(self, model: nn.Module) -> None:
        """Replace the random weights of the encoder by those of a folder."""
        from ..weights import load_encoder_weights

        load_encoder_weights(model.encoder, self.sources.encoder)

    def _channels_last(self) -> bool:
        return self.recipe.channels_last and self.data.stamps is not None

    def _feeds(self, model: nn.Module) -> tuple[dict[str, Feed], nn.Module]:
        """What the network is fed for each split, and which part of it is called."""
        if self.spec.inputs == "fusion" and model.mode == "clean":
            options = {
                "batch": self.recipe.score_batch,
                "channels_last": self._channels_last(),
                "tick": self.watch.check,
            }
            own = {"augment": self.recipe.augment, "precision": self.precision}
            return fusion.feeds(model, self.data, self.selection, **own, **options), model.head
        names = ("train", "val", "test")
        rows = {name: getattr(self.selection, name) for name in names}
        return {name: stamp_feed(self.data, rows[name], self.selection.labels) for name in names}, model

    def _learner(self, model: nn.Module, network: nn.Module) -> Learner:
        """The network with its optimizer."""
        recipe, labels = self.recipe, self.feeds["train"].labels
        if recipe.compile:
            network.compile()
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        options = {"lr": recipe.learning_rate, "betas": recipe.betas, "weight_decay": recipe.weight_decay}
        return Learner(
            module=model,
            network=network,
            optimizer=torch.optim.AdamW(trained, fused=True, **options),
            pos_weight=(len(labels) - labels.sum()) / labels.sum(),
            device=self.data.device,
            precision=self.precision,
            channels_last=self._channels_last(),
            gradient_clip=recipe.gradient_clip,
            micro_batch=recipe.micro_batch,
            score_batch=recipe.score_batch,
        )

    def write(self, output: Path, state: State) -> dict[str, Any]:
        """Predict in float32 and write the folder, run.json last."""
        scores = {}
        for name in ("val", "test"):
            scores[name] = scores_of(self.learner.score(self.feeds[name], "fp32", self.watch.check))
        record = self._record(state, scores["val"])
        records.write_weights(output / "weights.safetensors", self.best)
        records.write_weights(output / "last.safetensors", self.last)
        records.write_history(output / "history.csv", state.history)
        self._write_predictions(output / "predictions.h5", scores)
        write_json(output / "run.json", record)
        return record

    def _write_predictions(self, path: Path, scores: dict[str, np.ndarray]) -> None:
        """Scores of the val and test rows."""
        rows = np.concatenate([self.selection.val, self.selection.test])
        split = np.repeat(["val", "test"], [len(self.selection.val), len(self.selection.test)])
        candid = self.data.catalogue["candid"].to_numpy()[rows]
        owner = {**asdict(self.spec), "cell": self.spec.cell}
        write_predictions(path, candid, split, np.concatenate([scores["val"], scores["test"]]), owner)

    def _record(self, state: State, val_scores: np.ndarray) -> dict[str, Any]:
        """Everything a reader of this run must know."""
        train, val, device = self.feeds["train"], self.feeds["val"], self.data.device
        rows = len(state.history) * min(len(train), self._alerts_per_epoch())
        training_seconds = sum(row["seconds"] for row in state.history)
        objects = self.data.catalogue["objectId"].to_numpy()[self.selection.train]
        return {
            "cell": self.spec.cell,
            **asdict(self.spec),
            "n_train_alerts": len(train),
            "n_train_sources": len(np.unique(objects)),
            "n_val_alerts": len(val),
            "n_parameters": count_parameters(self.learner.module),
            "n_trained_parameters": count_parameters(self.learner.network, trainable=True),
            "best_epoch": state.best_epoch,
            "epochs": len(state.history),
            "best_val_loss": state.best_loss,
            "val_auc": float(roc_auc_score(val.labels.cpu().numpy(), val_scores)),
            "wall_seconds": state.seconds,
            "alerts_per_second": rows / max(training_seconds, 1e-9),
            "peak_memory_bytes": peak_memory(device),
            "device": str(device),
            "hardware": records.hardware(device),
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "settings": self._settings(),
            "versions": records.versions(),
            "git_revision": records.git_revision(),
            "input_hashes": self.hashes,
            "resumed": state.resumed,
            "micro_batch": self.learner.micro_batch,
        }

    def _alerts_per_epoch(self) -> int:
        return max(len(self.feeds["train"]) // self.recipe.batch_size, 1) * self.recipe.batch_size

    def _settings(self) -> dict[str, Any]:
        """Settings as resolved; the networks' as given, since other runs rebuild the network from them."""
        resolved = resolve_settings(self.spec.architecture, self.models)
        return {
            "training": self.recipe.settings(),
            "models": dict(self.models),
            "models_resolved": resolved,
            "channels": list(STAMP_SETS[self.spec.stamps]),
        }


def summary(record: Mapping[str, Any]) -> str:
    """One line about a finished run."""
    return (
        f"{record['cell']} fraction {record['fraction']:g} seed {record['seed']}: val AUC {record['val_auc']:.4f}, "
        f"best epoch {record['best_epoch']} of {record['epochs']}, {record['wall_seconds']:.0f} s"
    )
