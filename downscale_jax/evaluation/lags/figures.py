"""Figures of AtmoDist's report: predicted against true lags, distances, errors by place, nearest neighbours."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from downscale_jax.evaluation.drawing.dots import dots
from downscale_jax.evaluation.drawing.style import INK, LINES, LOOK, NOTHING, QUIET, band, blank, colour_bar, looks
from downscale_jax.evaluation.lags.geography import ErrorMap
from downscale_jax.evaluation.lags.neighbours import Neighbours

MAIN = LINES['member']
# in the order of the distances: two stages of an encoder, an untrained encoder, four by cells
DISTANCES: tuple[dict[str, Any], ...] = (
    MAIN,
    {**MAIN, 'linestyle': (0, (4, 1.5))},
    LINES['coarse'],
    *looks(('MSE', 'L1', 'PSNR', 'SSIM')).values(),
)


@matplotlib.rc_context(LOOK)
def confusion(matrices: Mapping[str, np.ndarray], step: float, title: str = '', subtitle: str = '') -> Figure:
    """Share of the pairs of each true lag (row of [K, K]) by predicted lag, one panel per method; `step` in hours."""
    figure = blank(4.6, title, subtitle)
    axes = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    classes = len(next(iter(matrices.values())))
    low, high = step / 2, step * (classes + 0.5)
    top = max(float(np.nanmax(matrix)) for matrix in matrices.values())
    for panel, (name, matrix) in zip(axes, matrices.items(), strict=True):
        extent = (low, high, low, high)
        image = panel.imshow(matrix, origin='lower', extent=extent, vmin=0, vmax=top, cmap='viridis')
        for offset in (-step, step):  # predictions between the lines are at most one step off
            panel.plot([low, high], [low + 1.5 * offset, high + 1.5 * offset], color='white', linewidth=0.9, alpha=0.8)
        panel.set(xlim=(low, high), ylim=(low, high), xlabel='predicted lag (h)', title=name)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True))
        panel.spines[:].set_visible(False)
    axes[0].set_ylabel('true lag (h)')
    colour_bar(figure, image, 'share of the pairs of a true lag', ax=list(axes), shrink=0.86, pad=0.02)
    return figure


@matplotlib.rc_context(LOOK)
def distance(
    curves: Mapping[str, Mapping[str, np.ndarray]], step: float, title: str = '', subtitle: str = ''
) -> Figure:
    """Mean distance of pairs by lag relative to that at the longest lag, and standard deviation relative to the mean.

    curves: {distance: {'mean': [K, 3], 'deviation': [K, 3]}}; the first is emphasised.
    """
    figure = blank(3.9, title, subtitle)
    left, right = figure.subplots(1, 2, sharex=True)
    main = next(iter(curves))
    for order, (name, curve) in enumerate(curves.items()):
        style = {**DISTANCES[order], 'zorder': 3 - 0.1 * order, 'linewidth': 2.6 if name == main else 1.5}
        mean = curve['mean'][:, 0]
        hours = step * np.arange(1, len(mean) + 1)
        if name == main:
            band(left, hours, curve['mean'], label=name, **style)
        else:
            left.plot(hours, mean, label=name, **style)
        right.plot(hours, curve['deviation'][:, 0] / mean, **style)
    left.axhline(0.9, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
    left.annotate('90 %', (step, 0.9), (0, 3), textcoords='offset points', fontsize=9, color=QUIET)
    left.set(ylabel='mean distance / mean at the longest lag', title='growth with lag')
    right.set(ylabel='standard deviation / mean', title='scatter of pairs')
    for axes in (left, right):
        axes.set(xlabel='lag (h)', ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    left.legend(frameon=False, fontsize=9, loc='lower right')
    return figure


@matplotlib.rc_context(LOOK)
def skill(
    errors: ErrorMap,
    classes: Mapping[str, Mapping[str, np.ndarray]],
    groups: Sequence[Sequence[str]],
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """Mean absolute lag error (h): a map for the first method, and by class for all.

    classes: {method: {class: [3]}}; groups of classes are separated.
    """
    figure = blank(3.6, title, subtitle)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    values = np.ma.masked_invalid(errors.values)
    left.set_facecolor(NOTHING)
    image = left.imshow(values, origin='lower', extent=tuple(errors.extent), aspect='auto', cmap='magma_r')
    main = next(iter(classes))
    left.set(xlabel=errors.axes[0], ylabel=errors.axes[1], title=f'{main}: lag error by place (h)')
    left.spines[:].set_visible(False)
    colour_bar(figure, image, '', ax=left, location='bottom', shrink=0.8, aspect=36, pad=0.03)
    dots(right, classes, groups, looks(classes, main), 'y')
    right.invert_yaxis()
    right.set(xlim=(0, None), title='lag error by class (h)')
    right.legend(frameon=False, fontsize=9, loc='upper left', bbox_to_anchor=(0, -0.1), ncols=len(classes))
    return figure


@matplotlib.rc_context(LOOK)
def neighbours(rows: Sequence[Neighbours], quantity: str, title: str = '', subtitle: str = '') -> Figure:
    """One row per query: the patch, then its nearest neighbours by each distance, on one colour scale."""
    columns = 1 + sum(map(len, rows[0].nearest.values()))
    size = 8.6 / columns
    figure = blank(len(rows) * (size + 0.3) + 0.75, title, subtitle)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    limit = float(np.quantile(np.abs([row.query.values for row in rows]), 0.995))
    image: Any = None
    for line, row in zip(axes, rows, strict=True):
        shown = [row.query, *(patch for patches in row.nearest.values() for patch in patches)]
        for panel, patch in zip(line, shown, strict=True):
            image = panel.imshow(patch.values, origin='lower', vmin=-limit, vmax=limit, cmap='RdBu_r')
            panel.set_xlabel(patch.label, fontsize=7.5, labelpad=2)
            panel.set(xticks=(), yticks=())
            panel.spines[:].set(visible=True, color=QUIET, linewidth=0.6)
        line[0].spines[:].set(color=INK, linewidth=1.6)
    column = 1
    axes[0, 0].set_title('query')
    for name, patches in rows[0].nearest.items():
        axes[0, column].set_title(f'nearest by {name}')
        column += len(patches)
    colour_bar(
        figure, image, quantity, ax=axes, location='bottom', extend='both', shrink=0.4, aspect=40, pad=0.02,
        format='{x:g}',
    )  # fmt: skip
    return figure
