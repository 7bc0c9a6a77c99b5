"""Records of scenes: the transform of reflectance, and scenes that are all cloud."""

import geopandas
import numpy as np
import pytest
from shapely.geometry import box

from data_prep.records import scenes
from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.rasters.region import Region, Scene
from downscale_jax.runtime.errors import UserError

GRID = RasterGrid('EPSG:32632', 600_000.0, 5_200_000.0, 30.0, (20, 30))
DATA = {'path': 'scenes.csv', 'outlines': 'rgi.gpkg', 'bands': ('red', 'swir'), 'dates': ('2015-08-25', '2023-08-25'),
        'days': 30, 'candidates': 5, 'least_km2': 0.0}  # fmt: skip


def scene(date, brightness, cloud=0.0):
    """Light that falls off eastward on a surface with constant reflectance in two bands."""
    light = np.linspace(0.1, 2, 30)[None, :, None]
    image = np.broadcast_to(brightness * light * [0.4, 0.2], (20, 30, 2)).astype(np.float32)
    return Scene(date, np.datetime64(date), lambda: image, lambda: np.full(GRID.shape, cloud, np.float32))


def region(*drawn):
    west, south, east, north = GRID.bounds
    outlines = geopandas.GeoDataFrame(
        {'id': ['a'], 'area_km2': [0.1]}, geometry=[box(west, south, east - 450, north)], crs=GRID.crs
    )
    slope = 9 * np.add.outer(np.arange(20.0), np.arange(30.0)).astype(np.float32) ** 1.5
    return Region(GRID, DATA['bands'], slope, outlines, drawn)


def test_light_is_a_shift_of_all_bands():
    """The ratio of two bands, whatever the light, is a difference of their logarithms."""
    given = region(scene('2015-08-20', 1.0), scene('2015-08-21', 0.5))
    channels = scenes.fit(given, [0, 1]).channels
    image = np.concatenate([given.scenes[0].read(), np.ones((20, 30, 2))], -1)
    logarithm = channels.encode(image)[..., :2] * np.array(channels.log_std[:2]) + np.array(channels.log_mean[:2])
    # ln(1 + 10 x / mean): both bands have the same light and hence the same relative values
    np.testing.assert_allclose(logarithm[..., 0], logarithm[..., 1], atol=1e-5)
    np.testing.assert_allclose(logarithm[..., 0], np.log1p(image[..., 0] / (0.1 * 0.75 * 0.4 * 1.05)), rtol=1e-5)
    normalised = np.stack([channels.encode(np.concatenate([one.read(), image[..., 2:]], -1)) for one in given.scenes])
    np.testing.assert_allclose(normalised[..., :2].mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised[..., :2].std((0, 1, 2)), 1, rtol=1e-5)


@pytest.mark.parametrize('cloudy', [0, 1])
def test_scenes_that_are_all_cloud(monkeypatch, tmp_path, cloudy):
    cover = [1.0 if date == cloudy else 0.0 for date in range(2)]
    given = region(scene('2015-08-20', 1.0, cover[0]), scene('2023-08-20', 1.0, cover[1]))
    monkeypatch.setattr(scenes, 'open_region', lambda data, seed: given)
    with pytest.raises(UserError, match=rf'within 30 days of {DATA["dates"][cloudy]} every glacier is under cloud'):
        scenes.write(DATA, 0, tmp_path, 'scenes')
    assert not list(tmp_path.iterdir())
