"""Checks before training: all that can be said about a config before data are prepared or a network is trained.

`before_training` is the one place that a run calls. The description of the settings (`downscale_jax.settings`) covers
the values; the `build` and the `check` of a system cover what needs its networks or other files.
"""

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from math import prod
from typing import Any

import jax

from downscale_jax.fields.geometry import places
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import memory, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.memory import format_bytes
from downscale_jax.settings.check import check
from downscale_jax.systems.system import Config, Shapes, System


def before_training(system: System[Any, Any], config: Config) -> Mapping[str, Any]:
    """The tasks that `system` builds from a config whose settings are valid. Raises UserError."""
    check(system.settings, config)
    system.check(config, training=True)
    check_batch(config, system.shapes(config))
    return system.build(config)


def check_batch(config: Config, shapes: Shapes) -> None:
    """Raises UserError for a batch that the devices or the microbatches do not divide, or that memory does not hold."""
    size, accumulate = (config['training'][key] for key in ('batch_size', 'accumulate'))
    rows = len(parallel.local_rows(size)) // jax.local_device_count()
    if rows % accumulate:
        raise UserError(
            f'training.accumulate={accumulate} does not divide the {rows} rows of each device: choose a divisor of them'
        )
    needed = rows * sum(prod(array.shape) * array.dtype.itemsize for array in shapes.values())
    if needed > (free := memory.available()):
        sizes = [f'data.{key}={config["data"][key]}' for key in ('patch', 'size') if key in config['data']]
        patches = f' with {sizes[0]}' if sizes else ''
        raise UserError(
            f'training.batch_size={size}{patches} needs {format_bytes(needed)} of memory on each device, but '
            f'{format_bytes(free)} are free: choose a smaller one'
        )


def check_grid(config: Config, prepared: Prepared) -> None:
    """Raises UserError for settings of evaluation that do not fit the grid of the data."""
    settings = config['evaluation']
    if 'scales' in settings.get('measures', ()) and settings['window'] > (side := min(prepared.mask.shape)):
        rows, columns = prepared.mask.shape
        raise UserError(
            f'evaluation.window={settings["window"]} does not fit the grid of {rows} x {columns} cells: choose at most '
            f"{side // 2 * 2}, or leave 'scales' out of evaluation.measures"
        )


def check_places(config: Config) -> None:
    """Raises UserError where evaluation.places names no list of places."""
    try:
        places.read(config['evaluation']['places'])
    except UserError as error:
        raise UserError(f'evaluation.places: {error}') from error


def check_multiple(key: str, value: int, divisor: int, what: str) -> None:
    """Raises UserError where a setting is not a multiple of `divisor`, which is `what`."""
    if value % divisor:
        below = value // divisor * divisor
        valid = ' or '.join(str(number) for number in (below, below + divisor) if number)
        raise UserError(f'{key}={value} is not a multiple of {divisor}, {what}: use {valid}')


def check_extra(extra: str, modules: Iterable[str]) -> None:
    """Raises UserError where a module that comes with an extra of this package is not installed."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UserError(f"{', '.join(missing)} not installed: run pip install 'downscale_jax[{extra}]'")
