"""The protocol of measures: the setting of a run, the samples they add up, the result they return.

The evaluation (`fields`) reads one scored time after another and hands it, as a `Sample`, to every measure that the
config names. A measure accumulates sums and turns them into a `Result` at the end. Adding a measure is: one
file in `measures/` with a class of this form, one line in the table of `measures/__init__.py`, and the definitions of
its scores in `scores.toml`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import xarray as xr

from downscale_jax.evaluation.results import Estimate, Result
from downscale_jax.evaluation.statistics.compound import HotDry
from downscale_jax.fields.geometry.places import Places

LONGEST_TITLES = 80  # characters that fit over panels side by side


class Zone(NamedTuple):
    """The cells whose coarse field exceeds a threshold, such as ice. The coarse field is known beforehand: a zone
    chosen by the truth would make a perfect ensemble look biased."""

    name: str
    above: float


class Variable(NamedTuple):
    """One target of the downscaler."""

    name: str
    units: str
    label: str  # for titles and axes
    data_range: float  # largest minus smallest value of the training split
    kernel_km: float  # width of the box that a coarse value is the mean of
    coarse_cells: int  # the same in fine cells
    quantity: str = ''  # a label of `fields.datasets.values.plausibility`, empty for other quantities
    regimes: tuple[float, ...] = ()  # edges of classes of the coarse field
    zone: Zone | None = None


class Reference(NamedTuple):
    """Statistics of the training split that scores of high values and of anomalies refer to."""

    climatology: np.ndarray  # [12, H, W, V], mean by calendar month
    edges: np.ndarray  # [V, B + 1], of histogram bins
    thresholds: np.ndarray  # [V, L], quantiles at `statistics.extremes.LEVELS`
    terciles: np.ndarray  # [V, 2]
    hot_dry: Callable[[], HotDry | None]  # reads the training split; None without a temperature and a precipitation


class Retiled(NamedTuple):
    """Members of a few times generated twice from the same noise: in the generator's tiles, and in others as control.

    Lines are borders between rows and between columns, see `statistics.seams`.
    """

    fields: np.ndarray  # [T, M, H, W, V]
    control: np.ndarray
    weight: np.ndarray  # [T, H, W, V]
    lines: tuple[np.ndarray, np.ndarray]
    control_lines: tuple[np.ndarray, np.ndarray]
    sizes: tuple[int, int]  # of a tile
    control_sizes: tuple[int, int]
    overlap: int


@dataclass(frozen=True)
class Setting:
    """A run as its measures see it, before the first time is scored."""

    statics: xr.Dataset
    weight: np.ndarray  # [H, W] float64: cell area in km2, 0 outside the mask
    cell_km: float
    periodic: bool
    variables: tuple[Variable, ...]
    winds: Mapping[str, str] | None  # {name: standard name} of the eastward and the northward wind (`winds_of`)
    coarsen: Callable[[np.ndarray], np.ndarray] | None  # [H, W, V] -> block means [h, w, V]; None without blocks
    reference: Reference
    places: Places
    times: int  # how many are scored
    periods: tuple[tuple[int, int], tuple[int, int]] | None  # first and last year of two periods that are far apart
    window: int  # cells a side of the windows for spectra
    idealised: bool
    baselines: tuple[str, ...]  # methods that need no training, the interpolated coarse field first
    singles: tuple[str, ...]  # trained methods that give one field
    ensembles: Mapping[str, tuple[str, ...]]  # {generator: its methods, the whole ensemble last}
    main: str  # the method that figures show
    shown: tuple[str, ...]  # methods in figures: of an ensemble the smallest and the whole
    retile: Mapping[str, Callable[[], Retiled | None]]  # of the main ensemble; None where the domain is one patch

    def name(self, score: str, variable: Variable) -> str:
        """'crps', or 'crps_t2m' where there are several variables."""
        return score if len(self.variables) == 1 else f'{score}_{variable.name}'

    def named(
        self, estimates: Mapping[tuple[str, int], Mapping[str, Estimate]], *scores: str
    ) -> dict[str, dict[str, Estimate]]:
        """{method: {name in scores.json: estimate}} from {(method, index of the variable): {score: estimate}}.

        Of the `scores` named, or of all.
        """
        table: dict[str, dict[str, Estimate]] = {}
        for (method, index), row in estimates.items():
            chosen = {self.name(n, self.variables[index]): e for n, e in row.items() if not scores or n in scores}
            table.setdefault(method, {}).update(chosen)
        return table

    @property
    def names(self) -> list[str]:
        """Of the variables."""
        return [variable.name for variable in self.variables]

    @property
    def labels(self) -> list[str]:
        """The variables in words."""
        return [variable.label for variable in self.variables]

    def panel_title(self, name: str) -> str:
        """The variable `name` in words, or its name where the words of all variables do not fit beside each other."""
        words = dict(zip(self.names, self.labels, strict=True))
        return words[name] if sum(map(len, self.labels)) <= LONGEST_TITLES else name

    @property
    def units(self) -> list[str]:
        """Of the variables."""
        return [variable.units for variable in self.variables]

    @property
    def whole(self) -> tuple[str, ...]:
        """The methods that are whole ensembles."""
        return tuple(methods[-1] for methods in self.ensembles.values())

    @property
    def complete(self) -> tuple[str, ...]:
        """All methods but the means of a part of an ensemble's members."""
        return (*self.baselines, *self.singles, *self.whole)

    @property
    def rows_run_up(self) -> bool:
        """Whether the first row is the southernmost, or the lowest."""
        y = self.statics[self.statics['mask'].dims[0]].values
        return bool(y.size < 2 or y[0] < y[-1])

    @property
    def title(self) -> str:
        """The targets in words."""
        text = ', '.join(variable.label for variable in self.variables)
        return f'Idealised {text}' if self.idealised else text[:1].upper() + text[1:]


@dataclass(frozen=True)
class Field:
    """One variable of one method at one time."""

    method: str
    index: int  # of the variable
    variable: Variable
    members: np.ndarray  # [M, H, W]; M = 1 for a single field
    truth: np.ndarray  # [H, W], NaN where it does not count
    coarse: np.ndarray  # [H, W], the coarse input on the fine grid
    weight: np.ndarray  # [H, W], 0 where the truth does not count

    @property
    def mean(self) -> np.ndarray:
        """[H, W] float32: the ensemble mean, or the single field."""
        return mean_of(self.members)


def mean_of(members: np.ndarray) -> np.ndarray:
    """Float32 mean of members [M, ...], or the single field."""
    return members.mean(0, dtype=np.float64).astype(np.float32) if len(members) > 1 else members[0]


class Sample(NamedTuple):
    """One scored time. The truth is NaN where it, or any method, has no value: all are scored on the same cells."""

    stamp: int  # seconds since 1970 in the data's calendar
    label: str  # the time in words
    year: int
    month: int
    season: str
    follows: bool  # whether its record is the next after that of the sample before, without a gap
    truth: np.ndarray  # [H, W, V]
    coarse: np.ndarray  # [H, W, V]: on the fine grid, within the bounds
    blocks: np.ndarray | None  # [h, w, V]: as the generators get it, where coarse fields are block means
    methods: Mapping[str, np.ndarray]  # [M, H, W, V]; of an ensemble its first members are methods of their own
    clipped: Mapping[str, tuple[float, float]]  # by method: values outside the bounds before clipping, all values

    def fields(self, setting: Setting, *methods: str) -> Iterator[Field]:
        """Every variable of the named methods, or of all."""
        for method in methods or self.methods:
            for index in range(len(setting.variables)):
                yield self.field(setting, method, index)

    def field(self, setting: Setting, method: str, index: int) -> Field:
        """One variable of one method; 'truth' is a method, too."""
        truth = self.truth[..., index]
        members = truth[None] if method == 'truth' else self.methods[method][..., index]
        weight = np.where(np.isfinite(truth), setting.weight, 0.0)
        return Field(method, index, setting.variables[index], members, truth, self.coarse[..., index], weight)


class Measure(Protocol):
    """Sums over times that become scores."""

    def __init__(self, setting: Setting) -> None: ...

    def add(self, sample: Sample) -> None:
        """Adds one time; times come in order."""

    def result(self) -> Result:
        """The scores of all times together. Methods and variables without a valid cell are left out."""
