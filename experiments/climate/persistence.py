"""How the anomalies of a long monthly series persist from one month to the next, in bounded memory."""

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import ratio


class Persistence:
    """Sums over a series of fields [P, V], and over its pairs of neighbours; months may come in any order.

    A field is kept until both its neighbours have come: two fields, where months come in order, forwards or backwards.

    An anomaly is that from the mean of the calendar month, m_c, which is known at the end only. Per cell, of pairs that
    start in month c: sum (x - m_c)(y - m_c+1) = sum xy - m_c sum y - m_c+1 sum x + n m_c m_c+1. In float64
    cancellation leaves enough digits: a mean 1000 times its anomalies (pressure) takes six of sixteen.
    """

    def __init__(self, cells: int, variables: int):
        self.ends: dict[int, tuple[np.ndarray, int]] = {}  # fields that wait for a neighbour, how many they have met
        self.months, self.pairs = np.zeros((2, 12))  # counts by calendar month (of pairs, that of the first)
        self.total, self.first, self.second = np.zeros((3, 12, cells, variables))
        self.squares = np.zeros((3, cells, variables))  # of the first, of the second, their product

    def add(self, month: int, field: np.ndarray) -> None:
        """`month` is counted from a January; cells that are missing at any time do not count."""
        self.ends[month] = field.astype(np.float64), 0
        self.months[month % 12] += 1
        self.total[month % 12] += self.ends[month][0]
        for start in (month - 1, month):
            if start in self.ends and start + 1 in self.ends:
                (x, met), (y, other) = self.ends[start], self.ends[start + 1]
                self.ends[start], self.ends[start + 1] = (x, met + 1), (y, other + 1)
                self.pairs[start % 12] += 1
                self.first[start % 12] += x
                self.second[start % 12] += y
                self.squares += np.stack([x * x, y * y, x * y])
        self.ends = {month: end for month, end in self.ends.items() if end[1] < 2}

    def correlation(self) -> np.ndarray:
        """[V], over cells and time; NaN without two months in succession, or without anomalies."""
        mean = self.total / np.maximum(self.months, 1)[:, None, None]
        then, pairs = np.roll(mean, -1, 0), self.pairs[:, None, None]
        xx, yy, xy = self.squares + np.stack(
            [
                (pairs * mean**2 - 2 * mean * self.first).sum(0),
                (pairs * then**2 - 2 * then * self.second).sum(0),
                (pairs * mean * then - mean * self.second - then * self.first).sum(0),
            ]
        )
        first, second, product = (np.nan_to_num(part).sum(0) for part in (xx, yy, xy))
        return ratio(product, np.sqrt(np.maximum(first, 0) * np.maximum(second, 0)))
