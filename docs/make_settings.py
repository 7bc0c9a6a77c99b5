"""The page docs/settings.md: `python docs/make_settings.py > docs/settings.md`."""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from downscale_jax.runtime.settings import flatten
from downscale_jax.settings.check import PHASE, describe
from downscale_jax.systems import SYSTEMS

VARIANTS = {'cordex_bench': 'ALPS'}  # shown of configs without a default
CONFIGS = Path(__file__).parents[1] / 'configs'
INTRODUCTION = """# Settings

Every key of every config: its value in the default variant, which values are valid, what it means. The same
descriptions, in `downscale_jax/settings/`, check a config before data are prepared or a network is trained. On the
command line a key is set by `--config.KEY=VALUE`. Keys of training phases are listed once, under `training.PHASE`;
phases are named by `training.phases`.
"""


def markdown() -> str:
    """The page: one table per config."""
    parts = [INTRODUCTION]
    for path in sorted(CONFIGS.glob('[a-z]*.py')):
        config = runpy.run_path(str(path))['get_config'](VARIANTS.get(path.stem, '')).to_dict()
        parts += [f'## configs/{path.name}\n', table(config)]
    return '\n'.join(parts)


def table(config: Mapping[str, Any]) -> str:
    """One row per key."""
    rows, defaults = ['| key | default | valid | meaning |', '|---|---|---|---|'], flatten(dict(config))
    for key, setting in describe(SYSTEMS[config['system']].settings).items():
        default = 'by phase' if PHASE in key else f'`{defaults[key]!r}`' if key in defaults else 'not set'
        rows.append(f'| `{key}` | {default} | {setting.valid} | {setting.meaning} |')
    return '\n'.join(rows) + '\n'


if __name__ == '__main__':
    print(markdown(), end='')
