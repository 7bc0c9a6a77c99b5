"""python main.py --config=configs/NAME.py [--workdir=...] [--mode=MODE]

MODE: train, calibrate, evaluate, downscale, describe, pack, map.
"""

from downscale_jax.runtime.signals import exit_on_signals, raise_on_signals

exit_on_signals()  # before the other imports, which take seconds

import itertools
import os
import re
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(Path.home() / '.cache' / 'downscale_jax' / 'xla'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')

from absl import flags
from ml_collections import config_flags

from downscale_jax.runtime.errors import UserError, exit_on_user_error, suggestion
from downscale_jax.runtime.settings import flatten

MODES = ('train', 'calibrate', 'evaluate', 'downscale', 'describe', 'pack', 'map')
READING = ('downscale', 'pack', 'map')  # modes that leave the work directory as it is
NEEDED = {'downscale': ('input', 'output'), 'pack': ('output',), 'map': ('input', 'outlines', 'output')}
# settings that accept None, "not set"
OPTIONAL = ('sampling.temperature', 'evaluation.records', 'data.patch', 'model.stem', 'evaluation.window')
OVERRIDE = re.compile(r'--?(?:no)?config\.([^=]+)=?(.*)', re.DOTALL)  # of a setting on the command line
FLAGS = flags.FLAGS
CONFIG = config_flags.DEFINE_config_file('config', None, 'configs/NAME.py[:smoke|:paper]')
flags.DEFINE_string(
    'workdir', '', 'Work directory, a folder or its URL (s3, gs, abfs); by default runs/NAME or runs/NAME-VARIANT.'
)
flags.DEFINE_string('mode', 'train', f'One of {", ".join(MODES)}.')
flags.DEFINE_string(
    'input', '', 'downscale: coarse data set: a file, glob, Zarr store or URL; map: a table of scenes or products.'
)
flags.DEFINE_string('outlines', '', 'map: glacier outlines, a shapefile or GeoPackage.')
flags.DEFINE_string('elevation', '', 'map: elevation, a raster.')
flags.DEFINE_string(
    'output', '', 'downscale: ensemble to write, .zarr, its URL, or .nc; pack: file to write, .zip; map: .gpkg.'
)
flags.DEFINE_string(
    'statics', '', 'downscale: file of another fine grid with its static fields; empty: that of training.'
)
flags.DEFINE_list(
    'overlap', [], 'downscale: START,END: period over which another source is corrected to that of training.'
)
flags.DEFINE_string(
    'scheduler', '', 'Dask scheduler (tcp://HOST:PORT) on whose workers data are prepared; by default this machine.'
)
flags.DEFINE_integer('members', 16, 'downscale: number of ensemble members.')
flags.DEFINE_integer('seed', 0, 'downscale: seed of the noise.')


class CommandLine(NamedTuple):
    """A parsed command line; everything else is in `FLAGS`."""

    config: dict[str, Any]
    given: dict[str, Any]  # the settings that it sets, by dotted key
    workdir: str  # a folder or a URL


def main(argv: list[str]) -> None:
    config, given, workdir = parse(argv)
    from downscale_jax.runtime import parallel

    parallel.initialize()
    from downscale_jax.runtime import messages
    from downscale_jax.runtime.checkpoints import silence_write_errors

    messages.to_terminal()
    silence_write_errors()
    raise_on_signals()
    if '://' not in workdir:
        return execute(config, given, Path(workdir))
    from downscale_jax.systems import folder_of
    from downscale_jax.systems.storage.mirror import Mirror

    if FLAGS.mode in READING:
        return execute(config, given, folder_of(workdir))
    with Mirror(workdir) as copy:
        execute(config, given, copy)


def execute(config: dict[str, Any], given: dict[str, Any], workdir: Path) -> None:
    """Does what --mode says in a work directory."""
    from downscale_jax import run

    if FLAGS.mode == 'downscale':
        arguments = FLAGS.input, FLAGS.output, FLAGS.statics, FLAGS.members, FLAGS.seed, tuple(FLAGS.overlap)
        return run.downscale(workdir, given, run.Downscaling(*arguments))
    if FLAGS.mode == 'pack':
        return run.pack(workdir, Path(FLAGS.output))
    if FLAGS.mode == 'map':
        return run.map_glaciers(
            workdir, given, run.MapFiles(FLAGS.input, FLAGS.outlines, FLAGS.elevation, FLAGS.output)
        )
    from data_prep.choices import choose
    from data_prep.engine import connect
    from data_prep.prepare import prepare
    from downscale_jax.systems import check_settings

    if scheduler := FLAGS.scheduler or os.environ.get('DASK_SCHEDULER_ADDRESS'):
        connect(scheduler)
    if FLAGS.mode in ('describe', 'train'):
        check_settings(config)
        config = choose(config)
    if FLAGS.mode == 'describe':
        run.describe(config, workdir)
    elif FLAGS.mode == 'train':
        run.train(config, workdir, prepare)
    elif FLAGS.mode == 'calibrate':
        run.calibrate(workdir, given, prepare)
    else:
        run.evaluate(workdir, given, prepare)


def parse(argv: list[str]) -> CommandLine:
    """Parses the command line. Raises UserError for any mistake in it."""
    if {'--help', '-h'} & set(argv):
        print(__doc__, FLAGS.main_module_help(), sep='\n')
        sys.exit(0)
    source = config_file(argv)
    path, _, variant = source.partition(':')
    overrides = overridden(argv)
    check_overrides(overrides, path, variant)
    unset = [key for key, value in overrides.items() if value == 'None' and key in OPTIONAL]
    try:
        # numeric flags do not parse None
        rest = FLAGS([a for a in argv if not (match := OVERRIDE.fullmatch(a)) or match[1] not in unset])[1:]
    except Exception as error:  # absl and ml_collections raise half a dozen kinds
        raise UserError(str(error)) from error
    if rest:
        raise UserError(f"'{rest[0]}' is not a flag: write --name=value")
    if FLAGS.mode not in MODES:
        raise UserError(f"--mode='{FLAGS.mode}' is unknown: {suggestion(FLAGS.mode, MODES)}")
    missing = [name for name in NEEDED.get(FLAGS.mode, ()) if not getattr(FLAGS, name)]
    if missing:
        raise UserError(f'--mode={FLAGS.mode} needs --{missing[0]}')
    CONFIG.value.update_from_flattened_dict(dict.fromkeys(unset))
    config = CONFIG.value.to_dict()
    replaced = {*config_flags.get_override_values(FLAGS['config']), *unset}  # those in a --flagfile, too
    given = {key: value for key, value in flatten(config).items() if key in replaced}
    name = '-'.join(filter(None, [Path(path).stem, variant]))
    return CommandLine(config, given, FLAGS.workdir or f'runs/{name}')


def config_file(argv: list[str]) -> str:
    """The value of --config. Raises UserError where it is missing or names no file."""
    sources = [value for flag, value in itertools.pairwise(argv) if flag in ('--config', '-config')]
    sources += [argument.split('=', 1)[1] for argument in argv if argument.startswith(('--config=', '-config='))]
    choices = sorted(map(str, Path('configs').glob('[a-z]*.py')))
    if not sources:
        raise UserError(f'--config is missing: give one of {", ".join(choices)}')
    path = sources[-1].partition(':')[0]
    if not Path(path).is_file():
        raise UserError(f'--config: there is no file {path}; {suggestion(path, choices)}')
    return sources[-1]


def overridden(argv: list[str]) -> dict[str, str]:
    """The settings of the config that the command line sets, as written there."""
    return {match[1]: match[2] for match in map(OVERRIDE.fullmatch, argv) if match}


def check_overrides(keys: Iterable[str], path: str, variant: str) -> None:
    """Raises UserError for a variant or an overridden key that the config does not have, naming the nearest it has."""
    try:
        known = flatten(runpy.run_path(path)['get_config'](variant).to_dict())
    except Exception as error:
        raise UserError(f'--config={path}: {error}') from error
    for key in keys:
        if key not in known:
            raise UserError(f"{path} has no key '{key}': {suggestion(key, known)}")


if __name__ == '__main__':
    with exit_on_user_error():
        main(sys.argv)
