"""Configs by the name that main.py takes."""

import runpy
from pathlib import Path
from typing import Any

from downscale_jax.runtime.errors import UserError, suggestion


def read_config(name: str) -> dict[str, Any]:
    """The config 'configs/NAME.py[:VARIANT]' as a nested dictionary. Raises UserError where it does not exist."""
    path, _, variant = name.partition(':')
    if not Path(path).is_file():
        choices = map(str, Path('configs').glob('[a-z]*.py'))
        raise UserError(f'--config: there is no file {path}; {suggestion(path, choices)}')
    try:
        return dict(runpy.run_path(path)['get_config'](variant).to_dict())
    except Exception as error:  # whatever is written there
        raise UserError(f'--config={name}: {error}') from error
