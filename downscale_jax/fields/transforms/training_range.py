"""The range of values in training, with which the fields given to a network are compared as they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

FAR = 0.5  # beyond the range, in widths of it: a warning
ABSURD = 100.0  # likewise: an error
SHARE = 0.25  # of the values of a field outside the range: a warning
SMALL = 1e-3  # greatest value, relative to that of training: a warning, for variables that are never negative
DEVIATIONS = 10.0  # about the mean, where extremes are not known


class _Channel(NamedTuple):
    name: str
    units: str
    low: float
    high: float
    values: np.ndarray
    least: float
    most: float

    @property
    def text(self) -> str:
        return f"'{self.name}' reaches from {self.least:.4g} to {self.most:.4g} '{self.units}'"

    @property
    def trained(self) -> str:
        return f'from {self.low:.4g} to {self.high:.4g} in training'


@dataclass(frozen=True)
class TrainingRange:
    """The least and the greatest value of each variable in training, `extremes` [V, 2], in the units of training."""

    variables: tuple[str, ...]
    units: tuple[str, ...]
    extremes: np.ndarray
    warned: set[str] = field(default_factory=set)  # variables

    def check(self, values: np.ndarray, source: str, first: bool = False) -> None:
        """Checks fields [..., V] in the units of training, NaN where missing.

        Warns, once for each variable, where values are far outside the range of training or, in the `first` fields that
        are read, all far too small. Raises UserError where values are so far outside that the output of a network would
        be meaningless.
        """
        for channel in self._channels(values):
            low, high, least, most = channel.low, channel.high, channel.least, channel.most
            if first and low >= 0 and 0 < most < SMALL * high:
                self._warn(channel, source, 'in the first fields that were read')
            if not (least < low or most > high):  # also of NaN throughout
                continue
            width, excess = max(high - low, 1e-6 * abs(high)), max(low - least, most - high)
            if excess > ABSURD * width:
                raise UserError(
                    f'{source}: {channel.text}, but {channel.trained}: correct its units, or declare missing '
                    'values by _FillValue'
                )
            share = np.mean((channel.values < low) | (channel.values > high))
            if excess > FAR * width or share > SHARE:
                self._warn(channel, source, f'with {100 * share:.0f} % of its values outside the range')

    def _channels(self, values: np.ndarray) -> Iterator[_Channel]:
        planes = np.moveaxis(values, -1, 0)
        for name, units, (low, high), plane in zip(self.variables, self.units, self.extremes, planes, strict=True):
            least, most = (float(reduce(plane, axis=None)) for reduce in (np.fmin.reduce, np.fmax.reduce))
            yield _Channel(name, units, float(low), float(high), plane, least, most)

    def _warn(self, channel: _Channel, source: str, which: str) -> None:
        if channel.name not in self.warned:
            self.warned.add(channel.name)
            messages.warning(
                f'{source}: {channel.text} {which}, but {channel.trained}: check its units; results are unreliable '
                'outside the range of training'
            )


def probable_extremes(mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """[V, 2] of variables whose extremes are not known: `DEVIATIONS` standard deviations about the means."""
    return np.asarray(mean)[:, None] + DEVIATIONS * np.asarray(std)[:, None] * np.array([-1, 1])


def standardised_extremes(values: Standardisation) -> np.ndarray:
    """[V, 2] likewise, of transformed values, so that those of heavy-tailed variables are further from their means."""
    return values.decode(DEVIATIONS * np.outer([-1.0, 1.0], np.ones(len(values.variables)))).T
