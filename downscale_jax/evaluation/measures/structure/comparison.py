"""Sums of every complete method beside those of the truth, and their summaries as a table of the report."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.protocol import Setting
from downscale_jax.evaluation.results import Estimate, Table
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, Sums

FIELD, TRUTH, SCORE = 'field', 'truth', 'score'  # kinds of sums and of what they become
MEMBERS = 4  # of an ensemble that are scored, at most: statistics of one member are averages already
Summarise = Callable[[Sums], Mapping[str, np.ndarray]]
Score = Callable[[Mapping[str, np.ndarray], Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


class Compared(NamedTuple):
    """Scores by method, and quantities [n, 3] by method and variable, the truth among the methods."""

    scores: Mapping[str, Mapping[str, Estimate]]
    quantities: Mapping[str, Mapping[str, Mapping[str, Estimate]]]


class Comparison:
    """Sums of members and of the truth by method and variable; `score(found, truth)` compares their summaries."""

    def __init__(self, setting: Setting, summarise: Summarise, score: Score) -> None:
        self._setting, self._summarise, self._score, self.sums = setting, summarise, score, Accumulator()

    def add(self, method: str, index: int, stamp: int, found: Sums, truth: Sums) -> None:
        """The sums of one method and those of the truth at one time."""
        both = {(kind, name): value for kind, sums in ((FIELD, found), (TRUTH, truth)) for name, value in sums.items()}
        self.sums.add((method, index), stamp, both)

    def result(self) -> Compared:
        scores: dict[tuple[str, int], dict[str, Estimate]] = {}
        quantities: dict[str, dict[str, dict[str, Estimate]]] = {}
        for (method, index), found in self.sums.all_estimates(self._summary).items():
            parts: dict[str, dict[str, Estimate]] = {SCORE: {}, TRUTH: {}, FIELD: {}}
            for (kind, name), estimate in found.items():
                parts[kind][name] = estimate
            scores[method, index] = parts[SCORE]
            rows = quantities.setdefault(self._setting.variables[index].name, {TRUTH: parts[TRUTH]})
            rows[method] = parts[FIELD]
        return Compared(self._setting.named(scores), quantities)

    def _summary(self, sums: Sums) -> dict[tuple[str, str], np.ndarray]:
        """{(kind, name): ...}, of a method, of the truth, and the scores of one against the other."""
        field, truth = (
            self._summarise({name: value for (of, name), value in sums.items() if of == kind})
            for kind in (FIELD, TRUTH)
        )
        parts = {FIELD: field, TRUTH: truth, SCORE: self._score(field, truth)}
        return {(kind, name): value for kind, part in parts.items() for name, value in part.items()}


def tables(
    compared: Compared, setting: Setting, title: str, columns: Mapping[str, Sequence[str]], note: str
) -> list[Table]:
    """A table per variable: one row per method, the truth first; `columns` labels the entries of each quantity."""
    labels = [label for entries in columns.values() for label in entries]
    made = []
    for variable in setting.variables:
        rows = {
            method: [cell for name in columns for cell in np.atleast_2d(row[name])]
            for method, row in sorted(
                compared.quantities.get(variable.name, {}).items(), key=lambda item: item[0] != TRUTH
            )
        }
        if rows:
            made.append(Table(f'{title}: {variable.label}', 'Fields', labels, rows, note))
    return made
