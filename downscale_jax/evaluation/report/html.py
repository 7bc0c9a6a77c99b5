"""The report of a run: one HTML file with everything in it, for light and dark screens and for paper."""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from downscale_jax.evaluation.statistics.pointwise import ENSEMBLE, HIGHER, LOWER, NEITHER, ONE, SCORES, ZERO, Score
from downscale_jax.runtime.files import write_text

Scores = Mapping[str, Mapping[str, float]]
Intervals = Mapping[str, Mapping[str, tuple[float, float]]]


class Table(NamedTuple):
    """Numbers in detail: a row a class, a column a score, of triples (value, low, high)."""

    title: str
    corner: str  # what the rows are
    columns: Sequence[str]
    rows: Mapping[str, Sequence[Sequence[float]]]
    note: str = ''


_ARROWS = {LOWER: '↓', HIGHER: '↑', ZERO: '→ 0', ONE: '→ 1'}
_DISTANCE_FROM_BEST = {
    LOWER: lambda value: value,
    HIGHER: lambda value: -value,
    ZERO: abs,
    ONE: lambda value: abs(math.log(value)) if value > 0 else math.inf,
}
# the policy makes a browser refuse whatever is not in the file: no script, no font, no request
_HEAD = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark"><meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)
_STYLE = """
:root { --ink: #1b1f24; --quiet: #59626d; --paper: #ffffff; --card: #f5f7f9; --line: #dfe3e8; --best: #00566e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --quiet: #a3abb5; --paper: #14171b; --card: #1e2328; --line: #343b43; --best: #7fd3ee; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 1000px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 2.8rem 0 0.8rem; font-size: 1.2rem; }
.lead { margin: 0.6rem 0 0; max-width: 46em; font-size: 1.08rem; color: var(--quiet); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.4rem, 1fr)); gap: 0.7rem; margin: 1.6rem 0 0; }
.facts div { padding: 0.65rem 0.85rem; border-radius: 8px; background: var(--card); }
.facts dt, th .unit, th .reads, td small { color: var(--quiet); font-size: 0.8rem; font-weight: 400; }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.notes { margin: 1.2rem 0 0; padding: 0.7rem 1rem 0.7rem 2rem; border-left: 3px solid var(--best);
  background: var(--card); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.5rem 0.45rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--quiet); font-size: 0.92rem; line-height: 1.3; }
th:first-child { text-align: left; }
tbody th { font-weight: 600; white-space: nowrap; }
th .unit, th .reads, td small { display: block; }
td { white-space: nowrap; }
td small { font-size: 0.74rem; line-height: 1.35; white-space: normal; }
td b { color: var(--best); }
.definitions { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1rem; font-size: 0.9rem; }
.definitions dt { font-weight: 600; }
.definitions dd { margin: 0; color: var(--quiet); }
figure { margin: 0 0 2.2rem; break-inside: avoid; }
img { display: block; width: 100%; height: auto; padding: 8px; border: 1px solid var(--line);
  border-radius: 8px; background: #ffffff; }
figcaption { margin-top: 0.5rem; max-width: 46em; color: var(--quiet); font-size: 0.92rem; }
.key { margin: 0.7rem 0 1.2rem; color: var(--quiet); font-size: 0.9rem; }
summary { cursor: pointer; font-weight: 600; }
pre { padding: 1rem; overflow-x: auto; border-radius: 8px; background: var(--card); font-size: 0.82rem; }
@media (max-width: 600px) { .definitions { grid-template-columns: 1fr; } .definitions dd { margin-bottom: 0.5rem; } }
@media print {
  :root { --ink: #000000; --quiet: #444444; --paper: #ffffff; --card: #f3f3f3; --line: #cccccc; --best: #000000; }
  body { max-width: none; padding: 0; font-size: 10pt; } .wide { overflow: visible; }
  h2 { break-after: avoid; margin-top: 1.6rem; } img { width: auto; max-width: 100%; max-height: 19cm; }
}
"""


def write(
    path: str | Path,
    title: str,
    summary: Mapping[str, Any],
    scores: Scores,
    intervals: Intervals | None,
    tables: Sequence[Table],
    figures: Mapping[str, str | Path],
    config: Mapping[str, Any],
    notes: Sequence[str],
    lead: str = '',
    unit: str = '',
    described: Mapping[str, Score] = SCORES,
) -> None:
    """Writes the report, the whole of it or nothing. Raises UserError where the disk refuses.

    lead: one sentence that says what this is. summary: {label: value}, the facts at the top. scores: {method: {score:
    number}}, ordered and presented as in `described`, None or NaN for none; other names appear as they are. intervals:
    the same with (low, high), 5 to 95 %. tables: shown behind the scores. figures: {caption: PNG}. notes: what the
    reader should know before trusting the numbers. unit: of the target. Every text is escaped.
    """
    parts = [
        f'<header><h1>{escape(title)}</h1>',
        f'<p class="lead">{escape(lead)}</p>' if lead else '',
        _facts(summary),
        '</header><main>',
        _list(notes),
        _scores(scores, intervals or {}, unit, described) if scores else '',
        *map(_detail, tables),
        '<section><h2>Figures</h2>' + ''.join(_figure(*item) for item in figures.items()) + '</section>'
        if figures
        else '',
        '<section><h2>Configuration</h2><details><summary>What was run</summary><pre>',
        escape(json.dumps(dict(config), indent=2, default=str, ensure_ascii=False)),
        '</pre></details></section></main>',
    ]
    page = f'<!doctype html>\n<html lang="en"><head>{_HEAD}<title>{escape(title)}</title><style>{_STYLE}</style></head>'
    write_text(Path(path), page + '<body>\n' + '\n'.join(filter(None, parts)) + '\n</body></html>\n')


def _facts(summary: Mapping[str, Any]) -> str:
    items = [
        f'<div><dt>{escape(str(name))}</dt><dd>{escape(_text(value))}</dd></div>' for name, value in summary.items()
    ]
    return f'<dl class="facts">{"".join(items)}</dl>' if items else ''


def _list(notes: Sequence[str]) -> str:
    items = ''.join(f'<li>{escape(note)}</li>' for note in notes)
    return f'<ul class="notes">{items}</ul>' if items else ''


def _figure(caption: str, png: str | Path) -> str:
    data = base64.b64encode(Path(png).read_bytes()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _scores(scores: Scores, intervals: Intervals, unit: str, known: Mapping[str, Score]) -> str:
    """Methods as rows, scores as columns in the order of `known`, the best of each column bold; then the definitions.

    A table for each of its headings: a single one would be wider than the page.
    """
    present = dict.fromkeys(name for row in scores.values() for name in row)
    names = [name for name in known if name in present] + [name for name in present if name not in known]
    described = {name: known.get(name) or Score(name, NEITHER, '1', ENSEMBLE, '') for name in names}
    parts = []
    for heading in dict.fromkeys(score.table for score in described.values()):
        columns = [name for name in names if described[name].table == heading]
        best = {name: _best({m: row.get(name) for m, row in scores.items()}, described[name]) for name in columns}
        head = ''.join(_heading(described[name], unit) for name in columns)
        rows = {
            method: ''.join(
                _cell(row.get(name), intervals.get(method, {}).get(name), method in best[name]) for name in columns
            )
            for method, row in scores.items()
        }
        parts.append(f'<h2>{escape(heading)}</h2>' + _table('Method', head, rows))
    definitions = ''.join(
        f'<dt>{escape(score.long_name)}</dt><dd>{escape(score.definition)}</dd>'
        for score in described.values()
        if score.definition
    )
    key = 'Bold: the best of a column. ↓ lower, ↑ higher, → 0 nearer 0, → 1 nearer 1 is better; no arrow: for '
    key += 'information.' + (' Small: 5 to 95 % over resampled days.' if intervals else '')
    definitions = f'<details><summary>Definitions</summary><dl class="definitions">{definitions}</dl></details>'
    return f'<section>{"".join(parts)}<p class="key">{key}</p>{definitions}</section>'


def _detail(table: Table) -> str:
    head = ''.join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = {
        name: ''.join(_cell(value, (low, high), best=False) for value, low, high in cells)
        for name, cells in table.rows.items()
    }
    note = f'<p class="key">{escape(table.note)}</p>' if table.note else ''
    return f'<section><h2>{escape(table.title)}</h2>{_table(table.corner, head, rows)}{note}</section>'


def _table(corner: str, head: str, rows: Mapping[str, str]) -> str:
    body = ''.join(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>' for name, cells in rows.items())
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">{escape(corner)}</th>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div>'
    )


def _heading(score: Score, unit: str) -> str:
    unit = unit if score.unit == 'field' else '' if score.unit == '1' else score.unit
    hint = escape(f'{score.definition} ({score.reads})' if score.definition else score.reads)
    return (
        f'<th scope="col" title="{hint}">{escape(score.long_name)}<span class="unit">{escape(unit) or "&nbsp;"}</span>'
        f'<span class="reads" aria-label="{escape(score.reads)}">{_ARROWS.get(score.reads, "&nbsp;")}</span></th>'
    )


def _cell(value: float | None, interval: tuple[float, float] | None, best: bool) -> str:
    if not _is_number(value):
        return '<td>–</td>'
    shown = escape(_text(value))
    small = ''
    if interval and all(_is_number(end) for end in interval):
        small = f'<small>{escape(_text(interval[0]))}…{escape(_text(interval[1]))}</small>'
    return f'<td>{f"<b>{shown}</b>" if best else shown}{small}</td>'


def _best(column: Mapping[str, float | None], score: Score) -> set[str]:
    """The methods with the best value as shown, so that equal digits are not told apart; none in a column of one."""
    distance = _DISTANCE_FROM_BEST.get(score.reads)
    column = {method: value for method, value in column.items() if _is_number(value)}
    if distance is None or len(column) < 2:
        return set()
    winner = _text(min(column.values(), key=distance))
    return {method for method, value in column.items() if _text(value) == winner}


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _text(value: Any) -> str:
    """A float to three significant digits, with a true minus sign; thousands of an integer apart; the rest as it is."""
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
