"""Glaciers from the command line and from Python: the simulation, the report, and areas in new scenes."""

import csv
import json

import geopandas
import numpy as np
import pytest
import rasterio
import xarray as xr

from data_prep.simulators.glaciers.simulate import simulate
from downscale_jax import load
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.glacier_map import GlacierMap

SETTINGS = ('--config=configs/glaciers.py:smoke', '--config.training.main.steps=10')


@pytest.fixture(scope='module')
def workdir(run, tmp_path_factory):
    """A trained and scored work directory."""
    path = tmp_path_factory.mktemp('glaciers') / 'run'
    done = run(*SETTINGS, f'--workdir={path}')
    assert done.returncode == 0, done.stderr
    return path


def test_scores_of_all_methods(workdir):
    scores = json.loads((workdir / 'scores.json').read_text())
    assert list(scores) == ['network', 'band_ratio', 'ndsi', 'random_forest', 'inventory', 'naive', 'truth']
    assert scores['inventory']['iou'] > scores['band_ratio']['iou'] > 0.4
    assert scores['truth']['rate'] < 0
    assert scores['network']['rate_error'] == pytest.approx(
        scores['network']['rate'] - scores['truth']['rate'], abs=0.5
    )
    names = {path.stem for path in (workdir / 'figures').glob('*.png')}
    assert names == {'map', 'classes', 'change', 'training'}
    assert (workdir / 'report.html').stat().st_size > 10_000


def test_areas_of_each_glacier(workdir):
    outlines = geopandas.read_file(workdir / 'areas.gpkg')
    rows = list(csv.DictReader((workdir / 'areas.csv').read_text().splitlines()))
    assert outlines['id'].tolist() == [row['id'] for row in rows]
    areas = np.array([float(row['area_km2']) for row in rows])
    np.testing.assert_allclose(outlines.geometry.area / 1e6, areas, rtol=1e-3)
    assert areas.min() >= 0.1
    first, later = ([float(row[f'area_{date}_km2'] or 'nan') for row in rows] for date in ('first', 'later'))
    within = outlines.geometry.buffer(90).area / 1e6  # evaluation.buffer of 60 m, and a cell
    assert (np.nan_to_num(first) <= within).all()
    assert (np.nan_to_num(later) <= within).all()


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Scenes of two years, outlines in degrees and elevation of another simulated range, as files."""
    folder = tmp_path_factory.mktemp('scenes')
    region = simulate(3, 128, 192, (2016, 2022), 1)
    lines = ['date,blue,green,red,nir,swir,cloud']
    for scene in region.scenes:
        write_raster(folder / f'{scene.name}.tif', np.moveaxis(scene.read(), -1, 0), region.grid)
        write_raster(folder / f'{scene.name}-cloud.tif', np.zeros((1, *region.grid.shape), np.float32), region.grid)
        bands = ','.join(f'{scene.name}.tif:{band}' for band in range(1, 6))
        lines.append(f'{scene.date},{bands},{scene.name}-cloud.tif')
    (folder / 'scenes.csv').write_text('\n'.join(lines) + '\n')
    write_raster(folder / 'elevation.tif', region.elevation[None], region.grid)
    region.outlines.to_crs('EPSG:4326').to_file(folder / 'outlines.gpkg', driver='GPKG')
    return folder, region


def write_raster(path, values, grid):
    count, rows, columns = values.shape
    with rasterio.open(
        path, 'w', driver='GTiff', width=columns, height=rows, count=count, dtype='float32', crs=grid.crs,
        transform=grid.transform, nodata=np.nan,
    ) as file:  # fmt: skip
        file.write(values.astype(np.float32))


def test_areas_in_new_scenes_by_the_command_and_in_python(run, workdir, files):
    folder, region = files
    given = [f'--{name}={folder / file}' for name, file in (
        ('input', 'scenes.csv'), ('outlines', 'outlines.gpkg'), ('elevation', 'elevation.tif')
    )]  # fmt: skip
    done = run(SETTINGS[0], f'--workdir={workdir}', '--mode=map', *given, f'--output={folder / "areas.gpkg"}')
    assert done.returncode == 0, done.stderr
    written = geopandas.read_file(folder / 'areas.gpkg')
    assert len(written) == (region.outlines['area_km2'] >= 0.1).sum() > 1
    assert {'area_2016_km2', 'area_2022_km2', 'rate_km2_per_year', 'cloud_2016'} <= set(written)
    expected = (written['area_2022_km2'] - written['area_2016_km2']) / 6
    np.testing.assert_allclose(written['rate_km2_per_year'], expected, atol=1e-9)

    times = [np.datetime64(scene.date, 'ns') for scene in region.scenes]
    images = np.stack([scene.read() for scene in region.scenes])
    fields = {band: (('time', 'y', 'x'), images[..., i]) for i, band in enumerate(region.bands)}
    fields['elevation'] = ('y', 'x'), region.elevation
    scenes = xr.Dataset(fields, {'time': times, **region.grid.coordinates()})
    mapped = load(workdir, GlacierMap).map(scenes, region.outlines)
    np.testing.assert_allclose(mapped['area_2022_km2'], written['area_2022_km2'], rtol=0.02, atol=2e-3)
    turned = load(workdir, GlacierMap).map(scenes.isel(y=slice(None, None, -1)), region.outlines)
    np.testing.assert_array_equal(turned['area_2022_km2'], mapped['area_2022_km2'])

    with pytest.raises(UserError, match="the scenes have no band 'swir'"):
        load(workdir).map(scenes.drop_vars('swir'), region.outlines)
    with pytest.raises(UserError, match='every glacier is under cloud'):
        load(workdir).map(scenes.assign(cloud=xr.ones_like(scenes['red'])), region.outlines)
    with pytest.raises(UserError, match=r'none of the \d+ outlines lies within the scenes'):
        load(workdir).map(scenes.assign_coords(x=scenes['x'] + 1e5), region.outlines)
