"""Baselines without training: the coarse field as it is, interpolated, or mapped to the distribution of the truth."""

from collections.abc import Iterator, Sequence

import numpy as np

from downscale_jax.evaluation.reference import TIMES
from downscale_jax.fields.datasets.times import decode_times, evenly, month_of
from downscale_jax.fields.geometry.blocks import Kernel, interpolate
from downscale_jax.fields.transforms import quantile_mapping
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.records import Prepared

COARSE = 'coarse'
KERNELS: dict[str, Kernel] = {'linear': 'linear', 'bicubic': 'cubic'}
MAPPED = 'quantile_mapping'
OF_BLOCKS = (*KERNELS, MAPPED)


class Baselines:
    """The baselines of these names; a quantile map is fitted to the training split, cell by cell."""

    def __init__(self, names: Sequence[str], prepared: Prepared):
        self.names, self._prepared = tuple(names), prepared
        self._map = self._fitted() if MAPPED in names else None

    def __call__(self, coarse: np.ndarray, month: int) -> dict[str, np.ndarray]:
        """Coarse input of a calendar month, physical -> {name: [H, W, V]} within the bounds.

        coarse: block means [h, w, V], or the coarse field on the fine grid [H, W, V].
        """
        if self.names == (COARSE,):
            return {COARSE: coarse}
        fields = {name: self._interpolated(coarse, kernel) for name, kernel in KERNELS.items() if name in self.names}
        if self._map:
            fields[MAPPED] = self._map.apply(self._interpolated(coarse, 'linear'), month)
        return {name: fields[name].clip(*self._prepared.transform_as(BlockMeans).limits) for name in self.names}

    def _interpolated(self, coarse: np.ndarray, kernel: Kernel) -> np.ndarray:
        return interpolate(coarse, self._prepared.transform_as(BlockMeans).factor, self._prepared.periodic, kernel)

    def _fitted(self) -> quantile_mapping.QuantileMap:
        """From the linear interpolation to the truth; a variable without negative values is mapped by ratios."""
        prepared, transform = self._prepared, self._prepared.transform_as(BlockMeans)
        split = prepared.split('train')
        chosen = evenly(len(split), TIMES)
        times = decode_times(np.array([split[i]['time'] for i in chosen]), prepared.meta['calendar'])
        months = [month_of(time) for time in times]

        def fine() -> Iterator[np.ndarray]:
            return (split[i]['fine'] for i in chosen)

        def smooth() -> Iterator[np.ndarray]:
            return (self._interpolated(transform.coarsen(x, prepared.area), 'linear') for x in fine())

        return quantile_mapping.fit(
            quantile_mapping.Series(months, smooth),
            quantile_mapping.Series(months, fine),
            variables=transform.targets,
            units=transform.target_units,
            kinds=quantile_mapping.kinds_of(transform.limits[0]),
            nodes=quantile_mapping.BY_MONTH,
        )
