"""Scores of predictions against the targets of an RCM: those of CORDEX ML-Bench, and those of ensembles.

Indices and spectra are computed for every member and averaged over the members before they are compared; the
Wasserstein distance and `rmse_member` are means over the members. All cells count alike, as in the benchmark.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from data_prep.readers.pairs import Pair, at_common_times
from downscale_jax.evaluation.statistics.bootstrap import Sums, total
from downscale_jax.evaluation.statistics.pointwise import day_sums, summarise
from downscale_jax.evaluation.statistics.ranks import rank_histogram
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.assumed_units import with_assumed_units
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from experiments.cordex_bench.diagnostics import power_spectrum, ralsd, wasserstein
from experiments.cordex_bench.indices import INDICES
from experiments.cordex_bench.layout import DOMAINS, EXPERIMENTS, TARGETS, UNITS, cases_of
from experiments.many_runs import markdown

BLOCK = 64  # times whose members are read together
# columns of the table; the file has more
SHOWN = ('prediction', 'variable', 'crps', 'rmse', 'bias', 'spread_skill', 'reliability', 'ralsd', 'wasserstein')


class Scored(NamedTuple):
    """A prediction and its truth, by a label."""

    label: str
    prediction: Path
    truth: Path


class Series(NamedTuple):
    """One variable of a prediction and its truth at their common days, lazily."""

    members: xr.DataArray  # (member, time, y, x)
    truth: xr.DataArray  # (time, y, x)


def score(predictions: Path, truth: Path, output: Path) -> None:
    """Scores a prediction, or those of a submission that have a truth in the tree, and writes {label: {variable: ..}}.

    Raises UserError where nothing can be scored, and where times, grids or units do not fit.
    """
    if not output.parent.is_dir():
        raise UserError(f"--output={output}: no folder '{output.parent}': make it first")
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for scored in scored_files(predictions, truth):
        pair = open_scored(scored)
        results[scored.label] = {name: scores_of(series(pair, scored, name), name) for name in TARGETS}
        messages.info(f'{scored.label} is scored')
        write_json(output, results)
    print(
        markdown([{'prediction': p, 'variable': v, **s} for p, both in results.items() for v, s in both.items()], SHOWN)
    )


def scored_files(predictions: Path, truth: Path) -> list[Scored]:
    """What is to be scored. Raises UserError where a prediction or its truth is missing."""
    if predictions.is_file():
        if not truth.is_file():
            raise UserError(f'--truth={truth}: a single prediction needs a file of targets')
        return [Scored(predictions.name, predictions, truth)]
    known: list[Scored] = []
    missing: list[Scored] = []
    for domain in DOMAINS.values():
        for case in cases_of(domain):
            for experiment in EXPERIMENTS:
                path, own = case.prediction(predictions, experiment), case.truth(truth)
                if path.is_file():
                    (known if own.is_file() else missing).append(Scored(str(path.relative_to(predictions)), path, own))
    if not known:
        expected = f'; the truth of {missing[0].label} would be {missing[0].truth}' if missing else ''
        raise UserError(f'{predictions}: no prediction with a truth in --truth={truth}{expected}')
    for scored in missing:
        messages.info(f'{scored.label}: no truth ({scored.truth})')
    return known


def open_scored(scored: Scored) -> Pair:
    """The prediction and the truth at their common days, in the units of the benchmark."""
    both = []
    for path in (scored.prediction, scored.truth):
        dataset = store.open_dataset(str(path))
        if absent := [name for name in TARGETS if name not in dataset]:
            raise UserError(f"{path} has no '{absent[0]}': both {' and '.join(TARGETS)} were expected")
        dataset = with_assumed_units(dataset, TARGETS, [UNITS[name] for name in TARGETS], str(path))
        both.append(dataset.assign({name: convert_units(dataset[name], UNITS[name]) for name in TARGETS}))
    return at_common_times(Pair(*both), str(scored.prediction), str(scored.truth))


def series(pair: Pair, scored: Scored, name: str) -> Series:
    """One variable. Raises UserError where the grids differ."""
    members, truth = pair.coarse[name], pair.fine[name]
    if 'member' not in members.dims:
        members = members.expand_dims('member')
    members = members.transpose('member', 'time', ...)
    if members.shape[2:] != truth.shape[1:]:
        raise UserError(
            f"{scored.prediction}: '{name}' has {members.shape[2:]} cells, {scored.truth} has {truth.shape[1:]}: they "
            'must lie on the same grid'
        )
    return Series(members, truth)


def scores_of(fields: Series, name: str) -> dict[str, Any]:
    """Numbers by name of score, and the spectra and the rank histogram as lists."""
    years = np.array([int(iso(time).split('-')[0]) for time in fields.truth['time'].values])
    truth = store.load(fields.truth).values
    spectrum, maps, distances = [], [], []
    for index in range(fields.members.sizes['member']):
        values = store.load(fields.members.isel(member=index)).values
        spectrum.append(power_spectrum(values))
        maps.append({key: of(values, years) for key, of in INDICES[name].items()})
        distances.append(wasserstein(truth, values))
    own, mine = power_spectrum(truth), np.mean(spectrum, 0)
    result: dict[str, Any] = ensemble_scores(fields)
    result |= {'ralsd': ralsd(own, mine), 'wasserstein': float(np.mean(distances))}
    for key, of in INDICES[name].items():
        result |= index_scores(key, of(truth, years), np.mean([found[key] for found in maps], 0))
    return result | {'psd': mine.tolist(), 'psd_truth': own.tolist()}


def index_scores(name: str, truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Of maps [H, W]: the mean of both, the bias and the mean of its absolute values."""
    bias = prediction - truth
    means = {'': prediction, '_truth': truth, '_bias': bias, '_absolute_bias': np.abs(bias)}
    return {f'{name}{suffix}': nan_mean(values) for suffix, values in means.items()}


def nan_mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float('nan')


def ensemble_scores(fields: Series) -> dict[str, Any]:
    """Fair CRPS and errors; for an ensemble also spread, spread over skill, reliability and the rank histogram."""
    sums = total(list(daily_sums(fields)))
    if not sums['weight'].any():
        raise UserError(f"'{fields.truth.name}': no day has both a prediction and a truth")
    result = {name: float(values[0]) for name, values in summarise(sums).items() if name != 'share'}
    return result | ({'ranks': rank_histogram(sums['ranks'][0]).tolist()} if 'ranks' in sums else {})


def daily_sums(fields: Series) -> Iterator[Sums]:
    """Sums of each day over the cells that have a truth and all members."""
    ties = np.random.default_rng(0)
    for start in range(0, fields.truth.sizes['time'], BLOCK):
        days = {'time': slice(start, start + BLOCK)}
        members, truth = (store.load(part.isel(days)).values for part in fields)
        for today, field in zip(np.moveaxis(members, 1, 0), truth, strict=True):
            weight = np.isfinite(today).all(0).astype(float)
            yield day_sums(today, field, weight, np.ones((1, *field.shape), bool), ties)
