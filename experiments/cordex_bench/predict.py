"""Predictions of all test files of a domain and experiment by a trained model of `configs/cordex_bench.py`."""

import dataclasses
import hashlib
import shutil
from pathlib import Path
from typing import NamedTuple

import jax
import xarray as xr

from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.request import Source, StoreRequest, file_state
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.files import paths
from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler, check_drawn
from downscale_jax.systems.system import Given
from experiments.cordex_bench.layout import (
    DOMAINS,
    OROGRAPHY,
    Case,
    Domain,
    check_name,
    experiment_of,
    present_cases,
)
from experiments.cordex_bench.prediction import open_targets, write_prediction
from experiments.cordex_bench.units import equal_units


class Entry(NamedTuple):
    """A trained model as an entry to the benchmark."""

    model: Downscaler
    domain: Domain
    experiment: str
    root: Path  # of the data
    submission: Path
    members: int
    seed: int

    def training_file(self, key: str) -> str:
        """`coarse` or `fine` of the config, below `root` if the tree has moved."""
        data = self.model.config['data']
        return data[key].replace(data['root'], str(self.root), 1)


def predict(
    workdir: Path, submission: Path, members: int, seed: int = 0, root: Path | None = None, given: Given | None = None
) -> None:
    """Writes the predictions of every test file in the tree, one after the other.

    A prediction that exists is kept; one that was begun is resumed. `root` is that of training by default. Raises
    UserError where the work directory is of another config, the name does not say whether the orography is used, or
    a file was predicted by another model.
    """
    check_drawn(members, seed, '--')
    entry = open_entry(workdir, submission, members, seed, root, given)
    for case in present_cases(entry.root, entry.domain):
        predict_case(entry, case)


def open_entry(
    workdir: Path, submission: Path, members: int, seed: int, root: Path | None, given: Given | None
) -> Entry:
    """The trained model and the files to predict, checked."""
    model = load(workdir, given, kind=Downscaler)
    model.system.check(model.config)
    data = model.config['data']
    if 'experiment' not in data:
        raise UserError(f'{workdir} was not trained by configs/cordex_bench.py: train a model for the benchmark')
    check_name(submission.name)
    if uses_orography(model) != submission.name.endswith(OROGRAPHY):
        has = 'uses' if uses_orography(model) else 'does not use'
        raise UserError(
            f"--submission='{submission.name}': {workdir} {has} the orography (data.context={data['context']}), and "
            f'the name of the submission must {"" if uses_orography(model) else "not "}end in {OROGRAPHY}'
        )
    drawn = members if model.best().draws else 1
    experiment, domain = experiment_of(data['experiment']), DOMAINS[data['domain']]
    return Entry(model, domain, experiment, root or Path(data['root']), submission, drawn, seed)


def uses_orography(model: Downscaler) -> bool:
    return 'topography' in model.config['data']['context']


def predict_case(entry: Entry, case: Case) -> None:
    """Writes one prediction, by way of a Zarr store in the work directory."""
    path, predictors = case.prediction(entry.submission, entry.experiment), case.predictors(entry.root)
    dataset = store.open_dataset(str(predictors))
    check_units(entry, dataset, predictors)
    generator, fine = entry.model.best(), entry.model.prepared.statics
    inputs = open_inputs(dataset, generator.transform, fine, str(predictors))
    ensemble = Ensemble(generator, inputs, fine, entry.members, entry.seed)
    source = Source(str(predictors), file_state(str(predictors)))
    begun = entry.model.workdir / 'predictions' / f'{case.period}_{case.condition}_{case.gcm}.zarr'
    request = digest(StoreRequest.of(ensemble, source), predictors)
    if path.exists():
        check_predicted(path, request)
        messages.info(f'{path} exists')
    else:
        begun.parent.mkdir(exist_ok=True)
        to_store(ensemble, begun, source, entry.model.attributes())
        if jax.process_index() == 0:
            targets = open_targets(entry.training_file('fine'), entry.domain)
            attributes = {'request': request, 'orography': 'yes' if uses_orography(entry.model) else 'no'}
            write_prediction(begun, path, targets, dataset['time'], attributes)
            messages.info(f'{path} is written')
    parallel.barrier('the prediction is written')
    if jax.process_index() == 0:
        shutil.rmtree(begun, ignore_errors=True)


def check_units(entry: Entry, dataset: xr.Dataset, predictors: Path) -> None:
    """Raises UserError where a predictor is in other units than in training, as far as both files name them."""
    trained = store.open_dataset(entry.training_file('coarse'))
    for name in entry.model.config['data']['predictors']:
        units = [held[name].attrs.get('units') for held in (dataset, trained) if name in held]
        if len(units) == 2 and None not in units and units[0] != units[1] and not equal_units(*units):
            raise UserError(
                f"{predictors}: '{name}' is in '{units[0]}', in training it was in '{units[1]}': convert it"
            )


def digest(request: StoreRequest, predictors: Path) -> str:
    """Of model, predictors, members, seed and settings, wherever the data are: predictions must not contain paths."""
    state = ' '.join(f'{size} {changed}' for _, size, changed in paths.fingerprint(str(predictors)))
    text = dataclasses.replace(request, source=Source(predictors.name, state)).to_json()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_predicted(path: Path, request: str) -> None:
    """Raises UserError where an existing prediction was made with other settings."""
    with xr.open_dataset(path) as dataset:
        held = dataset.attrs.get('request')
    if held != request:
        raise UserError(
            f'{path} was predicted by another model, from other data or with other settings: remove it, or choose '
            'another --submission'
        )
