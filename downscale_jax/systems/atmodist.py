"""AtmoDist: a distance between atmospheric states, learned by predicting time lags (docs/systems/atmodist.md)."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, cast

import jax
import numpy as np
import xarray as xr
from jax.tree_util import Partial

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.dates import iso
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry.alignment import aligned
from downscale_jax.fields.geometry.orientation import oriented
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Decoder, Encoder, Tail, Variables
from downscale_jax.pipeline.lag_pairs import LagPairs
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.settings.atmodist import AtmoDistSettings
from downscale_jax.systems.system import Config, Init, Scores, Shapes, System, Trained
from downscale_jax.systems.workdir import WorkDirectory
from downscale_jax.tasks.inpainting import Inpainting
from downscale_jax.tasks.lags import PROBE, UNTRAINED, Lags
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

AtmoDistTask = Lags | Inpainting

BATCH = 16  # times embedded at once


def build(config: Config) -> dict[str, AtmoDistTask]:
    """The pretext tasks in their order: each starts from the encoder of the one before.

    With evaluation.untrained_rival they follow a baseline, `lags` with an encoder that stays untrained. Where the last
    is not `lags`, a tail is trained on the finished encoder, because evaluation scores the prediction of lags.
    """
    training, model = config['training'], config['model']
    shared = {'momentum': model['momentum'], 'dtype': model['dtype']}
    common = {'encoder': encoder_of(model), 'phases': phases(training), 'accumulate': training['accumulate']}

    def lags(train_encoder: bool = True) -> Lags:
        tail = Tail(config['data']['lags'], model['tail'], **shared)
        return Lags(**common, tail=tail, l2=training['l2'], train_encoder=train_encoder, joint=training['joint'])

    def inpainting() -> Inpainting:
        return Inpainting(**common, decoder=Decoder(len(config['data']['variables']), **shared))

    kinds: dict[str, Callable[[], AtmoDistTask]] = {'lags': lags, 'inpainting': inpainting}
    tasks: dict[str, AtmoDistTask] = {}
    if config['evaluation']['untrained_rival']:
        tasks[UNTRAINED] = lags(train_encoder=False)
    tasks |= {name: kinds[name]() for name in config['pretexts']}
    if config['pretexts'][-1] != 'lags':
        tasks[PROBE] = lags(train_encoder=False)
    return tasks


def encoder_of(model: Mapping[str, Any]) -> Encoder:
    """The encoder that a `model` section describes."""
    widths, options = tuple(model['widths']), {'momentum': model['momentum'], 'dtype': model['dtype']}
    return Encoder(widths, model['blocks'], model['stem'], model['pool'], **options)


def check(config: Config, training: bool = False) -> None:
    """See `system.Check`: nothing beyond the description."""


def shapes(config: Config) -> Shapes:
    """Two normalised patches of one place, and the lag between them as a class."""
    patch = (config['data']['patch'], config['data']['patch'], len(config['data']['variables']))
    field = jax.ShapeDtypeStruct(patch, np.float32)
    return {'first': field, 'second': field, 'lag': jax.ShapeDtypeStruct((), np.int32)}


def examples(config: Config, prepared: Prepared, split: str) -> LagPairs:
    """LagPairs of patches of one split."""
    return LagPairs(prepared, split, config['seed'])


def initialise(name: str, tasks: Mapping[str, AtmoDistTask], trained: Trained | None = None) -> Init:
    """See `system.Initialise`: a task starts from the encoder of the one before, never from the untrained baseline."""
    before = [other for other in list(tasks)[: list(tasks).index(name)] if other != UNTRAINED]
    if trained is None or not before:
        return tasks[name].init
    variables = tasks[before[-1]].inference_params(jax.device_get(trained.restored(before[-1])))
    encoder = {collection: trees['encoder'] for collection, trees in variables.items()}
    return Partial(lambda encoder, key, batch: tasks[name].init(key, batch, encoder), encoder)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters and batch statistics of the last task by network, the encoder last."""
    state = list(states.values())[-1]
    names = sorted(state.params, key=lambda name: name == 'encoder')
    return {name: {'params': state.params[name], 'batch_stats': state.stats[name]} for name in names}


class LearnedDistance(WorkDirectory[AtmoDistTask]):
    """A trained encoder as a distance between fields.

    Methods take a `stage` of the encoder, counted from 1; 0, the default, is the last.
    """

    @property
    def task(self) -> Lags:
        """The last task, which always predicts lags."""
        task = self.tasks[self.last]
        assert isinstance(task, Lags)
        return task

    @cached_property
    def params(self) -> Variables:
        return jax.device_put(self.task.inference_params(jax.device_get(self.restored(self.last))))

    def embed(self, fields: store.Given, stage: int = 0) -> xr.DataArray:
        """The encodings (time, row, column, channel) of fields (time, lat, lon) or (time, y, x) of any size.

        `fields` holds the variables of training: a Dataset, a DataArray with the name of its variable, a path or a list
        of paths. Raises UserError for missing variables or values, units that cannot be converted, a missing time axis,
        and a stage that the encoder does not have, and WrongTypeError (a TypeError) for other types.
        """
        dataset = self._canonical(store.as_dataset(fields, 'fields'))
        encoded = np.concatenate([self._embed(x, stage) for x in self._batches(dataset)])
        dims = ('time', 'row', 'column', 'channel')
        return xr.DataArray(encoded, {'time': dataset['time'].values}, dims, 'encoding')

    def distance(self, a: store.Given, b: store.Given, stage: int = 0) -> xr.DataArray:
        """Mean squared difference of the encodings of `a` and `b`, (time,).

        The times of both are paired in order; the result has the time stamps of `a`. Cells are compared place by place,
        in whatever order the two hold them. Raises UserError as `embed` does, and where the two differ in shape or
        place.
        """
        fields = [self._canonical(store.as_dataset(given, name)) for given, name in ((a, 'a'), (b, 'b'))]
        shapes = [dataset[self.prepared.transform_as(Standardisation).variables[0]].shape for dataset in fields]
        if shapes[0] != shapes[1]:
            raise UserError(f'a distance needs two data sets of the same shape, found {shapes[0]} and {shapes[1]}')
        fields[1] = aligned(fields[1], fields[0], 1, 'the second data set')
        parts = [
            np.square(self._embed(x, stage) - self._embed(y, stage)).mean((1, 2, 3))
            for x, y in zip(*map(self._batches, fields), strict=True)
        ]
        return xr.DataArray(np.concatenate(parts), {'time': fields[0]['time'].values}, ('time',), 'distance')

    def _embed(self, x: np.ndarray, stage: int) -> np.ndarray:
        return np.asarray(self.embedding(self.params, x, stage or len(self.task.encoder.widths)))

    @cached_property
    def embedding(self) -> Callable[..., jax.Array]:
        """(params, [B, H, W, C] normalised, stage) -> encodings, jitted."""
        return jax.jit(self.task.embed, static_argnums=2)

    def _canonical(self, fields: xr.Dataset) -> xr.Dataset:
        """The variables of training in their units, lazily, rows and columns in the direction of training: the
        encoder is not symmetric under reflection."""
        transform = self.prepared.transform_as(Standardisation)
        dataset = canonical(fields, list(transform.variables), source='the fields')
        check_times(dataset, transform.variables, 'the fields')
        for name, units in zip(transform.variables, transform.units, strict=True):
            dataset[name] = convert_units(dataset[name], units, 'the fields')
        return oriented(dataset, self.prepared.statics, 'the fields')

    def _batches(self, fields: xr.Dataset) -> Iterator[np.ndarray]:
        """[B, H, W, C] normalised, `BATCH` times in each but the last, compared with the range of training."""
        transform, trained = self.prepared.transform_as(Standardisation), self.prepared.training_range()
        for start in range(0, fields.sizes['time'], BATCH):
            part = store.load(fields.isel(time=slice(start, start + BATCH)), 'the fields')
            values = np.stack([part[name].values for name in transform.variables], -1)
            if len(missing := np.flatnonzero(~np.isfinite(values).all((1, 2, 3)))):
                share, at = 1 - np.isfinite(values[missing[0]]).mean(), iso(part['time'].values[missing[0]])
                raise UserError(
                    f'the fields have no value in {share:.2g} of their cells at {at}: an encoding needs '
                    'all of them; fill them, or select cells and times that have values'
                )
            trained.check(values, 'the fields', first=start == 0)
            yield transform.encode(values)


def evaluate(opened: LearnedDistance, prepared: Prepared) -> Scores:
    """Scores lag classification, beside the untrained rival where there is one, and the learned distance."""
    from downscale_jax.evaluation.lags import evaluate as lag_evaluation
    from downscale_jax.evaluation.lags.predictions import Network

    untrained = None
    if UNTRAINED in opened.tasks:
        task = opened.tasks[UNTRAINED]
        untrained = Network(cast(Lags, task), task.inference_params(opened.restored(UNTRAINED)))
    model = lag_evaluation.LagModel(
        network=Network(cast(Lags, opened.task), opened.params),
        untrained=untrained,
        provenance=opened.provenance(opened.last),
        probed=list(opened.tasks)[-2] if PROBE in opened.tasks else None,
    )
    return lag_evaluation.evaluate(model, prepared, opened.config, opened.workdir)


SYSTEM: System[AtmoDistTask, LearnedDistance] = System(
    settings=AtmoDistSettings,
    build=build,
    check=check,
    shapes=shapes,
    examples=examples,
    initialise=initialise,
    networks=networks,
    opened=LearnedDistance,
    evaluate=evaluate,
)
