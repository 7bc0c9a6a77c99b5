"""What a run is: prepare -> train -> evaluate in a work directory; and what can be done with a trained one."""

import json
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.inputs import fine_grid
from downscale_jax.evaluation.evaluate import evaluate as score
from downscale_jax.evaluation.temperature import fit as fit_temperature
from downscale_jax.fields import store
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.runtime.settings import flat
from downscale_jax.trained import (
    AFTERWARDS,
    CALIBRATION,
    Config,
    Task,
    Trained,
    build,
    fit_request,
    initialiser,
    sampling_of,
    untrained_initialiser,
)
from downscale_jax.training.log import Log
from downscale_jax.training.loop import Schedule, abstract_state, advance_with, zero_sums
from downscale_jax.training.loop import train as train_task
from downscale_jax.training.optimizer import create

Prepare = Callable[[dict[str, Any], int, Path], Prepared]  # data section, seed, folder -> prepared data


def train(config: Config, workdir: Path, prepare: Prepare) -> None:
    """Prepares data if need be, trains every task from where it stands, calibrates the last, evaluates."""
    tasks = build(config)
    check_training(config, tasks)
    check_use(config)
    train_tasks(config, workdir, prepare, tasks)
    if jax.process_count() > 1:
        tell(f'trained on {jax.process_count()} processes; score it on one: --mode=evaluate --workdir={workdir}')
        return
    if config['evaluation']['fit_days']:
        calibrate(workdir, {}, prepare)
    evaluate(workdir, {}, prepare)


def train_tasks(config: Config, workdir: Path, prepare: Prepare, tasks: dict[str, Task]) -> None:
    """Prepares data if need be and trains the tasks, in order, each from where it stands."""
    data, training = config['data'], config['training']
    schedule = Schedule(training['log_every'], training['validate_every'], training['keep'])
    check_workdir(config, workdir)
    if jax.process_index() == 0:
        prepare(data, config['seed'], workdir.parent / 'data')
    parallel.barrier('data are prepared')
    prepared = prepare(data, config['seed'], workdir.parent / 'data')
    if data['patch'] > min(prepared.mask.shape):
        raise UserError(
            f'data.patch={data["patch"]} does not fit the grid of {prepared.mask.shape}: choose a smaller one'
        )
    if jax.process_index() == 0:
        claim(config, workdir, prepared)
    parallel.barrier('the work directory is claimed')
    if not (workdir / 'checkpoints').exists():
        describe(config, workdir)

    from downscale_jax.pipeline.batches import batches
    from downscale_jax.pipeline.patches import Patches

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


def evaluate(workdir: Path, given: dict[str, Any], prepare: Prepare) -> None:
    """Scores the trained tasks and the coarse field on days of the test split: scores.json, figures, report.html."""
    trained, prepared = opened('evaluate', workdir, given, prepare)
    generators = {name: trained.generator(name) for name in trained.tasks}
    fitted = trained.fitted()
    score(generators | ({'calibrated': fitted} if fitted else {}), prepared, trained.config, workdir)


def calibrate(workdir: Path, given: dict[str, Any], prepare: Prepare) -> None:
    """Fits the noise temperature of the last task on days of the validation split, unless that is done already."""
    trained, prepared = opened('calibrate', workdir, given, prepare)
    generator, settings, path = trained.generator(trained.last), trained.config['evaluation'], workdir / CALIBRATION
    if trained.config['sampling']['temperature'] or not generator.draws:
        return
    request = fit_request(generator)
    if not path.exists() or json.loads(path.read_text())['request'] != request:
        fit = fit_temperature(generator, prepared, settings['fit_days'], settings['members'], trained.config['seed'])
        write_json(path, {'request': request, **fit})
    fit = json.loads(path.read_text())
    tell(
        f'noise temperature {fit["temperature"]:.3f}: spread/skill {fit["after"]["spread_skill"]:.2f} on {fit["days"]} '
        f'days of validation, {fit["before"]["spread_skill"]:.2f} without'
    )


def opened(mode: str, workdir: Path, given: dict[str, Any], prepare: Prepare) -> tuple[Trained, Prepared]:
    """A work directory, checked, and the data that it was trained on."""
    alone(mode)
    trained = Trained(workdir, given)
    check_use(trained.config)
    prepared = prepare(trained.config['data'], trained.config['seed'], workdir.parent / 'data')
    check_data(prepared, workdir)
    return trained, prepared


def downscale(
    workdir: Path, given: dict[str, Any], source: str, output: str, statics: str, members: int, seed: int
) -> None:
    """Coarse file in, ensemble out: a Zarr store, or by way of one a NetCDF file where `output` ends in .nc."""
    alone('downscale')
    path = Path(output)
    if path.suffix not in ('.nc', '.zarr'):
        raise UserError(f"--output '{output}' must end in .zarr or .nc")
    if members < 1:
        raise UserError(f'--members={members}: at least 1 is needed')
    if not 0 <= seed < 2**32:
        raise UserError(f'--seed={seed} must lie between 0 and 2^32 - 1')
    if not path.parent.is_dir():
        raise UserError(f"--output '{output}': there is no folder '{path.parent}': make it first")
    trained = Trained(workdir, given)
    check_use(trained.config)
    dataset = store.open_dataset(source)
    fine = fine_grid(store.open_dataset(statics), statics) if statics else trained.prepared.statics
    generator = trained.best()
    request = {
        'input': source,
        'input_state': store.fingerprint(source),
        'statics': statics,
        'statics_state': store.fingerprint(statics),
        'model': generator.identity,
    }
    zarr = path if path.suffix == '.zarr' else path.with_suffix('.zarr')
    if path.suffix == '.nc' and path.exists() and not zarr.exists():
        raise UserError(f'{path} exists and {zarr}, from which it would be written, does not: choose another --output')
    ensemble.to_store(generator, dataset, fine, members, seed, trained.attributes(trained.last), zarr, request)
    if path.suffix == '.nc' and not path.exists():
        ensemble.export_netcdf(zarr, path)


def alone(mode: str) -> None:
    if jax.process_count() > 1:
        raise UserError(f'--mode={mode} runs in one process, found {jax.process_count()}: start it once')


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
        tell(f'{name}: {count:,} parameters, {cost[name][0] / 1e9:.3g} GFLOP and {cost[name][1] / 1e9:.3g} GB a step')
        tell(
            f'  of {rows} patches a device, {step.memory_analysis().temp_size_in_bytes / 2**20:,.0f} MiB of work memory'
        )
    tell('layers of the unet:')
    for layer, weights in networks['unet']['params'].items():
        kernel = max(jax.tree.leaves(weights), key=lambda leaf: leaf.size).shape
        tell(f'  {layer:20} {parameters(weights):>10,}  {" x ".join(map(str, kernel))}')
    flops, traffic = cost['diffusion']
    described = {
        'parameters': {name: parameters(params) for name, params in networks.items()},
        'step_flops': flops,
        'step_bytes': traffic,
    }
    workdir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
        write_json(workdir / 'describe.json', described)


def tell(text: str) -> None:
    """Prints once, whatever the number of processes."""
    if jax.process_index() == 0:
        print(text)


def parameters(tree: Any) -> int:
    """Number of values in a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def check_training(config: Config, tasks: dict[str, Task]) -> None:
    """Raises UserError for values that would fail only after data are prepared or a step is compiled."""
    data, training = config['data'], config['training']
    rows = len(parallel.local_rows(training['batch_size'])) // jax.local_device_count()
    positive = {
        **{f'data.{k}': data[k] for k in ('patch', 'patches_per_record')},
        **{f'training.{k}': training[k] for k in ('log_every', 'validation_batches', 'keep', 'accumulate')},
        **{f'training.{name}.steps': training.get(name, {}).get('steps', 0) for name in training['phases']},
    }
    wrong = [f'{key}={value}: at least 1 is needed' for key, value in positive.items() if value < 1]
    if not wrong and rows % training['accumulate']:
        wrong.append(f'training.accumulate={training["accumulate"]} does not divide the {rows} rows of a device')
    if len(data['bounds']) != 2:
        wrong.append(f'data.bounds={data["bounds"]}: a lower and an upper one are needed')
    if wrong:
        raise UserError('; '.join(wrong))
    for task in tasks.values():
        for phase in task.phases:
            create(phase)  # raises for an unknown optimiser


def check_use(config: Config) -> None:
    """Raises UserError for values of sampling and evaluation that would fail only after training."""
    evaluation = config['evaluation']
    sampling_of(config)
    wrong = []
    if evaluation['window'] < 4 or evaluation['window'] % 2:
        wrong.append(f'evaluation.window={evaluation["window"]}: an even number of cells, at least 4, is needed')
    if evaluation['members'] < 2:
        wrong.append(f'evaluation.members={evaluation["members"]}: an ensemble has at least 2')
    if list(evaluation['regimes']) != sorted(set(evaluation['regimes'])):
        wrong.append(f'evaluation.regimes={evaluation["regimes"]}: rising edges are needed')
    if min(evaluation['days'], evaluation['fit_days']) < 0:
        wrong.append(f'evaluation.days={evaluation["days"]}, fit_days={evaluation["fit_days"]}: 0 or more are needed')
    if wrong:
        raise UserError('; '.join(wrong))


def check_workdir(config: Config, workdir: Path) -> None:
    """Raises UserError where the work directory was made with another config; writes nothing."""
    path = workdir / 'config.json'
    if path.exists():
        ours, there = flat(json.loads(json.dumps(config))), flat(json.loads(path.read_text()))
        differ = sorted(k for k in {*there, *ours} if there.get(k) != ours.get(k) and k.split('.')[0] not in AFTERWARDS)
        if differ:
            told = ', '.join(f'{k} is {there.get(k)!r} there, {ours.get(k)!r} here' for k in differ[:3])
            raise UserError(f'{workdir} was made with another config ({told}): choose another --workdir')


def check_data(prepared: Prepared, workdir: Path) -> None:
    """Raises UserError where the data have changed since the work directory was made."""
    if (workdir / 'prepared.json').exists() and Prepared(workdir).meta['name'] != prepared.meta['name']:
        raise UserError(f'the data have changed since {workdir} was made: choose another --workdir')


def claim(config: Config, workdir: Path, prepared: Prepared) -> None:
    """Makes the work directory: config, transform and grid, which with the checkpoints are all that use needs."""
    check_data(prepared, workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if not (workdir / 'statics.nc').exists():
            store.write_netcdf(prepared.statics, workdir / 'statics.nc')
        write_json(workdir / 'prepared.json', prepared.meta)
        write_json(workdir / 'config.json', config)
    except OSError as error:
        raise UserError(f'cannot write to the work directory {workdir}: {error.strerror or error}') from error
