"""Figures of a latent space: scatter by label and by cluster, and the manifold of decoded images."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from downscale_jax.evaluation.drawing.style import LOOK, blank

COLOURS = ('#0072b2', '#d55e00', '#007f5f', '#a8457f', '#7a5c00', '#56b4e9', '#000000', '#e69f00', '#999999')
SIDE = 15  # images per side of the manifold
PERPLEXITY = 30  # neighbours that t-SNE keeps, about; fewer where there are few images


@matplotlib.rc_context(LOOK)
def scatter(
    plane: np.ndarray, label: np.ndarray, cluster: np.ndarray, names: Sequence[str], title: str = '', subtitle: str = ''
) -> Figure:
    """Coordinates [N, 2], one dot per image, coloured by label and by cluster."""
    figure = blank(4.4, title, subtitle)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel, values, head in ((left, label, 'label'), (right, cluster, 'cluster')):
        for k, name in enumerate(names):
            mine = values == k
            panel.scatter(
                *plane[mine].T,
                s=10,
                linewidth=0,
                color=COLOURS[k % len(COLOURS)],
                alpha=0.7,
                label=name.replace('_', ' '),
            )
        panel.set(xlabel='first coordinate', title=head)
    left.set_ylabel('second coordinate')
    figure.legend(
        *left.get_legend_handles_labels(),
        loc='outside lower center',
        ncols=min(len(names), 5),
        frameon=False,
        fontsize=9,
    )
    return figure


def plane(codes: np.ndarray, seed: int) -> np.ndarray:
    """[N, 2] coordinates of codes [N, L] for display: two latents as they are, more by t-SNE, which keeps neighbours
    together (van der Maaten and Hinton 2008)."""
    if codes.shape[1] <= 2:
        return np.pad(codes, ((0, 0), (0, 2 - codes.shape[1])))
    return TSNE(perplexity=min(PERPLEXITY, (len(codes) - 1) / 3), random_state=seed).fit_transform(codes)


def grid(codes: np.ndarray) -> np.ndarray:
    """[SIDE, SIDE, 2] codes on a grid between the 2 and 98 % quantiles of codes [N, 2], the first row on top."""
    low, high = np.quantile(codes, (0.02, 0.98), axis=0)
    x, y = (np.linspace(low[k], high[k], SIDE) for k in (0, 1))
    return np.stack(np.meshgrid(x, y[::-1]), -1)


@matplotlib.rc_context(LOOK)
def manifold(images: np.ndarray, title: str = '', subtitle: str = '') -> Figure:
    """Images [R, C, H, W] of a grid of codes, side by side."""
    rows, columns, height, width = images.shape
    mosaic = images.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)
    figure = blank(7.0, title, subtitle)
    panel = figure.subplots()
    panel.imshow(mosaic, cmap='gray_r')
    panel.set(xticks=(), yticks=(), xlabel='first latent', ylabel='second latent')
    return figure
