"""Settings of the system `pairs`: empty values and None are chosen from the two files."""

from typing import Annotated, ClassVar, Self

from pydantic import model_validator

from downscale_jax.fields.transforms.standardisation import COMPRESSIONS
from downscale_jax.runtime.errors import suggestion
from downscale_jax.settings.data import Bounds, Splits, check_bounds
from downscale_jax.settings.diffusion import ContinuousDiffusion, DenoiserSettings
from downscale_jax.settings.generators import DistillationSettings, Generator, OnePassSettings
from downscale_jax.settings.kinds import Cells, Distinct, Name, OneOf, Section, Seed, about, conflict, entries, within
from downscale_jax.settings.training import AveragedTraining
from downscale_jax.settings.use import Diffused, PairsEvaluation, check_targets

Names = Annotated[tuple[Name, ...], entries(), Distinct()]
LIKE = {'targets': ('target_units', 'sources', 'transform'), 'predictors': ('predictor_units', 'predictor_transform')}
Transforms = tuple[Annotated[str, OneOf(COMPRESSIONS)], ...]


class SimulatedPair(Section):
    """The simulated climate over mountains and a coarse model of it."""

    rows: Annotated[int, within(16, 4096)] = about('cells of the fine grid from south to north')
    columns: Annotated[int, within(16, 4096)] = about('cells of the fine grid from west to east')
    months: Annotated[int, within(1, 100_000)] = about('length of the simulation')
    seed: Seed = about('seed of the simulation instead of `seed`', default=0)


class PairsData(Splits):
    """Coarse predictors and fine targets of two sources."""

    CHOSEN_BY_FILE: ClassVar[bool] = True

    kind: Annotated[str, OneOf(('pairs',))] = about('kind of records')
    coarse: str = about('coarse data: a file, glob, Zarr store or URL; empty, together with fine: a simulated pair')
    fine: str = about('fine data: a file, glob, Zarr store or URL')
    simulate: SimulatedPair = about('the simulation, where coarse and fine are empty')
    member: Annotated[int, within(0, 100_000)] = about('member of the coarse file, where it holds an ensemble')
    predictors: Names = about('variables of the coarse file, u_850 for u at 850 hPa; (): all that have times')
    targets: Names = about('variables of the fine file; (): all that have times')
    predictor_units: tuple[str, ...] = about("units of each predictor, '' as in the file; (): chosen")
    target_units: tuple[str, ...] = about("units of each target, '' as in the file; (): chosen")
    assume_units: bool = about('take variables without units to be in these units')
    sources: tuple[str, ...] = about("for each target the predictor of the same quantity, '' for none; (): chosen")
    predictor_transform: Transforms = about('transform of each predictor; (): chosen')
    transform: Transforms = about('transform of each target; (): chosen')
    bounds: Bounds = about('physical bounds of each target; (): chosen')
    context: Names = about(
        'what the network sees in addition to the predictors: season, hour, static variables; (): chosen'
    )
    relief: str = about('a file with the topography, where the fine data have none')
    patch: Cells | None = about('fine cells per side of a patch; None: chosen')
    patches_per_record: Annotated[int, within(1, 100_000)] = about('patches cut from each record in every epoch')
    domain: str = about('of CORDEX ML-Bench: the domain', default='')
    root: str = about('of CORDEX ML-Bench: the folder of the domains', default='')
    experiment: str = about('of CORDEX ML-Bench: the training experiment', default='')

    @model_validator(mode='after')
    def consistent(self) -> Self:
        for names, keys in LIKE.items():
            named = getattr(self, names)
            for key in keys:
                if named and (given := getattr(self, key)) and len(given) != len(named):
                    raise conflict(f'data.{key}={given!r}: one is needed for each of data.{names}={named}')
        for name in self.sources if self.predictors else ():
            if name and name not in self.predictors:
                raise conflict(f"data.sources names '{name}': {suggestion(name, self.predictors)}")
        if self.bounds and self.targets:
            check_bounds(self.bounds, self.targets)
        splits = {f'data.{name}': getattr(self, name) for name in ('train', 'validation', 'test')}
        if any(splits.values()) and not all(splits.values()):
            empty = ', '.join(key for key, dates in splits.items() if not dates)
            raise conflict(f'{empty} is empty: give the dates of all of {", ".join(splits)}, or of none of them')
        return self


class PairsNetwork(DenoiserSettings):
    """The U-Net, whose stem fits the grid."""

    stem: Annotated[int, within(1, 64)] | None = about(  # type: ignore[assignment]
        'cells per side that the first convolution merges; None: 4, fewer on small grids'
    )


class PairsSettings(Section):
    """A config of pairs."""

    system: Annotated[str, OneOf(('pairs',))] = about('the system')
    seed: Seed = about('seed of weights, data, and noise')
    generator: Generator = about(
        'how members are generated: by repeated denoising, by a few evaluations distilled from it, or in one pass'
    )
    data: PairsData
    model: PairsNetwork
    diffusion: ContinuousDiffusion
    one_pass: OnePassSettings
    distillation: DistillationSettings
    training: AveragedTraining
    sampling: Diffused
    evaluation: PairsEvaluation

    @model_validator(mode='after')
    def consistent(self) -> Self:
        if self.data.targets:
            check_targets(self.evaluation, self.data.targets)
        return self
