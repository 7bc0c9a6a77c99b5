"""Evaluation of a latent metric: autoencoders beside principal components, pixels, and an untrained encoder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.evaluation.clouds import distances, report
from downscale_jax.evaluation.clouds.ensemble import Ensemble, read
from downscale_jax.evaluation.latents.components import PIXELS, UNTRAINED, active, fit, standardised
from downscale_jax.evaluation.report.publish import Scores, publish
from downscale_jax.evaluation.results import Estimate, Publication, certain
from downscale_jax.evaluation.statistics.energy import between, separation
from downscale_jax.pipeline.records import Prepared


class CloudModel(NamedTuple):
    """Trained autoencoders and their origin."""

    names: Sequence[str]  # the last is the one that is used
    codes: Callable[[np.ndarray, str], np.ndarray]  # physical images [N, H, W, C], name -> [N, L]
    untrained: Callable[[np.ndarray], np.ndarray]  # likewise by the last network with random weights
    images: Callable[[np.ndarray, str], np.ndarray]  # codes, name -> standardised images
    provenance: str


class Method(NamedTuple):
    """Results of one method for the members of the test split."""

    codes: np.ndarray  # [M, T, F]
    images: np.ndarray | None  # reconstructions, standardised [M, T, H W, C]; None without any


def evaluate(model: CloudModel, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores all members of the test split and publishes; returns {method: {score: number}}."""
    test = read(prepared, 'test')
    truth = test.over_images(lambda images: standardised(images, prepared))
    methods = {**trained(model, test), **untrained(model, test, truth, prepared, config['seed'])}
    channels = test.images.shape[-1]
    truth = truth.reshape(*truth.shape[:2], -1, channels)
    explained = {
        name: distances.explained(truth, method.images) for name, method in methods.items() if method.images is not None
    }
    table = {name: scores(method.codes, test, config) for name, method in methods.items()}
    for name, share in explained.items():
        table[name] = {'explained': share['all'], **table[name]}
    for name in model.names:
        table[name]['active'] = certain(active(methods[name].codes))
    summary = report.Summary(table, {name: share['channel'] for name, share in explained.items()}, test, truth)
    publication = Publication(
        title='A latent metric for simulations of clouds',
        lead='Autoencoders compress images of idealised cirrus to a few latents, in which simulations are compared. '
        'Principal components, pixels and an untrained encoder are the rivals.',
        scores=table,
        definitions=report.DEFINITIONS,
        details={'explained_by_channel': summary.channels, 'members': len(test.label)},
        facts=report.facts(table, model.names[-1]),
        tables=report.tables(summary, prepared),
        figures=report.figures(summary, methods, model.names, prepared, workdir),
        notes=report.notes(summary, model.provenance, config['evaluation']['permutations']),
        config=config,
    )
    return publish(publication, workdir)


def trained(model: CloudModel, test: Ensemble) -> dict[str, Method]:
    """The autoencoders, those with the fewest latents first."""

    def method(name: str) -> Method:
        codes = test.over_images(lambda images: model.codes(images, name))
        members, times, latents = codes.shape
        images = model.images(codes.reshape(-1, latents), name)
        return Method(codes, images.reshape(members, times, -1, images.shape[-1]))

    return {name: method(name) for name in model.names}


def untrained(model: CloudModel, test: Ensemble, truth: np.ndarray, prepared: Prepared, seed: int) -> dict[str, Method]:
    """The rivals; principal components with as many latents as each autoencoder, fitted to the training split."""
    training = read(prepared, 'train')
    flat = training.over_images(lambda images: standardised(images, prepared)).reshape(-1, truth.shape[-1])
    result: dict[str, Method] = {}
    for name in model.names:
        latents = int(name.rpartition('_')[2])
        components = fit(flat, latents, seed)
        codes = components.codes(truth.reshape(-1, truth.shape[-1]))
        images = components.images(codes).reshape(*truth.shape[:2], -1, test.images.shape[-1])
        result[f'pca_{latents}'] = Method(codes.reshape(*truth.shape[:2], -1), images)
    result[PIXELS] = Method(truth, None)
    result[UNTRAINED] = Method(test.over_images(model.untrained), None)
    return result


def scores(codes: np.ndarray, test: Ensemble, config: Mapping[str, Any]) -> dict[str, Estimate]:
    """Scores of distances by a method's codes [M, T, F]."""
    apart, bulk = between(codes), test.label == 0
    of_means = between(codes[bulk].mean(1))
    parameters = distances.of_parameters(test.values[bulk])
    schemes = separation(apart, test.label, config['evaluation']['permutations'], config['seed'])
    return {
        'parameter_rank': distances.rank_correlation(apart[np.ix_(bulk, bulk)], parameters),
        'mean_rank': distances.rank_correlation(of_means, parameters),
        'roughness': distances.roughness(codes),
        'separation': certain(schemes.share),
        'p_value': certain(schemes.p_value),
    }
