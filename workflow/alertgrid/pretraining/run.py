"""One pre-training from its corpus to its encoder folder, with the engine of `training`."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..checkpoints import Checkpoints
from ..corpora import Corpus
from ..encoders import build_encoder, encoder_spec
from ..errors import StudyError
from ..files import sha256_text, write_csv
from ..locks import HANDOVER_SECONDS, hold
from ..models import InputNormalisation, resolve_settings, seeded
from ..training.data import SHARE, Feed, stamp_table
from ..training.hardware import arithmetic, available_memory, choose_device, choose_precision, peak_memory
from ..training.interrupts import Watch
from ..training.loop import Training
from ..training.randomness import initial_seed
from ..training.recipe import Recipe
from ..training.records import finite_or_none, git_revision, hardware, versions
from ..training.state import State
from ..training.step import Learner
from ..weights import load_encoder_weights, read_manifest, write_encoder_folder
from .objective import Objective, headline


class PretrainingModel(nn.Module):
    """Normalisation, encoder and one linear layer: (B, 3, 63, 63) -> (B, outputs)."""

    def __init__(self, architecture: str, outputs: int, settings: Mapping[str, Any]):
        super().__init__()
        self.normalise = InputNormalisation(settings["input_normalisation"], 3)
        self.encoder = build_encoder(architecture, 3, settings["input_size"], settings)
        self.head = nn.Linear(self.encoder.features, outputs)

    def forward(self, stamps: Tensor, metadata: None = None) -> Tensor:
        """Answers to the task, without activation."""
        return self.head(self.encoder(self.normalise(stamps)))


@dataclass
class CorpusLearner(Learner):
    """A learner with the loss of an objective; `pos_weight` has no part in it."""

    objective: Objective = field(kw_only=True)

    def summed_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum of the losses of a batch."""
        return self.objective.losses(logits, labels).sum()


class CorpusTraining(Training):
    """The training loop with the score of an objective in place of the AUC."""

    figure_name = "score"

    def figure(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Headline score of the validation part."""
        return headline(self.learner.objective.scores(logits, labels))


def pretrain(
    corpus: Corpus,
    architecture: str,
    output: str | Path,
    checkpoints: str | Path,
    *,
    start: str | Path | None = None,
    models: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    threads: int | None = None,
    deadline: float | None = None,
    code: str = "",
) -> dict[str, Any]:
    """Pre-train an encoder, or go on with it; write its encoder folder and return its manifest.

    Parameters
    ----------
    output, checkpoints : path
        Encoder folder: model.safetensors (best epoch), config.json, history.csv, scores.csv, at last manifest.json.
        Folder of the checkpoints and the lock, outside the output; emptied at the end.
    start : path, optional
        Encoder folder to start from, else random weights.
    models, recipe, device, threads, deadline, code
        As for `training.train_run`; the largest number of alerts per source has no meaning here.

    Raises
    ------
    Interrupted
        Stopped before the end by a signal or the deadline; saved.
    StudyError
        The encoder takes no initial weights, `start` is not a folder for it, or several devices are asked for.
    """
    recipe = (recipe or Recipe()).for_one_device("pretrain")
    plan = _Plan(corpus, architecture, start, resolve_settings(architecture, models), recipe, seed)
    device = choose_device(device)
    with (
        hold(Path(checkpoints) / "lock.json", f"pre-training of {plan.name}", HANDOVER_SECONDS) as lock,
        Watch(deadline, plan.recipe.stop_margin_seconds) as watch,
        arithmetic(device, threads=threads, deterministic=plan.recipe.deterministic),
    ):
        training = plan.training(Checkpoints(checkpoints, plan.fingerprint(), code, guard=lock.check), watch, device)
        state = training.run()
        lock.check()
        manifest = plan.write(Path(output), training, state)
        # Snakemake, signalled too, deletes what a job made after that; with the checkpoints its retry is short.
        if not watch.signal:
            training.checkpoints.clear()
    return manifest


class _Plan:
    """What the steps of one pre-training share."""

    def __init__(self, corpus: Corpus, architecture: str, start, settings: dict[str, Any], recipe: Recipe, seed: int):
        if not encoder_spec(architecture).pretrainable:
            raise StudyError(
                f"pre-training of {architecture!r}",
                "this network takes no initial weights",
                "a timm architecture",
                "exclude it in the grid",
            )
        self.corpus, self.architecture, self.settings = corpus, architecture, settings
        self.recipe, self.seed, self.start = recipe, seed, start
        self.before = read_manifest(start) if start else None
        self.objective = Objective.of(corpus)
        self.name = f"{architecture} on {corpus.name}"

    def fingerprint(self) -> str:
        """What this pre-training is: encoder, start, settings, recipe, seed and every image."""
        pixels = hashlib.sha256(np.ascontiguousarray(self.corpus.images))
        for values in (self.corpus.targets, self.corpus.split.astype("S")):
            pixels.update(np.ascontiguousarray(values))
        parts = [self.architecture, self.seed, self.settings, self.recipe.identity(), asdict(self.corpus.task)]
        start = self.before and self.before["sha256"]
        return sha256_text(json.dumps([*parts, start, pixels.hexdigest()], sort_keys=True))

    def training(self, keeper: Checkpoints, watch: Watch, device: torch.device) -> Training:
        """Network, optimizer and images on the device, at their beginning or at the last checkpoint."""
        options = {"recipe": self.recipe, "seed": self.seed, "checkpoints": keeper, "watch": watch, "name": self.name}
        options["began"] = time.monotonic()  # before the images are brought to the device
        return CorpusTraining(self._learner(device), self.feed("train", device), self.feed("val", device), **options)

    def feed(self, part: str, device: torch.device) -> Feed:
        """Images and scaled targets of one part."""
        rows = np.flatnonzero(self.corpus.split == part)
        targets = torch.from_numpy(self.objective.scale(self.corpus.targets[rows])).to(device)
        room = SHARE * available_memory(device)
        images = stamp_table(self.corpus.images, rows, (0, 1, 2), device, self.recipe.resident, room)
        return Feed(images.subset(rows), None, targets, rows)

    def _learner(self, device: torch.device) -> CorpusLearner:
        """The network with its initial weights and its optimizer."""
        recipe = self.recipe
        with seeded(initial_seed(self.seed)):
            network = PretrainingModel(self.architecture, self.corpus.task.outputs, self.settings)
        if self.start:
            load_encoder_weights(network.encoder, self.start)
        order = torch.channels_last if recipe.channels_last else torch.preserve_format
        network = network.to(device, memory_format=order)
        if recipe.compile != "no":
            network.compile(mode=recipe.compile)
        options = {"lr": recipe.learning_rate, "betas": recipe.betas, "weight_decay": recipe.weight_decay}
        return CorpusLearner(
            network=network,
            optimizer=torch.optim.AdamW(network.parameters(), fused=True, **options),
            pos_weight=torch.ones((), device=device),
            device=device,
            precision=choose_precision(recipe.precision, device, "image"),
            channels_last=recipe.channels_last,
            gradient_clip=recipe.gradient_clip,
            micro_batch=recipe.micro_batch,
            score_batch=recipe.score_batch,
            graphs=recipe.graphs,
            objective=self.objective,
        )

    def write(self, output: Path, training: Training, state: State) -> dict[str, Any]:
        """Score the best epoch and write the encoder folder, its manifest last."""
        learner, network = training.learner, training.learner.network
        network.load_state_dict(training.best)
        outputs = learner.score(training.val, "fp32", training.watch.check).cpu().numpy()
        training.count_time()
        scores = self.objective.scores(outputs, training.val.labels.cpu().numpy())
        history = pd.DataFrame(state.history).rename(columns={"val_auc": "val_score"})
        write_csv(output / "history.csv", history)
        write_csv(output / "scores.csv", scores)
        encoder = network.encoder
        side = f"{encoder.input_size} pixels"
        return write_encoder_folder(
            output,
            encoder.backbone.state_dict(),
            architecture=encoder.spec.timm_name,
            origin=f"pretraining:{self.corpus.name}",
            revision=self.fingerprint()[:12],
            trained_on=[*(self.before["trained_on"] if self.before else []), self.corpus.name],
            licence=self.corpus.licence,
            normalisation=f"{self.settings['input_normalisation']} on unit-norm stamps, 3 channels, {side}",
            image_size=encoder.created_for,
            details=self._record(training, state, scores),
        )

    def _record(self, training: Training, state: State, scores: pd.DataFrame) -> dict[str, Any]:
        """Everything a reader of this encoder must know beyond its origin."""
        learner = training.learner
        return {
            "task": asdict(self.corpus.task),
            "n_train": len(training.train),
            "n_val": len(training.val),
            "val_metric": " and ".join(dict.fromkeys(scores.drop_duplicates("target")["metric"])),
            "val_score": finite_or_none(headline(scores)),
            "best_epoch": state.best_epoch,
            "epochs": len(state.history),
            "start": self.before and {key: self.before[key] for key in ("label", "origin", "revision", "sha256")},
            "seed": self.seed,
            "settings": {"models": self.settings, "training": self.recipe.settings()},
            "wall_seconds": state.seconds,
            "peak_memory_bytes": peak_memory(learner.device),
            "device": str(learner.device),
            "hardware": hardware(learner.device),
            "precision": learner.precision,
            "precision_changed": state.precision_changed,
            "versions": versions(),
            "git_revision": git_revision(),
            "input_hashes": self.corpus.hashes,
            "resumed": state.resumed,
        }
