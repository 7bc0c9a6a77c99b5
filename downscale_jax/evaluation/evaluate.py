"""Test days -> ensembles beside baselines -> scores.json, details.json, figures, report.html."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.evaluation import present
from downscale_jax.evaluation import records as days
from downscale_jax.evaluation.collect import collect
from downscale_jax.evaluation.report import html as report
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import ranks as calibration
from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.summary import summarise
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.blocks import block_centres
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.runtime.files import write_json


def evaluate(
    generators: Mapping[str, Generator], prepared: Prepared, config: dict[str, Any], workdir: Path
) -> dict[str, dict[str, float]]:
    """Scores every generator and the coarse field as it is on `evaluation.days` days of the test split (0: all).

    Ensembles go to workdir/ensembles/NAME.zarr first, by the same way as `--mode=downscale`, so that a killed
    evaluation goes on; those of other settings are replaced. The main one is the last that draws members: figures show
    it, and spectra its mean; without any, the last generator. Returns {method: {score: number}}, without what is
    undefined, also written to scores.json; details.json has the intervals and what `summary.summarise` says by regime,
    season, rank and scale.
    """
    settings = config['evaluation']
    split = prepared.split('test')
    times = split.times
    chosen = days.pairs(times, settings['days'])
    opened = fill(generators, prepared, split, times, chosen, config, workdir, present.label(prepared))
    ensembles = [name for name, generator in generators.items() if generator.draws]
    main = [scales.COARSE, *generators, *ensembles][-1]
    collected = collect(opened, prepared, split, times, chosen, main, settings)
    low, high = prepared.meta['range']
    cell = cell_km(prepared)
    kernel = float(prepared.meta['kernel_km'][prepared.transform_as(RefinementTransform).channel])
    wavelength = spectra.wavelengths(settings['window'], cell)
    seasons = calibration.season(times[chosen])
    details = summarise(collected, seasons, high - low, wavelength, kernel, cell)
    table = {
        method: {name: float(found[name][0]) for name in scores.SCORES if np.isfinite(found.get(name, [np.nan])[0])}
        for method in collected.scores
        for found in (details[method]['scores'],)
    }
    write_json(workdir / 'scores.json', {method: dict(sorted(row.items())) for method, row in table.items()})
    write_json(workdir / 'details.json', present.plain(details))
    shown = present.Shown(prepared, settings, details, main, ensembles, cell, kernel, wavelength)
    worst = int(np.argmax([sums['squared_error'][0] for sums in collected.scores[scales.COARSE]]))
    captions = present.draw(shown, collected, opened, split, times, chosen, worst, workdir)
    report.write(
        workdir / 'report.html',
        title=f'{present.label(prepared)} downscaled',
        lead=present.lead(shown, generators),
        unit=prepared.transform_as(RefinementTransform).units,
        summary=present.headline(shown, table),
        scores=table,
        intervals={m: {n: (e[1], e[2]) for n, e in details[m]['scores'].items()} for m in table},
        tables=present.tables(shown),
        figures={caption: workdir / 'figures' / f'{name}.png' for name, caption in captions.items()},
        config=config,
        notes=present.notes(shown, collected, len(chosen), len(split)),
    )
    present.print_table(table, scores.SCORES, prepared.transform_as(RefinementTransform).units)
    return table


def fill(
    generators: Mapping[str, Generator],
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: list[int],
    config: dict[str, Any],
    workdir: Path,
    what: str,
) -> dict[str, xr.Dataset]:
    """{name: what the generator makes of the chosen days, lazily}; what its store lacks is generated. `what` is
    downscaled, in words."""
    coarse = coarse_dataset(prepared, split, times, chosen)
    opened = {}
    for name, generator in generators.items():
        members = config['evaluation']['members'] if generator.draws else 1
        path = workdir / 'ensembles' / f'{name}.zarr'
        path.parent.mkdir(exist_ok=True)
        request = {'input': f'{prepared.directory.name}, {len(chosen)} days of test', 'model': generator.identity}
        attrs = {'title': f'{what} downscaled by {name}, days of the test split'}
        ensemble.to_store(
            generator, coarse, prepared.statics, members, config['seed'], attrs, path, request, replace=True
        )
        opened[name] = xr.open_zarr(path, consolidated=False)
    return opened


def coarse_dataset(prepared: Prepared, split: Split, times: np.ndarray, chosen: list[int]) -> xr.Dataset:
    """The coarse inputs of test days as a lazy canonical data set, on the fine grid or, block means, on their own."""
    transform, dims, shape = prepared.field_transform, prepared.statics['mask'].dims, prepared.mask.shape
    coords = {name: c for name, c in prepared.statics.coords.items() if name != 'time'}
    if isinstance(transform, BlockMeans):
        coords = {
            name: (c.dims, block_centres(c.values, transform.factor, name == 'lon'), c.attrs)
            for name, c in coords.items()
            if c.ndim
        }
        shape = (shape[0] // transform.factor, shape[1] // transform.factor)

    def read_day(day, channel):
        record = split[day]
        if isinstance(transform, BlockMeans):
            return transform.coarsen(record['fine'], prepared.area)[None, ..., channel]
        return record['coarse'][None, ..., channel]

    variables = {}
    for channel, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True)):
        days_of = [
            dask.array.from_delayed(dask.delayed(read_day)(day, channel), (1, *shape), np.float32) for day in chosen
        ]
        variables[name] = (('time', *dims), dask.array.concatenate(days_of), {'units': units})
    return xr.Dataset(variables, {**coords, 'time': ('time', times[chosen])})


def cell_km(prepared: Prepared) -> float:
    dy, dx = grid.cell_sizes_km(prepared.statics)
    return float(np.sqrt(np.median(dy) * np.median(dx)))
