"""The systems: how a config becomes tasks, where these get batches and first states, and what is done with the result.

A module of this room has `build(config)`, the tasks by name in the order in which they are trained;
`check(config, training)`, which raises for what would fail only after training, with `training` also for what only that
needs; `shapes(config)` and `examples(config, prepared, split)`, what a batch holds and the source it is drawn from;
`initialiser(name, tasks, trained)`, a task's `init(key, batch)`; `networks(states)`, parameters by the name of the
network, the main one last; and `Opened`, a work directory of it.
"""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.systems import atmodist, diffusion, dpdm, srgan
from downscale_jax.systems.workdir import Config, read_config

SYSTEMS: dict[str, ModuleType] = {'atmodist': atmodist, 'diffusion': diffusion, 'dpdm': dpdm, 'srgan': srgan}


def system_of(config: Config) -> ModuleType:
    """Raises UserError for an unknown one."""
    if config['system'] not in SYSTEMS:
        raise UserError(f"there is no system '{config['system']}': {nearest(config['system'], SYSTEMS)}")
    return SYSTEMS[config['system']]


def load(workdir: str | Path, given: Mapping[str, Any] | None = None) -> Any:
    """Opens a work directory, with values `given` in place of its config's (`workdir.WorkDirectory`)."""
    system = system_of(read_config(Path(workdir)))
    return system.Opened(system, workdir, given)
