"""Evaluation of a latent metric: autoencoders beside principal components, pixels, and other encoders."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.decomposition import PCA

from downscale_jax.evaluation.clouds import distances, report
from downscale_jax.evaluation.clouds.ensemble import Ensemble, read
from downscale_jax.evaluation.clouds.lags import LAGS, LEAST_TIMES, fitted
from downscale_jax.evaluation.clouds.scores import DEFINITIONS, scores
from downscale_jax.evaluation.latents.components import PIXELS, PROFILES, UNTRAINED, active, fit, standardised
from downscale_jax.evaluation.report.publish import Scores, publish
from downscale_jax.evaluation.results import Publication, certain
from downscale_jax.pipeline.records import Prepared

Codes: TypeAlias = Callable[[np.ndarray], np.ndarray]  # of physical images [N, H, W, C], [N, L]


class CloudModel(NamedTuple):
    """Trained autoencoders and their origin."""

    names: Sequence[str]  # the last is the one that is used
    codes: Callable[[np.ndarray, str], np.ndarray]  # physical images [N, H, W, C], name -> [N, L]
    untrained: Codes  # likewise by the last network with random weights
    images: Callable[[np.ndarray, str], np.ndarray]  # codes, name -> standardised images
    translated: Callable[[Codes, np.ndarray], np.ndarray]  # codes of images, averaged over translations in x
    provenance: str


class Method(NamedTuple):
    """Results of one method for the members of the test split."""

    codes: np.ndarray  # [M, T, F], those that are compared
    images: np.ndarray | None = None  # reconstructions, standardised [M, T, H W, C]
    active: float | None = None  # active latents


def evaluate(model: CloudModel, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores all members of the test split and publishes; returns {method: {score: number}}."""
    test = read(prepared, 'test')
    truth = test.over_images(lambda images: standardised(images, prepared))
    methods = {
        **{name: of_autoencoder(name, model, test) for name in model.names},
        **rivals(model, test, truth, prepared, config),
    }
    channels = test.images.shape[-1]
    truth = truth.reshape(*truth.shape[:2], -1, channels)
    explained = {
        name: distances.explained(truth, method.images) for name, method in methods.items() if method.images is not None
    }
    table = {name: scores(method.codes, test, config) for name, method in methods.items()}
    for name, share in explained.items():
        table[name] = {'explained': share['all'], **table[name]}
    for name, method in methods.items():
        if method.active is not None:
            table[name]['active'] = certain(method.active)
    summary = report.Summary(table, {name: share['channel'] for name, share in explained.items()}, test, truth)
    publication = Publication(
        title='A latent metric for simulations of clouds',
        lead='Autoencoders compress images of simulated clouds to a few latents, in which simulations are compared. '
        'Principal components, pixels, an encoder of time lags and an untrained one are the rivals.',
        scores=table,
        definitions=DEFINITIONS,
        details={'explained_by_channel': summary.channels, 'members': len(test.label)},
        facts=report.facts(table, model.names[-1]),
        tables=report.tables(summary, prepared),
        figures=report.figures(summary, methods, model.names, prepared, workdir),
        notes=report.notes(
            summary, prepared, model.provenance, config['evaluation']['permutations'], config['model']['translations']
        ),
        config=config,
    )
    return publish(publication, workdir)


def of_autoencoder(name: str, model: CloudModel, test: Ensemble) -> Method:
    """An autoencoder by its name."""

    def codes(images: np.ndarray) -> np.ndarray:
        return model.codes(images, name)

    own = test.over_images(codes)
    members, times, latents = own.shape
    images = model.images(own.reshape(-1, latents), name)
    compared = test.over_images(lambda images: model.translated(codes, images))
    return Method(compared, images.reshape(members, times, -1, images.shape[-1]), active(own))


def of_components(components: PCA, model: CloudModel, test: Ensemble, prepared: Prepared) -> Method:
    """Principal components, their codes treated as those of autoencoders."""

    def codes(images: np.ndarray) -> np.ndarray:
        return components.transform(standardised(images, prepared))

    images = test.over_images(lambda images: components.inverse_transform(codes(images)))
    compared = test.over_images(lambda images: model.translated(codes, images))
    return Method(compared, images.reshape(*images.shape[:2], -1, test.images.shape[-1]))


def rivals(
    model: CloudModel, test: Ensemble, truth: np.ndarray, prepared: Prepared, config: dict[str, Any]
) -> dict[str, Method]:
    """Principal components with as many latents as each autoencoder, fitted to the training split; pixels, and their
    means over x; an encoder trained on the lags of that split, if it has any, and one with random weights."""
    training = read(prepared, 'train')
    flat = training.over_images(lambda images: standardised(images, prepared))
    counts = [int(name.rpartition('_')[2]) for name in model.names]
    components = {count: fit(flat.reshape(-1, truth.shape[-1]), count, config['seed']) for count in counts}
    result = {
        **{f'pca_{count}': of_components(components[count], model, test, prepared) for count in counts},
        PIXELS: Method(truth),
        PROFILES: Method(truth.reshape(test.images.shape).mean(3).reshape(*truth.shape[:2], -1)),
    }
    if len(training.minutes) >= LEAST_TIMES:
        by_lags = fitted(flat.reshape(training.images.shape), config)

        def codes(images: np.ndarray) -> np.ndarray:
            return by_lags(standardised(images, prepared).reshape(images.shape))

        result[LAGS] = Method(test.over_images(lambda images: model.translated(codes, images)))
    result[UNTRAINED] = Method(test.over_images(lambda images: model.translated(model.untrained, images)))
    return result
