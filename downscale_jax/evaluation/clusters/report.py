"""Content of the report on a latent space: headline, figures with their captions, and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.evaluation.clusters import figures as drawing
from downscale_jax.evaluation.clusters.scores import DEFINITIONS
from downscale_jax.evaluation.drawing.confusion import confusion
from downscale_jax.evaluation.drawing.training import losses
from downscale_jax.evaluation.results import Estimate, Figure
from downscale_jax.evaluation.statistics.contingency import contingency


class Summary(NamedTuple):
    """N images of K classes."""

    codes: Mapping[str, np.ndarray]  # {autoencoder: [N, L]}
    cluster: Mapping[str, np.ndarray]  # {autoencoder: [N]}, named as the classes
    label: np.ndarray  # [N]
    names: Sequence[str]  # of the classes
    images: np.ndarray  # [N, H, W, C]


def facts(scores: Mapping[str, Mapping[str, Estimate]], main: str) -> dict[str, str]:
    """The headline: the autoencoder that is used."""
    shown = ('purity', 'adjusted_rand', 'silhouette')
    return {DEFINITIONS[name].long_name: f'{scores[main][name][0]:.3f}' for name in shown}


def figures(summary: Summary, model: Any, workdir: Path, seed: int) -> list[Figure]:
    """All figures of the autoencoder that is used; the manifold where it has two latents."""
    main, classes = model.names[-1], len(summary.names)
    codes, cluster = summary.codes[main], summary.cluster[main]
    subtitle = f'{main}, {len(codes)} images of {classes} classes'
    by_tsne = codes.shape[1] > 2
    plane = drawing.plane(codes, seed)
    result = [
        Figure(
            'scatter',
            'Images in the latent space: left by label, right by cluster.'
            + (' t-SNE shows which images are neighbours there; distances between groups mean nothing.' * by_tsne),
            drawing.scatter(
                plane, summary.label, cluster, summary.names, 'Latent space', subtitle + ', by t-SNE' * by_tsne
            ),
        ),
        Figure(
            'confusion',
            'Share of the images of each class by cluster; each cluster is named after the class that it matches best.',
            confusion({main: contingency(summary.label, cluster, classes)}, summary.names, 'Clusters', subtitle),
        ),
    ]
    if codes.shape[1] == 2:
        grid = drawing.grid(codes)
        images = model.images(grid.reshape(-1, 2), main).reshape(*grid.shape[:2], *summary.images.shape[1:3], -1)
        result.append(
            Figure(
                'manifold',
                'Images decoded from a regular grid of codes that covers the images.',
                drawing.manifold(images[..., 0], 'Latent manifold', subtitle),
            )
        )
    return [*result, losses(workdir, subtitle)]


def notes(summary: Summary, provenance: str, splits: Sequence[str], idealised: bool) -> list[str]:
    """Notes on how the numbers were obtained, for the report."""
    counts = np.bincount(summary.label, minlength=len(summary.names))
    classes = ', '.join(f'{count} {name}' for name, count in zip(summary.names, counts, strict=True))
    seen = ' Images of training are among them; their labels were not used.' if 'train' in splits else ''
    kind = 'simulated' if idealised else 'real'
    return [
        f'{len(summary.label)} {kind} images: {classes}.{seen} Intervals: 5–95 % over resampled particles.',
        f'The autoencoder: {provenance}. pca_N: the N leading principal components of the training split. pixels: '
        'k-means on the standardised images.',
    ]
