"""Settings of `data`: the file or the simulation, variables, splits, and the records made of them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from downscale_jax.fields.datasets.dates import checked_pairs
from downscale_jax.fields.geometry.blocks import KERNELS
from downscale_jax.fields.geometry.wind import ATTRIBUTES
from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.fields.transforms.grid_point import KINDS as NORMALISATIONS
from downscale_jax.fields.transforms.standardisation import COMPRESSIONS
from downscale_jax.runtime.errors import UserError, suggestion
from downscale_jax.settings.kinds import (
    Cells,
    Distinct,
    Name,
    OneOf,
    OneOrEach,
    Section,
    Seed,
    about,
    above,
    conflict,
    entries,
    in_words,
    rising,
    within,
)

ATMOSPHERE, MOUNTAINS = 'atmosphere', 'mountains'
SIMULATED: Mapping[str, tuple[str, ...]] = {ATMOSPHERE: tuple(ATTRIBUTES), MOUNTAINS: ('t2m', 'tp', 'u10', 'v10', 'sp')}

Variables = Annotated[tuple[Name, ...], entries(1), Distinct()]
Dates = Annotated[tuple, in_words("pairs of a first and a last date, as in (('2001-01-01', '2001-05-20'),), not empty")]
Bound = Annotated[float, Field(allow_inf_nan=True)]
Bounds = Annotated[
    tuple[tuple[Bound, Bound], ...], in_words('one pair (lower, upper) for each variable, infinite where unbounded')
]
Latitude = Annotated[float, within(-90, 90)]


class Atmosphere(Section):
    """The simulated dry atmosphere."""

    days: Annotated[int, within(1, 100_000)] = about('length of the simulation, with 8 states a day')
    rows: Annotated[int, within(16, 1024, multiple_of=2)] = about('latitudes; there are twice as many longitudes')
    seed: Seed = about('seed of the simulation instead of `seed`', default=0)


class Mountains(Section):
    """The simulated climate over mountains."""

    world: Annotated[str, OneOf((MOUNTAINS,))] = about('the simulated world')
    rows: Annotated[int, within(16, 4096)] = about('cells of 0.1 degree from south to north')
    columns: Annotated[int, within(16, 4096)] = about('cells of 0.1 degree from west to east')
    months: Annotated[int, within(1, 100_000)] = about('length of the simulation')
    seed: Seed = about('seed of the simulation instead of `seed`', default=0)


class SeaIce(Section):
    """The simulated sea ice."""

    size: Annotated[int, within(32, 4096)] = about('cells of 4 km per side')
    states: Annotated[int, within(1, 1_000_000)] = about('length of the simulation in half days')


class Splits(Section):
    """The splits of all kinds of records."""

    CHOSEN_BY_FILE: ClassVar[bool] = False  # whether empty splits are chosen from the files

    train: Dates = about('dates of the training split, both ends included')
    validation: Dates = about('dates of the validation split')
    test: Dates = about('dates of the test split')

    @field_validator('train', 'validation', 'test')
    @classmethod
    def dated(cls, value: Any, info: ValidationInfo) -> Any:
        if not value and not cls.CHOSEN_BY_FILE:
            raise conflict(f'data.{info.field_name} is empty: give one or more pairs of a first and a last date')
        try:
            checked_pairs(value, f'data.{info.field_name}')
        except UserError as error:
            raise conflict(str(error)) from error
        return value


class Data(Splits):
    """What the kinds of records of one file have in common."""

    path: str = about('a file, glob, Zarr store or URL; empty: simulated')
    patch: Cells = about('cells per side of a patch')


class Fields(Data):
    """Records of several variables in time."""

    variables: Variables = about('names of the variables')
    level: Annotated[float, within(-1e9, 1e9)] = about(
        "vertical level in the file's own units, where it has several; 0: it has only one"
    )


class BlockMeansData(Fields):
    """Fine fields whose block means are the coarse ones."""

    kind: Annotated[str, OneOf(('block_means',))] = about('kind of records')
    simulate: Atmosphere = about('the simulation, where path is empty')
    factor: Annotated[int, within(2, 1000)] = about('cells per side of a block')
    mean: Annotated[str, OneOf(('physical', 'network'))] = about('values that are averaged: physical or transformed')
    transform: Annotated[Any, OneOrEach(COMPRESSIONS), in_words(f'one of {", ".join(COMPRESSIONS)}, or one each')] = (
        about('transform of all variables, or of each')
    )
    anomaly: bool = about('learn fine minus interpolated instead of the full field')
    bounds: Bounds = about('physical bounds of each variable')
    patches_per_record: Annotated[int, within(1, 100_000)] = about('patches cut from each record in every epoch')

    @model_validator(mode='after')
    def fits(self) -> Self:
        check_simulated(self, ATMOSPHERE)
        check_bounds(self.bounds, self.variables)
        check_each('transform', self.transform, self.variables)
        if self.mean == 'network' and any(abs(bound) < float('inf') for pair in self.bounds for bound in pair):
            raise conflict(
                f'data.bounds={self.bounds} with data.mean=network: bounds can only be kept where the mean is that of '
                'physical values; set data.mean=physical'
            )
        return self


class RegionalData(BlockMeansData):
    """Block means with the context of a region."""

    simulate: Mountains = about('the simulation, where path is empty')  # type: ignore[assignment]
    units: tuple[str, ...] = about('units to which each variable is converted; empty: those of the file')
    grid_point: Annotated[str, OneOf(NORMALISATIONS)] = about(
        'normalisation of each grid point by its own climate, which excludes other regions; empty: none'
    )
    interpolation: Annotated[Any, OneOrEach(KERNELS), in_words(f'one of {", ".join(KERNELS)}, or one each')] = about(
        'interpolation of the coarse field, for all variables or for each'
    )
    context: Annotated[tuple[Name, ...], entries(), Distinct()] = about(
        'what the network sees in addition to the coarse field: season, hour, latitude, static variables of the data'
    )
    relief: str = about('a file with the topography, where the data have none')

    @model_validator(mode='after')
    def fits(self) -> Self:
        check_simulated(self, MOUNTAINS)
        check_bounds(self.bounds, self.variables)
        check_each('transform', self.transform, self.variables)
        check_each('interpolation', self.interpolation, self.variables)
        if self.units and len(self.units) != len(self.variables):
            raise conflict(f'data.units={self.units}: give one for each of data.variables={self.variables}, or ()')
        return self


class LagPairsData(Fields):
    """Pairs of patches of one place, some hours apart."""

    kind: Annotated[str, OneOf(('lag_pairs',))] = about('kind of records')
    simulate: Atmosphere = about('the simulation, where path is empty')
    step_hours: Annotated[float, above(0, 100_000)] = about('hours between two times of the data')
    lags: Annotated[int, within(1, 10_000)] = about('classes of lags, from 1 to this many steps')
    pairs_per_time: Annotated[int, within(1, 100_000)] = about('pairs drawn for each time')
    latitudes: Annotated[
        tuple[Latitude, Latitude], in_words('a southern and a northern latitude in degrees, from -90 to 90')
    ] = about('range of the centres of patches')

    @model_validator(mode='after')
    def fits(self) -> Self:
        check_simulated(self, ATMOSPHERE)
        try:
            rising(self.latitudes)
        except ValueError:
            raise conflict(f'data.latitudes={self.latitudes}: give the southern latitude first') from None
        return self


class RefinementData(Data):
    """Fine fields and their coarse inputs as an instrument would observe them."""

    kind: Annotated[str, OneOf(('refinement',))] = about('kind of records')
    simulate: SeaIce = about('the simulation, where path is empty')
    target: Name = about('variable that is refined')
    inputs: Variables = about('coarse variables, the target among them')
    kernel_km: tuple[Annotated[float, above(0, 40_000)], ...] = about('width of the box kernel of each input in km')
    spacing_km: tuple[Annotated[float, within(0, 40_000)], ...] = about(
        'grid in km on which each input is observed; (): half the kernel; 0: the fine grid'
    )
    noise: tuple[Annotated[float, within(0, 1e9)], ...] = about(
        'standard deviation of the observation error of each input, in its units; (): none'
    )
    mask: str = about('variable that is nonzero where the field exists; empty: wherever it has values')
    anomaly: bool = about('learn fine minus coarse instead of the full field')
    bounds: Bounds = about('physical bounds of the target')
    patches_per_record: Annotated[int, within(1, 100_000)] = about('patches cut from each record in every epoch')
    flips: bool = about('flip patches along both axes in training: for scalars only')

    @model_validator(mode='after')
    def fits(self) -> Self:
        if self.target not in self.inputs:
            raise conflict(
                f"data.inputs={self.inputs} lack data.target='{self.target}', whose coarse field is what is refined"
            )
        for key in ('kernel_km', 'spacing_km', 'noise'):
            given, expected = len(getattr(self, key)), len(self.inputs)
            if given != expected and (given or key == 'kernel_km'):
                raise conflict(f'data.{key} has {given} values for {expected} inputs {self.inputs}: give one each')
        check_bounds(self.bounds, (self.target,))
        if not self.path and self.patch > self.simulate.size:
            raise conflict(f'data.patch={self.patch} does not fit data.simulate.size={self.simulate.size}')
        return self


def check_simulated(data: Any, world: str) -> None:
    """Raises a conflict where the simulation lacks a variable, or is smaller than a patch."""
    if data.path:
        return
    for name in data.variables:
        if name not in SIMULATED[world]:
            raise conflict(
                f"data.variables: the simulated {world} has no '{name}': {suggestion(name, SIMULATED[world])}"
            )
    for side in ('rows', 'columns'):
        cells = getattr(data.simulate, side, data.patch)
        if data.patch > cells:
            raise conflict(f'data.patch={data.patch} does not fit data.simulate.{side}={cells}: choose a smaller one')


def check_bounds(bounds: tuple, variables: tuple[str, ...]) -> None:
    """Raises a conflict unless every variable has a pair in the right order."""
    try:
        limits(bounds, variables)
    except UserError as error:
        raise conflict(str(error)) from error


def check_each(key: str, names: tuple[str, ...], variables: tuple[str, ...]) -> None:
    """Raises a conflict unless there is one name for all variables or one for each."""
    if len(names) not in (1, len(variables)):
        raise conflict(f'data.{key}={names}: give one for all of data.variables={variables}, or one for each')
