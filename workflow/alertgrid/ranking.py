"""How well do scores order alerts? Area under the ROC curve and average precision, with the influence of each alert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranking:
    """Alerts of one run in order of falling score, tied scores in one group.

    Attributes
    ----------
    order : (n,) int
        Positions of the alerts, highest score first.
    positive : (n,) bool
        Labels in that order.
    group : (n,) int
        Number of the tie group in that order.
    """

    order: np.ndarray
    positive: np.ndarray
    group: np.ndarray

    @classmethod
    def of(cls, label: np.ndarray, score: np.ndarray) -> Ranking:
        """Sort once; every stratum reuses the order."""
        order = np.argsort(-score)
        ordered = score[order]
        group = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])]) if len(score) else np.zeros(0, int)
        return cls(order, np.asarray(label, bool)[order], group)

    def split(self, codes: np.ndarray, size: int) -> list[Ranking]:
        """The rankings among the alerts of each stratum, at the cost of one sort of small integers.

        Parameters
        ----------
        codes : (n,) int
            Stratum of each alert in the alerts' own order, 0 to size - 1; -1: in none.
        size : int
        """
        code = codes[self.order]
        if size == 1 and code.min(initial=0) == 0:
            return [self]
        # Stable, so that within a stratum the scores still fall; NumPy sorts integers of 16 bits by radix.
        place = np.argsort(code.astype(np.int16), kind="stable")
        ends = np.cumsum(np.bincount(code + 1, minlength=size + 1))
        order, positive, group = (values[place] for values in (self.order, self.positive, self.group))
        parts = [slice(*ends[i : i + 2]) for i in range(size)]
        return [Ranking(order[part], positive[part], _renumbered(group[part])) for part in parts]

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Positives and all alerts per tie group, highest score first."""
        size = int(self.group[-1]) + 1 if len(self.group) else 0
        positives = np.bincount(self.group[self.positive], minlength=size)
        return positives, np.bincount(self.group, minlength=size)


def _renumbered(group: np.ndarray) -> np.ndarray:
    """Rising numbers without gaps."""
    return np.cumsum(np.diff(group, prepend=group[:1]) != 0)


def areas(ranking: Ranking) -> tuple[float, float]:
    """`roc_auc` and `average_precision` without their influences; what they share is counted once."""
    positives, size = ranking.counts()
    negatives = size - positives
    n_positive, n_negative = positives.sum(), negatives.sum()
    if n_positive == 0:
        return np.nan, np.nan
    true, false = np.cumsum(positives), np.cumsum(negatives)
    precision = float((true / (true + false) * positives).sum() / n_positive)
    if n_negative == 0:
        return np.nan, precision
    below = n_negative - false + negatives / 2
    return float((below * positives).sum() / (n_positive * n_negative)), precision


def roc_auc(ranking: Ranking, influence: bool = False) -> tuple[float, np.ndarray | None]:
    """Area under the ROC curve, ties counted half, and its influence per alert in the order of the ranking.

    Source: the placement values of DeLong et al. 1988, Biometrics 44, 837; clustered data as in Obuchowski 1997,
    Biometrics 53, 567. NaN where one class is missing.
    """
    positives, size = ranking.counts()
    negatives = size - positives
    n_positive, n_negative = positives.sum(), negatives.sum()
    if n_positive == 0 or n_negative == 0:
        return np.nan, None
    above = np.cumsum(positives) - positives / 2  # positives ahead of a negative of the group
    below = n_negative - np.cumsum(negatives) + negatives / 2
    value = float((below * positives).sum() / (n_positive * n_negative))
    if not influence:
        return value, None
    of_positive = (below / n_negative - value) / n_positive
    of_negative = (above / n_positive - value) / n_negative
    return value, np.where(ranking.positive, of_positive[ranking.group], of_negative[ranking.group])


def average_precision(ranking: Ranking, influence: bool = False) -> tuple[float, np.ndarray | None]:
    """Average precision (as scikit-learn: no interpolation) and its influence per alert in the order of the ranking.

    The influence is the derivative of sum_i w_i y_i T_i / N_i / sum_i w_i y_i with respect to w, T_i and N_i being the
    weights of positives and of all alerts that score at least as high as i. NaN without a positive alert.
    """
    positives, size = ranking.counts()
    total = positives.sum()
    if total == 0:
        return np.nan, None
    true, taken = np.cumsum(positives), np.cumsum(size)
    precision = true / taken
    value = float((precision * positives).sum() / total)
    if not influence:
        return value, None
    gain = np.cumsum((positives / taken)[::-1])[::-1]
    loss = np.cumsum((positives * true / taken.astype(float) ** 2)[::-1])[::-1]
    of_positive = (precision - value + gain - loss) / total
    return value, np.where(ranking.positive, of_positive[ranking.group], (-loss / total)[ranking.group])
