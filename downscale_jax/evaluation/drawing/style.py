"""Style shared by all figures: colours, headline, labels at the ends of lines. No pyplot: figures hold no global state.

Colours are those of Okabe and Ito, distinguishable with any colour vision, each with its own dash pattern; `colours`
has those of maps. Figures are 9 inches wide: shown at 900 pixels, their type matches the page's.
"""

import math
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, NullFormatter, NullLocator

from downscale_jax.evaluation.labels import shortened
from downscale_jax.runtime.files import write_bytes

WIDTH, DPI = 9.0, 160
NO_VERSION: Any = {'Software': None}  # equal figures give equal bytes
INK, QUIET, LAND, NOTHING = '#1a1a1a', '#5f6368', '#b3aaa0', '#eef0f2'
LOOK: dict[Any, Any] = {
    'font.size': 10, 'axes.titlesize': 10.5, 'axes.labelsize': 9.5, 'xtick.labelsize': 9, 'ytick.labelsize': 9,
    'axes.spines.top': False, 'axes.spines.right': False, 'axes.linewidth': 0.8, 'lines.linewidth': 1.8,
    'axes.edgecolor': QUIET, 'xtick.color': QUIET, 'ytick.color': QUIET, 'axes.labelcolor': QUIET,
    'text.color': INK, 'axes.titlecolor': INK, 'axes.titlelocation': 'left',
    'text.parse_math': False,  # a `$` in the long_name of a user's variable is no TeX
}  # fmt: skip
LINES: dict[str, dict[str, Any]] = {
    'truth': {'color': '#000000', 'linewidth': 2.4},
    'coarse': {'color': '#6b6b6b', 'linestyle': (0, (1, 1.4))},
    'member': {'color': '#0072b2'},
    'mean': {'color': '#007f5f', 'linestyle': (0, (5, 1.4, 1, 1.4))},
}
LINES_OF_A_LABEL = 3
_SUPERSCRIPTS = str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹')
NAMES = {'mean': 'ensemble mean', 'member': 'members'}
# for other methods, in their order
_OTHERS: tuple[dict[str, Any], ...] = (
    {'color': '#d55e00', 'linestyle': (0, (5, 1.6))},
    {'color': '#a8457f', 'linestyle': (0, (3, 1.2))},
    {'color': '#7a5c00'},
    {'color': '#3b4cc0'},
)
OUTSIDE: dict[str, Any] = {'textcoords': 'offset points', 'va': 'center', 'fontsize': 9, 'annotation_clip': False}


def looks(names: Collection[str], main: str | None = None) -> dict[str, dict[str, Any]]:
    """{name: colour and dash pattern}; 'NAME_1' and the method `main` look like members, 'NAME_33' like their mean."""
    others = iter(_OTHERS * len(names))
    return {name: LINES.get('member' if name == main else _kind(name)) or next(others) for name in names}


def _kind(name: str) -> str:
    _, _, number = name.rpartition('_')
    return ('member' if number == '1' else 'mean') if number.isdigit() else name


def save(figure: Figure, path: str | Path) -> None:
    """Writes a PNG completely or not at all, its labels shortened; equal figures give equal bytes.

    Raises UserError if it cannot be written.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # of texts that were made without LOOK
        text.set_text('\n'.join(map(shortened, text.get_text().split('\n')[:LINES_OF_A_LABEL])))
    png = BytesIO()
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():  # the ticks are made now
        warnings.filterwarnings('ignore', 'Glyph .* missing from|constrained_layout not applied')
        figure.set_dpi(DPI)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # once, with the layout; `savefig` draws twice
        imsave(png, canvas.buffer_rgba(), format='png', dpi=DPI, metadata=NO_VERSION)
    write_bytes(Path(path), png.getvalue())


class Powers(LogFormatterSciNotation):
    """Labels of a logarithmic axis as plain text, 10⁻², 0.5 or 2×10³, since LOOK has no TeX."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        text = super().__call__(x, pos).removeprefix(r'$\mathdefault{').removesuffix('}$').replace(r'\times', '×')
        if '×' in text and 0.1 < x < 10:
            return f'{x:g}'
        return re.sub(r'\^\{(.*?)\}', lambda match: match[1].translate(_SUPERSCRIPTS), text)


def label_bar(bar: Colorbar, unit: str, quantity: str = '') -> None:
    """Labels a colour bar with quantity and unit; the latter takes the power of ten of very small or large values."""
    largest = max(map(abs, bar.mappable.get_clim()))
    power = 0 if largest == 0 or 1e-2 <= largest < 1e4 else math.floor(math.log10(largest))
    unit = f'10{str(power).translate(_SUPERSCRIPTS)} {unit}' if power else unit
    bar.set_label(f'{quantity} ({unit})' if quantity else unit)
    bar.formatter = FuncFormatter(lambda value, _: f'{value / 10.0**power:g}'.replace('-', '−'))
    bar.update_ticks()
    bar.outline.set_visible(False)


def colour_bar(figure: Figure, image: Any, label: str, **place: Any) -> Colorbar:
    """A colour bar with a plain label, at a place as `Figure.colorbar` takes it."""
    bar = figure.colorbar(image, label=label, **place)
    bar.outline.set_visible(False)
    return bar


def logarithmic(axes: Axes) -> None:
    """Gives the y axis a logarithmic scale with plain labels."""
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(Powers())
    axes.yaxis.set_minor_formatter(Powers())


def blank(height: float, title: str, subtitle: str, gap: float = 0.07) -> Figure:
    """An empty figure with a left-aligned headline; `height` in inches excludes the headline, `gap` is that of rows."""
    top = height / (height + 0.62)
    layout = ConstrainedLayoutEngine(rect=(0.005, 0, 0.99, top), w_pad=0.04, h_pad=gap)
    figure = Figure(figsize=(WIDTH, height + 0.62), layout=layout, facecolor='white')
    figure.text(0.012, 1 - 0.12 / (height + 0.62), title, fontsize=13, fontweight='bold', va='top')
    figure.text(0.012, 1 - 0.38 / (height + 0.62), subtitle, fontsize=10, color=QUIET, va='top')
    return figure


def band(axes: Axes, x: Sequence[float] | np.ndarray, values: np.ndarray, **look: Any) -> None:
    """A line of values [n, 3] at x with the band of their intervals."""
    value, low, high = values.T
    axes.plot(x, value, **look)
    axes.fill_between(x, low, high, color=look['color'], alpha=0.15, lw=0)


def top_of_scale(values: np.ndarray, share: float) -> float:
    """The quantile `share` of the finite values as the upper end of a colour scale: above zero whatever they are."""
    values = values[np.isfinite(values)]
    return max(float(np.quantile(values, share)) if values.size else 1.0, 1e-12)


def label_ends(axes: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names at the right ends of lines, pushed apart where they would overlap."""
    names = sorted(ends, key=lambda name: ends[name][0])
    to_axes = axes.transData + axes.transAxes.inverted()
    right = axes.get_xlim()[1]
    places = [float(np.clip(to_axes.transform((right, ends[name][0]))[1], 0, 1)) for name in names]
    gap = 0.065
    for _ in range(100):
        for i in range(len(places) - 1):
            push = (gap - (places[i + 1] - places[i])) / 2
            if push > 0:
                places[i], places[i + 1] = places[i] - push, places[i + 1] + push
        places = list(np.clip(places, 0, 1))
    for name, place in zip(names, places, strict=True):
        axes.annotate(
            name, (1, place), (6, 0), xycoords='axes fraction', **OUTSIDE, color=ends[name][1], fontweight='bold'
        )  # fmt: skip


def legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """A legend to the right of the headline, for figures where names at the ends of lines would overlap."""
    figure.legend(handles=list(handles), loc='upper right', ncols=len(handles), frameon=False, fontsize=9)


def ticks(panel: Axes, at: Sequence[float] | np.ndarray, names: Sequence[str]) -> None:
    """Ticks of the x axis, at these places only."""
    panel.set_xticks(at, list(map(shortened, names)))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.xaxis.set_minor_locator(NullLocator())
