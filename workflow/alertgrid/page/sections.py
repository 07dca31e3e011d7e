"""What the page says, in which order: sections with their tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from ..figures.words import METRICS, choose_metrics, is_control, largest, leaders, metric_title, ranked_cells
from .costs import FRACTION, cost, inference, machines
from .efficiency import multiplier, points
from .views import SAMPLE, Column, View, bounds, generic, levels, plain, rounded, share, text, titled, verdict, view

Tables = Mapping[str, pd.DataFrame]
_CHANCE = (
    "The calibration error (ECE) is positive by chance too and has no interval; ECE by chance is what a perfectly "
    "calibrated classifier with the same scores would show on average."
)


@dataclass(frozen=True)
class Section:
    """A part of the page; `figures` names the captions' section it shows."""

    key: str
    title: str
    intro: str
    views: Sequence[View] = field(default_factory=tuple)


def sections(tables: Tables, metrics: Sequence[str]) -> list[Section]:
    """All sections after the overview, in the order of the page."""
    makers = (_performance, _efficiency, _timing, _calibration, _training, _dataset)
    found = [make(tables, metrics) for make in makers]
    gallery = "Alerts as the networks see them. Stamps are scaled for the eye, not for the network."
    return [*found, Section("gallery", "Gallery", gallery)]


def _section(key: str, title: str, intro: str, *views: View | None) -> Section:
    return Section(key, title, intro, [made for made in views if made is not None])


def pivot(table: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """One row per cell and fraction, columns `{metric}`, `{metric}_low`, `{metric}_high` beside the sample sizes."""
    keys = ["cell", "fraction"]
    rows = table.drop_duplicates(keys).set_index(keys)
    for metric in metrics:
        chosen = table[table["metric"] == metric].set_index(keys)
        names = {"estimate": metric, "low": f"{metric}_low", "high": f"{metric}_high"}
        rows = rows.join(chosen[list(names)].rename(columns=names), rsuffix="_other")
    return rows.reset_index()


def _metric_columns(metrics: Sequence[str]) -> list[Column]:
    """One column of intervals per metric."""
    return [bounds(metric_title(metric), metric, f"{metric}_") for metric in metrics]


def headline(tables: Tables, metrics: Sequence[str]) -> View | None:
    """The best cell of each architecture and every external entrant at the largest fraction."""
    table = tables.get("performance")
    if table is None or table.empty:
        return None
    shown = choose_metrics(table, metrics)
    architectures = table.groupby("cell")["architecture"].first()
    ranked = leaders(tables, table["cell"], len(architectures))
    own = [cell for cell in ranked if architectures[cell] != "external"]
    firsts = list({architectures[cell]: cell for cell in reversed(own)}.values())
    kept = [*firsts, *architectures.index[architectures == "external"]]
    rows = pivot(largest(table[table["cell"].isin(kept)]), shown).sort_values(shown[0], ascending=False)
    columns = [text("cell", "cell"), *_metric_columns(shown), FRACTION, *SAMPLE]
    note = "Of each architecture the cell with the greatest validation ROC AUC, so that the choice flatters no number "
    note += "here, and external entrants. "
    note += levels(table[table["metric"].isin(shown) & table["cell"].isin(kept)])
    return view("performance", "Headline numbers", _trained_here(rows), columns, note)


def _trained_here(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out what others' classifiers do not have: seeds, and a share of the training sources."""
    given = rows["architecture"] == "external"
    return rows.assign(**{name: rows[name].mask(given) for name in ("fraction", "n_seeds") if name in rows})


def statements(tables: Tables) -> list[tuple[str, str, str]]:
    """Each claim: its number, the statement with its source, and the verdicts: on what, or how often where many."""
    table = tables.get("claims")
    if table is None or not {"claim", "statement", "source", "verdict"} <= set(table):
        return []
    found = []
    for claim, rows in table.groupby("claim", sort=False):
        said = f"{rows['statement'].iloc[0]} ({rows['source'].fillna('no source').iloc[0]})"
        found.append((str(claim), said, _verdicts(rows)))
    return found


def _verdicts(rows: pd.DataFrame, named: int = 3) -> str:
    """What few rows of a claim are about, each with its verdict; of many, how often each verdict was given."""
    scopes = rows["scope"].fillna("") if "scope" in rows else pd.Series("", rows.index)
    if len(rows) <= named and scopes.ne("").all():
        return ", ".join(f"{scope}: {said}" for scope, said in zip(scopes, rows["verdict"], strict=True))
    return ", ".join(f"{name}: {count}" for name, count in rows["verdict"].value_counts().items())


def _labelled(quantity: object) -> object:
    """A quantity whose metric is called as everywhere on the page."""
    first, space, rest = str(quantity).partition(" ")
    name = first.removesuffix(":")
    return f"{metric_title(name)}{first[len(name) :]}{space}{rest}" if name in METRICS else quantity


def claims(tables: Tables) -> View | None:
    """What was measured for each claim of the papers."""
    columns = [
        text("claim", "claim"), verdict("verdict", "verdict"), text("where", "scope"), text("measured", "quantity"),
        bounds("value (interval)"), *SAMPLE[:2], text("why", "reason"),
    ]  # fmt: skip
    note = "Each verdict follows from the value by the rules that the configuration states under report.claims."
    table = tables.get("claims")
    if table is not None and "quantity" in table:
        table = table.assign(quantity=table["quantity"].map(_labelled), claim=table["claim"].astype(str))
    return view("claims", "What was measured for them", _without_ends_of_counts(table), columns, note)


def _without_ends_of_counts(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Leave out the ends of what was counted (a number of parameters), which equal the value: nothing to print."""
    if table is None or not {"estimate", "low", "high"} <= set(table):
        return table
    counted = table["low"].eq(table["estimate"]) & table["high"].eq(table["estimate"])
    return table.assign(low=table["low"].mask(counted), high=table["high"].mask(counted))


def _performance(tables: Tables, metrics: Sequence[str]) -> Section:
    """Every cell, differences, policies."""
    table = tables.get("performance")
    views = []
    if table is not None and len(table):
        shown = choose_metrics(table, metrics)
        others = [metric for metric in dict.fromkeys(table["metric"]) if metric not in shown]
        order = {cell: i for i, cell in enumerate(ranked_cells(table, shown[0]))}
        rows = pivot(table, [*shown, *others])
        rows = rows.sort_values(
            ["cell", "fraction"], key=lambda column: column.map(order) if column.name == "cell" else -column
        )
        columns = [text("cell", "cell"), FRACTION, *_metric_columns(shown), *SAMPLE]
        note = levels(table[table["metric"].isin(shown)])
        views.append(view("performance", "Every cell and fraction", _trained_here(rows), columns, note))
        columns = [text("cell", "cell"), *(plain(metric_title(metric), metric, 3) for metric in others)]
        note = _CHANCE if "ece_calibrated" in others else ""
        views.append(
            view("performance", "Further metrics, largest fraction", largest(rows), columns if others else [], note)
        )
    intro = "One row a cell: architecture, pre-training, inputs, and the stamps seen where not all three."
    views += [_differences(tables, metrics), _policies(tables), _entrants(tables)]
    return _section("performance", "Performance", intro, *views)


def _entrants(tables: Tables) -> View | None:
    """Where the published models come from; nothing where none was entered."""
    table = tables.get("entrants")
    if table is None or table.empty:
        return None
    columns = [
        text("entrant", "cell"), text("origin", "origin"), text("revision", "revision"), text("network", "network"),
        rounded("parameters (million)", "n_parameters", scale=1e-6), plain("alerts scored", "n_alerts"),
        rounded("alerts/s", "alerts_per_second"), text("device", "device"),
    ]  # fmt: skip
    return view("entrants", "Published models, run here without training", table, columns)


def _differences(tables: Tables, metrics: Sequence[str]) -> View | None:
    """Paired differences."""
    table = titled(tables.get("differences"), metrics)
    columns = [
        text("kind", "kind"), text("cell", "cell"), text("minus", "reference"), FRACTION, text("metric", "metric"),
        bounds("difference", "difference"), rounded("p", "p", 2), rounded("p after Holm", "p_holm", 2),
        plain("detectable alone", "detectable", 3), plain("detectable after Holm", "detectable_holm", 3), *SAMPLE[:2],
    ]  # fmt: skip
    note = (
        "Paired over the same test sources and seed by seed. With one seed there is no p: the interval holds the test "
        "sources alone, not what another seed would change. Detectable: the smallest true difference that this test "
        "set can show, were it the only one tested, and among all rows of its metric at the strictest step of Holm's "
        "correction; above 1 no true difference can be shown (of MCC: above 2). "
    )
    note += levels(table)
    return view("differences", "Paired differences", table, columns, note)


def _policies(tables: Tables) -> View | None:
    """Source-level results over all magnitudes at the largest fraction."""
    table = tables.get("policies")
    if table is not None and len(table):
        table = largest(table[(table["stratum"] == "all") & ~table["cell"].map(is_control)])
        table = table.assign(metric=table["metric"].map(metric_title))
    columns = [
        text("cell", "cell"), text("policy", "policy"), text("metric", "metric"), bounds("value (interval)"),
        *SAMPLE[:2],
    ]  # fmt: skip
    note = (
        f"Sources of a delay: those saved, of the seed with the fewest. Magnitude bins are in the CSV. {levels(table)}"
    )
    return view("policies", "Policies over all magnitudes", table, columns, note)


def _efficiency(tables: Tables, metrics: Sequence[str]) -> Section:
    """Metric against training sources, and the multiplier."""
    intro = "How the test performance grows with the number of training sources; the test set stays the same."
    return _section("efficiency", "Data efficiency", intro, multiplier(tables), points(tables, metrics))


def _timing(tables: Tables, metrics: Sequence[str]) -> Section:
    """Cost of a score and of a training."""
    intro = "What a score costs, measured with warm-up and repeats; and what the trainings cost."
    views = inference(tables.get("timing")), machines(tables.get("machines")), cost(tables.get("training_cost"))
    return _section("timing", "Timing", intro, *views)


def _calibration(tables: Tables, metrics: Sequence[str]) -> Section:
    """Reliability and score distributions."""
    return _section("calibration", "Calibration", "Whether a score can be read as a probability.")


def _training(tables: Tables, metrics: Sequence[str]) -> Section:
    """One line a run; curves are folded per cell."""
    columns = [
        text("run", "run"), text("initial weights", "initial_weights.label"),
        plain("training alerts", "n_train_alerts"), plain("training sources", "n_train_sources"),
        plain("parameters", "n_parameters"), plain("epochs", "epochs"), plain("epoch kept", "best_epoch"),
        plain("validation loss", "best_val_loss", 4), rounded("wall time (min)", "wall_seconds", scale=1 / 60),
        rounded("alerts/s", "alerts_per_second"), rounded("peak memory (MiB)", "peak_memory_bytes", scale=2**-20),
        text("device", "device"), text("precision", "precision"), plain("resumed", "resumed"),
    ]  # fmt: skip
    intro = "Every run with its validation score; curves are folded, one figure a corpus and one a cell."
    encoders = _encoders(tables)
    return _section("training", "Training", intro, view("runs", "Runs", tables.get("runs"), columns), encoders)


def _encoders(tables: Tables) -> View | None:
    """What each pre-training of the study reached on images that it had not seen."""
    table = tables.get("encoders")
    if table is not None and len(table):
        parts = table["metric"].str.partition(" of ")
        table = table.assign(metric=parts[0].map(metric_title), target=parts[2].str.replace("_", " "))
    columns = [
        text("encoder", "encoder"), text("learned", "target"), text("metric on held-out images", "metric"),
        plain("value", "value", 3), plain("images", "n"),
    ]  # fmt: skip
    return view("encoders", "Pre-trained encoders", table, columns)


def _dataset(tables: Tables, metrics: Sequence[str]) -> Section:
    """Counts, missing values, refused rows, whatever else the tables know of the data."""
    absent = tables.get("dataset_missing")
    if absent is not None and "n_missing" in absent:
        absent = absent[absent["n_missing"] > 0]
    columns = [
        text("column", "column"), plain("alerts without a value", "n_missing"),
        share("share (%)", "fraction_missing", 1), plain("of them -999", "n_sentinel"),
    ]  # fmt: skip
    views = [
        generic("dataset_counts", "Counts by split, source set, label and band", tables.get("dataset_counts")),
        view("dataset_missing", "Missing values", absent, columns),
        generic("dataset_refused", "Refused rows", tables.get("dataset_refused")),
    ]
    return _section("dataset", "Dataset", "What was studied; splits are by source.", *views)
