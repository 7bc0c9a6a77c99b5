"""Satellite scenes as they are delivered: Sentinel-2 products, and tables of files for all other sensors.

A table is a CSV file with one row per scene: `date`, one column per band that names a file (`FILE` or `FILE:BAND` with
the number of a band in it), and optionally `cloud`, a file with the probability of cloud (0 to 1, or per cent), and
`nodata`. Files are looked for in the folder of the table.
"""

import csv
import glob
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from downscale_jax.fields.rasters import rasters
from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.rasters.rasters import Layer
from downscale_jax.fields.rasters.region import Scene
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.runtime.files import first_line

SENTINEL_2 = {'blue': 'B02', 'green': 'B03', 'red': 'B04', 'nir': 'B08', 'swir': 'B12'}
NUMBERS = {'B02': 1, 'B03': 2, 'B04': 3, 'B08': 7, 'B12': 12}  # band_id of the offsets in the metadata
CLOUD, NODATA, DATE = 'cloud', 'nodata', 'date'


class Product(NamedTuple):
    """The files of a scene."""

    name: str
    date: np.datetime64
    bands: Mapping[str, Layer]
    cloud: Layer | None


def find(path: str) -> list[Product]:
    """The scenes of a table, of a Sentinel-2 product, or of a pattern of these. Raises UserError without any."""
    names = [path] if Path(path).exists() else sorted(glob.glob(path))
    if not names:
        raise UserError(f'{path}: no such file or folder')
    found: list[Product] = []
    for name in map(Path, names):
        if name.suffix.lower() == '.csv':
            found += table(name)
        elif name.suffix.upper() == '.SAFE':
            found.append(sentinel_2(name))
        else:
            raise UserError(f'{name}: neither a table of scenes (.csv) nor a Sentinel-2 product (.SAFE)')
    return found


def table(path: Path) -> list[Product]:
    """The scenes of a CSV table. Raises UserError where it is not such a table or has no scene."""
    try:
        with path.open(newline='', encoding='utf-8-sig') as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f'{path} cannot be read as a table ({first_line(error)}): save it as CSV in UTF-8') from error
    columns = reader.fieldnames or ()
    if DATE not in columns:
        raise UserError(
            f"{path} has no column '{DATE}', only {', '.join(columns) or 'none'}: separate columns by commas"
        )
    if not rows:
        raise UserError(f'{path}: no scene; give a header with {DATE} and the bands, and one row per scene')
    products = []
    for number, row in enumerate(rows, 2):
        try:
            date = np.datetime64(row[DATE] or '', 'D')
        except ValueError:
            date = np.datetime64('NaT')
        if np.isnat(date):
            raise UserError(f"{path}, line {number}: {DATE}='{row[DATE]}' is not a date: write it as 2015-08-30")
        try:
            nodata = float(row[NODATA]) if row.get(NODATA) else None
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}: {NODATA}='{row[NODATA]}' is not a number: give the fill value, or nothing"
            ) from error
        layers = {
            key: _layer(path.parent, text, nodata)
            for key, text in row.items()
            if text and key not in (DATE, NODATA, None)
        }
        cloud = layers.pop(CLOUD, None)
        products.append(Product(f'{path.stem}-{number - 1}', date, layers, cloud and cloud._replace(nodata=None)))
    return products


def _layer(folder: Path, text: str, nodata: float | None) -> Layer:
    name, _, index = text.rpartition(':')
    return Layer(folder / name, int(index), nodata=nodata) if index.isdigit() and name else Layer(
        folder / text, nodata=nodata
    )  # fmt: skip


def sentinel_2(folder: Path) -> Product:
    """A product of level 1C or 2A. Raises UserError where its date or its metadata are missing.

    Reflectance is (number + offset) / quantification; products since January 2022 have an offset of -1000.
    """
    match = re.search(r'_(\d{8})T', folder.name)
    metadata = next(iter(sorted(folder.glob('MTD_MSIL*.xml'))), None)
    if not match or metadata is None:
        raise UserError(f'{folder}: not a Sentinel-2 product: its name needs a date, its folder MTD_MSIL1C.xml or 2A')
    quantification, offsets = calibration(metadata)
    bands = {}
    for band, name in SENTINEL_2.items():
        files = sorted(folder.glob(f'GRANULE/*/IMG_DATA/**/*_{name}*.jp2'))
        if files:  # sorted, 10 m comes before 20 m
            scale = 1 / quantification
            bands[band] = Layer(files[0], scale=scale, offset=scale * offsets.get(NUMBERS[name], 0.0), nodata=0.0)
    clouds = sorted(folder.glob('GRANULE/*/QI_DATA/MSK_CLDPRB_*.jp2'))
    day = match[1]
    date = np.datetime64(f'{day[:4]}-{day[4:6]}-{day[6:]}')
    return Product(folder.stem, date, bands, Layer(clouds[0], scale=0.01) if clouds else None)  # per cent


def calibration(path: Path) -> tuple[float, dict[int, float]]:
    """Quantification value and {band_id: offset} of a product's metadata. Raises UserError where they are missing."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise UserError(f'{path} is damaged ({error}): download the product again') from error
    quantification = next(
        (float(e.text or 0) for e in root.iter() if e.tag in ('BOA_QUANTIFICATION_VALUE', 'QUANTIFICATION_VALUE')), 0.0
    )
    if quantification <= 0:
        raise UserError(f'{path} has no QUANTIFICATION_VALUE: download the product again')
    offsets = {
        int(e.attrib['band_id']): float(e.text or 0)
        for e in root.iter()
        if e.tag in ('BOA_ADD_OFFSET', 'RADIO_ADD_OFFSET')
    }
    return quantification, offsets


def scenes_of(products: Sequence[Product], bands: Sequence[str]) -> tuple[RasterGrid, list[Scene]]:
    """The scenes on the grid of the finest band of the first product.

    Raises UserError for a product that lacks a band.
    """
    for product in products:
        for band in bands:
            if band not in product.bands:
                raise UserError(f"{product.name} has no band '{band}' of data.bands: {suggestion(band, product.bands)}")
    grids = [rasters.grid_of(products[0].bands[band]) for band in bands]
    grid = min(grids, key=lambda grid: grid.cell)
    return grid, [
        Scene(p.name, p.date, partial(image, p, tuple(bands), grid), partial(cloud, p, grid)) for p in products
    ]


def image(product: Product, bands: Sequence[str], grid: RasterGrid) -> np.ndarray:
    """Bands (y, x, band) on the grid, float32, NaN without data."""
    return np.stack([rasters.read(product.bands[band], grid) for band in bands], -1)


def cloud(product: Product, grid: RasterGrid) -> np.ndarray:
    """Probability of cloud (y, x) on the grid, float32; 0 where the product has none."""
    if product.cloud is None:
        return np.zeros(grid.shape, np.float32)
    values = np.nan_to_num(rasters.read(product.cloud, grid), nan=0.0)
    return values / 100 if values.max() > 1 else values
