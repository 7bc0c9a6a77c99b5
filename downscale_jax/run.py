"""A run: prepare -> train -> calibrate -> evaluate in a work directory; and use of a trained one: downscale, describe.

The `System` that the config names (`downscale_jax.systems`) defines which tasks are trained, and how the result is
calibrated and evaluated.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax

from downscale_jax.describe import describe as describe
from downscale_jax.describe import described
from downscale_jax.downscale.dataset import export_netcdf
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.request import Source, file_state
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.pipeline.batches import Batch, batches
from downscale_jax.pipeline.batches import Source as Examples
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import check_output, write_json
from downscale_jax.systems import calibrated, checks, load, system_of
from downscale_jax.systems.downscaler import Downscaler, check_drawn
from downscale_jax.systems.storage import packing
from downscale_jax.systems.storage.claim import check_config, check_data, claim
from downscale_jax.systems.system import Config, Given, Trained
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.training.log import Log
from downscale_jax.training.loop import LoopSettings, Task, TrainingData
from downscale_jax.training.loop import train as train_task
from downscale_jax.training.state import State

Prepare = Callable[[dict[str, Any], int, Path], Prepared]  # (data section, seed, folder) -> prepared data


def train(config: Config, workdir: Path, prepare: Prepare) -> None:
    """Prepares data if need be, trains every task from where it stands, calibrates, and evaluates."""
    system = system_of(config)
    tasks = checks.before_training(system, config)
    train_tasks(config, workdir, prepare, tasks)
    if jax.process_count() > 1:
        messages.info(
            f'trained on {jax.process_count()} processes; evaluate on one: --mode=evaluate --workdir={workdir}'
        )
        return
    opened, prepared = open_trained('evaluate', workdir, {}, prepare)
    if system.calibrate and calibrated.is_wanted(config):
        system.calibrate(opened, prepared)
    score(opened, prepared)


def train_tasks(config: Config, workdir: Path, prepare: Prepare, tasks: Mapping[str, Task]) -> None:
    """Prepares data if need be and trains the tasks, in order, each from where it stands."""
    training, system = config['training'], system_of(config)
    settings = LoopSettings(training['log_every'], training['validate_every'], training['keep'], config['seed'])
    check_config(config, workdir)
    prepared = prepare_together(config, workdir, prepare)
    checks.check_grid(config, prepared)
    train_split, held_out = (system.examples(config, prepared, split) for split in ('train', 'validation'))
    # before the work directory is claimed: a step may need more memory than is free
    resumed = parallel.broadcast_from_first((workdir / 'checkpoints').exists())
    description = None if resumed else described(config)
    if jax.process_index() == 0:
        claim(config, workdir, prepared)
        if description:
            write_json(workdir / 'describe.json', description)
    parallel.barrier('the work directory is claimed')
    feed = partial(batches, train_split, training['batch_size'])
    first, validation = (cache(partial(first_batches, source, training)) for source in (train_split, held_out))

    def directory(name: str) -> Path:
        return workdir / 'checkpoints' / name

    def restored(name: str) -> State:
        return system.open(workdir).restored(name)

    log = Log(workdir)
    for name, task in tasks.items():
        # the state of a task that has begun holds what it started from
        begun = Checkpoints(directory(name), read_only=True).latest()
        trained = None if begun else Trained(restored, first, prepared, config)
        train_task(
            task,
            name,
            system.initialise(name, tasks, trained),
            TrainingData(feed, validation),
            settings,
            directory(name),
            log,
        )
    log.close()


def prepare_together(config: Config, workdir: Path, prepare: Prepare) -> Prepared:
    """The prepared data, written by the first process and opened by all."""
    arguments = config['data'], config['seed'], workdir.parent / 'data'
    if jax.process_index() == 0:
        prepare(*arguments)
    parallel.barrier('data are prepared')
    return prepare(*arguments)


def first_batches(source: Examples, training: Mapping[str, Any]) -> list[Batch]:
    """As many batches as validation uses."""
    return list(islice(batches(source, training['batch_size']), training['validation_batches']))


def calibrate(workdir: Path, given: Given, prepare: Prepare) -> None:
    """Fits the noise temperature on the validation split, unless that is done already.

    Raises UserError where the system is deterministic or the config leaves nothing to fit.
    """
    opened, prepared = open_trained('calibrate', workdir, given, prepare)
    if opened.system.calibrate is None:
        raise UserError(f'--mode=calibrate: {workdir} is deterministic: there is nothing to calibrate')
    opened.system.calibrate(opened, prepared)


def evaluate(workdir: Path, given: Given, prepare: Prepare) -> None:
    """Scores the trained tasks beside baselines on the test split: scores.json, figures, report.html."""
    score(*open_trained('evaluate', workdir, given, prepare))


def score(opened: WorkDirectory[Any], prepared: Prepared) -> None:
    """Evaluates an opened work directory."""
    checks.check_grid(opened.config, prepared)
    opened.system.evaluate(opened, prepared)


def open_trained(mode: str, workdir: Path, given: Given, prepare: Prepare) -> tuple[WorkDirectory[Any], Prepared]:
    """A work directory, checked, and the data that it was trained on."""
    if jax.process_count() > 1:
        raise UserError(f'--mode={mode} runs in one process, found {jax.process_count()}: start it once')
    if workdir.is_file():
        raise UserError(f'--mode={mode} writes into the work directory, but {workdir} is a file: unpack it first')
    opened = load(workdir, given)
    opened.system.check(opened.config)
    prepared = prepare(opened.config['data'], opened.config['seed'], workdir.parent / 'data')
    check_data(prepared, workdir)
    return opened, prepared


def pack(workdir: Path, output: Path) -> None:
    """Writes a trained model into one file, which `downscale_jax.load` and --mode=downscale open like its folder."""
    packing.pack(workdir, output)
    messages.info(f'{output}: {output.stat().st_size / 1e6:.3g} MB')


@dataclass(frozen=True)
class MapFiles:
    """What `map_glaciers` reads and writes."""

    input: str  # a table of scenes, or Sentinel-2 products
    outlines: str
    elevation: str
    output: str  # .gpkg


def map_glaciers(workdir: Path, given: Given, wanted: MapFiles) -> None:
    """Scenes and outlines in, areas of glaciers out: a GeoPackage."""
    # only glaciers need these modules
    from downscale_jax.evaluation.glaciers.tables import write_package
    from downscale_jax.systems.glacier_map import GlacierMap

    output = Path(wanted.output)
    check_output(output, '.gpkg')
    model = load(workdir, given, kind=GlacierMap)
    frame = model.map(wanted.input, wanted.outlines, wanted.elevation)
    write_package(frame, output)
    messages.info(f'{output}: {len(frame)} glaciers')


@dataclass(frozen=True)
class Downscaling:
    """What `downscale` reads and writes."""

    input: str  # coarse data set: file, glob, Zarr store or URL
    output: str  # ensemble, .zarr or .nc, or the URL of a .zarr
    statics: str = ''  # file of another fine grid, with the static fields that networks see; empty: that of training
    members: int = 16
    seed: int = 0
    overlap: tuple[str, ...] = ()  # first and last date over which another source is corrected to that of training

    def check(self) -> None:
        """Raises UserError for arguments that are invalid whatever the model."""
        check_drawn(self.members, self.seed, '--')
        if is_url(self.output):
            return object_stores.check_output(self.output)
        path = Path(self.output)
        check_output(path, '.zarr', '.nc')
        if path.suffix == '.nc' and path.exists() and not Path(self.store).exists():
            raise UserError(
                f'{path} exists, but {self.store}, from which it is written, does not: use another --output'
            )

    @property
    def store(self) -> str:
        """The Zarr store: the output itself or, beside a NetCDF file, that from which it is written."""
        return str(Path(self.output).with_suffix('.zarr')) if self.output.endswith('.nc') else self.output


def downscale(workdir: Path, given: Given, wanted: Downscaling) -> None:
    """Coarse data set in, ensemble out: a Zarr store, from which a NetCDF file is written where `output` ends in .nc.

    Any number of processes share the work, each with its own devices.
    """
    from downscale_jax.downscale.output.filling import to_store  # Zarr takes a while to import

    wanted.check()
    model = load(workdir, given, kind=Downscaler)
    model.system.check(model.config)
    dataset = store.open_dataset(wanted.input)
    fine = model.prepared.statics
    if wanted.statics:
        fine = model.fine_grid(store.open_dataset(wanted.statics), wanted.statics)
        report_statics(fine, wanted.statics)
    generator = model.best()
    members = wanted.members if generator.draws else 1
    source = Source(wanted.input, file_state(wanted.input), wanted.statics, file_state(wanted.statics), wanted.overlap)
    inputs = model.open_inputs(dataset, fine, wanted.input, wanted.overlap)
    ensemble = Ensemble(generator, inputs, fine, members, wanted.seed)
    to_store(ensemble, wanted.store, source, model.attributes())
    output = Path(wanted.output)
    if output.suffix == '.nc' and not output.exists() and jax.process_index() == 0:
        export_netcdf(Path(wanted.store), output)


def report_statics(fine: Any, source: str) -> None:
    """Prints which variables of a file serve as static fields under other names."""
    renamed = [f'{name} {array.attrs["comment"]}' for name, array in fine.data_vars.items() if 'comment' in array.attrs]
    if renamed:
        messages.info(f'{source}: {", ".join(renamed)}')
