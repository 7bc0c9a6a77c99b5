"""python main.py --config=configs/NAME.py [--workdir=...] [--mode=train|calibrate|evaluate|downscale|describe]"""

import itertools
import os
import runpy
import sys
from pathlib import Path

os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(Path.home() / '.cache' / 'downscale_jax' / 'xla'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.5')

from absl import flags
from ml_collections import config_flags

from downscale_jax.runtime.errors import UserError, exit_on_user_error, nearest
from downscale_jax.runtime.settings import flat

MODES = ('train', 'calibrate', 'evaluate', 'downscale', 'describe')
FLAGS = flags.FLAGS
CONFIG = config_flags.DEFINE_config_file('config', None, 'configs/NAME.py[:smoke|:paper]')
flags.DEFINE_string('workdir', '', 'Work directory; by default runs/NAME, with the variant behind it.')
flags.DEFINE_string('mode', 'train', f'One of {", ".join(MODES)}.')
flags.DEFINE_string('input', '', 'downscale: coarse data set, a file, glob, Zarr store or URL.')
flags.DEFINE_string('output', '', 'downscale: ensemble to write, .zarr or .nc.')
flags.DEFINE_string('statics', '', 'downscale: fine grid of another region, a file with what networks are shown.')
flags.DEFINE_list('overlap', [], 'downscale: START,END, dates over which another source is corrected to training.')
flags.DEFINE_integer('members', 16, 'downscale: members of the ensemble.')
flags.DEFINE_integer('seed', 0, 'downscale: seed of the noise.')


def main(argv: list[str]) -> None:
    source = parse(argv)
    from downscale_jax.runtime import parallel

    parallel.initialize()
    from downscale_jax import run
    from downscale_jax.runtime import messages
    from downscale_jax.runtime.checkpoints import silence_write_errors

    messages.to_terminal()
    silence_write_errors()
    config = CONFIG.value.to_dict()
    given = {key: value for key, value in flat(config).items() if key in overridden(argv)}
    name, _, variant = source.partition(':')
    workdir = Path(FLAGS.workdir or Path('runs') / '-'.join(filter(None, [Path(name).stem, variant])))
    if FLAGS.mode == 'describe':
        run.describe(config, workdir)
    elif FLAGS.mode == 'downscale':
        run.downscale(
            workdir,
            given,
            FLAGS.input,
            FLAGS.output,
            FLAGS.statics,
            FLAGS.members,
            FLAGS.seed,
            tuple(FLAGS.overlap),
        )
    else:
        from data_prep.prepare import prepare

        if FLAGS.mode == 'train':
            run.train(config, workdir, prepare)
        elif FLAGS.mode == 'calibrate':
            run.calibrate(workdir, given, prepare)
        else:
            run.evaluate(workdir, given, prepare)


def overridden(argv: list[str]) -> list[str]:
    """Keys of the config that the command line sets."""
    return [a[len('--config.') :].split('=', 1)[0] for a in argv if a.startswith('--config.')]


def parse(argv: list[str]) -> str:
    """Parses the command line and returns the value of --config. Raises UserError for whatever is wrong with it."""
    if {'--help', '-h'} & set(argv):
        print(__doc__, FLAGS.main_module_help(), sep='\n')
        sys.exit(0)
    named = [a for flag, a in itertools.pairwise(argv) if flag in ('--config', '-config')]
    named += [a.split('=', 1)[1] for a in argv if a.startswith(('--config=', '-config='))]
    choices = sorted(map(str, Path('configs').glob('[a-z]*.py')))
    if not named:
        raise UserError(f'--config is missing: give one of {", ".join(choices)}')
    path, _, variant = named[-1].partition(':')
    if not Path(path).is_file():
        raise UserError(f'--config: there is no file {path}; {nearest(path, choices)}')
    check_overrides(argv, path, variant)
    try:
        rest = FLAGS(argv)[1:]
    except Exception as error:  # absl and ml_collections raise half a dozen kinds
        raise UserError(str(error)) from error
    if rest:
        raise UserError(f"'{rest[0]}' is no flag: write --name=value")
    if FLAGS.mode not in MODES:
        raise UserError(f"--mode='{FLAGS.mode}' is unknown: {nearest(FLAGS.mode, MODES)}")
    missing = [n for n in ('input', 'output') if FLAGS.mode == 'downscale' and not getattr(FLAGS, n)]
    if missing:
        raise UserError(f'--mode=downscale needs --{missing[0]}')
    return named[-1]


def check_overrides(argv: list[str], path: str, variant: str) -> None:
    """Raises UserError for a variant or an overridden key that the config does not have, naming the nearest it has."""
    try:
        known = flat(runpy.run_path(path)['get_config'](variant).to_dict())
    except Exception as error:
        raise UserError(f'--config={path}: {error}') from error
    for key in overridden(argv):
        if key not in known:
            raise UserError(f"{path} has no key '{key}': {nearest(key, known)}")


if __name__ == '__main__':
    with exit_on_user_error():
        main(sys.argv)
