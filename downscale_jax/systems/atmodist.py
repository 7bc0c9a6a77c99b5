"""AtmoDist: an encoder that learns a distance between atmospheric states by naming lags (docs/systems/atmodist.md)."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any

import jax
import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Decoder, Encoder, Tail, Variables
from downscale_jax.pipeline.lag_pairs import LagPairs
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError, nearest
from downscale_jax.systems.workdir import Config, Init, Trained, WorkDirectory
from downscale_jax.tasks.inpainting import Inpainting
from downscale_jax.tasks.lags import Lags
from downscale_jax.training.optimizer import phases
from downscale_jax.training.state import State

PRETEXTS = ('lags', 'inpainting')
UNTRAINED = 'untrained'  # a rival, no pretext task
PROBE = 'probe'  # a tail that asks a finished encoder for the lag
BATCH = 16  # times embedded at once


def build(config: Config) -> dict[str, Lags | Inpainting]:
    """The pretext tasks in their order: each starts from the encoder of the one before it.

    Before them, where evaluation.untrained_rival asks for it, a rival of `lags`: a tail behind an untrained encoder.
    After them, where they do not end with `lags`, a tail behind the encoder as it is: evaluation scores told lags.

    Raises UserError for no or an unknown pretext task, and an unknown precision.
    """
    training, model = config['training'], config['model']
    if model['dtype'] not in ('float32', 'bfloat16'):
        raise UserError(f"model.dtype='{model['dtype']}': {nearest(model['dtype'], ('float32', 'bfloat16'))}")
    if not config['pretexts']:
        raise UserError(f'pretexts is empty: name one or several of {", ".join(PRETEXTS)}')
    for name in config['pretexts']:
        if name not in PRETEXTS:
            raise UserError(f"pretexts: there is no task '{name}': {nearest(name, PRETEXTS)}")
    shared = {'momentum': model['momentum'], 'dtype': model['dtype']}
    encoder = Encoder(tuple(model['widths']), model['blocks'], model['stem'], model['pool'], **shared)
    common = {
        'encoder': encoder,
        'phases': phases(training),
        'accumulate': training['accumulate'],
    }

    def lags(train_encoder: bool = True) -> Lags:
        tail = Tail(config['data']['lags'], model['tail'], **shared)
        return Lags(**common, tail=tail, l2=training['l2'], train_encoder=train_encoder)

    kinds: dict[str, Callable[[], Lags | Inpainting]] = {
        'lags': lags,
        'inpainting': lambda: Inpainting(**common, decoder=Decoder(len(config['data']['variables']), **shared)),
    }
    rival = {UNTRAINED: lags(train_encoder=False)} if config['evaluation']['untrained_rival'] else {}
    probe = {} if config['pretexts'][-1] == 'lags' else {PROBE: lags(train_encoder=False)}
    return {**rival, **{name: kinds[name]() for name in config['pretexts']}, **probe}


def shapes(config: Config) -> dict[str, tuple[tuple[int, ...], Any]]:
    """(shape, dtype) of an example's arrays."""
    patch = (config['data']['patch'], config['data']['patch'], len(config['data']['variables']))
    return {'first': (patch, np.float32), 'second': (patch, np.float32), 'lag': ((), np.int32)}


def examples(config: Config, prepared: Prepared, split: str) -> LagPairs:
    """What batches are drawn from."""
    return LagPairs(prepared, split, config['seed'])


def initialiser(name: str, tasks: Mapping[str, Lags | Inpainting], trained: Trained | None = None) -> Init:
    """The task's `init(key, batch)`, with the encoder of the task before it if there is one."""
    before = [other for other in list(tasks)[: list(tasks).index(name)] if other != UNTRAINED]
    if trained is None or not before:
        return tasks[name].init
    variables = tasks[before[-1]].inference_params(jax.device_get(trained.restored(before[-1])))
    encoder = {collection: trees['encoder'] for collection, trees in variables.items()}
    return lambda key, batch: tasks[name].init(key, batch, encoder)


def networks(states: Mapping[str, State]) -> dict[str, Any]:
    """Parameters and batch statistics by the name of the network, the encoder last."""
    state = list(states.values())[-1]
    found = {name: {'params': state.params[name], 'batch_stats': state.stats[name]} for name in state.params}
    return {name: found[name] for name in sorted(found, key=lambda name: name == 'encoder')}


def check(config: Config, training: bool = False) -> None:
    """Raises UserError for values that would fail only after training."""
    if config['evaluation']['pairs'] < 1:
        raise UserError(f'evaluation.pairs={config["evaluation"]["pairs"]}: at least 1 is needed')


class LearnedDistance(WorkDirectory):
    """A trained encoder as a distance between fields; the first stage of the encoder is 1, the last the default."""

    @property
    def task(self) -> Any:
        return self.tasks[self.last]

    @cached_property
    def params(self) -> Variables:
        return jax.device_put(self.task.inference_params(jax.device_get(self.restored(self.last))))

    def embed(self, fields: xr.Dataset, stage: int = 0) -> xr.DataArray:
        """The encodings (time, row, column, channel) of fields (time, lat, lon) or (time, y, x) of any size.

        `fields` holds the variables of training. Raises UserError for missing ones, units that do not convert, no times
        and a stage that the encoder does not have.
        """
        found = self._canonical(fields)
        encoded = np.concatenate([self._embed(x, stage) for x in self._batches(found)])
        return xr.DataArray(encoded, {'time': found['time'].values}, ('time', 'row', 'column', 'channel'), 'encoding')

    def distance(self, a: xr.Dataset, b: xr.Dataset, stage: int = 0) -> xr.DataArray:
        """Mean squared difference of the encodings of `a` and `b`, by pairs of their times in order: (time,), those of
        `a`.

        Raises UserError as `embed`, and where the two have not the same shape.
        """
        fields = [self._canonical(one) for one in (a, b)]
        shapes = [one[self.prepared.transform_as(Standardisation).variables[0]].shape for one in fields]
        if shapes[0] != shapes[1]:
            raise UserError(f'a distance needs two data sets of the same shape, found {shapes[0]} and {shapes[1]}')
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
        """The variables of training in their units, rows and columns in the direction of training's, lazily: an encoder
        knows north from south."""
        transform = self.prepared.transform_as(Standardisation)
        found = canonical(fields, list(transform.variables), source='the fields')
        check_times(found, transform.variables, 'the fields')
        for name, units in zip(transform.variables, transform.units, strict=True):
            found[name] = convert_units(found[name], units)
        for axis in found[transform.variables[0]].dims[1:]:
            known = self.prepared.statics.coords
            if axis in known and axis in found.coords and rises(found[axis]) != rises(known[axis]):
                found = found.isel({axis: slice(None, None, -1)})
        return found

    def _batches(self, fields: xr.Dataset) -> Iterator[np.ndarray]:
        """[B, H, W, C] normalised, B times in memory at once, all batches of one size but the last."""
        transform = self.prepared.transform_as(Standardisation)
        for start in range(0, fields.sizes['time'], BATCH):
            part = store.load(fields.isel(time=slice(start, start + BATCH)), 'the fields')
            yield transform.encode(np.stack([part[name].values for name in transform.variables], -1))


def rises(axis: xr.DataArray) -> bool:
    """Whether a coordinate grows with the index."""
    return bool(axis.values[-1] >= axis.values[0])


Opened = LearnedDistance
