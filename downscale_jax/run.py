"""What a run is: prepare -> train -> evaluate in a work directory; and what can be done with a trained one."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax

from downscale_jax.describe import describe
from downscale_jax.downscale import ensemble
from downscale_jax.evaluation import baselines, super_resolution
from downscale_jax.evaluation.calibrate import fit as fit_temperature
from downscale_jax.evaluation.evaluate import evaluate as score_ensembles
from downscale_jax.evaluation.lags import evaluate as lags
from downscale_jax.evaluation.statistics import places
from downscale_jax.fields.datasets import store
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.runtime.settings import flat
from downscale_jax.systems import load, system_of
from downscale_jax.systems.diffusion import CALIBRATION, Calibrated, fit_request
from downscale_jax.systems.downscaler import Downscaler, check_drawn
from downscale_jax.systems.workdir import AFTERWARDS, Config, Trained, best_step, restore
from downscale_jax.training.log import Log
from downscale_jax.training.loop import Schedule, Task
from downscale_jax.training.loop import train as train_task
from downscale_jax.training.optimizer import create

Prepare = Callable[[dict[str, Any], int, Path], Prepared]  # data section, seed, folder -> prepared data


def train(config: Config, workdir: Path, prepare: Prepare) -> None:
    """Prepares data if need be, trains every task from where it stands, calibrates the last, evaluates."""
    system = system_of(config)
    tasks = system.build(config)
    check_training(config, tasks)
    system.check(config, training=True)
    if config['evaluation'].get('places'):
        places.read(config['evaluation']['places'])  # what is wrong with it shows before training
    baselines.check(config['evaluation'].get('baselines', ()))
    train_tasks(config, workdir, prepare, tasks)
    if jax.process_count() > 1:
        messages.info(
            f'trained on {jax.process_count()} processes; score it on one: --mode=evaluate --workdir={workdir}'
        )
        return
    if config['evaluation'].get('fit_days') and not config['sampling']['temperature']:
        calibrate(workdir, {}, prepare)
    evaluate(workdir, {}, prepare)


def train_tasks(config: Config, workdir: Path, prepare: Prepare, tasks: dict[str, Task]) -> None:
    """Prepares data if need be and trains the tasks, in order, each from where it stands."""
    data, training, system = config['data'], config['training'], system_of(config)
    schedule = Schedule(training['log_every'], training['validate_every'], training['keep'])
    check_workdir(config, workdir)
    if jax.process_index() == 0:
        prepare(data, config['seed'], workdir.parent / 'data')
    parallel.barrier('data are prepared')
    prepared = prepare(data, config['seed'], workdir.parent / 'data')
    train_split, held_out = (system.examples(config, prepared, split) for split in ('train', 'validation'))
    if jax.process_index() == 0:
        claim(config, workdir, prepared)
    parallel.barrier('the work directory is claimed')
    if not (workdir / 'checkpoints').exists():
        describe(config, workdir)

    from downscale_jax.pipeline.batches import batches

    fed = partial(batches, train_split, training['batch_size'])
    few = training['validation_batches']
    validation, first = (list(islice(rows, few)) for rows in (batches(held_out, training['batch_size']), fed()))

    def directory(name: str) -> Path:
        return workdir / 'checkpoints' / name

    def restored(name: str):
        init, step = system.initialiser(name, tasks), best_step(directory(name))
        return restore(tasks[name], init, directory(name), step, first[0])

    log = Log(workdir)
    for name, task in tasks.items():
        # one that was begun has what it was handed in its state
        begun = directory(name).exists() and Checkpoints(directory(name), read_only=True).latest()
        trained = None if begun else Trained(restored, first, prepared, config)
        train_task(
            task,
            name,
            init=system.initialiser(name, tasks, trained),
            batches=fed,
            validation=validation,
            schedule=schedule,
            seed=config['seed'],
            directory=directory(name),
            log=log,
        )
    log.close()


def evaluate(workdir: Path, given: dict[str, Any], prepare: Prepare) -> None:
    """Scores the trained tasks beside simple rivals on the test split: scores.json, figures, report.html."""
    opened, prepared = open_trained('evaluate', workdir, given, prepare)
    SCORING[opened.config['system']](opened, prepared)


def score_downscaling(opened: Calibrated, prepared: Prepared) -> None:
    generators = {name: opened.generator(name) for name in opened.tasks}
    fitted = opened.fitted()
    score_ensembles(generators | ({'calibrated': fitted} if fitted else {}), prepared, opened.config, opened.workdir)


SCORING: dict[str, Callable] = {
    'atmodist': lags.evaluate,
    'diffusion': score_downscaling,
    'dpdm': super_resolution.evaluate,
    'srgan': super_resolution.evaluate,
}


def calibrate(workdir: Path, given: dict[str, Any], prepare: Prepare) -> None:
    """Fits the noise temperature of the last task on records of the validation split, unless that is done already.

    Raises UserError where the config gives a temperature or no record to fit one on.
    """
    opened, prepared = open_trained('calibrate', workdir, given, prepare)
    if not isinstance(opened, Calibrated):
        raise UserError(f'--mode=calibrate: {workdir} draws no ensemble whose noise could be fitted')
    config, generator, path = opened.config, opened.generator(opened.last), workdir / CALIBRATION
    wanted = config['evaluation']['fit_days']
    if config['sampling']['temperature'] or not wanted:
        raise UserError(
            'there is nothing to fit: sampling.temperature must be 0 and evaluation.fit_days at least 1, found '
            f'{config["sampling"]["temperature"]} and {wanted}'
        )
    request = {**fit_request(generator), 'wanted': wanted}
    if not path.exists() or json.loads(path.read_text())['request'] != request:
        found = fit_temperature(generator, prepared, wanted, max(2, generator.members), config['seed'])
        write_json(path, {'request': request, **found})
    fit = json.loads(path.read_text())
    before, after = (fit[name]['spread_skill'] for name in ('before', 'after'))
    told = f'spread/skill {after:.2f} on {fit["records"]} records of validation, {before:.2f} without'
    messages.info(f'noise temperature {fit["temperature"]:.3f}: {told}')
    if not 0.9 < after < 1.1:
        messages.warning('calibration did not correct the spread: check the regression, or train longer')


def open_trained(mode: str, workdir: Path, given: dict[str, Any], prepare: Prepare) -> tuple[Any, Prepared]:
    """A work directory, checked, and the data that it was trained on."""
    alone(mode)
    opened = load(workdir, given)
    opened.system.check(opened.config)
    prepared = prepare(opened.config['data'], opened.config['seed'], workdir.parent / 'data')
    check_data(prepared, workdir)
    return opened, prepared


def downscale(
    workdir: Path,
    given: dict[str, Any],
    source: str,
    output: str,
    statics: str,
    members: int,
    seed: int,
    overlap: tuple[str, ...] = (),
) -> None:
    """Coarse file in, ensemble out: a Zarr store, or by way of one a NetCDF file where `output` ends in .nc.

    Any number of processes share the work, each with its own devices.
    """
    path = Path(output)
    if path.suffix not in ('.nc', '.zarr'):
        raise UserError(f"--output '{output}' must end in .zarr or .nc")
    check_drawn(members, seed, '--')
    if not path.parent.is_dir():
        raise UserError(f"--output '{output}': there is no folder '{path.parent}': make it first")
    trained = load(workdir, given)
    if not isinstance(trained, Downscaler):
        raise UserError(f'--mode=downscale: {workdir} holds no downscaler but {", ".join(trained.tasks)}')
    trained.system.check(trained.config)
    dataset = store.open_dataset(source)
    fine = trained.fine_grid(store.open_dataset(statics), statics) if statics else trained.prepared.statics
    taken = [f'{name} {array.attrs["comment"]}' for name, array in fine.data_vars.items() if 'comment' in array.attrs]
    if taken:
        messages.info(f'{statics}: {", ".join(taken)}')
    generator = trained.best()
    members = members if generator.draws else 1
    request = {
        'input': source,
        'input_state': store.fingerprint(source),
        'statics': statics,
        'statics_state': store.fingerprint(statics),
        'model': generator.identity,
        **({'overlap': list(overlap)} if overlap else {}),
    }
    corrected = trained.correction(dataset, overlap, source)
    zarr = path if path.suffix == '.zarr' else path.with_suffix('.zarr')
    if path.suffix == '.nc' and path.exists() and not zarr.exists():
        raise UserError(f'{path} exists and {zarr}, from which it would be written, does not: choose another --output')
    ensemble.to_store(generator, dataset, fine, members, seed, trained.attributes(), zarr, request, corrected=corrected)
    if path.suffix == '.nc' and not path.exists() and jax.process_index() == 0:
        ensemble.export_netcdf(zarr, path)


def alone(mode: str) -> None:
    if jax.process_count() > 1:
        raise UserError(f'--mode={mode} runs in one process, found {jax.process_count()}: start it once')


def check_training(config: Config, tasks: dict[str, Task]) -> None:
    """Raises UserError for values that would fail only after data are prepared or a step is compiled."""
    data, training = config['data'], config['training']
    rows = len(parallel.local_rows(training['batch_size'])) // jax.local_device_count()
    counts = ('batch_size', 'log_every', 'validation_batches', 'keep', 'accumulate')
    positive = {
        'data.patch': data['patch'],
        **{f'training.{k}': training[k] for k in counts},
        **{f'training.{name}.steps': training.get(name, {}).get('steps', 0) for name in training['phases']},
    }
    wrong = [f'{key}={value}: at least 1 is needed' for key, value in positive.items() if value < 1]
    if not 0 <= training.get('ema_decay', 0) < 1:
        wrong.append(f'training.ema_decay={training["ema_decay"]}: from 0 (no average) to less than 1')
    phases = {phase.name: phase for task in tasks.values() for phase in task.phases}
    wrong += [
        f'training.{name}.learning_rate={phase.learning_rate}: more than 0 is needed'
        for name, phase in phases.items()
        if not phase.learning_rate > 0
    ]
    if not wrong and rows % training['accumulate']:
        wrong.append(f'training.accumulate={training["accumulate"]} does not divide the {rows} rows of a device')
    if wrong:
        raise UserError('; '.join(wrong))
    for task in tasks.values():
        for phase in task.phases:
            create(phase)  # raises for an unknown optimiser


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
        if (climate := prepared.directory / 'climate.nc').exists():
            shutil.copyfile(climate, workdir / 'climate.nc')
        write_json(workdir / 'prepared.json', prepared.meta)
        write_json(workdir / 'config.json', config)
    except OSError as error:
        raise UserError(f'cannot write to the work directory {workdir}: {error.strerror or error}') from error
