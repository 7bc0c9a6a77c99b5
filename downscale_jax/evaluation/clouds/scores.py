"""Scores of the distances between the members of an ensemble of simulations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.evaluation.clouds import distances
from downscale_jax.evaluation.clouds.ensemble import Ensemble
from downscale_jax.evaluation.results import Estimate, certain, read_definitions
from downscale_jax.evaluation.statistics.energy import between, separation

DEFINITIONS = read_definitions(Path(__file__).with_name('scores.toml'))


def scores(codes: np.ndarray, test: Ensemble, config: Mapping[str, Any]) -> dict[str, Estimate]:
    """Scores of distances by a method's codes [M, T, F]; those that need two times or two schemes only with them."""
    apart, bulk = between(codes), test.label == 0
    parameters = distances.of_parameters(test.values[bulk])
    result = {'parameter_rank': distances.rank_correlation(apart[np.ix_(bulk, bulk)], parameters)}
    if codes.shape[1] > 1:
        result['mean_rank'] = distances.rank_correlation(between(codes[bulk].mean(1)), parameters)
        result['roughness'] = distances.roughness(codes)
    if not bulk.all():
        schemes = separation(apart, test.label, config['evaluation']['permutations'], config['seed'])
        result |= {'separation': certain(schemes.share), 'p_value': certain(schemes.p_value)}
    return result
