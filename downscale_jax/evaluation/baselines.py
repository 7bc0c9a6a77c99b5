"""Baselines without training: the coarse field as it is, interpolated, or mapped to the distribution of the truth."""

from collections.abc import Iterator, Sequence

import numpy as np

from downscale_jax.evaluation.reference import TIMES
from downscale_jax.fields.datasets.times import decode_times, evenly, month_of
from downscale_jax.fields.geometry.blocks import Kernel, interpolate
from downscale_jax.fields.transforms import quantile_mapping
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.pipeline.records import Prepared

COARSE = 'coarse'
KERNELS: dict[str, Kernel] = {'linear': 'linear', 'bicubic': 'cubic'}
MAPPED = 'quantile_mapping'
INTERPOLATED, REGRESSION = 'interpolation', 'linear_regression'
VALID = {
    'refinement': (COARSE,),
    'block_means': (*KERNELS, MAPPED),
    'pairs': (INTERPOLATED, MAPPED, REGRESSION),
}  # by the kind of data


class Baselines:
    """The baselines of these names; a quantile map is fitted to the training split, cell by cell."""

    def __init__(self, names: Sequence[str], prepared: Prepared):
        self.names, self._prepared = tuple(names), prepared
        self._map = self._fitted() if MAPPED in names else None

    def __call__(self, coarse: np.ndarray, month: int) -> dict[str, np.ndarray]:
        """Coarse input of a calendar month, physical -> {name: [H, W, V]} within the bounds.

        coarse: block means [h, w, V]; the coarse field of a refinement on the fine grid [H, W, V]; or the lifted field
        of pairs [H, W, L].
        """
        fields = {name: self._field(name, coarse, month) for name in self.names}
        return {name: field.clip(*self._prepared.field_transform.limits) for name, field in fields.items()}

    def _field(self, name: str, coarse: np.ndarray, month: int) -> np.ndarray:
        transform = self._prepared.field_transform
        if name == COARSE:
            return coarse
        if name == REGRESSION:
            return coarse[..., self._prepared.transform_as(PairTransform).lifted.linear]
        if name == MAPPED:
            assert self._map is not None
            return self._map.apply(self._smooth(coarse), month)
        return (
            self._smooth(coarse) if isinstance(transform, PairTransform) else self._interpolated(coarse, KERNELS[name])
        )

    def _smooth(self, coarse: np.ndarray) -> np.ndarray:
        """The linear interpolation, which the quantile map starts from."""
        transform = self._prepared.field_transform
        return (
            transform.coarse(coarse) if isinstance(transform, PairTransform) else self._interpolated(coarse, 'linear')
        )

    def _interpolated(self, coarse: np.ndarray, kernel: Kernel) -> np.ndarray:
        return interpolate(coarse, self._prepared.transform_as(BlockMeans).factor, self._prepared.periodic, kernel)

    def _fitted(self) -> quantile_mapping.QuantileMap:
        """From the linear interpolation to the truth; a variable without negative values is mapped by ratios."""
        prepared, transform = self._prepared, self._prepared.field_transform
        split = prepared.split('train')
        chosen = evenly(len(split), TIMES)
        times = decode_times(np.array([split[i]['time'] for i in chosen]), prepared.meta['calendar'])
        months = [month_of(time) for time in times]

        def fine() -> Iterator[np.ndarray]:
            return (split[i]['fine'] for i in chosen)

        def smooth() -> Iterator[np.ndarray]:
            return (self._smooth(prepared.coarse_input(split[i])) for i in chosen)

        return quantile_mapping.fit(
            quantile_mapping.Series(months, smooth),
            quantile_mapping.Series(months, fine),
            variables=transform.targets,
            units=transform.target_units,
            kinds=quantile_mapping.kinds_of(transform.limits[0]),
            nodes=quantile_mapping.BY_MONTH,
        )
