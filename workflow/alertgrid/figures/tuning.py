"""What did a search of settings find? The importance of each setting, and every trial against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from .style import PAGE_WIDTH, Drawing, Skip, finish, house_style, new_figure
from .writing import write_drawings


def write_tuning_figures(folder: str | Path, cell: str) -> dict:
    """Draw importance.csv and trials.csv of a search beside them; the content of captions.json."""
    folder = Path(folder)
    trials, shares = pd.read_csv(folder / "trials.csv"), pd.read_csv(folder / "importance.csv")
    plan = ("training", f"tuning_{cell}", lambda: _draw(trials[trials["state"] == "complete"], shares, cell))
    return write_drawings(folder, [plan])


def _draw(trials: pd.DataFrame, shares: pd.DataFrame, cell: str) -> Iterator[Drawing]:
    """Bars of importance on the left, then one panel of trials a setting, the most important first."""
    if shares.empty:
        raise Skip("two finished trials of different loss are needed to tell which setting matters")
    shown = shares.sort_values("importance", ascending=False)["setting"].head(4).tolist()
    with house_style():
        figure = new_figure(PAGE_WIDTH, 2.2)
        panels = figure.subplots(1, len(shown) + 1, width_ratios=[1.4] + [1] * len(shown))
        ordered = shares.sort_values("importance")
        panels[0].barh(_short(ordered["setting"]), ordered["importance"], color="0.4")
        panels[0].set_xlabel("Share of the variance")
        finish(panels[0], grid="x")
        for axes, setting in zip(panels[1:], shown, strict=True):
            _scatter(axes, trials, setting)
        panels[1].set_ylabel("Lowest validation loss")
        caption = (
            f"Search of settings for {cell}, {len(trials)} trials that were trained to their end: how much of the "
            "variance of the lowest validation loss each setting explains (functional ANOVA), and each trial's loss. "
            "The importance says nothing about settings outside their ranges."
        )
        yield Drawing(f"tuning_{cell}", figure, f"Search of settings: {cell}", caption)


def _scatter(axes, trials: pd.DataFrame, setting: str) -> None:
    """Loss against one setting; on a logarithmic axis where the values span a factor of 20."""
    values = trials[setting]
    axes.plot(values, trials["value"], "o", markersize=3, color="0.2")
    if pd.api.types.is_numeric_dtype(values) and values.min() > 0 and values.max() / values.min() > 20:
        axes.set_xscale("log")
    axes.set_xlabel(_short([setting])[0])
    finish(axes)


def _short(names) -> list[str]:
    """Settings without the block of the config they stand in."""
    return [str(name).split(".", 1)[-1].replace("_", " ") for name in names]
