"""Figures of crystal properties: examples, scatter, confusion matrices, errors by orientation."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from downscale_jax.evaluation.crystals.rivals import Answer
from downscale_jax.evaluation.crystals.sample import Sample
from downscale_jax.evaluation.drawing.style import INK, LINES, LOOK, QUIET, band, blank
from downscale_jax.evaluation.statistics.bootstrap import estimates, ratio

TITLES = ('effective density', 'effective surface')
BINS = 10
ROWS, COLUMNS = 2, 7


@matplotlib.rc_context(LOOK)
def examples(answer: Answer, test: Sample, names: Sequence[str], title: str = '', subtitle: str = '') -> Figure:
    """The first view of silhouettes evenly spread over the test split, with predicted (true) properties."""
    figure = blank(3.9, title, subtitle)
    axes = figure.subplots(ROWS, COLUMNS, squeeze=False).ravel()
    chosen = np.linspace(0, len(test.images) - 1, len(axes)).round().astype(int)
    for panel, index in zip(axes, chosen, strict=True):
        panel.imshow(test.images[index, ..., 0], cmap='gray_r', vmin=0, vmax=1)
        (density, surface), (true_density, true_surface) = np.exp([answer.numbers[index], test.truth.numbers[index]])
        right = answer.label[index] == test.truth.label[index]
        arms = f'{names[answer.label[index]]} ({names[test.truth.label[index]]}) arms'
        text = f'ρ {density:.3f} ({true_density:.3f})\ns {surface:.3f} ({true_surface:.3f})\n{arms}'
        panel.set_xlabel(text, fontsize=8, color=INK if right else '#d55e00')
        panel.set(xticks=(), yticks=())
        panel.spines[:].set(visible=True, color=QUIET, linewidth=0.6)
    return figure


@matplotlib.rc_context(LOOK)
def scatter(answer: Answer, truth: Answer, title: str = '', subtitle: str = '') -> Figure:
    """Predicted against true density and surface, one dot per image."""
    figure = blank(4.2, title, subtitle)
    for k, (panel, name) in enumerate(zip(figure.subplots(1, 2), TITLES, strict=True)):
        true, predicted = np.exp(truth.numbers[:, k]), np.exp(answer.numbers[:, k])
        low, high = (float(edge(true)) for edge in (np.min, np.max))
        panel.scatter(true, predicted, s=4, alpha=0.25, linewidth=0, color=LINES['member']['color'])
        panel.plot([low, high], [low, high], color=INK, linewidth=1)
        panel.set(xscale='log', yscale='log', xlabel=f'true {name}', ylabel=f'predicted {name}')
        plain_ticks(panel, low, high)
    return figure


def plain_ticks(panel, low: float, high: float) -> None:
    """Plain numbers as ticks within the range."""
    at = [m * 10.0**e for e in range(-4, 1) for m in (1, 2, 3, 5, 7) if low <= m * 10.0**e <= high]
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(matplotlib.ticker.FixedLocator(at))
        axis.set_major_formatter('{x:g}')
        axis.set_minor_locator(matplotlib.ticker.NullLocator())


@matplotlib.rc_context(LOOK)
def orientation(answer: Answer, test: Sample, title: str = '', subtitle: str = '') -> Figure:
    """Root mean square errors of the logarithms and share of wrong numbers of arms by the angle to the nearest arm."""
    edges = np.quantile(test.angle, np.linspace(0, 1, BINS + 1))
    bins = np.clip(np.searchsorted(edges, test.angle, 'right') - 1, 0, BINS - 1)
    wrong = (answer.label != test.truth.label)[:, None].astype(float)
    errors = np.concatenate([np.square(answer.numbers - test.truth.numbers), wrong], -1)
    crystals = [
        {'count': at.sum(0)[:, None], 'error': at.T @ errors[test.group == crystal]}
        for crystal in np.unique(test.group)
        for at in [np.eye(BINS)[bins[test.group == crystal]]]
    ]
    means = estimates(crystals, lambda total: {'mean': ratio(total['error'], total['count'])}, block=1)['mean']
    figure = blank(3.2, title, subtitle)
    centres = (edges[1:] + edges[:-1]) / 2
    labels = (*(f'RMSE of ln {name}' for name in TITLES), 'share of wrong numbers of arms')
    for k, (panel, name) in enumerate(zip(figure.subplots(1, 3), labels, strict=True)):
        shape = np.sqrt if k < len(TITLES) else np.asarray
        band(panel, centres, shape(means[:, k]), **LINES['member'], marker='o', markersize=3.5)
        panel.set(xlabel='angle to the nearest arm (°)', ylim=(0, None), title=name)
    return figure
