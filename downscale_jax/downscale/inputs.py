"""A user's coarse data set -> coarse inputs on the fine grid, in the units of training."""

import numpy as np
import xarray as xr

from downscale_jax.fields import store
from downscale_jax.fields.interpolation import ToFine
from downscale_jax.fields.normalize import Transform
from downscale_jax.fields.units import convert_units
from downscale_jax.runtime.errors import UserError, nearest


class CoarseInputs:
    """Lazy: `inputs[i]` reads one time and brings it to the fine grid by the rule of `ToFine`.

    `dataset` holds the transform's inputs, at the resolution the model was trained to refine, on any grid. Raises
    UserError where a variable is missing, units do not convert, or no value falls on the fine grid.
    """

    def __init__(self, dataset: xr.Dataset, transform: Transform, statics: xr.Dataset, source: str = 'the data set'):
        fields = store.canonical(dataset, list(transform.inputs), source=source)
        store.check_timed(fields, transform.inputs, source)
        for name, units in zip(transform.inputs, transform.input_units, strict=True):
            fields[name] = convert_units(fields[name], units)
        self._fields, self._names, self._source = fields, transform.inputs, source
        self._mask = statics['mask'].values.astype(bool)
        self._to_fine = ToFine(fields, statics)  # the variables of a canonical data set share a grid
        self.times: np.ndarray = fields['time'].values

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, Cin] float32, NaN where missing."""
        fields = store.load(self._fields.isel(time=index), self._source)
        channels = self._to_fine(np.stack([fields[name].values for name in self._names]))
        coarse = np.moveaxis(channels, 0, -1).astype(np.float32, order='C')
        if not np.isfinite(coarse[self._mask]).any():
            raise UserError(
                f'{self._source}: no value of {", ".join(self._names)} falls on the fine grid at {self.times[index]}: '
                'do the two grids overlap, in the same projection?'
            )
        return coarse


def fine_grid(dataset: xr.Dataset, source: str) -> xr.Dataset:
    """The fine grid of another domain: `mask` (non-zero where the field exists) with canonical coordinates, loaded."""
    if 'mask' not in dataset:
        raise UserError(f"{source} has no variable 'mask': {nearest('mask', map(str, dataset.data_vars))}")
    fields = store.canonical(dataset.rename(mask='domain'), ['domain'], mask='domain', source=source)
    return store.load(fields[['mask']], source)
