"""Areas and rates of each glacier: areas.csv, and areas.gpkg with the outlines."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from downscale_jax.evaluation.glaciers.outcome import MAIN, Outcome
from downscale_jax.pipeline.records import OUTLINES, Prepared
from downscale_jax.runtime.files import reading, write_text

if TYPE_CHECKING:
    import geopandas


def read_outlines(prepared: Prepared) -> 'geopandas.GeoDataFrame':
    """The outlines of all glaciers. Raises UserError for a file that is missing or damaged."""
    import geopandas

    path = prepared.directory / OUTLINES
    with reading(path, prepared.remedy):
        return geopandas.read_file(path)


def write(outcome: Outcome, outlines: 'geopandas.GeoDataFrame', workdir: Path) -> None:
    """Writes one row per test glacier."""
    frame = rows(outcome, outlines)
    write_text(workdir / 'areas.csv', frame.drop(columns='geometry').to_csv(index=False))
    write_package(frame, workdir / 'areas.gpkg')


def rows(outcome: Outcome, outlines: 'geopandas.GeoDataFrame') -> 'geopandas.GeoDataFrame':
    """Areas in km2, rates in km2 and per cent per year, and the IoU of each test glacier."""
    chosen = np.flatnonzero(outcome.chosen)
    frame = outlines.iloc[chosen][['id', 'area_km2', 'geometry']].copy()
    counts = outcome.counts[MAIN]
    union = counts['hits'] + counts['false'] + counts['missed']
    columns = {'iou': counts['hits'] / np.maximum(union, 1)}
    columns |= {f'cloud_{i}': share for i, share in enumerate(outcome.clouded)}
    if outcome.change is not None:
        change = outcome.change
        columns |= {
            'area_first_km2': change.first,
            'area_later_km2': change.later,
            'rate_km2_per_year': change.rate,
            'sigma_km2_per_year': change.sigma,
            'rate_percent_per_year': 100 * change.rate / np.maximum(change.first, 1e-9),
            'outlier': change.outlier,
        }
        if change.true_first is not None:
            columns['true_rate_km2_per_year'] = change.true
    for name, values in columns.items():
        values = np.asarray(values)[chosen]
        frame[name] = values if values.dtype == bool else np.round(values, 6)
    return frame


def write_package(frame: 'geopandas.GeoDataFrame', path: Path) -> None:
    """Writes a GeoPackage completely or not at all."""
    partial = path.with_name(f'.{path.stem}.partial.gpkg')
    frame.to_file(partial, layer='glaciers', driver='GPKG')
    partial.replace(path)
