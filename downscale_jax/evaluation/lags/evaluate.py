"""Evaluation of AtmoDist: lag classification and the learned distance, beside simple rivals."""

from pathlib import Path
from typing import Any, NamedTuple

from downscale_jax.evaluation.lags import report, rivals
from downscale_jax.evaluation.lags.neighbours import neighbours
from downscale_jax.evaluation.lags.predictions import Network, predict, value_range
from downscale_jax.evaluation.lags.scores import DEFINITIONS
from downscale_jax.evaluation.lags.summary import CLASSIFIER, MAIN, UNTRAINED, summarise
from downscale_jax.evaluation.report.publish import Scores, numbers, publish
from downscale_jax.evaluation.results import Publication
from downscale_jax.fields.datasets.times import evenly
from downscale_jax.pipeline.records import Prepared

CLASSIFIER_PAIRS = 20_000  # training pairs: a fit of hundreds of weights to few pairs would be a weak rival
RANGE_PATCHES = 500  # training patches that give the data range of PSNR and SSIM


class LagModel(NamedTuple):
    """A trained lag classifier and its origin."""

    network: Network
    untrained: Network | None  # a rival: the same tail trained on random encoder weights
    provenance: str  # the checkpoint and its training data, in words
    probed: str | None  # pretext task whose finished encoder got a new tail; None: trained on lags itself


def evaluate(model: LagModel, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores lag classification on `evaluation.pairs` pairs of the test split, and distances by lag, and publishes.

    Returns {method: {score: number}}, also written to scores.json; the work directory gets details.json (see
    `summary.Summary`), figures and report.html as well. The classifier on MSE and correlation is fitted to
    CLASSIFIER_PAIRS pairs of the training split, evenly spread, or to all if there are fewer.
    """
    split, train = prepared.split('test'), prepared.split('train')
    chosen = evenly(len(split), config['evaluation']['pairs'])
    data_range = value_range(prepared, train, evenly(len(train), RANGE_PATCHES))
    networks = {MAIN: model.network} | ({UNTRAINED: model.untrained} if model.untrained else {})
    predictions = predict(networks, prepared, split, chosen, data_range)
    known = predict({}, prepared, train, evenly(len(train), CLASSIFIER_PAIRS))
    classifier = rivals.fit(known.features, known.lag, prepared.meta['lags'])
    probabilities = {**predictions.probabilities, CLASSIFIER: classifier.probabilities(predictions.features)}
    summary = summarise(predictions, probabilities, prepared)
    found = neighbours(model.network, prepared, split, chosen)
    classes, step = prepared.meta['lags'], prepared.meta['step_hours']
    details = summary._asdict()
    publication = Publication(
        title='AtmoDist: a learned distance between atmospheric states',
        lead=f'An encoder learns a distance by classifying the lag between two patches of the same place: {classes} '
        f'classes of {step:g} h. Simple rivals predict the same pairs.',
        scores=details.pop('scores'),
        definitions=DEFINITIONS,
        details=details,
        facts=report.facts(numbers(summary.scores, DEFINITIONS)),
        tables=report.tables(summary),
        figures=report.figures(summary, found, len(model.network.task.encoder.widths) - 1, prepared, config, workdir),
        notes=report.notes(summary, model.provenance, model.probed, len(known.lag)),
        config=config,
    )
    return publish(publication, workdir)
