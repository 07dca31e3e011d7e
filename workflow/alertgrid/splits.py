"""Who trains, validates, tests? By object, leak-free; training fractions are nested and stratified by source set.

The division is a column, never a copy of stamps. Each training object gets, for each draw, its rank in [0, 1) within
its source set; the fraction f keeps the objects whose rank is below f. So 10 % lies within 30 % within 100 %, every
source set keeps its share, and validation and test are the same for all fractions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .columns import SPLITS
from .errors import StudyError
from .validation import check_leaks


def assign_splits(
    catalogue: pd.DataFrame,
    *,
    policy: str,
    shares: Sequence[float] = (0.81, 0.09, 0.10),
    seed: int = 2,
    draws: int = 1,
    variables_keep: int = 0,
) -> pd.DataFrame:
    """Add the final `split` and the ranks `order_0` ... `order_{draws-1}` to a catalogue.

    Parameters
    ----------
    catalogue : DataFrame
        Columns objectId, source_set, candid, jd, stamp_digest, label, split (as published).
    policy : {"redraw", "keep"}
        Draw the splits anew, or keep the published ones.
    shares : three floats
        Shares of objects in train, val and test; their sum is 1. Used by `redraw`.
    seed, draws : int
        Seed of the division and of the ranks; number of independent rankings for training fractions.
    variables_keep : int
        BTSbot's N_max: only so many latest alerts of each variable object are validated and tested on; 0 for all.

    Returns
    -------
    DataFrame
        Same rows and order; `split` is empty for alerts left out, `order_k` is NaN outside the training split.

    Raises
    ------
    StudyError
        Leaks between splits, an empty split, a split without both labels, or published splits missing.
    """
    result = catalogue.copy()
    if policy == "redraw":
        result["split"] = _redraw(catalogue, shares, seed)
    elif (~result["split"].isin(SPLITS)).any():
        row = result[~result["split"].isin(SPLITS)].iloc[0]
        raise StudyError(
            f"candid {row['candid']}", "has no published split", f"one of {SPLITS}", "set splits.policy to 'redraw'"
        )
    check_leaks(result)
    _check_filled(result)
    for draw in range(draws):
        result[f"order_{draw}"] = _ranks(result, np.random.default_rng([seed, 1, draw]))
    if variables_keep:
        result.loc[_thinned(result, variables_keep), "split"] = ""
    return result


def _thinned(catalogue: pd.DataFrame, keep: int) -> np.ndarray:
    """Validation and test alerts of variable objects beyond their latest ones, (N,) bool; no run predicts them."""
    older = (-catalogue["jd"]).groupby(catalogue["objectId"]).rank(method="first") > keep
    judged = catalogue["split"].isin(["val", "test"])
    return (older & judged & (catalogue["source_set"] == "vars")).to_numpy()


def _redraw(catalogue: pd.DataFrame, shares: Sequence[float], seed: int) -> np.ndarray:
    """Divide the objects of each source set by the shares, at random."""
    families = _families(catalogue)
    first = pd.DataFrame({"family": families, "source_set": catalogue["source_set"]}).drop_duplicates("family")
    generator = np.random.default_rng([seed, 0])
    split_of = np.empty(families.max() + 1, object)
    for _, members in sorted(first.groupby("source_set")["family"]):
        shuffled = generator.permutation(members.to_numpy())
        split_of[shuffled] = _cut(len(shuffled), shares)
    return split_of[families].astype(str)


def _families(catalogue: pd.DataFrame) -> np.ndarray:
    """Number the groups of alerts that must stay together: same object, or byte-identical stamps."""
    objects = pd.factorize(catalogue["objectId"])[0]
    digests = pd.factorize(catalogue["stamp_digest"])[0] + objects.max() + 1
    size = digests.max() + 1
    links = coo_matrix((np.ones(len(objects)), (objects, digests)), (size, size))
    return pd.factorize(connected_components(links, directed=False)[1][objects])[0]


def _cut(count: int, shares: Sequence[float]) -> np.ndarray:
    """Split names for `count` shuffled objects; val and test get at least one object where there are three or more."""
    val, test = (max(round(count * share), int(count >= 3)) for share in shares[1:])
    names = np.full(count, "train", object)
    names[:val] = "val"
    names[val : val + test] = "test"
    return names


def _check_filled(catalogue: pd.DataFrame) -> None:
    """Refuse a split that has no alerts, or only one label."""
    for split in SPLITS:
        labels = set(catalogue.loc[catalogue["split"] == split, "label"])
        if labels != {0, 1}:
            found = f"labels {sorted(labels)}" if labels else "no alerts"
            raise StudyError(
                f"splits, {split}",
                f"has {found}",
                "alerts of label 0 and of label 1",
                "enlarge splits.shares or the data",
            )


def _ranks(catalogue: pd.DataFrame, generator: np.random.Generator) -> np.ndarray:
    """Rank of each training alert's object within its source set, in [0, 1); NaN elsewhere."""
    train = (catalogue["split"] == "train").to_numpy()
    objects = catalogue.loc[train, ["objectId", "source_set"]].drop_duplicates("objectId")
    objects = objects.assign(draw=generator.permutation(len(objects)))
    groups = objects.groupby("source_set")["draw"]
    rank = (groups.rank(method="first") - 1) / groups.transform("size")
    order = pd.Series(rank.to_numpy(), index=objects["objectId"].to_numpy())
    return catalogue["objectId"].map(order).where(train).to_numpy(float)


def training_rows(catalogue: pd.DataFrame, fraction: float, draw: int) -> np.ndarray:
    """Which alerts train at this fraction, (N,) bool.

    Parameters
    ----------
    catalogue : DataFrame
        Result of `assign_splits`.
    fraction : float
        Share of the training objects, in (0, 1]; at least one object of each source set remains.
    draw : int
        Which ranking to use.
    """
    return (catalogue[f"order_{draw}"] < fraction).to_numpy()
