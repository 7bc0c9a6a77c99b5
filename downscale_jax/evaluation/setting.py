"""The setting of a run for its measures: grid, variables, methods, statistics of training."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from downscale_jax.evaluation.labels import shortened
from downscale_jax.evaluation.protocol import Reference, Retiled, Setting, Variable, Zone
from downscale_jax.evaluation.reference import reference
from downscale_jax.evaluation.statistics.change import periods
from downscale_jax.fields.datasets.times import year_of
from downscale_jax.fields.datasets.values.plausibility import limits_of
from downscale_jax.fields.geometry import grid, places
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.pipeline.records import Prepared

WINDS = {
    'eastward_wind': 0, 'x_wind': 0, 'grid_eastward_wind': 0,
    'northward_wind': 1, 'y_wind': 1, 'grid_northward_wind': 1,
}  # fmt: skip


def setting(
    prepared: Prepared,
    settings: Mapping[str, Any],
    baselines: Sequence[str],
    members: Mapping[str, int],
    times: np.ndarray,
    retile: Mapping[str, Callable[[], Retiled | None]],
) -> Setting:
    """settings: the evaluation section of the config; members: of every generator, in order, 1 for a single field;
    times: those that are scored."""
    statistics, cell = reference(prepared), grid.cell_size_km(prepared.statics)
    ensembles = {name: methods_of(name, count, settings['subsets']) for name, count in members.items() if count > 1}
    singles = tuple(name for name, count in members.items() if count == 1)
    main = [*ensembles.values()][-1][-1] if ensembles else [*baselines, *singles][-1]
    ends = [method for methods in ensembles.values() for method in dict.fromkeys((methods[0], methods[-1]))]
    transform = prepared.field_transform
    blocks = transform if isinstance(transform, BlockMeans) else None
    return Setting(
        statics=prepared.statics,
        weight=prepared.statics['cell_area'].values.astype(np.float64) * prepared.mask,
        cell_km=cell,
        periodic=prepared.periodic,
        variables=variables_of(prepared, settings, statistics, cell),
        winds=winds_of(prepared.attributes),
        coarsen=(lambda fields: blocks.coarsen(fields, prepared.area)) if blocks else None,
        reference=statistics,
        places=places.read(settings['places']),
        times=len(times),
        periods=periods([year_of(time) for time in times]),
        window=settings['window'],
        idealised=prepared.meta['idealised'],
        baselines=tuple(baselines),
        singles=singles,
        ensembles=ensembles,
        main=main,
        # of the interpolations the smoothest is enough
        shown=('bicubic' if 'bicubic' in baselines else baselines[0], *singles, *ends),
        retile=retile,
    )


def methods_of(ensemble: str, members: int, subsets: Sequence[int]) -> tuple[str, ...]:
    """The methods of an ensemble: the means of its first n members, for the `subsets` n, and of all of them, last.

    Without subsets the method has the name of the ensemble.
    """
    if not subsets:
        return (ensemble,)
    return tuple(f'{ensemble}_{n}' for n in sorted({*(n for n in subsets if n <= members), members}))


def variables_of(
    prepared: Prepared,
    settings: Mapping[str, Any],
    statistics: Reference,
    cell: float,
) -> tuple[Variable, ...]:
    """Regimes and zones are those of the settings; regimes are by default the terciles of training. A label that
    several variables share is followed by the variable's name."""
    transform, attributes, variables = prepared.field_transform, prepared.attributes, []
    labels = {name: label(name, attributes[name]) for name in transform.targets}
    repeated = {name for name, words in labels.items() if list(labels.values()).count(words) > 1}
    ranges = np.reshape(prepared.meta['range'], (-1, 2))
    for index, (name, units) in enumerate(zip(transform.targets, transform.target_units, strict=True)):
        if isinstance(transform, BlockMeans):
            cells, kernel = transform.factor, transform.factor * cell
        elif isinstance(transform, PairTransform):
            cells, kernel = prepared.meta['coarse_cells'], prepared.meta['kernel_km']
        else:
            kernel = float(prepared.meta['kernel_km'][transform.channel])
            cells = max(1, round(kernel / cell))
        terciles = np.unique([float(f'{edge:.3g}') for edge in statistics.terciles[index]])
        zone = settings['zones'][index] if settings['zones'] else ()
        regimes = settings['regimes'][index] if settings['regimes'] else terciles
        variables.append(
            Variable(
                name=name,
                units=units,
                label=f'{labels[name]} ({name})' if name in repeated else labels[name],
                data_range=float(ranges[index, 1] - ranges[index, 0]),
                kernel_km=kernel,
                coarse_cells=cells,
                quantity=quantity(name, attributes[name], units),
                regimes=tuple(regimes),
                zone=Zone(*zone) if zone else None,
            )
        )
    return tuple(variables)


def label(name: str, attributes: Mapping[str, str]) -> str:
    """A variable in words."""
    words = (attributes.get('standard_name') or attributes.get('long_name') or name).replace('_', ' ')
    return shortened(words.removeprefix('lwe ') if 'precipitation' in words else words)


def quantity(name: str, attributes: Mapping[str, str], units: str) -> str:
    """The quantity of a variable in these units, '' where its values have no known limits."""
    limits = limits_of(name, {**dict[Hashable, Any](attributes.items()), 'units': units})
    return limits.quantity.label if limits else ''


def winds_of(attributes: Mapping[str, Mapping[str, str]]) -> dict[str, str] | None:
    """{name: standard name} of the eastward wind, or that along x, and of the northward one; None without both."""
    winds: dict[int, tuple[str, str]] = {}
    for name, attrs in attributes.items():
        standard = attrs.get('standard_name', '')
        if (place := WINDS.get(standard)) is not None:
            winds.setdefault(place, (name, standard))
    return dict([winds[0], winds[1]]) if len(winds) == 2 else None
