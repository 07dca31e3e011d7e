"""One look for every figure: widths of a journal page, colour-blind safe colours, files with reproducible bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..files import atomic_path

COLUMN_WIDTH = 3.4  # inch, one column of a two-column journal
PAGE_WIDTH = 7.0  # inch, both columns
MAX_HEIGHT = 9.0  # inch, what a page holds above its caption
PNG_DPI = 200

# Wong (2011, Nature Methods 8, 441) as shipped with seaborn; the yellow is left out, too pale for thin lines on paper.
COLOURS = tuple(colour for i, colour in enumerate(sns.color_palette("colorblind").as_hex()) if i != 8)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
GREY = "0.45"

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "grid.linewidth": 0.4,
    "grid.color": "0.9",
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "axes.axisbelow": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure with its file name (no suffix), title for the page and caption with n.

    `column` is the same figure drawn for one column, where the page-wide one would not be readable in it.
    """

    name: str
    figure: Figure
    title: str
    caption: str
    column: Figure | None = None


class Skip(Exception):
    """A figure that cannot be drawn from what there is; the message says why."""


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Apply the style for one figure and put matplotlib's settings back afterwards."""
    with mpl.rc_context({**sns.axes_style("ticks"), **_RC}):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Make a figure outside pyplot, so that nothing global is kept; height in inches, cut at a page."""
    figure = Figure(figsize=(width, min(height, MAX_HEIGHT)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    return figure


def save(figure: Figure, name: str, folder: str | Path) -> list[str]:
    """Write `<name>.pdf` and `<name>.png`; same content, same bytes. Returns the two file names."""
    names = [f"{name}.pdf", f"{name}.png"]
    # `savefig` draws everything twice; each canvas asked by itself draws once, and the layout is solved once for both.
    figure.set_dpi(PNG_DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")
    with atomic_path(Path(folder) / names[1]) as temporary:
        mpl.image.imsave(temporary, canvas.buffer_rgba(), format="png", dpi=PNG_DPI, metadata={"Software": None})
    with atomic_path(Path(folder) / names[0]) as temporary:
        FigureCanvasPdf(figure).print_pdf(temporary, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    return names


def colour_map(values: Sequence) -> dict:
    """Value -> colour, in the order given, repeating after nine."""
    return {value: COLOURS[i % len(COLOURS)] for i, value in enumerate(values)}


def marker_map(values: Sequence) -> dict:
    """Value -> marker, in the order given."""
    return {value: MARKERS[i % len(MARKERS)] for i, value in enumerate(values)}


def line_map(values: Sequence) -> dict:
    """Value -> dash pattern, in the order given."""
    return {value: LINES[i % len(LINES)] for i, value in enumerate(values)}


def shade_map(values: Sequence) -> dict:
    """Ordered value -> colour from pale to dark, the last the darkest."""
    shades = sns.color_palette("crest", as_cmap=True)
    positions = [1 - 0.8 * (len(values) - 1 - i) / max(len(values) - 1, 1) for i in range(len(values))]
    return {value: mpl.colors.to_hex(shades(place)) for value, place in zip(values, positions, strict=True)}


def handle(label: str, **look) -> Line2D:
    """One entry of a legend."""
    return Line2D([], [], label=label, **{"linestyle": "none", **look})


def finish(axes: Axes, *, grid: str = "y") -> None:
    """Take off the upper and right spines, put a pale grid behind."""
    sns.despine(ax=axes)
    axes.grid(True, axis=grid)


def count_axis(axis, values: Sequence[float]) -> None:
    """Logarithmic axis labelled with the counts that were measured, those too near their neighbour dropped."""
    axis.axes.set_xscale("log")
    shown: list[float] = []
    for value in sorted(set(values)):
        if not shown or value / shown[-1] > 1.35:
            shown.append(value)
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
