"""Figures of the glacier report: outlines on the images, IoU by class, area change."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from downscale_jax.evaluation.drawing.dots import dots
from downscale_jax.evaluation.drawing.style import INK, LINES, LOOK, QUIET, blank, legend, looks
from downscale_jax.evaluation.glaciers.change import Change
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.fields.geometry.boxes import box_sums, largest

SIDE = 320  # cells per side of the part that is shown
HALO = (withStroke(linewidth=2.0, foreground='#20242a'),)  # keeps white lines visible on snow and in the legend
COLOURS = {'network': '#ffdd00', 'inventory': '#ff3fa4', 'true ice': '#ffffff'}
FALSE_COLOURS = ('swir', 'nir', 'green'), ('nir', 'red', 'green')  # the first of which all bands exist


@matplotlib.rc_context(LOOK)
def outlines(views: Sequence[View], bands: Sequence[str], dates: Sequence[str], title: str, subtitle: str) -> Figure:
    """The part of the first view with most ice, at each date."""
    window = busiest(views[0].own, SIDE)
    figure = blank(4.4 if len(views) > 1 else 7.0, title, subtitle)
    axes = figure.subplots(1, len(views), squeeze=False)[0]
    shown = {name: colour for name, colour in COLOURS.items() if name != 'true ice' or views[0].ice is not None}
    for panel, view, date in zip(axes, views, dates, strict=True):
        panel.imshow(colours(view, bands)[window], interpolation='nearest')
        masks = {'network': np.nan_to_num(view.probability) > 0.5, 'inventory': view.outline, 'true ice': view.ice}
        for name, colour in reversed(shown.items()):
            panel.contour(masks[name][window], [0.5], colors=colour, linewidths=0.9).set(path_effects=HALO)
        panel.set(xticks=(), yticks=(), title=date)
        panel.spines[:].set_visible(False)
        scale_bar(panel, view.grid.cell, masks['inventory'][window].shape)
    legend(figure, [Line2D([], [], color=c, path_effects=HALO, label=name) for name, c in shown.items()])
    return figure


def scale_bar(panel, cell: float, shape: tuple[int, ...]) -> None:
    """A bar of 2 km in the lower left corner."""
    length = 2000 / cell
    left, bottom = 0.04 * shape[1], 0.95 * shape[0]
    panel.plot([left, left + length], [bottom, bottom], color='white', linewidth=3)
    panel.annotate('2 km', (left + length / 2, bottom), (0, 4), textcoords='offset points', ha='center', color='white')


def busiest(cells: np.ndarray, side: int) -> tuple[slice, slice]:
    """The window of `side` cells with most of `cells` (y, x), or all of a smaller array."""
    side = min(side, *cells.shape)
    row, column = largest(box_sums(cells, side))
    return slice(row, row + side), slice(column, column + side)


def colours(view: View, bands: Sequence[str]) -> np.ndarray:
    """False colours (y, x, 3) in [0, 1]; cells without a valid value are veiled."""
    chosen = next((c for c in FALSE_COLOURS if set(c) <= set(bands)), tuple(bands[:1]) * 3)
    image = view.image[..., [list(bands).index(name) for name in chosen]]
    image = np.clip(image / np.nanquantile(image[view.scored], 0.97), 0, 1) ** 0.7
    veiled = 0.45 * image + 0.55 * np.array([0.85, 0.85, 0.9])
    return np.nan_to_num(np.where(view.valid[..., None], image, veiled), nan=0.93)


@matplotlib.rc_context(LOOK)
def classes(groups: Sequence[tuple[str, Mapping[str, Mapping[str, np.ndarray]]]], title: str, subtitle: str) -> Figure:
    """One panel per (title, {class: {method: [3]}}): a dot with its interval for each method."""
    figure = blank(3.4, title, subtitle)
    axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for panel, (kind, rows) in zip(axes, groups, strict=True):
        methods = {
            method.replace('_', ' ').replace('ndsi', 'NDSI'): {name: row[method] for name, row in rows.items()}
            for method in next(iter(rows.values()))
        }
        dots(panel, methods, [list(rows)], looks(methods, next(iter(methods))), 'x')
        panel.set_xlabel(kind)
    axes[0].set(ylabel='IoU', ylim=(0, 1))
    legend(figure, axes[0].get_legend_handles_labels()[0])
    return figure


@matplotlib.rc_context(LOOK)
def change(change: Change, regional: Mapping[str, np.ndarray], title: str, subtitle: str) -> Figure:
    """Histogram of the rates of glaciers, at least one, and the regional rates {method: [3]}, in % per year."""
    figure = blank(3.4, title, subtitle)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    kinds = {'network': (change.rate, change.first, LINES['member']['color'])}
    if change.true_first is not None:
        kinds['truth'] = change.true, change.true_first, INK
    rates = {name: 100 * rate[change.used] / np.maximum(area[change.used], 1e-9)
             for name, (rate, area, _) in kinds.items()}  # fmt: skip
    ends = np.quantile(np.concatenate(list(rates.values())), (0.02, 0.98))
    edges = np.linspace(min(ends[0], 0) - 0.5, max(ends[1], 0) + 0.5, 25)
    for name, values in rates.items():
        filled = name == 'network'
        left.hist(np.clip(values, *edges[[0, -1]]), edges, color=kinds[name][2], alpha=0.55 if filled else 1,
                  histtype='stepfilled' if filled else 'step', linewidth=1.8, label=name)  # fmt: skip
    left.axvline(0, color=QUIET, linewidth=0.8)
    left.set(xlabel='rate of area change (% a⁻¹)', ylabel='glaciers', title='glaciers')
    left.legend(frameon=False, fontsize=9, loc='upper left')
    for place, (name, (value, low, high)) in enumerate(regional.items()):
        color = kinds[name][2] if name in kinds else looks(['naive'])['naive']['color']
        right.plot(value, place, 'o', markersize=7, color=color)
        right.hlines(place, low, high, color=color, linewidth=2)
    right.set_yticks(range(len(regional)), list(regional))
    right.tick_params(axis='y', length=0)
    right.margins(y=0.3)
    right.invert_yaxis()
    right.axvline(0, color=QUIET, linewidth=0.8)
    right.set(xlabel='regional rate (% a⁻¹)', title='all test glaciers')
    return figure
