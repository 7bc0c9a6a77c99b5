"""Evaluation of predicted crystal properties: the network beside rivals on silhouette features, and its report."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from downscale_jax.evaluation.crystals import report, rivals, scores
from downscale_jax.evaluation.crystals.rivals import Answer
from downscale_jax.evaluation.crystals.sample import read
from downscale_jax.evaluation.crystals.scores import DEFINITIONS, by_class, by_crystal
from downscale_jax.evaluation.report.publish import Scores, publish
from downscale_jax.evaluation.results import Publication
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.pipeline.records import Prepared

RIVAL_IMAGES = 20_000  # training images that the rivals are fitted to, at most


class PropertyModel(NamedTuple):
    """A trained network and its origin."""

    name: str  # in the scores
    numbers: tuple[str, ...]  # predicted, among the values known about an image
    predict: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # [N, H, W, C] -> numbers [N, K], probabilities
    provenance: str


def evaluate(model: PropertyModel, prepared: Prepared, config: dict[str, Any], workdir: Path) -> Scores:
    """Scores all images of the test split and publishes; returns {method: {score: number}}.

    Rivals are fitted to RIVAL_IMAGES images of the training split, evenly spread, or to all if there are fewer.
    """
    from downscale_jax.evaluation.crystals.features import features  # here: it needs the extra [crystals]

    known, test = read(prepared, 'train', model.numbers, RIVAL_IMAGES), read(prepared, 'test', model.numbers)
    names = prepared.transform_as(ImageTransform).labels
    fitted = rivals.fit(
        features(known.images), known.truth.numbers, known.truth.label, config['evaluation']['trees'], config['seed']
    )
    of_test = features(test.images)
    numbers, probabilities = model.predict(test.images)
    answers: Mapping[str, Answer] = {
        **{name: rival(of_test) for name, rival in fitted.items()},
        model.name: Answer(numbers, probabilities.argmax(-1)),
    }
    sums = {name: by_crystal(answer, test.truth, test.group, len(names)) for name, answer in answers.items()}
    label = test.truth.label[np.unique(test.group, return_index=True)[1]]
    classes = {name: by_class(crystals, label, names) for name, crystals in sums.items()}
    summary = report.Summary(
        scores={name: scores.scores(crystals, model.numbers) for name, crystals in sums.items()},
        confusion={name: np.sum([crystal['confusion'] for crystal in crystals], 0) for name, crystals in sums.items()},
        classes=classes,
        crystals=len(label),
        images=len(test.group),
        fitted=len(known.group),
    )
    publication = Publication(
        title='3-D properties of ice crystals from silhouettes',
        lead='A network predicts effective density, effective surface and the number of arms of bullet rosettes from '
        'silhouettes. Rivals see seven features of the same silhouettes.',
        scores=summary.scores,
        definitions=DEFINITIONS,
        details={'confusion': summary.confusion, 'classes': classes, 'crystals': len(label)},
        facts=report.facts(summary, model.name),
        tables=report.tables(summary, names, model.name),
        figures=report.figures(summary, answers[model.name], test, names, workdir),
        notes=report.notes(summary, model.provenance, config['data']['split_by']),
        config=config,
    )
    return publish(publication, workdir)
