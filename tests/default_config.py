"""Default configs of the systems with a first guess, as they are once pairs have been chosen from two files."""

import runpy
from pathlib import Path

CONFIGS = Path(__file__).parents[1] / 'configs'
PAIR = {'predictors': ('t2m', 'tp'), 'targets': ('tp',), 'patch': 64}


def default_config(name):
    """The config of `configs/NAME.py`."""
    found = runpy.run_path(str(CONFIGS / f'{name}.py'))['get_config']().to_dict()
    if name == 'pairs':
        found['data'] |= PAIR
        found['model']['stem'] = 4
    return found
