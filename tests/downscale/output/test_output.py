"""What the output tells of its grid: coordinates, bounds, mapping and cell methods by the CF conventions."""

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.dataset import Provenance, export_netcdf, in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.inputs import CoarseInputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.request import Source
from downscale_jax.fields.datasets.projections import geographic

H, W = 30, 38
PROVENANCE = Provenance('sit', 'made', {'sit': {'standard_name': 'sea_ice_thickness', 'cell_methods': 'time: mean'}})
POLE = {
    'grid_mapping_name': 'rotated_latitude_longitude',
    'grid_north_pole_latitude': 39.25,
    'grid_north_pole_longitude': 198.0,
}
LAMBERT = {
    'grid_mapping_name': 'lambert_conformal_conic',
    'standard_parallel': 45.0,
    'longitude_of_central_meridian': 10.0,
    'latitude_of_projection_origin': 45.0,
}
NORTH, EAST = ({'standard_name': f'{n}itude', 'units': f'degrees_{d}'} for n, d in (('lat', 'north'), ('long', 'east')))


def axis(dim, start, step, n, **attrs):
    return dim, start + step * np.arange(n), attrs


def rotated():
    rlat, rlon = -3 + 0.11 * np.arange(H), -4 + 0.11 * np.arange(W)
    lat, lon = geographic(rlat, rlon, POLE)
    return {
        'rlat': ('y', rlat, {'standard_name': 'grid_latitude', 'units': 'degrees'}),
        'rlon': ('x', rlon, {'standard_name': 'grid_longitude', 'units': 'degrees'}),
        'lat': (('y', 'x'), lat, NORTH),
        'lon': (('y', 'x'), lon, EAST),
        'rotated_pole': ((), 0, POLE),
    }


def lambert():
    plane = {name: c for name, c in rotated().items() if name in ('lat', 'lon')}
    axes = {
        name: axis(name, -2e5, 12e3, n, standard_name=f'projection_{name}_coordinate', units='m')
        for name, n in (('y', H), ('x', W))
    }
    return {**axes, **plane, 'crs': ((), 0, LAMBERT)}


def curvilinear():
    coords = {name: c for name, c in rotated().items() if name in ('lat', 'lon')}
    for name, (dims, values, attrs) in list(coords.items()):
        corners = np.stack([values - 0.1, values - 0.1, values + 0.1, values + 0.1], -1)
        coords[name] = dims, values, {**attrs, 'bounds': f'{name}_bnds'}
        coords[f'{name}_bnds'] = (*dims, 'vertices'), corners, {}
    return coords


def regular():
    return {'lat': axis('lat', 47, 0.1, H, **NORTH), 'lon': axis('lon', 12, 0.1, W, **EAST)}


GRIDS = {'rotated': rotated, 'lambert': lambert, 'curvilinear': curvilinear, 'regular': regular}


def ensemble(generators, transform, grid):
    dims = ('lat', 'lon') if grid is regular else ('y', 'x')
    statics = xr.Dataset({'mask': (dims, np.ones((H, W), np.int8))}, grid())
    rng = np.random.default_rng(0)
    lat, lon = axis('lat', 40, 0.5, 30, units='degrees_north'), axis('lon', 0, 0.5, 60, units='degrees_east')
    if grid is lambert:  # as its cells in the plane
        lat, lon = (axis(name, -4e5, 5e4, n, units='m') for name, n in (('y', 30), ('x', 60)))
    names = ('time', lat[0], lon[0])
    coarse = xr.Dataset(
        {n: (names, rng.uniform(0.5, 1, (2, 30, 60)), {'units': u}) for n, u in (('sit', 'm'), ('sic', '1'))},
        {'time': np.array(['2020-01-01', '2020-01-02T12'], 'M8[ns]'), lat[0]: lat, lon[0]: lon},
    )
    generator = generators['regression']
    return Ensemble(generator, CoarseInputs(coarse, transform, statics), statics, members=1, seed=0)


@pytest.fixture(scope='module')
def stores(generators, transform, tmp_path_factory):
    folder = tmp_path_factory.mktemp('output')
    for name, grid in GRIDS.items():
        to_store(ensemble(generators, transform, grid), folder / f'{name}.zarr', Source('a.nc'), PROVENANCE)
        export_netcdf(folder / f'{name}.zarr', folder / f'{name}.nc')
    return folder


@pytest.mark.parametrize(
    ('grid', 'dims', 'mapping'),
    [
        ('rotated', ('rlat', 'rlon'), 'rotated_pole'),
        ('lambert', ('y', 'x'), 'crs'),
        ('curvilinear', ('y', 'x'), ''),
        ('regular', ('lat', 'lon'), ''),
    ],
)
def test_the_grid_of_the_output(stores, grid, dims, mapping):
    expected = GRIDS[grid]()
    for opened in (xr.open_zarr(stores / f'{grid}.zarr'), xr.open_dataset(stores / f'{grid}.nc')):
        with opened as found:
            assert found['sit'].dims == ('member', 'time', *dims)
            assert found['sit'].attrs.get('grid_mapping', '') == mapping
            for name, (_, values, attrs) in expected.items():
                np.testing.assert_array_equal(found[name], values)
                assert attrs.items() <= found[name].attrs.items()
            assert found['sit'].attrs['cell_methods'] == 'time: mean area: mean'
            assert np.isfinite(found['sit'].values).all()
    with xr.open_dataset(stores / f'{grid}.nc', mask_and_scale=False) as found:
        assert found['sit'].dtype == found['sit'].attrs['valid_min'].dtype == found['sit'].attrs['valid_max'].dtype


def test_in_memory_as_on_disk(stores, generators, transform):
    found = in_memory(ensemble(generators, transform, rotated), PROVENANCE)
    with xr.open_zarr(stores / 'rotated.zarr') as stored:
        xr.testing.assert_equal(found, stored.drop_vars('clipped_share'))
        assert set(found.coords) == set(stored.coords)
    assert found['sit'].attrs['valid_min'].dtype == np.float32


CHECK = """
import sys
from compliance_checker.runner import CheckSuite, ComplianceChecker
CheckSuite.load_all_available_checkers()
report, *files = sys.argv[1:]
ComplianceChecker.run_checker(files, ['cf:1.8'], 0, 'normal', output_filename=report, output_format='json_new')
"""


def test_the_cf_checker_passes_it(stores):
    """In a process of its own, since the checker warns of its own dependencies."""
    files, report = sorted(map(str, stores.glob('*.nc'))), stores / 'report.json'
    subprocess.run([sys.executable, '-W', 'ignore', '-c', CHECK, report, *files], check=True, capture_output=True)
    checked = json.loads(report.read_text())
    assert set(checked) == set(files)
    for file, results in checked.items():
        # the checker does not know rows and columns without coordinates for dimensions of space
        for level in ('high_priorities', 'medium_priorities')[: 1 if 'curvilinear' in file else 2]:
            failed = [(item['name'], item['msgs']) for item in results['cf:1.8'][level] if item['msgs']]
            assert not failed, (file, failed)
