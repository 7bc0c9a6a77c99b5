"""The temperature of the noise with which spread matches skill, fitted on the validation split."""

from typing import Any

import numpy as np

from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.evaluation.records import choose
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.pipeline.records import Prepared

NEAR_ENOUGH = 0.02  # of a spread/skill of 1
ROUNDS = 4
LIMITS = (0.5, 2.0)


def fit(generator: FieldGenerator, prepared: Prepared, records: int, members: int, seed: int) -> dict[str, Any]:
    """Fits the factor of the noise on `records` records of validation, chosen as for scores, with `members` each.

    The spread is nearly proportional to the temperature while the ensemble's mean, which follows the condition, hardly
    moves, so T / (spread/skill at T) is next; one or two rounds bring spread/skill within 2 % of 1. The spread of a
    one-pass generator grows more slowly, with about the square root: three or four rounds. Of several
    variables it is the geometric mean of theirs that counts. Returns temperature, records, members, and the scores on
    these records `before` (T = 1) and `after`, of all variables in the geometric mean.
    """
    split = prepared.split('validation')
    times = split.times
    chosen = choose(times, records, in_pairs=False)
    coarse = coarse_dataset(prepared, split, times, chosen)
    area, targets = prepared.statics['cell_area'].values.astype(np.float64), prepared.field_transform.targets

    def at(temperature: float) -> dict[str, float]:
        drawn = generator.with_sampling(temperature=temperature)
        sums: list[list[dict[str, np.ndarray]]] = [[] for _ in targets]
        for index, day in enumerate(chosen):
            inputs = open_inputs(coarse.isel(time=[index]), drawn.transform, prepared.statics)
            one = in_memory(Ensemble(drawn, inputs, prepared.statics, members, seed))
            fine, _ = prepared.pair(split[day])
            for channel, target in enumerate(targets):
                fields, truth = one[target].values[:, 0], fine[..., channel]
                known = np.isfinite(truth) & np.isfinite(fields).all(0)
                everywhere, ties = np.ones((1, *known.shape), bool), np.random.default_rng(index)
                sums[channel].append(scores.day_sums(fields, truth, np.where(known, area, 0), everywhere, ties))
        scored = [scores.summarise(total(days)) for days in sums]
        ratios = [float(one['spread_skill'][0]) for one in scored]
        return {'spread_skill': float(np.exp(np.mean(np.log(ratios)))) if min(ratios) > 0 else 0.0}

    tried = {1.0: at(1.0)}
    temperature = 1.0
    for _ in range(ROUNDS):
        ratio = tried[temperature]['spread_skill']
        if not ratio > 0 or abs(ratio - 1) < NEAR_ENOUGH:
            break
        temperature = float(np.clip(temperature / ratio, *LIMITS))
        if temperature in tried:
            break
        tried[temperature] = at(temperature)
    best = min(tried, key=lambda t: abs(tried[t]['spread_skill'] - 1))
    return {
        'temperature': best,
        'records': len(chosen),
        'members': members,
        'before': tried[1.0],
        'after': tried[best],
    }
