"""Summary of the predictions of all methods: scores, differences, confusion, distances, errors by class and place."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.lags import rivals, scores
from downscale_jax.evaluation.lags.blocks import DAY, blocks
from downscale_jax.evaluation.lags.geography import ErrorMap, bands, centres, error_map
from downscale_jax.evaluation.lags.predictions import Predictions
from downscale_jax.evaluation.results import Estimate
from downscale_jax.evaluation.statistics.ranks import SEASONS, season
from downscale_jax.fields.datasets.times import decode_times
from downscale_jax.pipeline.records import Prepared

MAIN, UNTRAINED, CLASSIFIER, CHANCE, MIDDLE = 'atmodist', 'untrained', 'mse_correlation', 'chance', 'middle_lag'
DISTANCES = {MAIN: MAIN, UNTRAINED: UNTRAINED, CLASSIFIER: 'MSE'}  # the distance that belongs to a method

ByClass = Mapping[str, Mapping[str, Estimate]]  # {method: {class: lag error in hours}}


class Constant(NamedTuple):
    """Best scores of a constant prediction."""

    accuracy: float
    lag_error: float  # hours


class Summary(NamedTuple):
    """Estimates from resampled blocks; classes without a pair are left out."""

    scores: Mapping[str, Mapping[str, Estimate]]  # by method
    differences: Mapping[str, Mapping[str, Estimate]]  # {rival: main method minus rival}, on the same pairs
    confusion: Mapping[str, np.ndarray]  # {method: [K, K]}, rows are true lags
    distances: Mapping[str, Mapping[str, np.ndarray]]  # by distance, see `scores.curve`
    labels: np.ndarray  # [K] pairs of each lag
    constant: Constant
    latitudes: ByClass  # empty on a grid without latitudes
    seasons: ByClass
    map: ErrorMap  # lag error in hours of the main method
    days: int
    blocks: str  # in words


def summarise(predictions: Predictions, probabilities: Mapping[str, np.ndarray], prepared: Prepared) -> Summary:
    """Scores of the methods with `probabilities`, of chance and of the middle lag."""
    lag, classes, step = predictions.lag, prepared.meta['lags'], float(prepared.meta['step_hours'])
    unit, blocks_label = blocks(predictions.seconds, predictions.column, prepared)
    pairs = {
        **{name: scores.by_pair(p, lag) for name, p in probabilities.items()},
        CHANCE: rivals.chance(lag, classes),
        # the shorter of two: the constant with the least error for uniformly distributed lags
        MIDDLE: rivals.constant(lag, (classes - 1) // 2, classes),
    }
    distances = {
        name: scores.curve(distance, lag, classes, unit, step) for name, distance in predictions.distances.items()
    }
    methods = {name: scores.means(values, unit, step) for name, values in pairs.items()}
    for method, name in DISTANCES.items():
        if method in methods and name in distances:
            methods[method] |= {score: distances[name][score] for score in ('distance_rank', 'distance_reach')}
    labels = np.bincount(lag, minlength=classes)
    errors = {name: values['lag_error'] for name, values in pairs.items() if name in (MAIN, CLASSIFIER, MIDDLE)}
    places = centres(prepared.statics, predictions.row, predictions.column, prepared.meta['patch'])
    seasons = season(decode_times(predictions.seconds, prepared.meta['calendar']))

    def by_class(groups: np.ndarray, names: list[str]) -> ByClass:
        return {method: scores.by_class(error, groups, unit, names, step) for method, error in errors.items()}

    return Summary(
        scores=methods,
        differences={
            name: scores.difference(pairs[MAIN], values, unit, step) for name, values in pairs.items() if name != MAIN
        },
        confusion={name: scores.confusion(p, lag) for name, p in probabilities.items()},
        distances=distances,
        labels=labels,
        constant=Constant(labels.max() / labels.sum(), step * float(np.abs(lag - np.median(lag)).mean())),
        latitudes={} if places is None else by_class(*bands(places.latitude)),
        seasons=by_class(seasons, list(SEASONS)),
        map=error_map(step * errors[MAIN], places, predictions.row, predictions.column),
        days=len(np.unique(predictions.seconds // DAY)),
        blocks=blocks_label,
    )
