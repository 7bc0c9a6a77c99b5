"""Settings of the system `glaciers`."""

from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from downscale_jax.settings.kinds import (
    Blocks,
    Cells,
    Distinct,
    Dtype,
    Name,
    OneOf,
    Section,
    Seed,
    Width,
    Widths,
    about,
    above,
    conflict,
    entries,
    in_words,
    within,
)
from downscale_jax.settings.training import AveragedTraining

ENCODERS = ('unet', 'resnet34')


def iso_date(text: str) -> str:
    """Returns `text`. Raises ValueError unless it is a date such as 2015-08-15."""
    date.fromisoformat(text)
    return text


Date = Annotated[str, AfterValidator(iso_date)]


class MountainRange(Section):
    """The simulated range."""

    rows: Annotated[int, within(64, 8192)] = about('cells of 30 m from north to south')
    columns: Annotated[int, within(64, 8192)] = about('cells of 30 m from west to east')
    scenes: Annotated[int, within(1, 100)] = about('scenes in each year')
    seed: Seed = about('seed of the simulation instead of `seed`', default=0)


class ScenesData(Section):
    """Satellite scenes and glacier outlines."""

    kind: Annotated[str, OneOf(('scenes',))] = about('kind of records')
    path: str = about('a table of scenes (CSV) or a pattern of Sentinel-2 products; empty: simulated')
    outlines: str = about('glacier outlines: a shapefile or GeoPackage, such as those of RGI')
    elevation: str = about('elevation: a raster; empty: the network sees none')
    simulate: MountainRange = about('the simulation, where path is empty')
    bands: Annotated[tuple[Name, ...], entries(1), Distinct()] = about('bands that the network sees')
    dates: Annotated[tuple[Date, ...], entries(1, 2), in_words("one or two dates, as in ('2015-08-30',)")] = about(
        'dates of the scenes: that of the outlines and, for area change, a later one'
    )
    days: Annotated[int, within(0, 3650)] = about('largest number of days between a scene and its date')
    candidates: Annotated[int, within(1, 1000)] = about(
        'number of least cloudy scenes of the region from which each glacier gets the clearest'
    )
    least_km2: Annotated[float, within(0, 1e6)] = about('smallest area in km2 of the glaciers that are counted')
    folds: Annotated[int, within(2, 100)] = about('geographic folds of equal glacier area')
    fold: Annotated[int, within(0, 99)] = about(
        'the fold that is tested; the next one validates, the others train. With two folds, the other one trains, '
        'except for every fourth of its glaciers, which validates'
    )
    patch: Cells = about('cells per side of a patch')
    patches_per_glacier: Annotated[int, within(1, 100_000)] = about('patches of each glacier in every epoch')
    jitter: Annotated[float, within(0, 10)] = about(
        'standard deviation of the logarithm of the random factor of the brightness of training patches; 0: none'
    )

    @model_validator(mode='after')
    def consistent(self) -> Self:
        if self.fold >= self.folds:
            raise conflict(f'data.fold={self.fold} with data.folds={self.folds}: folds are numbered from 0')
        if list(self.dates) != sorted(set(self.dates)):
            raise conflict(f'data.dates={self.dates}: give the earlier date first')
        if self.path and not self.outlines:
            raise conflict(f"data.path='{self.path}' without data.outlines: give the glacier outlines")
        return self


class SegmentationNetwork(Section):
    """The U-Net: `models.unet.UNet`, or `models.resnet.ResNetUNet`, whose sizes are those of its paper."""

    network: Annotated[str, OneOf(ENCODERS)] = about('the network; resnet34 uses none of the sizes below')
    widths: Widths = about('channels of each level, the finest first')
    bottleneck: Width = about('channels of the coarsest level')
    blocks: Blocks = about('residual blocks per level')
    stem: Annotated[int, within(1, 64)] = about('cells per side that the first convolution merges')
    tail: Annotated[int, within(0, 4096)] = about('channels of the tail; 0: a single 1 x 1 convolution')
    dtype: Dtype = about('precision of the computation')


class GlacierSampling(Section):
    """Application to scenes of any size."""

    tile: Cells = about('cells per side of a tile, at most; a multiple of the stride of the network')
    overlap: Annotated[int, within(0, 2**20)] = about('cells that neighbouring tiles share, at least')
    orientations: Annotated[int, within(1, 8)] = about('turned and mirrored tiles over which predictions are averaged')


class GlacierEvaluation(Section):
    """Evaluation of outlines and of area change."""

    zone: Annotated[float, above(0, 100_000)] = about('distance in m around a glacier within which cells are scored')
    buffer: Annotated[float, within(0, 100_000)] = about(
        'distance in m around an outline within which ice counts in the change of area; up to evaluation.zone'
    )
    forest_pixels: Annotated[int, within(1, 10_000_000)] = about('training pixels of the random forest')
    outlier: Annotated[float, above(0, 100)] = about(
        'rate of area change, in robust standard deviations from the median, beyond which a glacier is an outlier'
    )


class GlacierSettings(Section):
    """A config of glaciers."""

    system: Annotated[str, OneOf(('glaciers',))] = about('the system')
    seed: Seed = about('seed of weights, data, and patches')
    data: ScenesData
    model: SegmentationNetwork
    training: AveragedTraining
    sampling: GlacierSampling
    evaluation: GlacierEvaluation
