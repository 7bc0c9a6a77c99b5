"""Normality of the members cell by cell: an Anderson-Darling test, and quantiles against those of normal numbers.

The test holds for mean and variance estimated from the members (D'Agostino and Stephens 1986, Goodness-of-Fit
Techniques, table 4.9): with members sorted and standardised, z_i,

    A^2 = -M - 1/M sum (2i - 1) [ln Phi(z_i) + ln(1 - Phi(z_(M+1-i)))]

rejects at 5 % where A^2 (1 + 0.75/M + 2.25/M^2) > 0.752. It is one sort and two logarithms for all cells together,
needs 8 members (D'Agostino's K^2 20), and sees the tails.
"""

import numpy as np
from scipy import special

from downscale_jax.evaluation.drawing import bars as drawing
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Estimate, Figure, Result, Table
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums, ratio
from downscale_jax.evaluation.statistics.extremes import histogram, quantiles
from downscale_jax.evaluation.statistics.members import chunks

FEWEST = 8  # members that can be tested
CRITICAL = 0.752  # of the modified A^2 at 5 %
PROBABILITIES = (0.001, 0.005, 0.01, 0.025, 0.05, *(k / 10 for k in range(1, 10)), 0.95, 0.975, 0.99, 0.995, 0.999)
_EDGES = np.linspace(-8, 8, 1601)  # of standardised members


class Normality:
    """Of whole ensembles of at least eight members; a table and a figure, no score."""

    def __init__(self, setting: Setting) -> None:
        self._setting, self.sums, self._members = setting, Accumulator(), 0

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self._setting, *self._setting.whole) if self._setting.whole else ():
            self._members = len(field.members)
            if self._members >= FEWEST:
                self.sums.add((field.method, field.index), sample.stamp, day_sums(field.members, field.weight))

    def result(self) -> Result:
        setting, rows, figures = self._setting, {}, []
        details: dict[str, dict[str, dict[str, Estimate]]] = {}
        for method, index in self.sums:
            variable = setting.variables[index]
            estimates = self.sums.estimates((method, index), summarise)
            details.setdefault(method, {})[variable.name] = estimates
            rows[f'{method}, {variable.label}'] = [estimates['normal']]
        for method, by_variable in details.items():
            drawn = {setting.panel_title(name): estimates['quantiles'][:, 0] for name, estimates in by_variable.items()}
            normal = expected(self._members)
            figures.append(
                Figure(
                    f'normality_{method}',
                    'Quantiles of the standardised members of all cells against those of as many normal numbers.',
                    drawing.normality(dict.fromkeys(drawn, normal), drawn, f'Normality: {method}', setting.title),
                )
            )
        note = 'Share of cells where an Anderson-Darling test of the members does not reject at 5 %: 0.95 if normal.'
        tables = [Table('Normality of members', 'Ensemble', ['Normal cells'], rows, note)] if rows else []
        return Result(details=details, tables=tables, figures=figures)


def anderson_darling(standardised: np.ndarray) -> np.ndarray:
    """Modified A^2 [...] of members [M, ...] standardised by their mean and standard deviation (ddof 1)."""
    count = len(standardised)
    z = np.sort(standardised, 0)
    odd = 2.0 * np.arange(count) + 1
    statistic = -count - np.tensordot(odd, special.log_ndtr(z) + special.log_ndtr(-z[::-1]), 1) / count
    return statistic * (1 + 0.75 / count + 2.25 / count**2)


def day_sums(members: np.ndarray, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Sums of one time, float64: weight of cells tested and of those not rejected, histogram of standardised members.

    members [M, H, W]; weight [H, W], 0 where a cell does not count. Cells whose members are all equal have no
    distribution to test and are left out; all are with fewer than 8 members.

    Raises ValueError where a member is not finite at a cell that counts.
    """
    sums = {'tested': np.zeros(()), 'normal': np.zeros(()), 'standardised': np.zeros(_EDGES.size - 1)}
    for cells, x in chunks(members, (weight > 0) & (len(members) >= FEWEST)):
        varies = x.max(0) > x.min(0)
        x, w = x[:, varies], weight.ravel()[cells[varies]].astype(np.float64)
        z = (x - x.mean(0)) / x.std(0, ddof=1)
        sums['tested'] += w.sum()
        sums['normal'] += (anderson_darling(z) <= CRITICAL) @ w
        sums['standardised'] += histogram(z, w, _EDGES)
    return sums


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'normal': [...], 'quantiles': [..., P]} from sums over times with any leading axes; NaN where none was tested.

    normal: the share of cells not rejected at 5 %, 0.95 for normal members. quantiles: of the standardised members of
    all cells together at PROBABILITIES, to be drawn over `expected`.
    """
    return {
        'normal': ratio(sums['normal'], sums['tested']),
        'quantiles': quantiles(sums['standardised'], _EDGES, PROBABILITIES),
    }


def expected(members: int) -> np.ndarray:
    """Quantiles [P] at PROBABILITIES of M normal members standardised by their own mean and standard deviation.

    Less than those of a normal distribution in the tails, since a member far out widens the deviation it is divided by:
    z^2 M / (M - 1)^2 has the beta distribution B(1/2, M/2 - 1) (Thompson 1935, doi:10.1214/aoms/1177732567).
    """
    p = np.array(PROBABILITIES)
    square = special.betaincinv(0.5, members / 2 - 1, np.abs(2 * p - 1))
    return np.sign(p - 0.5) * np.sqrt(square) * (members - 1) / np.sqrt(members)
