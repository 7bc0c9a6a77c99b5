"""Curvilinear grids whose cells on land have no latitude and longitude, as of ocean models."""

import warnings

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.statistics.semivariogram import choose
from downscale_jax.fields.geometry.grid import cell_areas_km2, cell_sizes_km, valid_area
from downscale_jax.fields.geometry.places import Places, cells

LAT, LON = np.meshgrid(45 + 0.1 * np.arange(20), 5 + 0.1 * np.arange(30), indexing='ij')
HOLES = {
    'corner': np.s_[:4, :3],
    'inside': np.s_[9:14, 8:12],
    'a cell': np.s_[7:8, 7:8],
    'rows': np.s_[:2],
    'column': np.s_[:, 29:],
}


def grid(hole):
    lat, lon = LAT.copy(), LON.copy()
    lat[hole], lon[hole] = np.nan, np.nan
    planes = {'lat': (('y', 'x'), lat), 'lon': (('y', 'x'), lon)}
    return xr.Dataset({'mask': (('y', 'x'), np.isfinite(lat))}, planes)


@pytest.mark.parametrize('hole', HOLES.values(), ids=list(HOLES))
def test_areas_and_sizes_beside_a_gap(hole):
    whole, missing = grid(np.s_[:0]), grid(hole)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        area, sizes = cell_areas_km2(missing), cell_sizes_km(missing)
    mask = missing['mask'].values
    np.testing.assert_allclose(area[mask], cell_areas_km2(whole)[mask], rtol=1e-3)
    assert not area[~mask].any()
    for found, expected in zip(sizes, cell_sizes_km(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0.05)


def test_searches_find_cells_with_positions_alone():
    missing = grid(HOLES['corner'])
    rows, columns, inside = cells(
        Places(('in', 'gap', 'far'), np.array([46.0, 45, 60]), np.array([6.0, 5, 9])), missing
    )
    assert (rows.tolist(), columns.tolist(), inside.tolist()) == ([10], [10], [True, False, False])
    area = valid_area(missing)
    pairs = choose(missing, area, (40.0,), count=500)
    assert pairs.kilometres.tolist() == [40]
    assert (area.ravel()[pairs.first] > 0).all()
    assert (area.ravel()[pairs.second] > 0).all()
