"""The table of systems, and opening of work directories.

A system says how a config becomes tasks, what a batch holds, how training starts, and how the result is opened and
evaluated: `systems.system.System` is the contract, one file of this package each system.
"""

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, overload

from downscale_jax.fields.datasets.files.object_stores import PROTOCOLS, protocol_of
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.runtime.tables import ImportedOnUse
from downscale_jax.settings.check import check
from downscale_jax.systems.storage.mirror import Mirror
from downscale_jax.systems.storage.packing import unpacked
from downscale_jax.systems.system import Config, Given, OpenedT, System
from downscale_jax.systems.workdir import WorkDirectory, read_config

SYSTEMS: MutableMapping[str, System[Any, Any]] = ImportedOnUse(
    atmodist='downscale_jax.systems.atmodist:SYSTEM',
    cloud_vae='downscale_jax.systems.cloud_vae:SYSTEM',
    crystal_vae='downscale_jax.systems.crystal_vae:SYSTEM',
    diffusion='downscale_jax.systems.diffusion:SYSTEM',
    dpdm='downscale_jax.systems.dpdm:SYSTEM',
    glaciers='downscale_jax.systems.glaciers:SYSTEM',
    pairs='downscale_jax.systems.pairs:SYSTEM',
    rosettes='downscale_jax.systems.rosettes:SYSTEM',
    srgan='downscale_jax.systems.srgan:SYSTEM',
)


def system_of(config: Config) -> System[Any, Any]:
    """The system that `config.system` names. Raises UserError for an unknown one."""
    name = config['system']
    if not isinstance(name, str) or name not in SYSTEMS:
        raise UserError(f"system='{name}' is unknown: {suggestion(str(name), SYSTEMS)}")
    return SYSTEMS[name]


def check_settings(config: Config) -> None:
    """Raises UserError for settings that their description does not allow."""
    check(system_of(config).settings, config)


@overload
def load(workdir: str | Path, given: Given | None = None) -> WorkDirectory[Any]: ...


@overload
def load(workdir: str | Path, given: Given | None = None, *, kind: type[OpenedT]) -> OpenedT: ...


def load(workdir: str | Path, given: Given | None = None, *, kind: type[Any] = WorkDirectory) -> Any:
    """Opens a work directory or a packed model (.zip), or the URL of either, with the settings `given`
    ({'sampling.steps': 20}) in place of its own.

    `kind` is the class that is needed, `systems.downscaler.Downscaler` or `systems.atmodist.LearnedDistance`. Raises
    UserError where the work directory is of another kind.
    """
    folder = folder_of(workdir)
    config = read_config(folder)
    opened = system_of(config).open(folder, given)
    if not isinstance(opened, kind):
        raise UserError(f"{workdir} was made by system '{config['system']}', which provides no {kind.__name__}")
    return opened


def folder_of(workdir: str | Path) -> Path:
    """The work directory itself, or a copy in the cache of a packed model or of a work directory behind a URL."""
    url = str(workdir) if is_url(str(workdir)) else ''
    if protocol_of(url) in PROTOCOLS and not url.partition('#')[0].endswith('.zip'):
        return Mirror(url).download()
    return unpacked(workdir) if url or Path(workdir).is_file() else Path(workdir)
