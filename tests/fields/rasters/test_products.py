"""Tables of scenes and Sentinel-2 products: bands of several resolutions, offsets, clouds, missing data."""

import geopandas
import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin
from shapely.geometry import box

from downscale_jax.fields.rasters import rasters
from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.rasters.opening import read_region, region_of
from downscale_jax.fields.rasters.products import find, scenes_of
from downscale_jax.fields.rasters.rasters import Layer
from downscale_jax.runtime.errors import UserError

BANDS = ('green', 'swir')
METADATA = """<?xml version="1.0"?><P><QUANTIFICATION_VALUES_LIST>
<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>
<BOA_ADD_OFFSET_VALUES_LIST><BOA_ADD_OFFSET band_id="2">-1000</BOA_ADD_OFFSET>
<BOA_ADD_OFFSET band_id="12">-1000</BOA_ADD_OFFSET></BOA_ADD_OFFSET_VALUES_LIST></P>"""


def write(path, values, cell=10.0, crs='EPSG:32632', driver='GTiff', **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.atleast_3d(values) if np.ndim(values) == 2 else np.moveaxis(values, 0, -1)
    rows, columns, count = values.shape
    if driver == 'JP2OpenJPEG':
        options |= {'QUALITY': '100', 'REVERSIBLE': 'YES'}
    with rasterio.open(
        path, 'w', driver=driver, width=columns, height=rows, count=count, dtype=values.dtype,
        crs=crs, transform=from_origin(600_000, 5_200_000, cell, cell), **options
    ) as file:  # fmt: skip
        file.write(np.moveaxis(values, -1, 0))


def test_a_sentinel_2_product(tmp_path):
    safe = tmp_path / 'S2A_MSIL2A_20230815T101031_N0509_R022_T32TPS_20230815T164200.SAFE'
    green = np.full((64, 64), 3000, np.uint16)
    green[:8] = 0  # no data
    images = safe / 'GRANULE' / 'L2A' / 'IMG_DATA'
    write(images / 'R10m' / 'T32TPS_20230815T101031_B03_10m.jp2', green, driver='JP2OpenJPEG')
    swir = np.arange(1024, dtype=np.uint16).reshape(32, 32) + 2000
    write(images / 'R20m' / 'T32TPS_20230815T101031_B12_20m.jp2', swir, 20.0, driver='JP2OpenJPEG')
    clouds = np.zeros((32, 32), np.uint8)
    clouds[:, 16:] = 90
    write(safe / 'GRANULE' / 'L2A' / 'QI_DATA' / 'MSK_CLDPRB_20m.jp2', clouds, 20.0, driver='JP2OpenJPEG')
    (safe / 'MTD_MSIL2A.xml').write_text(METADATA)
    grid, (scene,) = scenes_of(find(str(tmp_path / '*.SAFE')), BANDS)
    assert (grid.cell, grid.shape) == (10.0, (64, 64))
    assert str(scene.date) == '2023-08-15'
    image = scene.read()
    np.testing.assert_allclose(image[10:, :, 0], 0.2, atol=1e-6)
    assert np.isnan(image[:7, :, 0]).all()
    # cells of 20 m are interpolated: the mean of four fine cells is that of the coarse one
    np.testing.assert_allclose(image[32:34, 32:34, 1].mean(), (swir[16, 16] - 1000) / 1e4, atol=1e-3)
    assert scene.cloud()[20, [5, 60]].tolist() == pytest.approx([0, 0.9])
    assert not scene.valid()[20, 60]
    assert scene.valid()[20, 5]


@pytest.fixture
def table(tmp_path):
    """A table of one scene in two files."""
    write(tmp_path / 'rgb.tif', np.stack([np.full((20, 20), value, np.uint8) for value in (10, 20, 30)]))
    write(tmp_path / 'swir.tif', np.full((20, 20), 7, np.uint8))
    path = tmp_path / 'scenes.csv'
    path.write_text('date,red,green,blue,swir,nodata\n2000-10-30,rgb.tif:1,rgb.tif:2,rgb.tif:3,swir.tif,255\n')
    return path


def test_a_table_of_scenes(table):
    grid, (scene,) = scenes_of(find(str(table)), BANDS)
    assert grid.bounds == (600_000, 5_199_800, 600_200, 5_200_000)
    np.testing.assert_array_equal(scene.read()[5, 5], [20, 7])
    assert scene.cloud().max() == 0


def test_a_raster_of_another_projection(table):
    grid, _ = scenes_of(find(str(table)), BANDS)
    degrees = np.add.outer(np.arange(40.0), np.zeros(60)).astype(np.float32)
    with rasterio.open(
        table.parent / 'degrees.tif', 'w', driver='GTiff', width=60, height=40, count=1, dtype='float32',
        crs='EPSG:4326', transform=from_origin(10.305, 46.955, 0.0005, 0.0005),
    ) as file:  # fmt: skip
        file.write(degrees, 1)
    values = rasters.read(Layer(table.parent / 'degrees.tif'), grid)
    assert np.isfinite(values).all()
    assert (np.diff(values.mean(1)) > 0).all()  # rows still run southward
    np.testing.assert_allclose(np.diff(values.mean(1)), 10 / 111_150 / 0.0005, rtol=0.05)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('date,red\n2000-10-30,rgb.tif:1\n', "has no band 'green' of data.bands"),
        ('date,green,swir\n2000-10-30,rgb.tif:4,swir.tif\n', 'band 4 of 3'),
        ('date,green,swir\n2000-10-30,none.tif,swir.tif\n', 'none.tif: no such file'),
        ('date,green,swir\nOctober,rgb.tif:1,swir.tif\n', "line 2: date='October' is not a date"),
        ('date,green,swir\n', 'no scene'),
        ('date,green,swir\n2000-10-30,bare.tif,swir.tif\n', 'bare.tif has no coordinate reference system'),
        ('date,green,swir\n2000-10-30,scenes.csv,swir.tif\n', 'cannot be read as a raster'),
        ('date,green,swir\n2000-10-30,local.tif,swir.tif\n', 'local.tif has no coordinate reference system'),
        ('date,green,swir,nodata\n2000-10-30,rgb.tif,swir.tif,none\n', "line 2: nodata='none' is not a number"),
        ('date;green;swir\n2000-10-30;rgb.tif;swir.tif\n', "no column 'date', only date;green;swir"),
        ('\0date,green\ud800', 'cannot be read as a table'),
    ],
)
def test_tables_that_cannot_be_used(table, text, message):
    write(table.parent / 'bare.tif', np.zeros((4, 4), np.uint8), crs=None)
    write(table.parent / 'local.tif', np.zeros((4, 4), np.uint8), crs='LOCAL_CS["local",UNIT["metre",1]]')
    table.write_bytes(text.encode(errors='surrogatepass'))
    with pytest.raises(UserError, match=message):
        scenes_of(find(str(table)), BANDS)[1][0].read()


def test_the_everest_scene(shared_data, tmp_path):
    folder = shared_data / 'glaciers'
    rgb = folder / 'everest_landsat7_rgb.tif'
    row = ','.join(['2000-10-30', f'{rgb}:1', f'{rgb}:2', f'{rgb}:3', str(folder / 'everest_landsat7_b4.tif')])
    (tmp_path / 'scenes.csv').write_text(f'date,red,green,blue,nir\n{row}\n')
    region = read_region(
        str(tmp_path / 'scenes.csv'), str(folder / 'everest_rgi60.gpkg'), '', ('blue', 'green', 'red', 'nir')
    )
    assert region.grid == RasterGrid(region.grid.crs, 478_000.0, 3_108_140.0, 30.0, (655, 800))
    assert len(region.outlines) == 86
    np.testing.assert_allclose(
        region.scenes[0].read().mean((0, 1)), [182.0385, 172.6398, 178.2225, 144.0446], rtol=2e-3
    )


@pytest.mark.parametrize(
    ('crs', 'cell', 'ground'),
    [
        ('EPSG:3857', 10.0, 10 * np.cos(np.deg2rad(42.26))),  # of web maps: metres at the equator
        ('EPSG:2225', 10.0, 3.048),  # US survey feet
        ('EPSG:32632', 10.0, 10.0),
        ('EPSG:3035', 10.0, 10.0),
    ],
)
def test_cells_are_metres_on_the_ground(tmp_path, crs, cell, ground):
    write(tmp_path / 'a.tif', np.zeros((20, 20), np.uint8), cell, crs)
    grid = rasters.grid_of(Layer(tmp_path / 'a.tif'))
    assert grid.cell == pytest.approx(ground, rel=0.01)
    assert ('UTM zone' in grid.crs) == (crs not in ('EPSG:3035',))


def test_elevation_with_a_fill_value_that_is_not_declared(table):
    values = np.full((20, 20), 800, np.int16)
    values[3, 3] = -32768
    write(table.parent / 'dem.tif', values)
    frame = geopandas.GeoDataFrame(
        {'id': ['a']}, geometry=[box(600_050, 5_199_850, 600_150, 5_199_950)], crs='EPSG:32632'
    )
    frame.to_file(table.parent / 'a.gpkg')
    files = str(table), str(table.parent / 'a.gpkg'), str(table.parent / 'dem.tif')
    with pytest.raises(UserError, match=r'dem\.tif: the elevation reaches from -32768 to 800 m'):
        read_region(*files, BANDS)


def scenes(**axes):
    axes = {'y': 5_200_000 - 10.0 * np.arange(6), 'x': 600_000 + 10.0 * np.arange(5), **axes}
    shape = 1, len(axes['y']), len(axes['x'])
    values = np.arange(np.prod(shape), dtype='f4').reshape(shape)
    bands = {name: (('time', 'y', 'x'), values) for name in BANDS}
    crs = rasterio.crs.CRS.from_epsg(axes.pop('epsg', 32632)).to_wkt()
    time = np.array(['2000-08-30'], 'M8[ns]')
    return xr.Dataset(bands, {'time': time, **axes, 'spatial_ref': ((), 0, {'crs_wkt': crs})})


def test_scenes_in_python():
    frame = geopandas.GeoDataFrame(
        {'id': ['a']}, geometry=[box(600_000, 5_199_950, 600_030, 5_200_000)], crs='EPSG:32632'
    )
    expected = scenes()['green'].values[0]
    for given in (scenes(), scenes().isel(y=slice(None, None, -1)), scenes().transpose('x', 'time', 'y')):
        region = region_of(given, frame, BANDS)
        np.testing.assert_array_equal(region.scenes[0].read()[..., 0], expected)
    for given, message in (
        (scenes(x=600_000 + 20.0 * np.arange(5)), 'sides from 10 to 20'),
        (scenes(x=600_000 + 10.0 * np.array([0, 1, 2, 3, 5])), 'sides from 10 to 20'),
        (scenes(epsg=3857), 'not metres on the ground'),
    ):
        with pytest.raises(UserError, match=message):
            region_of(given, frame, BANDS)
