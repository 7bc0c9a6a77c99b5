"""Power, error and correlation by wavelength, which tell predictable scales from merely plausible ones.

Of each method three spectra of a day are kept: of the field, of the anomaly (field minus coarse input) and of the error
(field minus truth). The error of the coarse field is the truth's anomaly, so a ratio of the two below 1 means that a
method beats the coarse field at that wavelength, and a ratio near 2 that its details have the right power in the wrong
places, as those of every member must where nothing is predictable.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio

FINEST = 4  # cells: the shortest wavelength at which power is scored; below it waves are hardly resolved
BEATS = 0.99  # error over that of the coarse field: a smaller gain is not counted
KINDS = ('field', 'anomaly', 'error')
TRUTH, COARSE, MEAN = 'truth', 'coarse', 'mean'


def day_powers(
    truth: np.ndarray, methods: Mapping[str, np.ndarray], main: str, origins: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """{'windows': K, 'KIND LINE': power [n] summed over the windows} of one day.

    methods: {name: members [M, H, W]}, 'coarse' among them. Lines are the truth, every method (the average over its
    members) and, where `main` names an ensemble, its `mean`.
    """
    base = spectra.transform(methods[COARSE][0], origins, size)
    right = spectra.transform(truth, origins, size)

    def of(coefficients: np.ndarray) -> np.ndarray:
        return np.stack([spectra.power(coefficients - start) for start in (0.0, base, right)])

    powers = {TRUTH: of(right)}
    for name, members in methods.items():
        mean, total = np.zeros_like(base), np.zeros((len(KINDS), size // 2))
        for member in members:  # one at a time: the windows overlap, so their coefficients are larger than the field
            coefficients = spectra.transform(member, origins, size)
            mean += coefficients / len(members)
            total += of(coefficients) / len(members)
        powers[name] = total
        if name == main and len(members) > 1:
            powers[MEAN] = of(mean)
    named = {
        f'{kind} {line}': total for line, three in powers.items() for kind, total in zip(KINDS, three, strict=True)
    }
    return {'windows': np.float64(len(origins)), **named}


def lines(sums: Sums) -> list[str]:
    """The lines but the truth, in order."""
    return [name.split(' ', 1)[1] for name in sums if name.startswith('field ') and name != f'field {TRUTH}']


def mean_powers(sums: Sums, kind: str) -> dict[str, np.ndarray]:
    """{line: power [n] of a window}, the truth among them."""
    return {line: sums[f'{kind} {line}'] / sums['windows'] for line in (TRUTH, *lines(sums))}


def summarise(sums: Sums, baselines: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """{'SCORE LINE': [..., n]} for sums [..., n] over rings, or over ranges of them (see `by_range`):

    power        of the anomaly, over the truth's: 1 where a method has the truth's variance
    error        over that of the coarse field: below 1 where a method beats it
    correlation  of the anomaly with the truth's, (P + T - E)/(2 sqrt(P T)) with powers P, T and that of the error E

    and, of the mean of the main ensemble, `error_over_BASELINE`: its error over that of other lines.
    """
    truth, result = sums[f'anomaly {TRUTH}'], {}
    for line in lines(sums):
        power, error = sums[f'anomaly {line}'], sums[f'error {line}']
        result[f'power {line}'] = ratio(power, truth)
        result[f'error {line}'] = ratio(error, sums[f'error {COARSE}'])
        result[f'correlation {line}'] = ratio((power + truth - error) / 2, np.sqrt(power * truth))
    if f'error {MEAN}' in sums:
        for name in baselines:
            result[f'error_over_{name} {MEAN}'] = ratio(sums[f'error {MEAN}'], sums[f'error {name}'])
    return result


def ranges(wavelength: np.ndarray, kernel_km: float, cell_km: float) -> dict[str, np.ndarray]:
    """{name: bool [n]} of the ranges of scales, without those that hold no ring.

    large: longer than the kernel of the coarse input. medium, fine: from there to four cells, split at the geometric
    mean. finest: shorter than four cells.
    """
    top, bottom = kernel_km * 1.001, FINEST * cell_km * 0.999
    middle = np.sqrt(top * bottom)
    parts = {
        'large': wavelength > top,
        'medium': (wavelength <= top) & (wavelength >= middle),
        'fine': (wavelength <= top) & (wavelength < middle) & (wavelength >= bottom),
        'finest': (wavelength <= top) & (wavelength < bottom),
    }
    return {name: rings for name, rings in parts.items() if rings.any()}


def by_range(sums: Sums, parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same sums with the rings of each range added, [..., R]."""
    chosen = np.stack(list(parts.values()), 1).astype(float)
    return {name: total if name == 'windows' else total @ chosen for name, total in sums.items()}


def scored(wavelength: np.ndarray, kernel_km: float, cell_km: float) -> np.ndarray:
    """bool [n]: from the kernel down to four cells."""
    return (wavelength <= kernel_km * 1.001) & (wavelength >= FINEST * cell_km * 0.999)


def beaten_down_to(error: np.ndarray, wavelength: np.ndarray, kernel_km: float) -> float:
    """Shortest wavelength (km) down to which, from the kernel on, `error` [n] over the coarse field's stays below 0.99.

    NaN where not even the longest one does.
    """
    inside = np.flatnonzero(wavelength <= kernel_km * 1.001)
    beats = np.cumprod(error[inside] < BEATS).astype(bool)
    return float(wavelength[inside][beats][-1]) if beats.any() else np.nan
