"""Figures of a latent metric: reconstructions, trajectories, distances against parameters."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from downscale_jax.evaluation.clouds.distances import of_parameters
from downscale_jax.evaluation.clouds.ensemble import Ensemble
from downscale_jax.evaluation.drawing.style import INK, LINES, LOOK, QUIET, blank, colour_bar
from downscale_jax.evaluation.statistics.energy import between

LATE = 0.75  # of the times: the one whose reconstruction is shown
MARKS = ('-', '--')  # bulk, particles


@matplotlib.rc_context(LOOK)
def reconstructions(
    images: Mapping[str, np.ndarray],
    channels: Sequence[str],
    shape: tuple[int, ...],
    title: str = '',
    subtitle: str = '',
) -> Figure:
    """Standardised images [M, T, H W, C] of the first member at a late time: a row per channel, a column per method."""
    figure = blank(2.3 * len(channels), title, subtitle)
    axes = figure.subplots(len(channels), len(images), squeeze=False)
    time = int(LATE * next(iter(images.values())).shape[1])
    for row, channel in enumerate(channels):
        planes = {name: values[0, time, :, row].reshape(shape[:2]) for name, values in images.items()}
        low, high = np.quantile(next(iter(planes.values())), (0.0, 1.0))
        for panel, (name, plane) in zip(axes[row], planes.items(), strict=True):
            image = panel.imshow(plane, origin='lower', vmin=low, vmax=high, cmap='viridis', aspect='auto')
            panel.set(xticks=(), yticks=())
            if row == 0:
                panel.set_title(name)
        axes[row, 0].set_ylabel(channel.replace('_', ' '))
        colour_bar(figure, image, 'standardised', ax=list(axes[row]), shrink=0.9, pad=0.02)
    return figure


@matplotlib.rc_context(LOOK)
def trajectories(
    codes: Mapping[str, np.ndarray], minutes: np.ndarray, label: np.ndarray, title: str = '', subtitle: str = ''
) -> Figure:
    """Codes [M, T, L] in their two leading principal directions, one panel per autoencoder, one line per member."""
    figure = blank(4.4, title, subtitle)
    axes = figure.subplots(1, len(codes), squeeze=False)[0]
    for panel, (name, series) in zip(axes, codes.items(), strict=True):
        plane = leading(series)
        for member, path in enumerate(plane):
            panel.plot(*path.T, color=QUIET, linewidth=0.5, alpha=0.6, linestyle=MARKS[min(label[member], 1)], zorder=1)
        flat = plane.reshape(-1, 2)
        points = panel.scatter(*flat.T, c=np.tile(minutes, len(plane)), s=7, cmap='viridis', linewidth=0, zorder=2)
        panel.plot(*plane[:, 0].T, 'o', color=INK, markersize=2.5, zorder=3)
        panel.set(xlabel='first direction', ylabel='second direction', title=name)
    colour_bar(figure, points, 'time (min)', ax=list(axes), shrink=0.86, pad=0.02)
    return figure


def leading(codes: np.ndarray) -> np.ndarray:
    """[M, T, 2] coordinates of codes [M, T, L] along the two directions of largest variance; two codes as they are."""
    if codes.shape[-1] <= 2:
        return np.pad(codes, ((0, 0), (0, 0), (0, 2 - codes.shape[-1])))
    centred = codes - codes.mean((0, 1))
    _, _, directions = np.linalg.svd(centred.reshape(-1, codes.shape[-1]), full_matrices=False)
    return centred @ directions[:2].T


@matplotlib.rc_context(LOOK)
def parameter_distances(codes: Mapping[str, np.ndarray], test: Ensemble, title: str = '', subtitle: str = '') -> Figure:
    """Distances between members of the bulk scheme by codes [M, T, F] against those of their parameters."""
    figure = blank(3.6, title, subtitle)
    bulk = test.label == 0
    pairs = np.triu_indices(bulk.sum(), 1)
    parameters = of_parameters(test.values[bulk])[pairs]
    for panel, (name, series) in zip(figure.subplots(1, len(codes)), codes.items(), strict=True):
        panel.scatter(
            parameters, between(series[bulk])[pairs], s=6, alpha=0.5, linewidth=0, color=LINES['member']['color']
        )
        panel.set(xlabel='distance of parameters (standard deviations)', ylabel='distance of images')
        panel.set(ylim=(0, None), title=name)
    return figure
