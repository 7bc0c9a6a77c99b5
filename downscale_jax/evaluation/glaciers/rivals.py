"""Rivals of the network: band ratio, snow index, and a random forest on pixels."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.evaluation.glaciers.view import View

TREES = 60
LEAF = 20  # fewest training pixels of a leaf


def band_ratio(view: View, bands: Sequence[str]) -> np.ndarray | None:
    """Ice, bool (y, x): red/SWIR, or near infrared/SWIR without red, above Otsu's threshold of its logarithm.

    Without SWIR the near infrared itself is used, in which snow and ice are bright as well. None without any of these.
    """
    channels = dict(zip(bands, np.moveaxis(view.image, -1, 0), strict=False))
    above = next((channels[name] for name in ('red', 'nir') if name in channels), None)
    if above is None:
        return None
    if 'swir' in channels:
        return above_otsu(np.log(positive(above) / positive(channels['swir'])), view)
    return above_otsu(channels.get('nir', above), view)


def snow_index(view: View, bands: Sequence[str]) -> np.ndarray | None:
    """Ice, bool (y, x): NDSI = (green - SWIR) / (green + SWIR) above Otsu's threshold; None without these bands."""
    if not {'green', 'swir'} <= set(bands):
        return None
    green, swir = (positive(view.image[..., list(bands).index(name)]) for name in ('green', 'swir'))
    return above_otsu((green - swir) / (green + swir), view)


def positive(reflectance: np.ndarray) -> np.ndarray:
    return np.maximum(reflectance, 1e-3)


def above_otsu(values: np.ndarray, view: View) -> np.ndarray:
    """Cells above the threshold that best separates two classes of the scored cells (Otsu 1979)."""
    from skimage.filters import threshold_otsu

    scored = values[view.scored]
    return np.nan_to_num(values, nan=-np.inf) > threshold_otsu(scored[np.isfinite(scored)])


def random_forest(view: View, known: View, pixels: int, seed: int) -> np.ndarray:
    """Ice, bool (y, x), by a forest fitted to at most `pixels` cells around the glaciers of training, `known`, whose
    labels are the outlines. Features: bands, elevation and slope."""
    from sklearn.ensemble import RandomForestClassifier

    cells = np.flatnonzero(known.scored & np.isfinite(known.image).all(-1))
    rng = np.random.default_rng(seed)
    cells = rng.choice(cells, min(pixels, len(cells)), replace=False)
    forest = RandomForestClassifier(TREES, min_samples_leaf=LEAF, random_state=seed)
    channels = known.image.shape[-1]
    forest.fit(known.image.reshape(-1, channels)[cells], known.outline.ravel()[cells])
    ice = np.zeros(view.valid.shape, bool)
    usable = view.scored & np.isfinite(view.image).all(-1)
    ice[usable] = forest.predict(view.image[usable]).astype(bool)
    return ice
