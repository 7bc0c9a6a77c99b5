"""The idealised mountain range: flow of ice against a similarity solution, glaciers, light, scenes, inventory."""

import jax.numpy as jnp
import numpy as np
import pytest

from data_prep.simulators.glaciers import basins, ice, inventory, scenes
from data_prep.simulators.glaciers.simulate import simulate
from downscale_jax.fields.rasters.outlines import rasterised


def halfar(radius, year, height, extent):
    """Thickness of the spreading dome of Halfar (1983, J. Geophys. Res. 88, 6043-6051) at `radius` [m]; `height` and
    `extent` [m] are those of its centre and margin at the start, year 0."""
    start = (7 / 4) ** 3 * extent**4 / (18 * ice.SLIDING * ice.FLOW * height**7)
    ratio = start / (start + year)
    inside = np.maximum(1 - (ratio ** (1 / 18) * radius / extent) ** (4 / 3), 0)
    return height * ratio ** (1 / 9) * inside ** (3 / 7)


def no_balance(year, surface):
    return jnp.zeros_like(surface)


def test_a_dome_spreads_as_the_similarity_solution():
    cell, count, years = ice.COARSE * ice.CELL, 81, 300.0
    axis = cell * (np.arange(count) - count // 2)
    radius = np.hypot(axis[:, None], axis[None])
    dome = halfar(radius, 0.0, 150.0, 2500.0).astype(np.float32)
    spread = np.asarray(ice.flow(no_balance, jnp.zeros_like(dome), jnp.asarray(dome), 0.0, years))
    expected = halfar(radius, years, 150.0, 2500.0)
    assert expected.max() < 0.95 * dome.max()
    assert spread.sum() == pytest.approx(dome.sum(), rel=1e-4)
    inside = radius < 2000
    np.testing.assert_allclose(spread[inside], expected[inside], atol=0.02 * dome.max())


def test_ice_is_conserved_on_a_steep_bed():
    slope = np.repeat(45.0 * np.arange(24, dtype=np.float32)[:, None], 24, 1)  # half as high as wide
    bed = slope + 20 * np.random.default_rng(0).random(slope.shape, np.float32)
    start = np.where(slope > 500, 30, 0).astype(np.float32)
    moved = np.asarray(ice.flow(no_balance, jnp.asarray(bed), jnp.asarray(start), 0.0, 20.0))
    assert moved.min() >= 0
    assert moved.sum() == pytest.approx(start.sum(), rel=1e-4)
    assert moved[:10].sum() > 100  # ice has come down


def test_ice_divides_along_a_ridge():
    y, x = np.mgrid[:40, :60]
    roof = 1000.0 - 10.0 * np.abs(x - 29.6) - 0.1 * y
    covered = np.zeros(roof.shape, bool)
    covered[5:35, 10:50] = True
    glacier = basins.divide(covered, roof, 9e-4)
    assert glacier.max() == 2
    np.testing.assert_array_equal(glacier[20, [12, 25, 34, 48]], glacier[20, [12, 12, 48, 48]])
    assert glacier[20, 12] != glacier[20, 48]
    covered[0, 0] = True  # too small
    assert basins.divide(covered, roof, 9e-4)[0, 0] == 0


def test_light_on_a_slope_and_the_length_of_a_shadow():
    sky = scenes.Sky(azimuth=180.0, elevation=45.0, cloud_cover=0.0, swath=None)
    flat = np.zeros((20, 20), np.float32)
    np.testing.assert_allclose(scenes.illumination(flat, sky), 1, atol=1e-6)
    south = np.repeat(-scenes.CELL * np.arange(20.0)[:, None], 20, 1)  # falls by 45 degrees to the south
    np.testing.assert_allclose(scenes.illumination(south, sky)[5:-5, 5:-5], np.sqrt(2), rtol=1e-5)
    wall = np.zeros((60, 20), np.float32)
    wall[50:] = 20 * scenes.CELL - 1  # hides the sun over 19 cells to the north
    hidden = scenes.shadowed(wall, np.array([1.0, 0.0]), 1.0)
    np.testing.assert_array_equal(np.flatnonzero(hidden[:, 10]), np.arange(32, 50))


def test_clouds_cover_the_share_that_was_drawn():
    opacity = scenes.clouds(np.random.default_rng(0), (64, 64), 0.3)
    assert (opacity > 0).mean() == pytest.approx(0.3, abs=0.01)


@pytest.fixture(scope='module')
def region():
    return simulate(1, 160, 224, (2015, 2023), 2)


def test_the_region(region):
    assert region.grid.shape == (160, 224)
    assert region.elevation.min() > 1000
    first, later = region.truth.ice.values()
    assert later.sum() < first.sum()
    assert 0.02 < first.mean() < 0.5
    assert [str(scene.date)[:4] for scene in region.scenes] == ['2015', '2015', '2023', '2023']
    image = region.scenes[0].read()
    ice_cells = first & region.scenes[0].valid() & (region.truth.debris < 0.1)
    red, swir = image[..., 2][ice_cells], image[..., 4][ice_cells]
    assert np.median(red / swir) > 3  # bright in red, dark beyond
    assert 0 < (region.truth.debris[first] > 0.5).mean() < 0.6


def test_outlines_are_nearly_the_true_ice(region):
    drawn = rasterised(region.outlines, region.grid) > 0
    true = region.truth.ice[2015]
    iou = (drawn & true).sum() / (drawn | true).sum()
    assert 0.7 < iou < 0.95
    np.testing.assert_allclose(region.outlines.geometry.area / 1e6, region.outlines['area_km2'])


def test_the_same_seed_gives_the_same_region(region):
    again = simulate(1, 160, 224, (2015, 2023), 2)
    np.testing.assert_array_equal(again.elevation, region.elevation)
    np.testing.assert_array_equal(again.scenes[3].read(), region.scenes[3].read())
    assert again.outlines.equals(region.outlines)


def test_digitising_without_errors_gives_the_glaciers(monkeypatch):
    for name in ('HAND', 'SHIFT', 'MISSED', 'SNOWY', 'FILLED'):
        monkeypatch.setattr(inventory, name, 0)
    glacier = np.zeros((30, 30), np.int32)
    glacier[5:15, 5:20], glacier[18:28, 8:25] = 1, 2
    drawn = inventory.digitise(
        np.random.default_rng(0), glacier, np.zeros(glacier.shape), np.zeros(glacier.shape, bool)
    )
    assert (drawn != glacier).mean() < 0.02  # corners are rounded
