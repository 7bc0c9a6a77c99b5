"""Places of patches, bands of latitude and the map of errors, by hand."""

import numpy as np
import xarray as xr

from downscale_jax.evaluation.lags import geography


def test_centres():
    grid = xr.Dataset(coords={'lat': np.linspace(85, -85, 18), 'lon': 10.0 * np.arange(36) - 180})
    lat, lon = geography.centres(grid, np.array([0, 6]), np.array([0, 34]), 6)
    np.testing.assert_allclose(lat, [60, 0])
    np.testing.assert_allclose(lon, [210, 190])  # -180 + 30; across the date line, -170
    curved = xr.Dataset(
        coords={name: (('y', 'x'), values) for name, values in zip(('lat', 'lon'), np.mgrid[0:9, 0:9], strict=True)}
    )
    lat, lon = geography.centres(curved, np.array([1]), np.array([2]), 4)
    assert (lat[0], lon[0]) == (3, 4)
    assert geography.centres(xr.Dataset(coords={'y': np.arange(3)}), np.array([1]), np.array([2]), 4) is None


def test_bands():
    found, names = geography.bands(np.array([89.0, 70.0, 10.0, 9.9, -9.9, -10.0, -89.0]))
    assert names[0] == '70°N to 90°N'
    assert names[4] == '10°S to 10°N'
    assert list(found) == [names[i] for i in (0, 1, 4, 4, 4, 5, 8)]


def test_the_map_of_a_single_row_of_patches():
    row, column = np.full(60, 4), np.arange(60) % 12
    found = geography.error_map(column.astype(float), None, row, column)
    assert found.values.shape == (1, 12)
    np.testing.assert_array_equal(found.values[0], np.arange(12))


def test_a_place_with_few_pairs_has_no_value():
    row, column = np.array([0, 0, 0, 5, 5]), np.array([0, 0, 0, 11, 11])
    values = geography.error_map(np.array([1.0, 2, 3, 4, 5]), None, row, column).values
    assert values[0, 0] == 2
    assert np.isfinite(values).sum() == 1
