"""Content of the report on a latent metric: headline, tables, figures with their captions, and notes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.evaluation.clouds import figures as drawing
from downscale_jax.evaluation.clouds.ensemble import Ensemble
from downscale_jax.evaluation.clouds.scores import DEFINITIONS
from downscale_jax.evaluation.drawing.training import losses
from downscale_jax.evaluation.latents.components import PIXELS
from downscale_jax.evaluation.results import Estimate, Figure, Table
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.records import Prepared


class Summary(NamedTuple):
    """Scores of all methods on the test split."""

    scores: Mapping[str, Mapping[str, Estimate]]
    channels: Mapping[str, Estimate]  # {method: explained variance by channel [C, 3]}
    test: Ensemble
    truth: np.ndarray  # standardised images [M, T, H W, C]


def facts(scores: Mapping[str, Mapping[str, Estimate]], main: str) -> dict[str, str]:
    """The headline: the autoencoder that is used, and pixels."""
    own, pixels = scores[main], scores[PIXELS]
    return {
        'Explained variance': f'{own["explained"][0]:.2f}',
        **{
            f'{DEFINITIONS[name].long_name}; {PIXELS}': f'{own[name][0]:.2f}; {pixels[name][0]:.2f}'
            for name in ('parameter_rank', 'mean_rank', 'roughness', 'separation')
            if name in own
        },
    }


def tables(summary: Summary, prepared: Prepared) -> list[Table]:
    """Explained variance by channel."""
    names = prepared.transform_as(ImageTransform).channels.variables
    rows = {method: list(shares) for method, shares in summary.channels.items()}
    return [Table('Explained variance by channel', 'Method', names, rows)]


def figures(
    summary: Summary, methods: Mapping[str, Any], names: Sequence[str], prepared: Prepared, workdir: Path
) -> list[Figure]:
    """All figures; the autoencoders are `names`, the last is the one that is used."""
    test, subtitle = summary.test, subject(summary.test, prepared)
    channels = prepared.transform_as(ImageTransform).channels.variables
    shape = test.images.shape[2:]
    shown = {'truth': summary.truth, **{name: methods[name].images for name in names}}
    compared = {name: methods[name].codes for name in (names[-1], PIXELS)}
    reconstructions = Figure(
        'reconstructions',
        'A test image, standardised, and its reconstructions by channel; for time series, a late image.',
        drawing.reconstructions(shown, channels, shape, 'Reconstructions', subtitle),
    )
    trajectories = Figure(
        'trajectories',
        'Codes of test members in time by their two leading principal directions; black dots: the first time; '
        'colour: time; solid lines: bulk scheme, dashed: particles.',
        drawing.trajectories(
            {name: methods[name].codes for name in names},
            test.minutes,
            test.label,
            'Evolution in the latent space',
            subtitle,
        ),
    )
    distances = Figure(
        'distances',
        'Distance between test members of the first scheme, or between levels, against the distance of their '
        'parameters, or heights, one dot per pair.',
        drawing.parameter_distances(compared, test, 'Distance against parameters', subtitle),
    )
    in_time = [trajectories] if len(test.minutes) > 1 else []
    return [reconstructions, *in_time, distances, losses(workdir, subtitle)]


def subject(test: Ensemble, prepared: Prepared) -> str:
    """The test data in words, for subtitles."""
    if prepared.meta['idealised']:
        return f'Idealised cirrus, {len(test.label)} test members at {len(test.minutes)} times'
    return f'{len(test.label)} test levels of a simulated liquid cloud'


def notes(summary: Summary, prepared: Prepared, provenance: str, permutations: int, translations: int) -> list[str]:
    """Notes on how the numbers were obtained, for the report."""
    bulk, others = (int((summary.test.label == label).sum()) for label in (0, 1))
    members = (
        f'{bulk} members with a bulk scheme and {others} with particles, none of them seen in training, at '
        f'{len(summary.test.minutes)} times each. The clouds are idealised: a vertical slice in a prescribed flow. '
        f'p-values: {permutations} permutations of the members.'
        if prepared.meta['idealised']
        else f'{bulk} horizontal levels of one cloud; their parameter is the height. Levels between them were seen in '
        'training: this shows how a file is used, not how well the metric generalises.'
    )
    return [
        f'{members} Intervals: 5–95 % over resampled members or levels.',
        f'The autoencoder: {provenance}. pca_N: the N leading principal components of the training split. pixels: root '
        'mean square difference of standardised images; profiles: of their means over x. lags: the last maps of an '
        'encoder that was trained to predict the time lag between two images of a member, as in AtmoDist. untrained: '
        'the encoder of the autoencoder with random weights. Codes are means over '
        f'{translations} translations of an image in x, those of pixels excepted.',
    ]
