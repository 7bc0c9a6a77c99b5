"""What a run is: prepare -> train -> evaluate in a work directory; and what can be done with a trained one."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.evaluation.evaluate import evaluate as score
from downscale_jax.fields import store
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.runtime.files import write_json
from downscale_jax.trained import Config, Trained, build, initialiser, untrained_initialiser
from downscale_jax.training.log import Log
from downscale_jax.training.loop import Schedule, abstract_state, advance_with, zero_sums
from downscale_jax.training.loop import train as train_task

Prepare = Callable[[dict[str, Any], int, Path], Prepared]  # data section, seed, folder -> prepared data
AFTERWARDS = ('sampling', 'evaluation')  # sections that may differ from those a work directory was trained with


def train(config: Config, workdir: Path, prepare: Prepare) -> None:
    """Prepares data if need be, trains every task from where it stands, evaluates."""
    data, training = config['data'], config['training']
    rows = parallel.local_rows(training['batch_size'])
    schedule = Schedule(training['log_every'], training['validate_every'], training['keep'])
    if len(rows) % (training['accumulate'] * jax.local_device_count()):
        raise UserError(
            f'training.accumulate={training["accumulate"]} does not divide the '
            f'{len(rows) // jax.local_device_count()} rows of a device: choose a divisor'
        )
    tasks = build(config)
    if jax.process_index() == 0:
        claim(config, workdir)
        if not (workdir / 'checkpoints').exists():
            describe(config, workdir)
        prepared = prepare(data, config['seed'], workdir.parent / 'data')
        for name in ('statics.nc', 'prepared.json'):
            shutil.copy(prepared.directory / name, workdir / name)
    parallel.barrier('data are prepared')
    prepared = prepare(data, config['seed'], workdir.parent / 'data')

    from downscale_jax.pipeline.batches import Patches, batches

    cut = partial(Patches, prepared, size=data['patch'], per_record=data['patches_per_record'], seed=config['seed'])
    train_split = partial(batches, cut(split='train', flips=data['flips']), training['batch_size'])
    held_out = batches(cut(split='validation', flips=False), training['batch_size'])
    validation, examples = (list(islice(rows, training['validation_batches'])) for rows in (held_out, train_split()))
    log = Log(workdir)
    for name, task in tasks.items():
        train_task(
            task,
            name,
            init=initialiser(name, tasks, workdir / 'checkpoints', examples),
            batches=train_split,
            validation=validation,
            schedule=schedule,
            seed=config['seed'],
            directory=workdir / 'checkpoints' / name,
            log=log,
        )
    log.close()
    if jax.process_count() > 1:
        print(f'trained on {jax.process_count()} processes; score it on one: --mode=evaluate --workdir={workdir}')
    else:
        evaluate(config, workdir, prepare)


def evaluate(config: Config, workdir: Path, prepare: Prepare) -> None:
    """Scores the trained tasks and the coarse field on days of the test split: scores.json, figures, report.html."""
    trained = Trained(workdir, config['sampling'])
    generators = {name: trained.generator(name) for name in trained.tasks}
    prepared = prepare(trained.config['data'], trained.config['seed'], workdir.parent / 'data')
    score(generators, prepared, config['evaluation'], trained.config, workdir)


def downscale(workdir: Path, sampling: dict, source: str, output: str, statics: str, members: int, seed: int) -> None:
    """Coarse file in, ensemble out: a Zarr store, or by way of one a NetCDF file where `output` ends in .nc."""
    path = Path(output)
    if path.suffix not in ('.nc', '.zarr'):
        raise UserError(f"--output '{output}' must end in .zarr or .nc")
    if members < 1:
        raise UserError(f'--members={members}: at least 1 is needed')
    if not path.parent.is_dir():
        raise UserError(f"--output '{output}': there is no folder '{path.parent}': make it first")
    zarr = path.with_suffix('.zarr')
    if path.exists() and not zarr.exists():
        raise UserError(
            f'{path} exists without the store {zarr} it would come from: choose another --output or remove it'
        )
    trained = Trained(workdir, sampling)
    dataset = store.open_dataset(source)
    fine = fine_grid(statics) if statics else trained.prepared.statics
    generator = trained.generator('diffusion')
    attrs = trained.attributes('diffusion')
    request = {'input': source, 'statics': statics, 'model': generator.identity}
    ensemble.to_store(generator, dataset, fine, members, seed, attrs, zarr, request)
    if path.suffix == '.nc' and not path.exists():
        ensemble.export_netcdf(zarr, path)


def fine_grid(path: str) -> xr.Dataset:
    """The fine grid of another domain: a file with `mask` (non-zero where the field exists) and its coordinates."""
    dataset = store.open_dataset(path)
    if 'mask' not in dataset:
        raise UserError(f"--statics {path} has no variable 'mask': {nearest('mask', map(str, dataset.data_vars))}")
    return store.load(dataset[['mask']], path)


def describe(config: Config, workdir: Path) -> None:
    """Prints layers, parameters, cost and memory of a training step; writes describe.json into the work directory."""
    data, key = config['data'], jax.random.key(0)
    tasks = build(config)
    rows = config['training']['batch_size'] // jax.device_count()
    shape = (rows * jax.device_count(), data['patch'], data['patch'])
    batch = {
        'target': jax.ShapeDtypeStruct((*shape, 1), np.float32),
        'condition': jax.ShapeDtypeStruct((*shape, len(data['inputs']) + 1), np.float32),
        'mask': jax.ShapeDtypeStruct((*shape, 1), bool),
    }
    batch = parallel.abstract(batch, parallel.ROWS)
    networks, cost = {}, {}
    for name, task in tasks.items():
        state = abstract_state(task, untrained_initialiser(name, tasks), batch, 0)
        networks['unet' if name == 'diffusion' else name] = state.params
        sums = zero_sums(task, state, batch, key)
        step = advance_with(task, task.phases[0], key).lower(state, sums, batch).compile()
        cost[name] = step.cost_analysis()['flops'], step.cost_analysis()['bytes accessed']
        count = parameters(state.params)
        print(f'{name}: {count:,} parameters, {cost[name][0] / 1e9:.3g} GFLOP and {cost[name][1] / 1e9:.3g} GB a step')
        print(
            f'  of {rows} patches a device, {step.memory_analysis().temp_size_in_bytes / 2**20:,.0f} MiB of work memory'
        )
    print('layers of the unet:')
    for layer, weights in networks['unet']['params'].items():
        kernel = max(jax.tree.leaves(weights), key=lambda leaf: leaf.size).shape
        print(f'  {layer:20} {parameters(weights):>10,}  {" x ".join(map(str, kernel))}')
    flops, traffic = cost['diffusion']
    described = {
        'parameters': {name: parameters(params) for name, params in networks.items()},
        'step_flops': flops,
        'step_bytes': traffic,
    }
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / 'describe.json', described)


def parameters(tree: Any) -> int:
    """Number of values in a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def claim(config: Config, workdir: Path) -> None:
    """Writes config.json into the work directory; raises UserError where it was trained with another config."""
    path = workdir / 'config.json'
    ours = flat(json.loads(json.dumps(config)))
    if path.exists():
        there = flat(json.loads(path.read_text()))
        differ = sorted(k for k in {*there, *ours} if there.get(k) != ours.get(k) and k.split('.')[0] not in AFTERWARDS)
        if differ:
            told = ', '.join(f'{k} is {there.get(k)!r} there, {ours.get(k)!r} here' for k in differ[:3])
            raise UserError(f'{workdir} was made with another config ({told}): choose another --workdir')
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(path, config)
    except OSError as error:
        raise UserError(f'cannot write to the work directory {workdir}: {error.strerror or error}') from error


def flat(tree: Config, prefix: str = '') -> dict[str, Any]:
    """{'a': {'b': 1}} -> {'a.b': 1}."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= flat(value, f'{prefix}{key}.') if isinstance(value, dict) else {f'{prefix}{key}': value}
    return leaves
