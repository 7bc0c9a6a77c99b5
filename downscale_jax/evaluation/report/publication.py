"""The record of everything that is published of one evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from downscale_jax.evaluation.results import Definition, Estimate, Figure, Table


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
