"""Settings of `sampling` and `evaluation`, which may change after training."""

from collections.abc import Sequence
from math import inf
from typing import Annotated, Any, Self

from pydantic import AfterValidator, model_validator

from downscale_jax.diffusion.samplers import SAMPLERS, SPACINGS
from downscale_jax.evaluation.baselines import VALID as BASELINES
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.settings.kinds import (
    Cells,
    Count,
    Distinct,
    Members,
    OneOf,
    Section,
    about,
    conflict,
    entries,
    in_words,
    rising,
    within,
)

Edges = Annotated[tuple[float, ...], entries(1), AfterValidator(rising)]
ZoneName = Annotated[str, entries(1, 40)]
Zone = tuple[()] | tuple[ZoneName, float]


class Tiles(Section):
    """Sampling of a deterministic generator."""

    tile: Cells = about('fine cells per side of a tile, at most; a multiple of the stride of the network')
    overlap: Annotated[int, within(0, 2**20)] = about('fine cells that neighbouring tiles share, at least')


class Diffused(Tiles):
    """Sampling of a diffusion model."""

    sampler: Annotated[str, OneOf(SAMPLERS)] = about('sampler of the reverse process')
    steps: Annotated[int, within(1, 10_000)] = about('evaluations of the network for each sample')
    spacing: Annotated[str, OneOf(SPACINGS)] = about('coordinate in which the noise levels are evenly spaced')
    eta: Annotated[float, within(0, 1)] = about('of ddim: part of the noise that is drawn anew in each step')
    temperature: Annotated[float, within(0, 10)] | None = about('factor of all noise; None: fitted after training')
    correlation_hours: Annotated[float, within(0, 1e7)] = about(
        'e-folding time of the noise in hours; 0: independent times'
    )
    members: Members = about('members of a work unit, at most')

    @model_validator(mode='after')
    def consistent(self) -> Self:
        if self.eta and self.sampler != 'ddim':
            raise conflict(f'sampling.eta={self.eta} with sampling.sampler={self.sampler}: 0 to 1 for ddim, else 0')
        return self


class DiffusedBlocks(Diffused):
    """Of block means."""

    conserve: bool = about('adjust fields so that their block means are the coarse field')


class BlockTiles(Tiles):
    """Of block means."""

    conserve: bool = about('adjust fields so that their block means are the coarse field')


class Evaluation(Section):
    """Evaluation of a downscaler."""

    measures: Annotated[tuple[Annotated[str, OneOf(MEASURES)], ...], entries(1), Distinct()] = about('measures')
    subsets: Annotated[tuple[Members, ...], entries(), Distinct()] = about(
        'numbers of members whose mean is scored too; (): only all members'
    )
    records: Count | None = about('records of the test split, evenly spread; None: all')
    neighbours: bool = about('choose records in pairs of neighbours, which lag-1 scores need')
    baselines: Annotated[tuple[Annotated[str, OneOf(BASELINES['block_means'])], ...], entries(1), Distinct()] = about(
        'baselines without training'
    )
    window: Annotated[int, within(4, 2**20, multiple_of=2)] = about(
        'cells per side of the windows for spectra of the scales; at most those of the grid'
    )
    regimes: Annotated[tuple[Edges, ...], in_words('a sequence of increasing edges for each target, or ()')] = about(
        'edges of classes of each coarse target; (): terciles of training'
    )
    zones: Annotated[
        tuple[Zone, ...], in_words("(name, threshold), as in ('ice', 0.15), or () for each target, or ()")
    ] = about('part of the domain, where the coarse target exceeds a threshold, scored separately; (): none')
    places: str = about('a CSV file with name, latitude, longitude; empty: 150 large cities')


class EnsembleEvaluation(Evaluation):
    """Evaluation of an ensemble."""

    members: Annotated[int, within(2, 10_000)] = about('members of an ensemble')
    calibration_records: Annotated[int, within(0, 2**31 - 1)] = about(
        'records of validation on which the noise temperature is fitted; 0: temperature 1'
    )


class RefinementEvaluation(EnsembleEvaluation):
    """Evaluation of an ensemble whose coarse field is on the fine grid."""

    baselines: Annotated[tuple[Annotated[str, OneOf(BASELINES['refinement'])], ...], entries(1), Distinct()] = about(
        'baselines without training'
    )


class PairsEvaluation(EnsembleEvaluation):
    """Evaluation of an ensemble learnt from pairs."""

    baselines: Annotated[tuple[Annotated[str, OneOf(BASELINES['pairs'])], ...], Distinct()] = about(
        'baselines without training; (): all that the predictors allow'
    )
    window: Annotated[int, within(4, 2**20, multiple_of=2)] | None = about(  # type: ignore[assignment]
        'cells per side of the windows for spectra of the scales; None: 40, fewer on small grids'
    )


def check_targets(evaluation: Any, targets: Sequence[str]) -> None:
    """Raises a conflict unless regimes and zones are empty or have an entry for each target."""
    for key in ('regimes', 'zones'):
        given = getattr(evaluation, key)
        if given and len(given) != len(targets):
            raise conflict(f'evaluation.{key}={given}: give one for each of the {len(targets)} targets, or ()')


def check_conserved(conserve: bool, bounds: Sequence[tuple[float, float]]) -> None:
    """Raises a conflict where block means cannot be conserved within the bounds."""
    if conserve and any(low not in (0, -inf) or high != inf for low, high in bounds):
        raise conflict(
            f'sampling.conserve=True with data.bounds={tuple(bounds)}: block means can be conserved only with a lower '
            'bound of 0 or none, and no upper bound'
        )
