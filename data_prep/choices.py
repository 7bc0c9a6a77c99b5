"""Choices that a config of pairs leaves open, made from the two files and reported: variables, units, splits, sizes."""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from data_prep.readers.common_times import days_between, matched
from data_prep.readers.pairs import (
    Pair,
    fields_in_time,
    in_units,
    open_coarse,
    open_fine,
)
from data_prep.records.pairs import simulated_pair
from data_prep.records.shards import SPLITS
from downscale_jax.fields.context.surface import find_surface
from downscale_jax.fields.datasets import archives, store
from downscale_jax.fields.datasets.archives import FIELDS, PRECIPITATION, Kind, of_kind
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.units import are_equal, convert_units, is_difference
from downscale_jax.fields.geometry.grid import cell_size_km
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.settings.check import check
from downscale_jax.settings.pairs import PairsData

INFINITY = float('inf')
FEWEST_YEARS = 3  # complete ones, from which whole years are held out
BLOCKS = 20  # of a shorter period: every fifth is for test, every tenth for validation
STEMS = {4: 64, 2: 24, 1: 0}  # stem of the network: fewest cells on the shorter side of the fine grid
LARGEST_PATCH = 64
LARGEST_WINDOW = 40
MIN_SIZE_RATIO = 0.5  # of coarse to fine cells: below it the files were probably swapped


class Quantity(NamedTuple):
    """Normalisation and bounds of a quantity, recognised by words of the CF standard name; not of its differences."""

    words: tuple[str, ...]
    transform: str
    bounds: tuple[float, float]


RAIN = Quantity(('precipitation', 'rainfall', 'snowfall'), 'log1p', (0.0, INFINITY))
QUANTITIES = (
    RAIN,
    Quantity(('area_fraction', 'sea_ice_concentration'), 'standard', (0.0, 1.0)),
    Quantity(
        ('specific_humidity', 'relative_humidity', 'mixing_ratio', 'wind_speed', 'downwelling', 'thickness',
         'mass_concentration', 'mole_concentration', 'number_concentration'),
        'standard', (0.0, INFINITY),
    ),
)  # fmt: skip
PLAIN = Quantity((), 'standard', (-INFINITY, INFINITY))


def choose(config: dict[str, Any]) -> dict[str, Any]:
    """The config with every open choice of `data` made; configs of other kinds of data are returned as they are.

    A setting that is given is kept. Each choice is printed, and stored in config.json with the rest. Raises UserError
    where the files hold nothing to choose from.
    """
    data = dict(config['data'])
    if data['kind'] != 'pairs':
        return config
    if bool(data['coarse']) != bool(data['fine']):
        missing = 'data.fine' if data['coarse'] else 'data.coarse'
        raise UserError(f'{missing} is empty: a pair is two files, --config.data.coarse=.. and --config.data.fine=..')
    if data['coarse'] and data['coarse'] == data['fine']:
        raise UserError(f'data.coarse and data.fine are both {data["fine"]}: a pair is two different sources')
    check(PairsData, data, 'data.')
    coarse, fine = open_pair(data, config['seed'])
    chosen: dict[str, Any] = {}

    def take(key: str, choice: Callable[[], Any]) -> None:
        if data[key] in ((), [], '', None):
            data[key] = chosen[f'data.{key}'] = choice()

    take('predictors', lambda: variables_of(coarse, data['coarse'] or 'the coarse data', 'data.predictors'))
    take('targets', lambda: variables_of(fine, data['fine'] or 'the fine data', 'data.targets'))
    for key, names, fields in (('predictors', data['predictors'], coarse), ('targets', data['targets'], fine)):
        check_names(key, names, fields)
    check(PairsData, data, 'data.')
    take('target_units', lambda: tuple(units_of(fine[name], name) for name in data['targets']))
    take('sources', lambda: sources_of(coarse, fine, data['predictors'], data['targets']))
    take('predictor_units', lambda: predictor_units(coarse, data))
    check_source_units(coarse, data)
    take('predictor_transform', lambda: tuple(quantity_of(coarse[n], n).transform for n in data['predictors']))
    kinds = [quantity_of(fine[name], name) for name in data['targets']]
    take('transform', lambda: tuple(kind.transform for kind in kinds))
    take('bounds', lambda: tuple(bounds_in(kind, unit) for kind, unit in zip(kinds, data['target_units'], strict=True)))
    first_pair = first_fields(Pair(coarse, fine), data)
    check_resolution(first_pair, data)
    if not (data['train'] and data['validation'] and data['test']):
        stamps = [fields['time'].values for fields in first_pair]
        splits = split(stamps[0][matched(stamps, source_names(data)).positions[0]])
        for name, dates in splits.items():
            data[name] = chosen[f'data.{name}'] = dates
    take('context', lambda: context_of(coarse, fine, first_pair.fine['time'].values, data))
    take('relief', lambda: relief_of(coarse, fine, data))
    model, evaluation = dict(config['model']), dict(config['evaluation'])
    shape = first_pair.fine['mask'].shape
    if model['stem'] is None:
        model['stem'] = chosen['model.stem'] = next(stem for stem, cells in STEMS.items() if min(shape) >= cells)
    take('patch', lambda: patch_of(shape, model['stem'] * 2 ** len(model['widths'])))
    if not evaluation['baselines']:
        evaluation['baselines'] = chosen['evaluation.baselines'] = baselines_of(data['sources'])
    if evaluation['window'] is None:
        evaluation['window'] = chosen['evaluation.window'] = min(LARGEST_WINDOW, min(shape) // 2 * 2)
    for key, value in chosen.items():
        messages.info(f'{key} = {value!r}')
    return {**config, 'data': data, 'model': model, 'evaluation': evaluation}


def patch_of(shape: tuple[int, ...], stride: int) -> int:
    """Cells per side of a patch: LARGEST_PATCH, less on a smaller grid, in multiples of the network's stride."""
    return max(stride, min(LARGEST_PATCH, -(-max(shape) // stride) * stride) // stride * stride)


def open_pair(data: dict[str, Any], seed: int) -> Pair:
    """The two files, or the simulated pair."""
    if data['coarse']:
        return Pair(open_coarse(data['coarse'], data['member']), open_fine(data['fine']))
    return simulated_pair(**{'seed': seed, **data['simulate']})


def variables_of(dataset: xr.Dataset, source: str, setting: str) -> tuple[str, ...]:
    """All fields in time."""
    names = tuple(fields_in_time(dataset))
    if not names:
        raise UserError(f'{source}: no variable with time and two dimensions of space; set {setting}')
    return names


def check_names(key: str, names: Sequence[str], dataset: xr.Dataset) -> None:
    """Raises UserError for a variable that the data set lacks."""
    for name in names:
        if name not in dataset.data_vars:
            raise UserError(f"data.{key} names '{name}': {suggestion(name, map(str, dataset.data_vars))}")


def kind_of(array: xr.DataArray, name: str) -> Kind | None:
    """The kind of quantity by standard name or usual name, if it is a known one."""
    return next((kind for kind in FIELDS if of_kind({name: array.attrs.get('standard_name')}, kind)), None)


def quantity_of(array: xr.DataArray, name: str) -> Quantity:
    """The quantity of a variable, by its standard name or a usual name."""
    standard = str(array.attrs.get('standard_name', ''))
    if is_difference(array.attrs) or standard.startswith(('tendency_of', 'change_')):
        return PLAIN
    if kind_of(array, name) is PRECIPITATION:
        return RAIN
    return next((q for q in QUANTITIES if any(word in standard for word in q.words)), PLAIN)


def units_of(array: xr.DataArray, name: str) -> str:
    """Units of a target: those of the file; of precipitation 'mm day-1' or 'mm', in which ln(1 + x) separates drizzle
    from rain.

    Raises UserError for a target without units.
    """
    units = archives.units_of(array)
    if units is None:
        raise UserError(
            f"'{name}' of the fine data has no units: add the attribute, or give data.target_units, '' for a target "
            'without units'
        )
    rates_and_amounts = ('mm day-1', 'mm') if quantity_of(array, name) is RAIN else ()
    return next((unit for unit in rates_and_amounts if is_convertible(array, unit)), str(units))


def is_convertible(array: xr.DataArray, units: str) -> bool:
    try:
        convert_units(array[(0,) * array.ndim].assign_attrs(units=archives.units_of(array)), units)
    except UserError:
        return False
    return True


def sources_of(
    coarse: xr.Dataset, fine: xr.Dataset, predictors: Sequence[str], targets: Sequence[str]
) -> tuple[str, ...]:
    """For each target the predictor of the same quantity: of its name, or of its kind, level and extreme.

    '' where there is none. Raises UserError where there are several.
    """

    def source(target: str) -> str:
        if target in predictors:
            return target
        kind, wanted = kind_of(fine[target], target), level_and_extreme(fine[target], target)
        same = {
            p: coarse[p].attrs.get('standard_name') for p in predictors if level_and_extreme(coarse[p], p) == wanted
        }
        matches = of_kind(same, kind) if kind else []
        if len(matches) > 1:
            raise UserError(
                f"{', '.join(matches)} of the coarse data could all be the coarse field of '{target}': set "
                "data.sources to one predictor per target, '' for none"
            )
        return matches[0] if matches else ''

    return tuple(source(target) for target in targets)


def level_and_extreme(array: xr.DataArray, name: str) -> tuple[float | None, str]:
    """The level of a field that is not near the surface, by its attribute or a name such as `t_850`, and whether it is
    a maximum or minimum of its periods."""
    methods = str(array.attrs.get('cell_methods', ''))
    extreme = next((word for word in ('maximum', 'minimum') if f'time: {word}' in methods), '')
    named = re.search(r'_(\d+)$', name)
    return array.attrs.get(archives.LEVEL, float(named[1]) if named else None), extreme


def predictor_units(coarse: xr.Dataset, data: dict[str, Any]) -> tuple[str, ...]:
    """Units of each predictor: those of the target that is the same quantity, else those of the file, '' without."""
    of_targets = dict(zip(data['sources'], data['target_units'], strict=True))
    return tuple(of_targets.get(name, archives.units_of(coarse[name]) or '') for name in data['predictors'])


def check_source_units(coarse: xr.Dataset, data: dict[str, Any]) -> None:
    """Raises UserError for a predictor that is read in other units than the target whose coarse field it is."""
    read = dict(zip(data['predictors'], data['predictor_units'], strict=True))
    for target, name, unit in zip(data['targets'], data['sources'], data['target_units'], strict=True):
        own = read.get(name) or archives.units_of(coarse[name]) if name else None
        if own and unit and not are_equal(own, unit, name):
            raise UserError(
                f"data.predictor_units: '{name}' is read in '{own}', but it is the coarse field of '{target}', which "
                f"is in '{unit}': read it in '{unit}', too"
            )


def bounds_in(quantity: Quantity, units: str) -> tuple[float, float]:
    """Bounds of a quantity in `units`: in per cent an upper bound of 1 is 100."""
    low, high = quantity.bounds
    return (low, 100.0 if high == 1 and units in ('%', 'percent') else high)


def source_names(data: dict[str, Any]) -> tuple[str, str]:
    return data['coarse'] or 'the coarse data', data['fine'] or 'the fine data'


def first_fields(pair: Pair, data: dict[str, Any]) -> Pair:
    """The first predictor and the first target, with canonical times and coordinates."""
    names = data['predictors'], data['targets']
    return Pair(
        *(
            in_units(fields, own[:1], ('',), source, 'data')
            for fields, own, source in zip(pair, names, source_names(data), strict=True)
        )
    )


def check_resolution(pair: Pair, data: dict[str, Any]) -> None:
    """Raises UserError where the coarse cells are clearly smaller than the fine ones; NaN sizes, of a single row or
    column, pass."""
    sizes = []
    for fields, source in zip(pair, source_names(data), strict=True):
        try:
            sizes.append(cell_size_km(fields))
        except UserError as error:
            raise UserError(f'{source}: {error}') from error
    coarse, fine = sizes
    if coarse < MIN_SIZE_RATIO * fine:
        raise UserError(
            f'data.coarse={data["coarse"]} has cells of {coarse:.3g} km, data.fine={data["fine"]} cells of {fine:.3g} '
            'km: the coarse cells must be the larger; were the two swapped?'
        )


def split(times: np.ndarray) -> dict[str, tuple[tuple[str, str], ...]]:
    """Training, validation and test by blocks of time: the last fifth of the complete years for test, a tenth before
    them for validation; of less than three complete years, blocks from all seasons."""
    years = np.array([int(iso(time).split('-')[0]) for time in times])
    distinct, counts = np.unique(years, return_counts=True)
    complete = distinct[counts >= 0.9 * counts.max()]
    if len(complete) >= FEWEST_YEARS:
        test = max(1, round(len(complete) / 5))
        held = test + max(1, round(len(complete) / 10))
        starts = distinct[0], complete[-held], complete[-test]  # incomplete years belong to the one before
        lasts = starts[1] - 1, starts[2] - 1, distinct[-1]
        return {name: ((_year(a), _year(b)),) for name, a, b in zip(SPLITS, starts, lasts, strict=True)}
    if len(times) < 2 * BLOCKS:
        raise UserError(f'the files have {len(times)} times in common: at least {2 * BLOCKS} are needed to split them')
    blocks = np.array_split(np.arange(len(times)), BLOCKS)
    names = ['test' if k % 5 == 4 else 'validation' if k % 10 == 2 else 'train' for k in range(BLOCKS)]
    ends = [(iso(times[block[0]]), iso(times[block[-1]])) for block in blocks]
    return {name: tuple(end for end, own in zip(ends, names, strict=True) if own == name) for name in SPLITS}


def _year(year: int) -> str:
    return f'{year:04d}'


def context_of(coarse: xr.Dataset, fine: xr.Dataset, times: np.ndarray, data: dict[str, Any]) -> tuple[str, ...]:
    """The season, the hour of data within a day, and topography and land where a file has them."""
    hours = ('hour',) if days_between(times) < 1 else ()
    held = [fine, coarse, *([store.open_dataset(data['relief'])] if data['relief'] else [])]
    surface = ('topography', 'land')
    present = [any(name in d or find_surface(d, name, 'the data') for d in held) for name in surface]
    names = tuple(name for name, is_present in zip(surface, present, strict=True) if is_present)
    # land follows from a topography
    return ('season', *hours, *(surface if 'topography' in names else names))


def relief_of(coarse: xr.Dataset, fine: xr.Dataset, data: dict[str, Any]) -> str:
    """The coarse file where only it has a topography, else none."""
    if 'topography' not in data['context'] or 'topography' in fine:
        return ''
    own, other = (
        find_surface(fields, 'topography', data[name]) for fields, name in ((fine, 'fine'), (coarse, 'coarse'))
    )
    return data['coarse'] if other and not own else ''


def baselines_of(sources: Sequence[str]) -> tuple[str, ...]:
    """The baselines that the coarse data allow: not all targets may have a coarse field of their own."""
    return (*(() if '' in sources else ('interpolation', 'quantile_mapping')), 'linear_regression')
