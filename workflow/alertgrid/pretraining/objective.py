"""What is learnt from a corpus, and how well: the loss and the validation scores of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score, roc_auc_score
from torch import Tensor
from torch.nn import functional

from ..corpora import Corpus, Task


@dataclass(frozen=True)
class Objective:
    """Loss and score of a task.

    Attributes
    ----------
    task : Task
    mean, std : (k,) float32
        Of the training targets; 0 and 1 where a target is binary.
    """

    task: Task
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, corpus: Corpus) -> Objective:
        """Objective scaled by the training part of a corpus."""
        if corpus.task.kind == "classification":
            return cls(corpus.task, np.zeros(1, np.float32), np.ones(1, np.float32))
        targets = corpus.targets[corpus.split == "train"]
        numbers = np.array([kind == "regression" for kind in corpus.task.kinds])
        mean, std = np.where(numbers, targets.mean(axis=0), 0), np.where(numbers, targets.std(axis=0), 1)
        return cls(corpus.task, mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32))

    def scale(self, targets: np.ndarray) -> np.ndarray:
        """Targets as the network learns them."""
        return targets if self.task.kind == "classification" else (targets - self.mean) / self.std

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each image, (B,): the mean over its targets."""
        if self.task.kind == "classification":
            return functional.cross_entropy(outputs, targets, reduction="none")
        binary = torch.tensor([kind == "binary" for kind in self.task.kinds], device=outputs.device)
        crossed = functional.binary_cross_entropy_with_logits(outputs, targets.clamp(0, 1), reduction="none")
        return torch.where(binary, crossed, (outputs - targets) ** 2).mean(dim=1)

    def scores(self, outputs: np.ndarray, targets: np.ndarray) -> pd.DataFrame:
        """Validation scores, one row per figure: target, metric, value, n; the first metric of a target counts."""
        if self.task.kind == "classification":
            answer = outputs.argmax(axis=1)
            # Balanced accuracy first: its value for a guess is 1 / classes whatever their shares.
            rows = [("balanced_accuracy", balanced_accuracy_score(targets, answer))]
            rows += [("accuracy", accuracy_score(targets, answer))]
            return _table(self.task.targets[0], rows, len(targets))
        parts = []
        for name, kind, found, true in zip(self.task.targets, self.task.kinds, outputs.T, targets.T, strict=True):
            parts.append(_table(name, [_score(kind, true, found)], len(targets)))
        return pd.concat(parts, ignore_index=True)


def _table(target: str, figures: list[tuple[str, float]], count: int) -> pd.DataFrame:
    rows = [{"target": target, "metric": metric, "value": float(value), "n": count} for metric, value in figures]
    return pd.DataFrame(rows)


def _score(kind: str, true: np.ndarray, found: np.ndarray) -> tuple[str, float]:
    """R2 of a number, area under the ROC curve of a yes or no; NaN where the validation part has one value only."""
    metric = "roc_auc" if kind == "binary" else "r2"
    if len(np.unique(true)) < 2:
        return metric, float("nan")
    return metric, (roc_auc_score if kind == "binary" else r2_score)(true, found)


def headline(scores: pd.DataFrame) -> float:
    """One figure: the mean over targets of the first metric of each."""
    return float(scores.groupby("target", sort=False)["value"].first().mean())
