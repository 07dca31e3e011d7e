"""The training loop: plan an epoch, step, evaluate, keep the best, save; from wherever the last checkpoint stands."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from ..checkpoints import Checkpoints
from ..errors import StudyError
from ..progress import Progress
from ..ranking import Ranking, roc_auc
from .data import Feed
from .interrupts import Interrupted, Watch
from .randomness import EpochPlan, own_randomness, plan_epoch, steps_per_epoch
from .recipe import Recipe, learning_rate_factor
from .state import State
from .step import Learner

CHECK_EVERY = 50  # steps between looks at the loss on a GPU, where each look waits for the device


class Training:
    """One training, from its checkpoint or its beginning to its end.

    Parameters
    ----------
    learner : Learner
        Freshly initialised; a checkpoint replaces its weights.
    train, val : Feed
    recipe : Recipe
    seed : int
    checkpoints : Checkpoints
    watch : Watch
    name : str
        For progress lines.
    began, spent : float, optional
        When the set-up of this session began, of `time.monotonic`; seconds that earlier sessions spent on the set-up,
        for a training without a checkpoint.
    after_epoch : callable, optional
        Called with each epoch's row of the history, after its checkpoint; may raise to leave.
    """

    figure_name = "AUC"  # what `figure` gives

    def __init__(
        self,
        learner: Learner,
        train: Feed,
        val: Feed,
        *,
        recipe: Recipe,
        seed: int,
        checkpoints: Checkpoints,
        watch: Watch,
        name: str = "training",
        began: float | None = None,
        spent: float = 0.0,
        after_epoch: Callable[[Mapping[str, float]], None] | None = None,
    ):
        self.learner, self.train, self.val, self.recipe, self.seed = learner, train, val, recipe, seed
        self.checkpoints, self.watch, self.name, self.after_epoch = checkpoints, watch, name, after_epoch
        self.steps = steps_per_epoch(len(train), recipe.batch_size, recipe.drop_last)
        self.state = State(micro_batch=recipe.micro_batch, precision=learner.precision, seconds=spent)
        self.losses = torch.zeros(self.steps, device=learner.device)
        self.best: dict[str, torch.Tensor] = {}
        began = time.monotonic() if began is None else began
        self._restore()
        self.clock = self.saved = time.monotonic()
        self.state.seconds += self.clock - began

    def run(self) -> State:
        """Train to the end.

        Raises
        ------
        Interrupted
            Asked to stop; everything is saved.
        StudyError
            The loss is not a number.
        """
        total = (self.recipe.epochs - self.state.epoch) * self.steps - self.state.position
        progress = Progress(total * self.recipe.batch_size, self.name)
        with own_randomness(self.learner.device):
            while not self.state.finished:
                self.train_epoch(progress)
                self._close_epoch(*self._validate())
                self.save()
                if self.after_epoch:
                    self.after_epoch(self.state.history[-1])
                if reason := self.watch.reason():
                    self._interrupt(reason)
        return self.state

    def train_epoch(self, progress: Progress) -> None:
        """The steps of the current epoch that are not done yet."""
        plan = self.learner.mine(self._plan())
        self.learner.network.train()
        order, symmetry = plan.order[self.state.position :], plan.symmetry[self.state.position :]
        checked = self.state.position
        for inputs, labels in zip(self.train.stream(order, symmetry), self.train.stream_labels(order), strict=True):
            step = self.state.position
            loss = self.learner.step(inputs, labels, plan.seeds[step], self._learning_rate())
            self.losses[step] = loss
            self.state.position += 1
            if self._looks_wrong(loss):
                checked = self._check_losses(plan, checked)
            progress.step(len(labels) * self.learner.processes, epoch=self.state.epoch + 1)
            self._between_steps(plan, checked)

    def _plan(self) -> EpochPlan:
        recipe = self.recipe
        return plan_epoch(
            self.seed,
            self.state.epoch,
            len(self.train),
            batch_size=recipe.batch_size,
            drop_last=recipe.drop_last,
            augment=recipe.augment and self.train.image is not None,
            device=self.learner.device,
        )

    def _learning_rate(self) -> float:
        passed = self.state.epoch + (self.state.position / self.steps if self.recipe.schedule_by == "step" else 0)
        return self.recipe.learning_rate * learning_rate_factor(self.recipe, passed)

    def _check_losses(self, plan: EpochPlan, since: int) -> int:
        """Stop on a loss that is not a number; return how far the losses were looked at."""
        wrong = torch.nonzero(~torch.isfinite(self.losses[since : self.state.position]))
        if len(wrong):
            step = since + int(wrong[0])
            rows = self.train.rows[plan.order[step].cpu().numpy()]
            raise StudyError(
                f"{self.name}, epoch {self.state.epoch + 1}, step {step + 1} of {self.steps}",
                f"the loss is {float(self.losses[step])} for the dataset rows {', '.join(map(str, rows))}",
                "a finite loss",
                "lower training.learning_rate or set training.gradient_clip to 1",
            )
        return self.state.position

    def _looks_wrong(self, loss: torch.Tensor) -> bool:
        """Whether the losses are due for a look; on a GPU now and then, since each look waits for the device."""
        if self.learner.device.type == "cpu":
            return not math.isfinite(loss)
        return self.state.position % CHECK_EVERY == 0 or self.state.position == self.steps

    def _between_steps(self, plan: EpochPlan, checked: int) -> None:
        """Save when it is time; stop when asked to."""
        reason = self.watch.reason()
        if reason or time.monotonic() - self.saved >= 60 * self.recipe.checkpoint_minutes:
            self._check_losses(plan, checked)
            self.save()
        if reason:
            self._interrupt(reason)

    def _validate(self) -> tuple[float, float]:
        """Validation loss and AUC, in float32 as the final scores: bfloat16 logits have too many ties."""
        try:
            logits = self.learner.score(self.val, "fp32", self.watch.check)
        except Interrupted as stop:
            self.save()
            self._interrupt(str(stop))
        loss = self.learner.loss(logits, self.val.labels)
        if not math.isfinite(loss):
            raise StudyError(
                f"{self.name}, epoch {self.state.epoch + 1}, validation",
                f"the loss is {loss}",
                "a finite loss",
                "lower training.learning_rate or set training.gradient_clip to 1",
            )
        return loss, self.figure(logits.cpu().numpy(), self.val.labels.cpu().numpy())

    def figure(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """The score of an epoch beside its loss; pre-training replaces it."""
        return float(roc_auc(Ranking.of(labels, logits))[0])

    def _close_epoch(self, loss: float, auc: float) -> None:
        """Write the epoch into the history, keep the best model, decide whether to stop."""
        state, recipe = self.state, self.recipe
        # ASSUME: the fall counts from the model kept. The published code counts from the lowest loss of any epoch, kept
        # or not, so that many small steps down never count.
        better = (1 + recipe.min_improvement) * loss < state.best_loss
        rate = self._learning_rate_of_last_step()
        self.count_time()
        alerts = min(self.steps * recipe.batch_size, len(self.train))
        row = {
            "epoch": state.epoch + 1,
            "step": (state.epoch + 1) * self.steps,
            "learning_rate": rate,
            "train_loss": float(self.losses.mean()),
            "val_loss": loss,
            "val_auc": auc,
            "seconds": state.epoch_seconds,
            "alerts_per_second": alerts / max(state.epoch_seconds, 1e-9),
            "best": int(better),
        }
        state.history.append(row)
        state.epoch, state.position, state.epoch_seconds = state.epoch + 1, 0, 0.0
        if better:
            state.best_loss, state.best_epoch = loss, state.epoch
            self.best = {name: value.detach().clone() for name, value in self.learner.network.state_dict().items()}
        state.finished = state.epoch >= recipe.epochs or state.epoch - state.best_epoch >= recipe.patience
        print(
            f"{self.name}: epoch {state.epoch}/{recipe.epochs} train loss {row['train_loss']:.4f} val loss {loss:.4f} "
            f"val {self.figure_name} {auc:.4f}{' best' if better else ''}",
            file=sys.stderr,
            flush=True,
        )

    def _learning_rate_of_last_step(self) -> float:
        return float(self.learner.optimizer.param_groups[0]["lr"])

    def count_time(self) -> None:
        """Add the time since the last look to the sums."""
        now = time.monotonic()
        self.state.seconds += now - self.clock
        self.state.epoch_seconds += now - self.clock
        self.clock = now

    def save(self) -> None:
        """Write a checkpoint of everything that the rest of the run depends on."""
        self.count_time()
        self.state.micro_batch = self.learner.micro_batch
        content: dict[str, Any] = {
            "state": asdict(self.state),
            "losses": self.losses,
            "model": self.learner.network.state_dict(),
            "best": self.best,
            "optimizer": self.learner.optimizer.state_dict(),
        }
        self.checkpoints.save(self.state.epoch * self.steps + self.state.position, content, self._progress())
        self.saved = time.monotonic()

    def _progress(self) -> dict[str, Any]:
        """How far this run is, in the words of `status`."""
        state = self.state
        progress = {"epoch": state.epoch, "epochs": self.recipe.epochs, "seconds": state.seconds}
        return {**progress, "device": str(self.learner.device), "devices": self.learner.processes}

    def _restore(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        content = self.checkpoints.load()
        if content is None:
            return
        self.state = State(**content["state"])
        self.state.resumed += 1
        self.losses = content["losses"].to(self.learner.device)
        self.learner.network.load_state_dict(content["model"])
        self.learner.optimizer.load_state_dict(content["optimizer"])
        # The smaller one: what memory ran out for once is not tried again, and what is asked now holds.
        self.learner.micro_batch = min(filter(None, (self.recipe.micro_batch, self.state.micro_batch)), default=0)
        self.best = {name: value.to(self.learner.device) for name, value in content["best"].items()}
        print(
            f"{self.name}: resumed after epoch {self.state.epoch}, step {self.state.position} of {self.steps}",
            file=sys.stderr,
            flush=True,
        )
        self._note_precision()

    def _note_precision(self) -> None:
        """Say so when the training goes on in another arithmetic than before."""
        before, now = self.state.precision, self.learner.precision
        if before != now:
            self.state.precision, self.state.precision_changed = now, True
            print(
                f"{self.name}: goes on in {now} on {self.learner.device}, after {before} on another machine; set "
                "training.precision where all runs must have the same",
                file=sys.stderr,
                flush=True,
            )

    def _interrupt(self, reason: str) -> None:
        done = f"epoch {self.state.epoch + 1}, step {self.state.position} of {self.steps}"
        raise Interrupted(f"{self.name}: {reason}; saved at {done}")


def scores_of(logits: torch.Tensor) -> np.ndarray:
    """Probabilities of the label 1, (n,) float64, from float32 logits."""
    return torch.sigmoid(logits.double()).cpu().numpy()
