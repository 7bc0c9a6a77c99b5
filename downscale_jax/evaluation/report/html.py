"""The report of a run: one HTML file with everything in it, for light and dark screens and for paper."""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from downscale_jax.evaluation.results import HIGHER, LOWER, ONE, ZERO, Definition, Estimate, Publication, Table
from downscale_jax.runtime.files import write_text

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=select_autoescape(('html.j2',)),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_CONTROLS = re.compile('[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]')  # and what UTF-8 cannot hold
_ARROWS = {LOWER: '↓', HIGHER: '↑', ZERO: '→ 0', ONE: '→ 1'}
_DISTANCE_FROM_BEST = {
    LOWER: lambda value: value,
    HIGHER: lambda value: -value,
    ZERO: abs,
    ONE: lambda value: abs(math.log(value)) if value > 0 else math.inf,
}


class Column(NamedTuple):
    """The heading of a column of scores."""

    name: str
    unit: str
    arrow: str
    direction: str
    hint: str


class Cell(NamedTuple):
    """A formatted estimate; `interval` is empty if it is undefined."""

    value: str
    interval: str
    best: bool


class Grid(NamedTuple):
    """A table ready for the template."""

    title: str
    corner: str
    columns: Sequence[Column]
    rows: Mapping[str, Sequence[Cell]]
    note: str = ''


def write(path: Path, publication: Publication, figures: Path) -> None:
    """Writes the report completely or not at all; `figures` is the folder of the PNGs.

    Raises UserError if the file cannot be written.
    """
    definitions, scores = scored(publication), score_grids(publication)
    page = TEMPLATES.get_template('report.html.j2').render(
        title=publication.title,
        lead=publication.lead,
        facts={label: text(value) for label, value in publication.facts.items()},
        notes=publication.notes,
        scores=scores,
        intervals=any(cell.interval for grid in scores for cells in grid.rows.values() for cell in cells),
        # variables share their formulas
        formulas=dict.fromkeys((d.long_name, d.formula) for d in definitions.values() if d.formula),
        details=[detail_grid(table) for table in publication.tables],
        images=[
            {'caption': figure.caption, 'png': base64.b64encode((figures / figure.file).read_bytes()).decode()}
            for figure in publication.figures
        ],
        config=json.dumps(dict(publication.config), indent=2, default=str, ensure_ascii=False),
    )
    write_text(path, _CONTROLS.sub('\ufffd', page))


def scored(publication: Publication) -> dict[str, Definition]:
    """The definitions of the scores that at least one method has."""
    known = {name for row in publication.scores.values() for name in row}
    return {name: definition for name, definition in publication.definitions.items() if name in known}


def score_grids(publication: Publication) -> list[Grid]:
    """A table of each group of scores."""
    definitions = scored(publication)
    return [
        score_grid(group, publication.scores, {n: d for n, d in definitions.items() if d.group == group})
        for group in dict.fromkeys(definition.group for definition in definitions.values())
    ]


def score_grid(group: str, scores: Mapping[str, Mapping[str, Estimate]], definitions: Mapping[str, Definition]) -> Grid:
    """Methods as rows and scores as columns, the best of each column marked; methods without any score are left out."""
    winners = {
        name: best({method: float(row[name][0]) for method, row in scores.items() if name in row}, definition)
        for name, definition in definitions.items()
    }
    rows = {
        method: [cell(row.get(name), method in winners[name]) for name in definitions]
        for method, row in scores.items()
        if any(name in row for name in definitions)
    }
    return Grid(
        group[:1].upper() + group[1:], 'Method', [column(definition) for definition in definitions.values()], rows
    )


def detail_grid(table: Table) -> Grid:
    """One row per class and one column per quantity."""
    columns = [Column(name, '', '', '', '') for name in table.columns]
    rows = {name: [cell(estimate) for estimate in estimates] for name, estimates in table.rows.items()}
    return Grid(table.title, table.corner, columns, rows, table.note)


def column(definition: Definition) -> Column:
    return Column(
        definition.long_name,
        '' if definition.unit == '1' else definition.unit,
        _ARROWS.get(definition.direction, ''),
        definition.direction,
        f'{definition.formula} ({definition.direction})' if definition.formula else definition.direction,
    )


def cell(estimate: Estimate | None, is_best: bool = False) -> Cell:
    """A dash stands for an undefined value."""
    if estimate is None or not math.isfinite(estimate[0]):
        return Cell('–', '', False)
    value, low, high = (float(number) for number in estimate)
    known = math.isfinite(low) and math.isfinite(high)
    return Cell(text(value), f'{text(low)}…{text(high)}' if known else '', is_best)


def best(values: Mapping[str, float], definition: Definition) -> set[str]:
    """The methods with the best value as printed: equal digits are equally good, and so are values equally far from
    the ideal on either side. Empty for fewer than two values and where no direction is better."""
    distance = _DISTANCE_FROM_BEST.get(definition.direction)
    printed = {method: float(text(value).replace('−', '-')) for method, value in values.items() if math.isfinite(value)}
    if distance is None or len(printed) < 2:
        return set()
    nearest = min(map(distance, printed.values()))
    return {method for method, value in printed.items() if math.isclose(distance(value), nearest)}


def text(value: str | float) -> str:
    """Three significant digits and a true minus sign for a float, groups of three digits for a long integer."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f'{value:,}'.replace(',', '\u202f')
    if not isinstance(value, float):
        return str(value)
    if value == 0:
        return '0'
    if not 1e-4 <= abs(value) < 1e5:
        return f'{value:.2e}'.replace('-', '−')
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f'{value:.{digits}f}'.replace('-', '−')
