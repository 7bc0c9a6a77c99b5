"""Sums of days -> numbers with intervals: the flat scores, and those by regime, season, rank and scale.

An estimate is an array whose last axis holds the value and its 5 and 95 % quantiles over resampled days, NaN where
there is none.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from downscale_jax.evaluation.collect import ALL, ICE, LAG, Collected
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import ranks as calibration
from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics.bootstrap import Summary, Sums, bootstrap, ratio, total
from downscale_jax.evaluation.statistics.similarity import psnr

Details = dict[str, dict[str, Any]]


def estimates(days: Sequence[Sums], summary: Summary, block: int | None = None) -> dict[str, np.ndarray]:
    """{score: [..., 3]}; `block` as in `bootstrap`."""
    if not days:
        return {}
    intervals = bootstrap(days, summary, block=block)
    return {name: np.stack([value, *intervals[name]], -1) for name, value in summary(total(days)).items()}


def summarise(
    collected: Collected,
    seasons: np.ndarray,
    data_range: float,
    wavelength: np.ndarray,
    kernel_km: float,
    cell_km: float,
) -> Details:
    """{method: {...}} for every method, and for `truth` and `mean` (that of the main ensemble) what they have of it:

    scores       {score: [3]}, the flat ones, see `scores.SCORES`
    regimes      {regime of the coarse field: {score: [3]}}; seasons the same, over the ice zone
    ranks        [M + 1, 3] rank histogram of an ensemble in the ice zone, 1 where it is calibrated
    reliability  {'nominal': [M], 'observed': [M, 3]} in the ice zone
    scales       {range of scales: {score: [3]}}, spectrum {'wavelength_km': [n], score: [n, 3]}; see
                 `scales.summarise` for their scores

    seasons: that of every scored day. Classes and ranges without a cell or window are left out.
    """
    details: Details = {}
    for name, parts in collected.scores.items():
        kept = [(part, when) for part, when in zip(parts, seasons, strict=True) if part['weight'][ALL] > 0]
        days = [part for part, _ in kept]
        by_zone = estimates(days, scores.summarise)
        details[name] = {
            'scores': estimates(days, partial(flat, data_range=data_range)),
            'regimes': {
                regime: {score: by_zone[score][zone] for score in (*scores.BY_CLASS, 'share') if score in by_zone}
                for zone, regime in enumerate(collected.regimes, ICE + 1)
                if any(day['weight'][zone] > 0 for day in days)
            },
            'seasons': {},
        }
        for season in calibration.SEASONS:
            found = estimates(
                [day for day, when in kept if when == season and day['weight'][ICE] > 0], scores.summarise
            )
            if found:
                details[name]['seasons'][season] = {s: found[s][ICE] for s in scores.BY_CLASS if s in found}
        if days and 'ranks' in days[0]:
            details[name] |= reliability(days)
    for name, pairs in collected.lags.items():
        found = estimates([pair for pair in pairs if pair['lag'][1:].all()], lag1)
        details.setdefault(name, {}).setdefault('scores', {}).update(found)
    add_scales(details, collected, wavelength, kernel_km, cell_km)
    return details


def flat(sums: Sums, data_range: float) -> dict[str, np.ndarray]:
    """The scores of `scores.SCORES` that come of sums over cells, [...]."""
    by_zone = scores.summarise(sums)
    result = {name: value[..., ALL] for name, value in by_zone.items() if name in scores.SCORES}
    result |= {f'{n}_ice': value[..., ICE] for n, value in by_zone.items() if f'{n}_ice' in scores.SCORES}
    result['psnr'] = psnr(ratio(sums['squared_error'], sums['weight'])[..., ALL], data_range)
    for name in ('ssim', 'ssim_member'):
        result[name] = ratio(sums[name], sums['ssim_weight'])
    if 'closure' in sums:
        result['closure'] = np.sqrt(ratio(sums['closure'], sums['closure_weight']))
    if 'outside' in sums:
        result['out_of_bounds'] = ratio(sums['outside'], sums['values'])
    return result


def lag1(sums: Sums) -> dict[str, np.ndarray]:
    product, first, second = (sums['lag'][..., LAG.index(name)] for name in LAG)
    return {'lag1': ratio(product, np.sqrt(first * second))}


def reliability(days: Sequence[Sums]) -> dict[str, Any]:
    def of(sums: Sums) -> dict[str, np.ndarray]:
        ranks = sums['ranks'][..., ICE, :]
        return {'ranks': calibration.rank_histogram(ranks), 'observed': calibration.observed(ranks)}

    found = estimates(days, of)
    nominal = calibration.nominal(len(found['observed']))
    return {'ranks': found['ranks'], 'reliability': {'nominal': nominal, 'observed': found['observed']}}


def add_scales(details: Details, collected: Collected, wavelength, kernel_km: float, cell_km: float) -> None:
    days = [day for day in collected.powers if day['windows'] > 0]
    parts = scales.ranges(wavelength, kernel_km, cell_km)
    if not days:
        return
    baselines = [n for n, p in collected.scores.items() if 'ranks' not in p[0] and n != scales.COARSE]
    of = partial(scales.summarise, baselines=baselines)
    by_wavelength = estimates(days, of)
    by_range = estimates([scales.by_range(day, parts) for day in days], of)
    for key in by_wavelength:
        score, line = key.split(' ', 1)
        mine = details.setdefault(line, {})
        mine.setdefault('spectrum', {'wavelength_km': wavelength})[score] = by_wavelength[key]
        for index, name in enumerate(parts):
            mine.setdefault('scales', {}).setdefault(name, {})[score] = by_range[key][index]
    rings = scales.scored(wavelength, kernel_km, cell_km)
    for name in collected.scores:
        power = details[name]['spectrum']['power'][rings, 0]
        if power.size:
            # the least and the most of a resample are biased: no interval
            extremes = {'power_low': power.min(), 'power_high': power.max()}
            details[name]['scores'] |= {key: np.array([value, np.nan, np.nan]) for key, value in extremes.items()}
