"""Statistical downscaling of climate and weather fields in JAX."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from downscale_jax.systems.workdir import WorkDirectory

OpenedT = TypeVar('OpenedT')


@overload
def load(workdir: str | Path) -> 'WorkDirectory[Any]': ...


@overload
def load(workdir: str | Path, kind: type[OpenedT]) -> OpenedT: ...


def load(workdir: str | Path, kind: type[Any] | None = None) -> Any:
    """Opens the work directory of a trained system, a packed model (`model.zip`), or its URL.

    The result is for example a `systems.downscaler.Downscaler` (`load('runs/diffusion_sit').downscale(dataset,
    members=8)`) or a `systems.atmodist.LearnedDistance` (`load('runs/atmodist').distance(a, b)`). Type checkers learn
    which by `load(workdir, Downscaler)`, which raises UserError for a work directory of another kind. Every file of a
    packed model is compared with its digest; that of the whole file is checked where a URL ends in #sha256=DIGEST.
    """
    from downscale_jax import systems  # here, not above: importing the package must not start JAX

    return systems.load(workdir) if kind is None else systems.load(workdir, kind=kind)
