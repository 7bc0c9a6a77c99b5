"""The fields named by a `data` section, opened lazily: from files, or simulated where data.path is empty."""

from collections.abc import Callable, Sequence

import xarray as xr

from data_prep.image_sets import ImageSet
from data_prep.readers.series import read_series
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings.data import ATMOSPHERE, MOUNTAINS
from downscale_jax.settings.images import CIRRUS, CLOUD_SHAPE, ROSETTES


def open_series(data: dict, seed: int) -> xr.Dataset:
    """Canonical data.variables in time, in data.units where given, with the statics of data.context that exist."""
    fields = _simulated_series(data, seed) if not data['path'] else _read_series(data)
    units = zip(data['variables'], data.get('units', ()), strict=False)
    return fields.assign({name: convert_units(fields[name], unit, data['path']) for name, unit in units})


def check_patch(grid: Sequence[int], data: dict) -> None:
    """Raises UserError where no patch fits the grid of (rows, columns); data for evaluation alone have no patches."""
    size, (rows, columns) = data.get('patch', 1), grid
    if size > min(rows, columns):
        raise UserError(f'data.patch={size} does not fit the grid of {rows} x {columns} cells: choose a smaller one')


def _read_series(data: dict) -> xr.Dataset:
    return read_series(data['path'], data['variables'], data['level'], data.get('context', ()))


def _simulated_series(data: dict, seed: int) -> xr.Dataset:
    from data_prep.simulators import atmosphere, mountains

    worlds: dict[str, Callable[..., xr.Dataset]] = {ATMOSPHERE: atmosphere.simulate, MOUNTAINS: mountains.simulate}
    settings = {'seed': seed, **data['simulate']}
    return worlds[settings.pop('world', ATMOSPHERE)](**settings)


def open_refinement(data: dict, seed: int) -> xr.Dataset:
    """Canonical data.target and data.inputs in time, with a `mask`; the simulated ones are sea ice."""
    names = list(dict.fromkeys([data['target'], *data['inputs']]))
    if not data['path']:
        from data_prep.simulators import sea_ice

        fields = sea_ice.simulate(seed=seed, size=data['simulate']['size'], states=data['simulate']['states'])
        return canonical(fields, names, 'mask', 'the simulated sea ice')
    fields = canonical(store.open_dataset(data['path']), names, data['mask'], data['path'])
    check_times(fields, names, data['path'])
    if not data['mask']:
        # one more pass over the file: otherwise land would count as ocean, and coarse fields would extend over it
        ever_valid = fields[data['target']].notnull().any('time')
        fields['mask'] = store.load(ever_valid, data['path']).assign_attrs(fields['mask'].attrs)
    return fields


def open_images(data: dict, seed: int) -> ImageSet:
    """Labelled images: those of a file, or simulated where data.path is empty."""
    if data['world'] == ROSETTES:
        from data_prep.simulators.crystals import rosettes

        camera = data['views'], float(data['angle'])
        return rosettes.simulate(seed, data['arms'], **numbers(data), camera=camera, size=data['size'])
    if data['world'] == CIRRUS:
        if data['path']:
            from data_prep.readers import cloud_levels

            return cloud_levels.read(data['path'], CLOUD_SHAPE)
        from data_prep.simulators.cirrus import ensemble

        settings = {'seed': seed, **data['simulate']}
        return ensemble.simulate(**settings)
    if data['path']:
        from data_prep.readers import particle_images

        return particle_images.read(data['path'], data['size'])
    from data_prep.simulators.crystals import particles

    return particles.simulate(seed, data['habits'], **numbers(data), size=data['size'])


def numbers(data: dict) -> dict[str, int]:
    """Numbers of crystals and orientations of a simulation."""
    return {name: data['simulate'][name] for name in ('crystals', 'orientations')}
