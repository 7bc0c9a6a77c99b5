"""Evaluation of a latent space: clusters against labels, beside principal components and pixels."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.evaluation.clusters import report, scores
from downscale_jax.evaluation.images import read
from downscale_jax.evaluation.latents.components import PIXELS, active, fit, standardised
from downscale_jax.evaluation.report.publish import Scores, publish
from downscale_jax.evaluation.results import Publication, certain
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError


class LatentModel(NamedTuple):
    """Trained autoencoders and their origin."""

    names: Sequence[str]  # the last is the one that is used
    codes: Callable[[np.ndarray, str], np.ndarray]  # physical images [N, H, W, C], name -> [N, L]
    images: Callable[[np.ndarray, str], np.ndarray]  # codes, name -> standardised images
    provenance: str


def evaluate(model: LatentModel, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Clusters images of `evaluation.splits` and publishes; returns {method: {score: number}}.

    Raises UserError where all of these images have one label.
    """
    settings, seed = config['evaluation'], config['seed']
    names = prepared.transform_as(ImageTransform).labels
    test = read(prepared, settings['splits'], settings['images'])
    if len(present := np.unique(test['label'])) < 2:
        raise UserError(
            f"all images to evaluate are labelled '{names[present[0]]}': clusters need two classes and more"
        )
    label = np.searchsorted(present, test['label'])
    codes = codes_of(model, test['image'], prepared, seed)
    found = {name: scores.clusters(of, len(present), seed) for name, of in codes.items()}
    table = {name: scores.scores(of, found[name], label, test['group']) for name, of in codes.items()}
    for name in model.names:
        table[name]['active'] = certain(active(codes[name]))
    summary = report.Summary(
        codes={name: codes[name] for name in model.names},
        cluster={name: scores.matched(found[name], label, len(present)) for name in model.names},
        label=label,
        names=[names[k] for k in present],
        images=test['image'],
    )
    publication = Publication(
        title='A latent space of ice crystals',
        lead='Autoencoders compress images of particles without their labels; k-means in the latent space is compared '
        'with the labels. Principal components and pixels are the rivals.',
        scores=table,
        definitions=scores.DEFINITIONS,
        details={'classes': summary.names, 'images': len(label)},
        facts=report.facts(table, model.names[-1]),
        tables=(),
        figures=report.figures(summary, model, workdir, seed),
        notes=report.notes(summary, model.provenance, settings['splits'], prepared.meta['idealised']),
        config=config,
    )
    return publish(publication, workdir)


def codes_of(model: LatentModel, images: np.ndarray, prepared: Prepared, seed: int) -> Mapping[str, np.ndarray]:
    """{method: codes [N, L]}: autoencoders, principal components with as many latents, and pixels."""
    flat = standardised(images, prepared)
    train = standardised(read(prepared, ('train',))['image'], prepared)
    codes = {name: model.codes(images, name) for name in model.names}
    for name in model.names:
        latents = codes[name].shape[1]
        codes[f'pca_{latents}'] = fit(train, latents, seed).transform(flat)
    return {**codes, PIXELS: flat}
