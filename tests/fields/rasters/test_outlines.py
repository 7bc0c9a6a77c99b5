"""Outlines on a grid and back, folds, real outlines, and what is wrong with files."""

import geopandas
import numpy as np
import pytest
from shapely.geometry import Polygon, box

from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.rasters.outlines import counted, fitted, folds, nearest, rasterised, read_outlines, vectorised
from downscale_jax.fields.rasters.rasters import Layer, grid_of
from downscale_jax.runtime.errors import UserError

GRID = RasterGrid('EPSG:32632', 600_000.0, 5_200_000.0, 10.0, (30, 40))


def frame(*polygons, crs='EPSG:32632'):
    return geopandas.GeoDataFrame({'id': [str(i) for i in range(len(polygons))]}, geometry=list(polygons), crs=crs)


def square(column, row, side):
    """A square of cells of GRID."""
    west, north = GRID.west + 10 * column, GRID.north - 10 * row
    return box(west, north - 10 * side, west + 10 * side, north)


def test_outlines_become_cells_and_cells_outlines():
    number = rasterised(frame(square(2, 3, 5), square(20, 10, 8)), GRID)
    assert number[3:8, 2:7].tolist() == [[1] * 5] * 5
    assert np.bincount(number.ravel()).tolist() == [1200 - 25 - 64, 25, 64]
    back = vectorised(number, GRID)
    np.testing.assert_allclose(back['area_km2'], [0.0025, 0.0064])
    np.testing.assert_array_equal(rasterised(back, GRID), number)


def test_the_smaller_of_two_overlapping_outlines_counts():
    number = rasterised(frame(square(0, 0, 3), square(0, 0, 10)), GRID)
    assert np.bincount(number.ravel())[1:].tolist() == [9, 91]


def test_only_large_glaciers_count():
    small, large = square(2, 3, 5), square(20, 10, 8)
    outlines = fitted(frame(small, large), GRID, 'outlines')
    found = counted(outlines, GRID, 0.005)
    assert found.outlines['id'].tolist() == ['1']
    assert np.bincount(found.number.ravel()).tolist() == [1200 - 64, 64]


def test_folds_have_equal_area_and_are_ordered_by_longitude():
    rng = np.random.default_rng(0)
    longitude, area = rng.uniform(7, 15, 400), rng.gamma(1.0, 1.0, 400)
    fold = folds(longitude, area, 5)
    assert sorted(set(fold)) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(np.bincount(fold, area) / area.sum(), 0.2, atol=0.02)
    assert all(longitude[fold == k].max() <= longitude[fold == k + 1].min() for k in range(4))


def test_cells_belong_to_the_nearest_glacier():
    number = np.zeros((5, 8), int)
    number[2, 1], number[2, 6] = 1, 2
    assert nearest(number).tolist() == [[1, 1, 1, 1, 2, 2, 2, 2]] * 5


def test_other_coordinates_are_reprojected_and_knots_repaired(tmp_path, caplog):
    bow = Polygon([(w, n) for w, n in ((600_000, 5_199_900), (600_200, 5_199_700), (600_200, 5_199_900),
                                       (600_000, 5_199_700))])  # fmt: skip
    given = frame(square(2, 3, 5), bow, square(1000, 0, 5)).to_crs('EPSG:4326')
    given['rgi_id'] = ['a', 'b', 'c']
    given.to_file(tmp_path / 'outlines.gpkg', driver='GPKG')
    with caplog.at_level('INFO', 'downscale_jax'):
        read = fitted(read_outlines(str(tmp_path / 'outlines.gpkg')), GRID, 'outlines')
    assert read['id'].tolist() == ['a', 'b']
    np.testing.assert_allclose(read['area_km2'], [0.0025, 0.02], rtol=1e-4)
    assert '1 of 3 outlines intersect themselves' in caplog.text
    assert '2 of 3 outlines reach into the scenes' in caplog.text


def test_an_area_that_is_no_number_is_that_of_the_outline():
    given = frame(square(2, 3, 5), square(10, 3, 5))
    given['Area'] = ['2.5', 'unknown']
    np.testing.assert_allclose(fitted(given, GRID, 'rgi')['area_km2'], [2.5, 0.0025])


def test_files_that_cannot_be_used(tmp_path):
    frame(square(1000, 0, 5)).to_file(tmp_path / 'elsewhere.gpkg', driver='GPKG')
    with pytest.warns(UserWarning, match='crs'):
        frame(square(2, 3, 5), crs=None).to_file(tmp_path / 'unplaced.gpkg', driver='GPKG')
    (tmp_path / 'text.gpkg').write_text('no outlines')
    points = frame(square(2, 3, 5))
    points.set_geometry(points.centroid).to_file(tmp_path / 'points.gpkg', driver='GPKG')
    for name, message in (
        ('elsewhere', 'none of the 1 outlines lies within the scenes'),
        ('unplaced', 'no coordinate reference system'),
        ('text', 'cannot be read as outlines'),
        ('points', 'holds no polygon, only Point'),
        ('missing', 'no such file'),
    ):
        with pytest.raises(UserError, match=message):
            fitted(read_outlines(str(tmp_path / f'{name}.gpkg')), GRID, name)


def test_real_areas_within_a_per_cent(shared_data):
    """Outlines of the Oetztal on 30 m in the zone of UTM that its relief, in degrees, lies in."""
    folder = shared_data / 'glaciers'
    relief = grid_of(Layer(folder / 'srtm_oetztal.tif'))
    west, south, east, north = relief.bounds
    grid = RasterGrid(relief.crs, west, north, 30.0, (int((north - south) / 30), int((east - west) / 30)))
    outlines = fitted(read_outlines(str(folder / 'rgi_oetztal.shp')), grid, 'rgi')
    cells = np.bincount(rasterised(outlines, grid).ravel())[1:]
    assert len(outlines) == 20
    np.testing.assert_allclose(cells * grid.cell_km2, outlines['area_km2'], rtol=0.01)
