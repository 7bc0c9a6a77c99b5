"""Configs by the name that main.py takes."""

import runpy
from typing import Any


def read_config(name: str) -> dict[str, Any]:
    """The config 'configs/NAME.py[:VARIANT]' as a nested dictionary."""
    path, _, variant = name.partition(':')
    return dict(runpy.run_path(path)['get_config'](variant).to_dict())
