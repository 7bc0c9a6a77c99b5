"""Levels of a simulated liquid cloud as images: liquid water content, number and effective radius of droplets."""

from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.image_sets import Example, ImageSet
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError

FIELDS = {'lwc': 'g m-3', 'reff': 'um'}
LIMITS = (-0.01, 50.0), (-0.01, 1000.0)  # in these units; noise of interpolation may be negative
CHANNELS, UNITS = ('lwc', 'number', 'reff'), ('g m-3', 'cm-3', 'um')
TRANSFORMS = ('log1p', 'log1p', 'standard')
SPREAD = 0.8  # cube of the mean-volume radius over that of the effective radius (Martin et al. 1994, maritime clouds)
DENSITY = 1e6  # g m-3, of water


def read(path: str, shape: tuple[int, int]) -> ImageSet:
    """The horizontal levels of `lwc` and `reff` (z, y, x), each a group of its own; the value known is the height in m.

    Cells without liquid water are zero in all channels. Raises UserError for other variables, dimensions, sizes and
    units, and for fewer than ten levels.
    """
    dataset = store.open_dataset(path)
    missing = [name for name in FIELDS if name not in dataset]
    if missing:
        raise UserError(f"{path} has no variable '{missing[0]}': give {' and '.join(FIELDS)} (z, y, x)")
    fields = [store.load(convert_units(dataset[name], units), path) for name, units in FIELDS.items()]
    for field in fields:
        if field.dims[:1] != ('z',) or field.shape[1:] != shape or len(field) < 10:
            raise UserError(
                f"{path}: '{field.name}' has the dimensions {dict(field.sizes)}: z, y, x with at least 10 levels of "
                f'{shape[0]} x {shape[1]} cells is needed'
            )
    if 'z' not in dataset.coords:
        raise UserError(f"{path} has no coordinate 'z': add the heights of the levels in m")
    height = convert_units(dataset['z'], 'm').values
    for field, (low, high) in zip(fields, LIMITS, strict=True):
        least, most = float(field.min()), float(field.max())
        if least < low or most > high:
            raise UserError(
                f"{path}: '{field.name}' reaches from {least:g} to {most:g} {field.attrs['units']}, where {low:g} to "
                f'{high:g} are possible: fill missing values by 0, or correct the units'
            )
    images = droplets(*(field.values for field in fields))

    def examples(groups: Sequence[int]) -> Iterator[Example]:
        for level in groups:
            yield Example(images[level], (float(height[level]),), level)

    return ImageSet(CHANNELS, UNITS, ('height',), ('liquid',), np.zeros(len(images), int), shape, examples, TRANSFORMS)


def droplets(lwc: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """[..., 3] water content in g m-3, number in cm-3, and effective radius in um of the first and the last of these.

    The number is 3 lwc / (4 pi rho k r_eff^3) with k the ratio of the cubes of the mean-volume and effective radii.
    """
    cloudy = (lwc > 0) & (radius > 0)
    radius = np.where(cloudy, radius, 1.0)
    number = 3 * lwc / (4 * np.pi * DENSITY * SPREAD * (1e-6 * radius) ** 3) * 1e-6
    channels = np.stack([lwc, number, radius], -1)
    return np.where(cloudy[..., None], channels, 0).astype(np.float32)
