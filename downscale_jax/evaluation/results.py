"""Results of a measure: scores with intervals, tables, figures and notes, and the definition of each score."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from downscale_jax.runtime.files import file_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Estimate = np.ndarray  # [..., 3]: value, 5 and 95 % quantile over resampled times, NaN where undefined

LOWER, HIGHER, ZERO, ONE = 'lower is better', 'higher is better', 'nearer 0 is better', 'nearer 1 is better'


class Definition(NamedTuple):
    """A score as the report and the documentation present it.

    unit: 'field' for the unit of the target, '1' for none. group: the table of the report that lists it.
    """

    long_name: str
    direction: str  # LOWER, HIGHER, ZERO, ONE or 'for information'
    unit: str
    group: str
    formula: str


def read_definitions(path: Path) -> dict[str, Definition]:
    """{score: definition} in the order of a TOML file."""
    return {name: Definition(**row) for name, row in tomllib.loads(path.read_text()).items()}


class Table(NamedTuple):
    """Details for the report: one row per class, one column per quantity, cells of (value, low, high)."""

    title: str
    corner: str  # what the rows are
    columns: Sequence[str]
    rows: Mapping[str, Sequence[Estimate]]
    note: str = ''


class Figure(NamedTuple):
    """A figure of the report; `name` is that of its file, as far as a file can have it."""

    name: str
    caption: str
    drawing: 'Drawing'

    @property
    def file(self) -> str:
        """The name of its PNG."""
        return f'{file_name(self.name)}.png'


class Result(NamedTuple):
    """The result of a measure.

    scores: {method: {name in scores.json: estimate}}. details: what details.json holds, mappings and named tuples of
    arrays. notes: what a reader must know to trust the numbers.
    """

    scores: Mapping[str, Mapping[str, Estimate]] = {}
    details: Any = None
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    notes: Sequence[str] = ()


class Publication(NamedTuple):
    """The content of scores.json, details.json, the figures and the report."""

    title: str
    lead: str  # one sentence: what is compared
    scores: Mapping[str, Mapping[str, Estimate]]  # {method: {score: estimate}}, methods in the order of the report
    definitions: Mapping[str, Definition]  # of all scores, in the order of the report, with their final units
    details: Mapping[str, Any]  # mappings and named tuples of arrays
    facts: Mapping[str, str | float]  # the headline of the report
    tables: Sequence[Table]
    figures: Sequence[Figure]
    notes: Sequence[str]  # what a reader must know to trust the numbers
    config: Mapping[str, Any]


def certain(value: float) -> Estimate:
    """An estimate without an interval."""
    return np.array([value, np.nan, np.nan])
